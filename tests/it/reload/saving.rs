//! The ways to save: by editors, by hand, by git, by Kubernetes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::sleep;

use super::{ROUNDS, config, following, knows, post_reload, stream, twenty_times, within_promise};
use crate::support::{Balancer, eventually};

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
