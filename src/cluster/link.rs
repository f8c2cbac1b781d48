//! The connection to the engine, and the one script that is run there.
//!
//! What is in the engine belongs to one run of it: the keys carry the name that it gives itself when
//! it starts. So an engine that comes back with what it remembered of an earlier time, from its disk or as
//! the copy that was made the first, has nothing to say of loans that were taken since.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError, Script};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::fleet::Engine;
use crate::slots::LOANS_LAST;

use super::Exchange;
use super::message::{Beat, Heard, Loan, MOST_PRESENT, Present, Wants};

/// A member that has not been heard of for so many milliseconds is taken for dead.
pub(super) const ALIVE: u64 = 1_000;

static BEAT: &str = include_str!("beat.lua");

/// A connection to an engine.
pub(super) struct Link {
    connection: MultiplexedConnection,
    script: Script,
    /// What all keys begin with.
    keys: String,
    /// Whom others lend to.
    name: String,
    /// Who we are, whatever the connection.
    process: String,
    driver: AbortHandle,
}

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
}

impl Link {
    /// Connects. `name` is what others lend to, and is never used again; `process` is who we are.
    pub(super) async fn to(engine: &Engine, name: String, process: &str) -> Result<Self, Trouble> {
        let stream = TcpStream::connect((engine.host.as_str(), engine.port)).await?;
        stream.set_nodelay(true)?;
        let info = credentials(engine);
        let config = AsyncConnectionConfig::new();
        let (connection, driver) = if engine.tls {
            let connector = TlsConnector::from(terms()?);
            let host = ServerName::try_from(engine.host.clone()).map_err(io::Error::other)?;
            let stream = connector.connect(host, stream).await?;
            driven(MultiplexedConnection::new_with_config(&info, stream, config).await?)
        } else {
            driven(MultiplexedConnection::new_with_config(&info, stream, config).await?)
        };
        let mut link = Self {
            connection,
            script: Script::new(BEAT),
            keys: String::new(),
            name,
            process: process.to_owned(),
            driver,
        };
        let run = link.run().await?;
        // In braces is what decides of the place of a key where there are several.
        link.keys = format!("{}:{{{run}}}", engine.key_prefix);
        Ok(link)
    }

    /// The name of this run of the engine.
    async fn run(&mut self) -> Result<String, Trouble> {
        let told: String =
            redis::cmd("INFO").arg("server").query_async(&mut self.connection).await?;
        let of = |key: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.map(str::trim)
        };
        match of("redis_mode").or_else(|| of("server_mode")) {
            Some("sentinel") => return Err(Trouble::Kind("it is a Sentinel, and not a server")),
            Some("cluster") => return Err(Trouble::Kind("it is part of a cluster")),
            _ => {}
        }
        let run = of("run_id").filter(|run| !run.is_empty());
        run.map(str::to_owned).ok_or(Trouble::Kind("it does not say which run of it this is"))
    }
}

impl Exchange for Link {
    async fn beat(&mut self, beat: &Beat) -> Result<Heard, Trouble> {
        let loans_to = |name: &str| format!("{}:loans:{name}", self.keys);
        let mut call = self.script.prepare_invoke();
        call.key(format!("{}:members", self.keys)).key(format!("{}:wants", self.keys));
        call.key(loans_to(&self.name));
        call.arg(&self.name).arg(&self.process).arg(beat.wants.written());
        call.arg(ALIVE).arg(LOANS_LAST.as_millis().to_string()).arg(beat.about.written());
        for (borrower, loan) in &beat.loans {
            call.key(loans_to(borrower)).arg(loan.ends).arg(loan.written());
        }
        let answer: Answer = call.invoke_async(&mut self.connection).await?;
        Ok(understood(answer))
    }
}

/// Time, members, each of them in three parts, names and wants by turns, loans, and which of ours were
/// taken.
type Answer = (u64, u64, Vec<String>, Vec<String>, Vec<String>, Vec<u64>);

fn understood((time, replicas, present, wants, loans, taken): Answer) -> Heard {
    let present = present.chunks(3).take(MOST_PRESENT).filter_map(Present::read);
    let wants = wants.chunks_exact(2).filter_map(|pair| {
        let [name, wants] = pair else { return None };
        Some((name.clone(), Wants::read(wants)))
    });
    Heard {
        time,
        replicas,
        present: present.collect(),
        wants: wants.collect(),
        loans: loans.iter().filter_map(|loan| Loan::read(loan)).collect(),
        taken: taken.into_iter().map(|taken| taken == 1).collect(),
    }
}

fn credentials(engine: &Engine) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default()
        .set_db(i64::from(engine.database))
        // Not every ACL user may say what it is.
        .set_skip_set_lib_name();
    if let Some(password) = &engine.password {
        info = info.set_password(password.expose_secret());
    }
    if let Some(username) = &engine.username {
        info = info.set_username(username);
    }
    info
}

/// Has the connection read and written on a task of its own.
fn driven(
    (connection, driver): (MultiplexedConnection, impl Future<Output = ()> + Send + 'static),
) -> (MultiplexedConnection, AbortHandle) {
    (connection, tokio::spawn(driver).abort_handle())
}

/// Whom we speak TLS with: who has a certificate that this system trusts.
fn terms() -> Result<Arc<ClientConfig>, Trouble> {
    static TERMS: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(terms) = TERMS.get() {
        return Ok(Arc::clone(terms));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(Trouble::Tls)?;
    let builder = builder.with_platform_verifier().map_err(Trouble::Tls)?;
    let terms = Arc::new(builder.with_no_client_auth());
    Ok(Arc::clone(TERMS.get_or_init(|| terms)))
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
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
            Self::Kind(what) => write!(f, "{what}; name one server that takes writes"),
            Self::Answer(error) => error.fmt(f),
        }
    }
}
