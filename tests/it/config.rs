//! `balancer.yaml` from text to fleet: what is understood, what is refused and in which words.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has failed"
)]

mod clients;
mod fixtures;
mod hostile;
mod keys;
mod meaning;
mod secrets;
mod yaml;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use icecast_balancer::config::source::Sources;
use icecast_balancer::country::Database;
use icecast_balancer::fleet::Fleet;
use icecast_balancer::fleet::compile::{Outside, compile};
use icecast_balancer::problem::Problems;

/// Environment variables and secret files out of a table.
#[derive(Default)]
struct Table {
    variables: HashMap<&'static str, &'static str>,
    files: HashMap<&'static str, &'static str>,
}

impl Outside for Table {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }

    fn secret(&self, path: &Path) -> io::Result<String> {
        let found = path.to_str().and_then(|path| self.files.get(path));
        found.map(|text| (*text).to_owned()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn database(&self, path: &Path) -> io::Result<Arc<Database>> {
        let bytes: &[u8] = match path.to_str() {
            Some("country.mmdb") => include_bytes!("../fixtures/geoip/country.mmdb"),
            Some("damaged.mmdb") => b"damaged",
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        let database = Database::new(bytes.to_vec());
        database
            .map(Arc::new)
            .map_err(|wrong| io::Error::new(io::ErrorKind::InvalidData, wrong.to_string()))
    }
}

/// What the tests find outside of their texts.
fn outside() -> Table {
    Table {
        variables: HashMap::from([("PASSWORD", "from-environment"), ("EMPTY", "")]),
        files: HashMap::from([
            ("secret", "from-file\n"),
            ("empty", "\n"),
            ("lines", "one\ntwo\n"),
            ("conf/secret", "beside"),
            ("/run/secret", "absolute\r\n"),
            ("fake.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("fake.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            (
                "locked.key",
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            ),
        ]),
    }
}

fn read(text: &str) -> Result<Fleet, Problems> {
    compile(&Sources::new("balancer.yaml", text), &outside())
}

fn good(text: &str) -> Fleet {
    read(text).unwrap_or_else(|problems| panic!("{problems}\n\nin:\n{text}"))
}

fn bad(text: &str) -> Problems {
    read(text).map(|_| ()).expect_err(text)
}

/// The messages of all problems.
fn messages(problems: &Problems) -> Vec<&str> {
    problems.iter().map(|problem| problem.message.as_str()).collect()
}
