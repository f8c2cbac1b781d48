//! Tests in a network of their own, where every address and the name system are theirs.

use std::path::Path;
use std::process::Command;

/// Says to a test which process it is.
const INSIDE: &str = "BALANCER_TEST_IN_PRIVATE_NETWORK";

/// Whether this process has a network of its own. The first process of the test named `test` has
/// not: it runs the test once more in one that has, and passes or fails as that does.
///
/// There the loopback interface has the `addresses` as well, and names are asked of 127.0.0.1.
pub(crate) fn is_inside(test: &str, addresses: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    for (program, package) in [("unshare", "util-linux"), ("ip", "iproute2")] {
        require(program, package);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let resolv = folder.path().join("resolv.conf");
    std::fs::write(&resolv, "nameserver 127.0.0.1\n").expect("a file can be written");
    let mut script = "set -e; mount --make-rprivate /; ip link set lo up;".to_owned();
    for address in addresses {
        script.extend([" ip address add ", address, " dev lo;"]);
    }
    let resolv = resolv.to_str().expect("a plain path");
    script.extend([" mount --bind ", resolv, " /etc/resolv.conf; exec \"$0\" \"$@\""]);
    let here = std::env::current_exe().expect("this test is a file");
    let status = Command::new("unshare")
        .args(["--map-root-user", "--net", "--mount", "sh", "-c", &script])
        .arg(here)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare starts");
    assert!(status.success(), "{test} in a network of its own: {status}");
    false
}

/// Fails, with the remedy, unless a program is installed.
pub(crate) fn require(program: &str, package: &str) {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    assert!(
        folders.iter().any(|folder| Path::new(folder).join(program).exists()),
        "`{program}` is not installed: run `apt-get install --no-install-recommends {package}`"
    );
}
