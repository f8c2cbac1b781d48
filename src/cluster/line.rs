//! A connection to an engine or a Sentinel, in the clear or with TLS.

use std::io;
use std::sync::{Arc, OnceLock};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::fleet::{Address, Engine};

use super::trouble::Trouble;

/// A connection.
pub(super) struct Line {
    pub(super) connection: MultiplexedConnection,
    driver: AbortHandle,
}

impl Line {
    /// Connects, and comes in as `info` says.
    pub(super) async fn to(
        address: &Address,
        tls: bool,
        info: &RedisConnectionInfo,
    ) -> Result<Self, Trouble> {
        let Address { host, port } = address;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        let config = AsyncConnectionConfig::new();
        if tls {
            let connector = TlsConnector::from(terms()?);
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let stream = connector.connect(name, stream).await?;
            Ok(Self::driven(MultiplexedConnection::new_with_config(info, stream, config).await?))
        } else {
            Ok(Self::driven(MultiplexedConnection::new_with_config(info, stream, config).await?))
        }
    }

    /// Has the connection read and written on a task of its own.
    fn driven(
        (connection, driver): (MultiplexedConnection, impl Future<Output = ()> + Send + 'static),
    ) -> Self {
        Self { connection, driver: tokio::spawn(driver).abort_handle() }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Who comes without a name and a password.
pub(super) fn nobody() -> RedisConnectionInfo {
    // Not every ACL user may say what it is.
    RedisConnectionInfo::default().set_skip_set_lib_name()
}

/// Who we are to an engine.
pub(super) fn credentials(engine: &Engine) -> RedisConnectionInfo {
    let mut info = nobody();
    if let Some(password) = &engine.password {
        info = info.set_password(password.expose_secret());
    }
    if let Some(username) = &engine.username {
        info = info.set_username(username);
    }
    info
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
