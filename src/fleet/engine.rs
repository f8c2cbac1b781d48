//! The engine through which several balancers lend one another slots.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A Valkey or Redis server, and how we come in.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Where it is.
    pub at: Whereabouts,
    /// Whether TLS is spoken with it, and with the Sentinels that know it.
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

/// Where the server is that takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// Always there.
    Server(Address),
    /// Wherever Sentinels say that it is.
    Sentinels {
        /// Who may be asked, in this order.
        sentinels: Vec<Address>,
        /// What they call it.
        name: String,
    },
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Engine {
    fn secret(&self) -> Option<&str> {
        self.password.as_ref().map(ExposeSecret::expose_secret)
    }
}

impl PartialEq for Engine {
    fn eq(&self, other: &Self) -> bool {
        let parts = |it: &Self| (it.at.clone(), it.tls, it.database, it.username.clone());
        parts(self) == parts(other)
            && self.key_prefix == other.key_prefix
            && self.secret() == other.secret()
    }
}

impl Eq for Engine {}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Whereabouts::Server(address) => address.fmt(f),
            Whereabouts::Sentinels { sentinels, name } => {
                write!(f, "{name}, by Sentinel")?;
                sentinels.iter().try_for_each(|sentinel| write!(f, " {sentinel}"))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}
