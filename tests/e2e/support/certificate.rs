//! Certificates that nobody signed, in the forms that programs want them in.

use std::fs;
use std::path::Path;

use super::lab::give;
use super::process::Program;

/// Makes `radio.crt`, `radio.key` and `radio.pem`, which has both, for 127.0.0.1; they are `user`'s.
pub(crate) fn make(folder: &Path, user: &str) {
    make_for_days(2, folder, user);
}

/// The same with a certificate that is good for so many days.
pub(crate) fn make_for_days(days: u32, folder: &Path, user: &str) {
    let settings = "[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n\
        [name]\nCN = radio.example\n\
        [more]\nsubjectAltName = IP:127.0.0.1, DNS:radio.example\n";
    fs::write(folder.join("openssl.cnf"), settings).unwrap();
    let (code, printed) = Program::new("openssl", "openssl")
        .words("req -config openssl.cnf -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1")
        .words(&format!("-nodes -days {days} -keyout radio.key -out radio.crt"))
        .run(folder);
    assert_eq!(code, Some(0), "{printed}");
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    fs::write(folder.join("radio.pem"), read("radio.crt") + &read("radio.key")).unwrap();
    for file in ["radio.crt", "radio.key", "radio.pem"] {
        give(&folder.join(file), user);
    }
}
