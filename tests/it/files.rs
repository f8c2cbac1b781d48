//! Which files make up a configuration, and what is said of those that cannot be read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use icecast_balancer::config::source::MAX_BYTES;
use icecast_balancer::files::{MAX_FILES, MAX_TOTAL_BYTES};
use icecast_balancer::reload::load;

const SERVERS: &str = "servers: {one: 'http://127.0.0.1:9'}\n";
const STREAMS: &str = "streams: {/a.ogg: }\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn problems(path: &Path) -> String {
    load(path).map(|_| ()).expect_err("it is refused").to_string()
}

/// The paths of all streams.
fn streams(path: &Path) -> Vec<String> {
    let fleet = load(path).unwrap_or_else(|problems| panic!("{problems}")).fleet;
    fleet.streams.iter().map(|stream| stream.path.clone()).collect()
}

#[test]
fn only_names_that_end_in_yaml_are_read_of_a_directory() {
    let folder = folder(&[
        ("a.yaml", SERVERS),
        ("b.yaml", STREAMS),
        ("c.yml", "streams: {/yml.ogg: }"),
        ("d.yaml~", "streams: {/backup.ogg: }"),
        ("e.yaml.bak", "streams: {/bak.ogg: }"),
        ("#f.yaml#", "streams: {/emacs.ogg: }"),
        (".g.yaml.swp", "streams: {/vim.ogg: }"),
        ("yaml", "streams: {/bare.ogg: }"),
    ]);
    assert_eq!(streams(folder.path()), ["/a.ogg"]);
}

#[test]
fn a_folder_in_the_directory_is_not_looked_into() {
    let folder = folder(&[("a.yaml", SERVERS), ("b.yaml", STREAMS)]);
    fs::create_dir(folder.path().join("more.yaml")).unwrap();
    fs::write(folder.path().join("more.yaml/c.yaml"), "streams: {/c.ogg: }").unwrap();
    assert_eq!(streams(folder.path()), ["/a.ogg"]);
}

#[test]
fn a_link_that_leads_nowhere_is_a_problem_and_not_passed_over() {
    let folder = folder(&[("a.yaml", SERVERS), ("b.yaml", STREAMS)]);
    symlink("nowhere", folder.path().join("c.yaml")).unwrap();
    let text = problems(folder.path());
    assert!(text.contains("c.yaml") && text.contains("cannot be read"), "{text}");
}

#[test]
fn a_name_that_two_files_define_is_a_problem_that_names_both() {
    let folder = folder(&[("a.yaml", SERVERS), ("b.yaml", STREAMS), ("c.yaml", STREAMS)]);
    let text = problems(folder.path());
    assert!(text.contains("b.yaml") && text.contains("c.yaml"), "{text}");
}

#[test]
fn a_file_of_exactly_the_greatest_size_is_read() {
    let mut text = format!("{SERVERS}{STREAMS}#");
    text.extend(std::iter::repeat_n('x', MAX_BYTES - text.len()));
    let folder = folder(&[("a.yaml", &text)]);
    assert_eq!(streams(&folder.path().join("a.yaml")), ["/a.ogg"]);
}

#[test]
fn a_password_file_is_not_read_beyond_what_a_password_can_be() {
    let yaml = "servers: {one: {url: 'http://h', stats: {password_file: huge}}}\n";
    let folder = folder(&[("a.yaml", &format!("{yaml}{STREAMS}"))]);
    let huge = fs::File::create(folder.path().join("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let text = problems(&folder.path().join("a.yaml"));
    assert!(text.contains("huge\" cannot be read: larger than 64 KiB"), "{text}");
}

#[test]
fn a_device_as_password_file_is_not_opened() {
    let yaml = "servers: {one: {url: 'http://h', stats: {password_file: /dev/zero}}}\n";
    let folder = folder(&[("a.yaml", &format!("{yaml}{STREAMS}"))]);
    let text = problems(&folder.path().join("a.yaml"));
    let words = "\"/dev/zero\" cannot be read: it is a device, not a regular file";
    assert!(text.contains(words), "{text}");
}

/// A pipe that nobody will ever write to.
fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("coreutils");
    assert!(made.success());
}

// Without their protection the three that follow never end.

#[test]
fn a_pipe_for_a_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    pipe(&path);
    let text = problems(&path);
    assert!(text.contains("cannot be read: it is a pipe, not a regular file"), "{text}");
}

