//! What can be wrong with an engine.

use std::fmt;
use std::io;

use redis::RedisError;
use secrecy::ExposeSecret;

use crate::fleet::{Address, Engine};

/// Why the engine is of no use.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It does not answer in time.
    Slow,
    /// Its clock was set.
    Clock,
    /// There is no connection.
    Connection(io::Error),
    /// TLS cannot be spoken here.
    Tls(rustls::Error),
    /// It is none that can be used.
    Kind(&'static str),
    /// It refuses, or says something else.
    Answer(RedisError),
    /// A Sentinel does not say where it is.
    Sentinel(Address, Box<Trouble>),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        Self::Answer(error)
    }
}

impl Trouble {
    /// In words, without what must stay secret: engines repeat what was said to them.
    pub(super) fn told(&self, engine: &Engine) -> String {
        let text = self.to_string();
        match engine.password.as_ref().map(ExposeSecret::expose_secret) {
            Some(password) if !password.is_empty() => text.replace(password, "…"),
            _ => text,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slow => f.write_str("no answer in time"),
            Self::Clock => f.write_str("its clock was set"),
            Self::Connection(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Kind(what) => f.write_str(what),
            Self::Sentinel(sentinel, trouble) => write!(f, "Sentinel {sentinel}: {trouble}"),
            Self::Answer(error) => error.fmt(f),
        }
    }
}
