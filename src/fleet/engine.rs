//! The engine through which several balancers lend one another slots.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A Valkey or Redis server, and how we come in.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether TLS is spoken with it.
    pub tls: bool,
    /// The number of the database.
    pub database: u16,
    /// The ACL user; `None`: the default one.
    pub username: Option<String>,
    /// The password, if it asks for one.
    pub password: Option<SecretString>,
    /// What our keys begin with.
    pub key_prefix: String,
}

impl Engine {
    fn secret(&self) -> Option<&str> {
        self.password.as_ref().map(ExposeSecret::expose_secret)
    }
}

impl PartialEq for Engine {
    fn eq(&self, other: &Self) -> bool {
        let parts =
            |it: &Self| (it.host.clone(), it.port, it.tls, it.database, it.username.clone());
        parts(self) == parts(other)
            && self.key_prefix == other.key_prefix
            && self.secret() == other.secret()
    }
}

impl Eq for Engine {}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
