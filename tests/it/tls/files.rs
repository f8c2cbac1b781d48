//! Which files are taken for a certificate and its key, and what is said of others.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use icecast_balancer::clock;
use icecast_balancer::config::source::Sources;
use icecast_balancer::fleet::Fleet;
use icecast_balancer::fleet::compile::{Outside, compile};

use crate::support::tls::{P256, Pair, openssl};

/// Two files, at a time.
struct Files<'a> {
    pair: &'a Pair,
    now: SystemTime,
}

impl Outside for Files<'_> {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn secret(&self, path: &Path) -> io::Result<String> {
        match path.to_str() {
            Some("tls.crt") => Ok(self.pair.certificate.clone()),
            Some("tls.key") => Ok(self.pair.key.clone()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn now(&self) -> Option<SystemTime> {
        Some(self.now)
    }
}

const YAML: &str = "tls:\n  certificate: tls.crt\n  key: tls.key\n\
    servers: {one: 'http://one.example'}\nstreams: {/saal1.ogg: }\n";

fn read_at(pair: &Pair, now: SystemTime) -> Result<Fleet, String> {
    let sources = Sources::new("balancer.yaml", YAML);
    compile(&sources, &Files { pair, now }).map_err(|problems| problems.to_string())
}

fn read(pair: &Pair) -> Result<Fleet, String> {
    read_at(pair, clock::now())
}

/// What is made of this pair by openssl, in a folder that has both files.
fn by_openssl(pair: &Pair, arguments: &str, made: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tls.crt"), &pair.certificate).unwrap();
    std::fs::write(folder.path().join("tls.key"), &pair.key).unwrap();
    openssl(folder.path(), arguments);
    std::fs::read_to_string(folder.path().join(made)).unwrap()
}

#[test]
fn the_usual_kinds_of_keys_are_taken() {
    let p384 = "ec -pkeyopt ec_paramgen_curve:secp384r1";
    for kind in [P256, p384, "ed25519", "rsa:2048", "rsa:4096"] {
        let pair = Pair::with_key(kind);
        read(&pair).unwrap_or_else(|problems| panic!("{kind}: {problems}"));
    }
    // The forms of older programs, and with what else they put into a file.
    let rsa = Pair::with_key("rsa:2048");
    let key = by_openssl(&rsa, "rsa -traditional -in tls.key -out old", "old");
    assert!(key.contains("BEGIN RSA PRIVATE KEY"), "{key}");
    read(&Pair { key, ..rsa }).unwrap();
    let ec = Pair::new();
    let key = by_openssl(&ec, "ec -in tls.key -out old", "old");
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    assert!(key.contains("BEGIN EC PRIVATE KEY"), "{key}");
    read(&Pair { key: format!("{parameters}{key}"), ..ec.clone() }).unwrap();
    // One file for both.
    let both = format!("# radio\n{}{}", ec.certificate, ec.key);
    read(&Pair { certificate: both.clone(), key: both }).unwrap();
    // Issuers follow.
    let chain = ec.certificate.clone() + &rsa_issuer();
    read(&Pair { certificate: chain, ..ec }).unwrap();
}

fn rsa_issuer() -> String {
    Pair::with_key("rsa:2048").certificate
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_to_do() {
    let pair = Pair::new();
    let with_key = |key: String| Pair { key, ..pair.clone() };
    let with_certificate = |certificate: String| Pair { certificate, ..pair.clone() };
    let locked = "pkcs8 -topk8 -in tls.key -out locked -passout pass:sesame";
    let chain = rsa_issuer() + &pair.certificate;
    for (bad, place, words, help) in [
        (
            with_key(Pair::new().key),
            "balancer.yaml:3:8",
            "the key file \"tls.key\" has the key of another certificate in it",
            "the first certificate in `certificate` must be the server's own",
        ),
        (with_certificate(chain), ":3:8", "has the key of another certificate in it", "the first"),
        (
            with_key(by_openssl(&pair, locked, "locked")),
            ":3:8",
            "has a private key in it that is locked with a passphrase",
            "openssl pkey -in",
        ),
        (with_key(String::new()), ":3:8", "has no private key in it", "BEGIN PRIVATE KEY"),
        (
            with_key(pair.key.replace("-----END", "-----ENT")),
            ":3:8",
            "has a private key in it that is damaged",
            "copy it anew",
        ),
        (Pair::with_key("rsa:1024"), ":3:8", "of a kind that is not supported", "use ECDSA"),
        (
            with_certificate(String::new()),
            ":2:16",
            "the certificate file \"tls.crt\" has no certificate in it",
            "BEGIN CERTIFICATE",
        ),
        (
            with_certificate(pair.key.clone()),
            ":2:16",
            "has a private key in it and no certificate",
            "mixed up",
        ),
        (
            with_certificate(pair.certificate.replacen("MII", "MIM", 1)),
            ":2:16",
            "has a certificate in it that is damaged",
            "copy it anew",
        ),
    ] {
        let problems = read(&bad).map(|_| ()).expect_err(words);
        for part in [place, words, help] {
            assert!(problems.contains(part), "{part} is not in:\n{problems}");
        }
        assert!(!problems.contains(&pair.key.lines().nth(1).unwrap()[..16]), "{problems}");
    }
}

#[test]
fn both_files_are_told_of_at_once() {
    let problems = read(&Pair { certificate: String::new(), key: String::new() }).map(|_| ());
    let problems = problems.unwrap_err();
    assert!(problems.contains("no certificate") && problems.contains("no private key"));
}

#[test]
fn a_certificate_that_is_out_of_date_works_and_is_told_of() {
    let (pair, day) = (Pair::new(), Duration::from_secs(86_400));
    let warnings = |now| read_at(&pair, now).unwrap().warnings;
    assert_eq!(warnings(clock::now()), [""; 0]);
    let late = warnings(clock::now() + 3 * day);
    assert!(late[0].starts_with("balancer.yaml:2:16: the certificate expired on 20"), "{late:?}");
    let early = warnings(clock::now() - day);
    assert!(early[0].contains("is not valid before 20"), "{early:?}");
}