#[test]
fn a_pipe_among_the_files_of_a_directory_is_refused_at_once_also_behind_a_link() {
    let folder = folder(&[("a.yaml", SERVERS), ("b.yaml", STREAMS)]);
    pipe(&folder.path().join("pipe"));
    symlink("pipe", folder.path().join("c.yaml")).unwrap();
    let text = problems(folder.path());
    assert!(text.contains("it is a pipe") && text.contains("c.yaml"), "{text}");
}

#[test]
fn a_pipe_as_password_file_is_refused_at_once() {
    let yaml = "servers: {one: {url: 'http://h', stats: {password_file: pipe}}}\n";
    let folder = folder(&[("a.yaml", &format!("{yaml}{STREAMS}"))]);
    pipe(&folder.path().join("pipe"));
    let text = problems(&folder.path().join("a.yaml"));
    assert!(text.contains("pipe\" cannot be read: it is a pipe, not a regular file"), "{text}");
}

#[test]
fn a_directory_of_more_files_than_anybody_has_is_refused() {
    let folder = folder(&[("a.yaml", SERVERS), ("b.yaml", STREAMS)]);
    for number in 0..MAX_FILES {
        fs::write(folder.path().join(format!("{number}.yaml")), "# nothing\n").unwrap();
    }
    let text = problems(folder.path());
    assert!(text.contains("more than 1000 *.yaml files are in it"), "{text}");
}

#[test]
fn a_directory_with_more_text_than_anybody_has_is_refused() {
    let folder = folder(&[("a.yaml", SERVERS), ("b.yaml", STREAMS)]);
    let comment = "#".repeat(MAX_BYTES);
    for number in 0..=MAX_TOTAL_BYTES / MAX_BYTES {
        fs::write(folder.path().join(format!("{number}.yaml")), &comment).unwrap();
    }
    let text = problems(folder.path());
    assert!(text.contains("its files are larger than 8192 KiB"), "{text}");
}

#[test]
fn a_password_file_that_is_a_directory_is_a_problem_at_its_line() {
    let yaml = "servers:\n  one: {url: 'http://h', stats: {password_file: /}}\n";
    let folder = folder(&[("a.yaml", &format!("{yaml}{STREAMS}"))]);
    let text = problems(&folder.path().join("a.yaml"));
    assert!(text.contains("a.yaml:2:"), "{text}");
}

#[test]
fn a_secret_is_looked_for_beside_the_file_of_the_directory_that_names_it() {
    let yaml = "servers: {one: {url: 'http://h', stats: {password_file: secret}}}\n";
    let folder = folder(&[("a.yaml", yaml), ("b.yaml", STREAMS), ("secret", "x\n")]);
    assert_eq!(streams(folder.path()), ["/a.ogg"]);
}

#[test]
fn a_pipe_can_be_checked() {
    // As in `icecast-balancer check <(kustomize build …)`.
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, format!("{SERVERS}{STREAMS}").as_bytes()).unwrap();
    drop(writer);
    let mut command = crate::life::program::command(&["check", "/dev/stdin"]);
    let output = command.stdin(reader).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn the_digest_of_a_directory_does_not_depend_on_the_order_of_creation() {
    let one = folder(&[("a.yaml", SERVERS), ("b.yaml", STREAMS)]);
    let other = folder(&[("b.yaml", STREAMS), ("a.yaml", SERVERS)]);
    let digest = |path: PathBuf| load(&path).map(|loaded| loaded.digest).unwrap();
    assert_eq!(digest(one.path().into()), digest(other.path().into()));
}
