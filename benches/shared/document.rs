//! Puts results where readers find them: a section of `docs/benchmarks.md`, and pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Replaces what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
pub(crate) fn write_section(name: &str, text: &str) {
    let file = docs().join("benchmarks.md");
    let page = fs::read_to_string(&file).expect("docs/benchmarks.md can be read");
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin).expect("the section begins");
    let (_, after) = rest.split_once(&end).expect("the section ends");
    fs::write(&file, format!("{before}{begin}\n{}\n\n{end}{after}", text.trim()))
        .expect("docs/benchmarks.md can be written");
}

/// Writes a picture.
pub(crate) fn write_picture(name: &str, svg: &str) {
    fs::write(docs().join(name), svg).expect("the picture can be written");
}

/// When, on what machine and with which programs: each is named with the argument that makes it
/// tell its version.
pub(crate) fn circumstances(programs: &[(&str, &str)]) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    // All of the machine's: this program may be bound to one of them.
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let mut versions = String::new();
    for (program, argument) in programs {
        versions.extend(["; ", &first_line(program, &[argument])]);
    }
    format!(
        "Measured on {}: {model}, {cores} cores, Linux {}{versions}; icecast-balancer {} ({profile} build).",
        first_line("date", &["-u", "+%F"]),
        first_line("uname", &["-r"]),
        env!("CARGO_PKG_VERSION"),
    )
}

/// The first line that a program prints, without the links that some put behind it.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    // Some tell their version as if it were an error.
    let printed = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    let printed = String::from_utf8_lossy(&printed);
    let words = printed.lines().next().unwrap_or_default().split(" - ").next().unwrap_or_default();
    words.trim().to_owned()
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}
