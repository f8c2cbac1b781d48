//! What may come into the program: no unsafe code of our own, and dependencies that are pinned.

use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The lines of one table of a manifest.
fn table<'a>(manifest: &'a str, name: &str) -> Vec<&'a str> {
    let lines = manifest.lines().skip_while(|line| *line != name).skip(1);
    lines.take_while(|line| !line.starts_with('[')).collect()
}

#[test]
fn unsafe_code_is_forbidden_in_every_target() {
    // What the manifest forbids holds for the library, the program, examples, tests and benches,
    // and `forbid` cannot be allowed again anywhere in them.
    assert!(table(&text("Cargo.toml"), "[lints.rust]").contains(&"unsafe_code = \"forbid\""));
    // The fuzz targets are a package of their own, whose macro is unsafe; what they check is not.
    assert!(text("fuzz/src/lib.rs").contains("#![forbid(unsafe_code)]"));
}

#[test]
fn every_dependency_is_pinned_with_its_digest() {
    for name in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let lock = text(name);
        let packages: Vec<_> = lock.split("[[package]]").skip(1).collect();
        assert!(packages.len() > 100, "{name} is where it was");
        for package in packages {
            let own = package.contains("name = \"icecast-balancer");
            assert!(own || package.contains("\nchecksum = \""), "{name}: {package}");
            assert!(!package.contains("git+"), "{name}: {package}");
        }
    }
    for name in [".gitignore", "fuzz/.gitignore"] {
        assert!(!text(name).contains("Cargo.lock"), "{name} keeps a lock file out");
    }
}

#[test]
fn what_is_let_pass_is_written_down_with_its_reason() {
    let audit = text(".cargo/audit.toml");
    let ignored: Vec<_> = audit.lines().filter(|line| line.contains("RUSTSEC-")).collect();
    for line in ignored {
        assert!(line.contains("# "), "no reason: {line}");
    }
    let deny = text("deny.toml");
    for rule in ["unknown-registry = \"deny\"", "unknown-git = \"deny\"", "wildcards = \"deny\""] {
        assert!(deny.contains(rule), "{rule}");
    }
}
