//! Every way to save a configuration is noticed, within two seconds, every time.
//!
//! The two seconds are a promise of the product and are therefore measured; each test prints its
//! slowest round. Whether a configuration is in force is asked as a player would: its stream is
//! known or it is not.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::life::program::{Program, get};
use crate::relay::Relay;
use crate::relay::stats::Document;
use crate::support::{Answer, Balancer, PORTS, eventually, raw};

const ROUNDS: usize = 20;

/// What users are promised.
const PROMISE: Duration = Duration::from_secs(2);

/// A configuration of the same length for every round.
fn config(round: usize) -> String {
    format!("{PORTS}servers: {{one: 'http://127.0.0.1:9'}}\nstreams: {{{}: }}\n", stream(round))
}

fn stream(round: usize) -> String {
    format!("/round-{round:02}.ogg")
}

async fn knows(balancer: &Balancer, path: &str) -> bool {
    balancer.get(path).await.status != 404
}

/// Waits until `noticed`, and tells how long it took; fails if it takes longer than promised.
async fn within_promise(way: &str, noticed: impl AsyncFn() -> bool) -> Duration {
    let began = Instant::now();
    while !noticed().await {
        assert!(began.elapsed() < PROMISE, "{way}: not noticed in {PROMISE:?}");
        sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

/// Saves twenty configurations one after the other, each as soon as the one before is in force.
async fn twenty_times(way: &str, balancer: &Balancer, save: impl Fn(usize)) {
    let mut slowest = Duration::ZERO;
    for round in 1..=ROUNDS {
        save(round);
        let took = within_promise(way, async || knows(balancer, &stream(round)).await).await;
        slowest = slowest.max(took);
        assert!(!knows(balancer, &stream(round - 1)).await, "{way}: the one before is gone");
    }
    println!("{way}: {ROUNDS} of {ROUNDS} noticed, the slowest after {slowest:?}");
}

/// A folder with a configuration in it, and a balancer that follows it.
async fn following() -> (TempDir, PathBuf, Balancer) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("balancer.yaml");
    fs::write(&file, config(0)).unwrap();
    let balancer = Balancer::start_at(&file).await;
    (folder, file, balancer)
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

#[tokio::test]
async fn a_write_in_place_is_noticed() {
    let (_folder, file, balancer) = following().await;
    twenty_times("in place", &balancer, |round| fs::write(&file, config(round)).unwrap()).await;
}

#[tokio::test]
async fn a_file_written_aside_and_renamed_is_noticed() {
    let (folder, file, balancer) = following().await;
    let aside = folder.path().join("balancer.yaml.new");
    twenty_times("rename", &balancer, |round| {
        fs::write(&aside, config(round)).unwrap();
        fs::rename(&aside, &file).unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_editor_that_keeps_a_backup_is_noticed() {
    let (folder, file, balancer) = following().await;
    let backup = folder.path().join("balancer.yaml~");
    twenty_times("vim with a backup", &balancer, |round| {
        fs::rename(&file, &backup).unwrap();
        fs::write(&file, config(round)).unwrap();
        fs::remove_file(&backup).unwrap();
    })
    .await;
}

#[tokio::test]
async fn sed_in_place_is_noticed() {
    let (_folder, file, balancer) = following().await;
    let path = file.to_str().unwrap();
    twenty_times("sed -i", &balancer, |round| {
        run("sed", &["-i", &format!("s/round-[0-9]*/round-{round:02}/"), path]);
    })
    .await;
}

#[tokio::test]
async fn a_git_pull_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let [origin, clone] = ["origin", "clone"].map(|name| folder.path().join(name));
    let [origin_path, clone_path] = [&origin, &clone].map(|path| path.to_str().unwrap());
    let commit = |round| {
        fs::write(origin.join("balancer.yaml"), config(round)).unwrap();
        run("git", &["-C", origin_path, "add", "balancer.yaml"]);
        let who = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        let what = ["commit", "--quiet", "--no-gpg-sign", "-m", "a change"];
        run("git", &[&["-C", origin_path][..], &who, &what].concat());
    };
    run("git", &["init", "--quiet", "-b", "main", origin_path]);
    commit(0);
    run("git", &["clone", "--quiet", origin_path, clone_path]);
    let balancer = Balancer::start_at(&clone.join("balancer.yaml")).await;
    twenty_times("git pull", &balancer, |round| {
        commit(round);
        run("git", &["-C", clone_path, "pull", "--quiet", "--ff-only"]);
    })
    .await;
}

/// What a kubelet does with a ConfigMap: the names are links through `..data`, which is swapped.
fn swap_data(volume: &Path, round: usize, name: &str, content: &str) {
    let fresh = format!("..2026_{round}");
    fs::create_dir(volume.join(&fresh)).unwrap();
    fs::write(volume.join(&fresh).join(name), content).unwrap();
    symlink(&fresh, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    if let Some(before) = round.checked_sub(1) {
        fs::remove_dir_all(volume.join(format!("..2026_{before}"))).unwrap();
    }
}

fn config_map() -> TempDir {
    let volume = tempfile::tempdir().unwrap();
    swap_data(volume.path(), 0, "balancer.yaml", &config(0));
    symlink("..data/balancer.yaml", volume.path().join("balancer.yaml")).unwrap();
    volume
}

#[tokio::test]
async fn the_swap_of_a_config_map_is_noticed() {
    let volume = config_map();
    let balancer = Balancer::start_at(&volume.path().join("balancer.yaml")).await;
    twenty_times("ConfigMap, file", &balancer, |round| {
        swap_data(volume.path(), round, "balancer.yaml", &config(round));
    })
    .await;
}

#[tokio::test]
async fn the_swap_of_a_config_map_that_is_followed_as_a_directory_is_noticed() {
    let volume = config_map();
    let balancer = Balancer::start_at(volume.path()).await;
    twenty_times("ConfigMap, directory", &balancer, |round| {
        swap_data(volume.path(), round, "balancer.yaml", &config(round));
    })
    .await;
}

#[tokio::test]
async fn deletion_and_re_creation_is_noticed() {
    let (_folder, file, balancer) = following().await;
    twenty_times("delete, create", &balancer, |round| {
        fs::remove_file(&file).unwrap();
        fs::write(&file, config(round)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_gone_for_a_moment_is_no_mistake() {
    let (_folder, file, balancer) = following().await;
    fs::remove_file(&file).unwrap();
    sleep(Duration::from_millis(700)).await;
    assert_eq!(balancer.metric("icecast_balancer_config_last_reload_successful").await, Some(1.0));
    assert!(knows(&balancer, &stream(0)).await);
    fs::write(&file, config(1)).unwrap();
    within_promise("created late", async || knows(&balancer, &stream(1)).await).await;
    let rejected = balancer.metric("icecast_balancer_config_reloads_total{result=\"rejected\"}");
    assert_eq!(rejected.await, Some(0.0));
}

#[tokio::test]
async fn a_file_that_stays_away_is_missed_and_what_it_said_stays_in_force() {
    let (_folder, file, balancer) = following().await;
    fs::remove_file(&file).unwrap();
    eventually("the file is missed", async || {
        let refused = balancer.status().await["config"]["refused"].clone();
        refused.as_str().is_some_and(|text| text.contains("cannot be read"))
    })
    .await;
    assert!(knows(&balancer, &stream(0)).await);
    fs::write(&file, config(0)).unwrap();
    within_promise("back again", async || balancer.status().await["config"]["refused"].is_null())
        .await;
}

#[tokio::test]
async fn files_that_come_change_and_go_in_a_directory_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), config(0)).unwrap();
    let balancer = Balancer::start_at(folder.path()).await;
    // Streams add up over files, but the key of servers is there already.
    let more = folder.path().join("more.yaml");
    let mut slowest = Duration::ZERO;
    for round in 1..=ROUNDS {
        let [added, changed] = ["added", "changed"].map(|word| format!("/{word}-{round}.ogg"));
        fs::write(&more, format!("streams: {{{added}: }}\n")).unwrap();
        let come = within_promise("added", async || knows(&balancer, &added).await).await;
        fs::write(&more, format!("streams: {{{changed}: }}\n")).unwrap();
        let change = within_promise("changed", async || knows(&balancer, &changed).await).await;
        fs::remove_file(&more).unwrap();
        let go = within_promise("removed", async || !knows(&balancer, &changed).await).await;
        assert!(knows(&balancer, &stream(0)).await);
        slowest = slowest.max(come).max(change).max(go);
    }
    println!("directory: {ROUNDS} of {ROUNDS} each, the slowest after {slowest:?}");
}

#[tokio::test]
async fn a_directory_of_links_notices_the_edit_of_a_file_elsewhere() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = elsewhere.path().join("streams");
    fs::write(&file, config(0)).unwrap();
    symlink(&file, folder.path().join("a.yaml")).unwrap();
    let balancer = Balancer::start_at(folder.path()).await;
    twenty_times("directory of links", &balancer, |round| fs::write(&file, config(round)).unwrap())
        .await;
}

/// A link, and the file elsewhere that it leads to.
fn linked() -> (TempDir, TempDir, PathBuf, PathBuf) {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (link, file) = (folder.path().join("balancer.yaml"), elsewhere.path().join("real.yaml"));
    fs::write(&file, config(0)).unwrap();
    symlink(&file, &link).unwrap();
    (folder, elsewhere, link, file)
}

#[tokio::test]
async fn an_edit_of_the_file_behind_a_link_is_noticed() {
    let (_folder, _elsewhere, link, file) = linked();
    let balancer = Balancer::start_at(&link).await;
    twenty_times("behind a link, in place", &balancer, |round| {
        fs::write(&file, config(round)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_replacement_of_the_file_behind_a_link_is_noticed() {
    let (_folder, elsewhere, link, file) = linked();
    let balancer = Balancer::start_at(&link).await;
    let aside = elsewhere.path().join("aside");
    twenty_times("behind a link, rename", &balancer, |round| {
        fs::write(&aside, config(round)).unwrap();
        fs::rename(&aside, &file).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_copy_of_the_same_size_and_time_is_noticed() {
    let (folder, file, balancer) = following().await;
    let aside = folder.path().join("aside");
    let [file_path, aside_path] = [&file, &aside].map(|path| path.to_str().unwrap());
    twenty_times("cp -p", &balancer, |round| {
        fs::write(&aside, config(round)).unwrap();
        run("touch", &["-r", file_path, aside_path]);
        run("cp", &["-p", aside_path, file_path]);
    })
    .await;
}

#[tokio::test]
async fn of_two_writes_ten_milliseconds_apart_the_last_wins() {
    let (_folder, file, balancer) = following().await;
    twenty_times("two writes", &balancer, |round| {
        fs::write(&file, config(round + ROUNDS)).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        fs::write(&file, config(round)).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_pauses_half_way_is_waited_for() {
    use std::io::Write;
    let (_folder, file, balancer) = following().await;
    post_reload(balancer.admin).await;
    // The first half alone is a good configuration, of which the stream is missing.
    let whole = format!("{}{}", config(1), "# a comment of the second half\n");
    let (first, second) = whole.split_at(config(1).len());
    let mut writer = fs::File::create(&file).unwrap();
    writer.write_all(first.as_bytes()).unwrap();
    sleep(Duration::from_millis(400)).await;
    assert!(!knows(&balancer, &stream(1)).await, "half a file was read");
    writer.write_all(second.as_bytes()).unwrap();
    drop(writer);
    within_promise("slow writer", async || knows(&balancer, &stream(1)).await).await;
    let reloads = balancer.metric("icecast_balancer_config_reloads_total{result=\"ok\"}").await;
    assert_eq!(reloads, Some(1.0));
}

#[tokio::test]
async fn a_busy_folder_does_not_keep_a_change_from_being_noticed() {
    let (folder, file, balancer) = following().await;
    let noise = folder.path().join("access.log");
    let writing = tokio::spawn(async move {
        for line in 0.. {
            fs::write(&noise, format!("{line}")).unwrap();
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut slowest = Duration::ZERO;
    for round in 1..=3 {
        fs::write(&file, config(round)).unwrap();
        let took = within_promise("busy", async || knows(&balancer, &stream(round)).await).await;
        slowest = slowest.max(took);
    }
    println!("busy folder: the slowest after {slowest:?}");
    writing.abort();
}

/// A folder of releases with a link to the current one. Nothing that is watched hears the link
/// being replaced, since what it led to stays as it is.
struct Releases(TempDir);

impl Releases {
    fn new() -> Self {
        let releases = Self(tempfile::tempdir().unwrap());
        releases.release(0, &config(0));
        releases
    }

    fn release(&self, number: usize, content: &str) {
        let release = self.0.path().join(number.to_string());
        fs::create_dir(&release).unwrap();
        fs::write(release.join("balancer.yaml"), content).unwrap();
        symlink(&release, self.0.path().join("next")).unwrap();
        fs::rename(self.0.path().join("next"), self.0.path().join("current")).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("current/balancer.yaml")
    }

    /// A balancer that has made its first comparison, so that the next is ten seconds away.
    async fn follow(&self) -> Balancer {
        let balancer = Balancer::start_at(&self.config()).await;
        post_reload(balancer.admin).await;
        balancer
    }
}

#[tokio::test]
async fn a_change_without_any_event_is_noticed_by_the_next_comparison() {
    let releases = Releases::new();
    let balancer = releases.follow().await;
    releases.release(1, &config(1));
    let began = Instant::now();
    while !knows(&balancer, &stream(1)).await {
        assert!(began.elapsed() < Duration::from_secs(12), "not compared every ten seconds");
        sleep(Duration::from_millis(50)).await;
    }
    println!("no event: compared after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_hangup_has_the_configuration_read_at_once() {
    let releases = Releases::new();
    let program = Program::start(&releases.config(), &[]).await;
    post_reload(program.admin).await;
    let mut slowest = Duration::ZERO;
    for round in 1..=ROUNDS {
        releases.release(round, &config(round));
        program.signal("HUP");
        let known = async || program.get(&stream(round)).await.status != 404;
        slowest = slowest.max(within_promise("SIGHUP", known).await);
    }
    println!("SIGHUP: {ROUNDS} of {ROUNDS}, the slowest after {slowest:?}");
}

async fn post_reload(admin: SocketAddr) -> Answer {
    let request = "POST /-/reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    raw(admin, request).await
}

#[tokio::test]
async fn a_post_has_the_configuration_read_and_tells_what_changed() {
    let releases = Releases::new();
    let balancer = releases.follow().await;
    for round in 1..=ROUNDS {
        releases.release(round, &config(round));
        let answer = post_reload(balancer.admin).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let (new, old) = (stream(round), stream(round - 1));
        assert_eq!(answer.body, format!("reloaded\nstreams: +{new} -{old}\n"));
        assert!(knows(&balancer, &new).await, "it is in force when the answer comes");
    }
}

#[tokio::test]
async fn a_post_without_a_change_says_so() {
    let (_folder, _file, balancer) = following().await;
    let answer = post_reload(balancer.admin).await;
    let words = "unchanged: the configuration on disk is the one in force\n";
    assert_eq!((answer.status, answer.body.as_str()), (200, words));
    let unchanged = balancer.metric("icecast_balancer_config_reloads_total{result=\"unchanged\"}");
    assert_eq!(unchanged.await, Some(1.0));
}

#[tokio::test]
async fn a_post_of_a_bad_configuration_answers_with_the_diagnostics() {
    let (_folder, file, balancer) = following().await;
    fs::write(&file, "servers: 7\n").unwrap();
    let answer = post_reload(balancer.admin).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("balancer.yaml:1:10"), "{}", answer.body);
}

#[tokio::test]
async fn a_change_of_addresses_is_told_to_need_a_restart_and_the_rest_applies() {
    let releases = Releases::new();
    let balancer = releases.follow().await;
    releases.release(1, &config(1).replace("admin: '127.0.0.1:0'", "admin: '127.0.0.1:1'"));
    let answer = post_reload(balancer.admin).await;
    assert!(answer.body.contains("a restart is needed for: admin\n"), "{}", answer.body);
    assert!(knows(&balancer, &stream(1)).await);
    let required = "icecast_balancer_config_restart_required";
    assert_eq!(balancer.metric(required).await, Some(1.0));
    let page = balancer.admin_get("/").await.body;
    assert!(page.contains("A restart is needed for: admin"), "{page}");
    releases.release(2, &config(2));
    post_reload(balancer.admin).await;
    assert_eq!(balancer.metric(required).await, Some(0.0));
}

/// A relay that tells its numbers to who knows the password, and a configuration that knows it
/// from a file.
fn with_password(relay: &Relay) -> String {
    let url = relay.url();
    format!(
        "{PORTS}poll: {{interval: 100ms, fast_interval: 50ms, rise: 1, fall: 1}}\nservers:\n  one:\n    \
         url: '{url}'\n    stats: {{source: admin, password_file: password}}\nstreams: {{/a.ogg: }}\n"
    )
}

fn guarded() -> Relay {
    let relay = Relay::builder().mount("/a.ogg", 10).admin("admin", "right");
    relay.only(Document::Admin).start().unwrap()
}

#[tokio::test]
async fn a_new_password_in_a_file_is_noticed() {
    let relay = guarded();
    let folder = tempfile::tempdir().unwrap();
    let (file, password) = (folder.path().join("balancer.yaml"), folder.path().join("password"));
    fs::write(&file, with_password(&relay)).unwrap();
    fs::write(&password, "wrong\n").unwrap();
    let balancer = Balancer::start_at(&file).await;
    let mut slowest = Duration::ZERO;
    for round in 1..=ROUNDS {
        let right = round % 2 == 1;
        fs::write(&password, if right { "right\n" } else { "wrong\n" }).unwrap();
        let noticed = async || {
            let trouble = balancer.status().await["servers"][0]["trouble"].clone();
            trouble.is_null() == right
        };
        slowest = slowest.max(within_promise("password_file", noticed).await);
    }
    println!("password_file: {ROUNDS} of {ROUNDS}, the slowest after {slowest:?}");
}

#[tokio::test]
async fn a_password_file_that_comes_after_the_configuration_that_names_it_is_noticed() {
    let relay = guarded();
    let (folder, secrets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = folder.path().join("balancer.yaml");
    fs::write(&file, config(0)).unwrap();
    let balancer = Balancer::start_at(&file).await;
    let password = secrets.path().join("late");
    let wanted = with_password(&relay)
        .replace("password_file: password", &format!("password_file: '{}'", password.display()));
    fs::write(&file, wanted).unwrap();
    eventually("it is refused", async || balancer.status().await["config"]["refused"].is_string())
        .await;
    fs::write(&password, "right\n").unwrap();
    within_promise("late password", async || knows(&balancer, "/a.ogg").await).await;
    assert!(balancer.status().await["config"]["refused"].is_null());
}

#[tokio::test]
async fn a_refused_configuration_is_told_once_and_not_at_every_comparison() {
    let (_folder, file, balancer) = following().await;
    fs::write(&file, "servers: 7\n").unwrap();
    eventually("it is refused", async || balancer.status().await["config"]["refused"].is_string())
        .await;
    // The same bytes again are an event, and nothing new.
    fs::write(&file, "servers: 7\n").unwrap();
    fs::write(file.with_extension("other"), "noise").unwrap();
    sleep(Duration::from_millis(600)).await;
    let rejected = balancer.metric("icecast_balancer_config_reloads_total{result=\"rejected\"}");
    assert_eq!(rejected.await, Some(1.0));
}

#[tokio::test]
async fn a_program_whose_configuration_goes_bad_serves_on() {
    let releases = Releases::new();
    let program = Program::start(&releases.config(), &[]).await;
    releases.release(1, "streams: [\n");
    program.signal("HUP");
    program.until_logged("the configuration is refused, the one before stays in force").await;
    assert_ne!(get(program.public, &stream(0)).await.status, 404);
}
