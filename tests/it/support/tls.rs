//! Certificates made on the spot, and players that speak TLS and believe in one of them alone.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Wire;

/// What is asked of openssl for a key.
pub(crate) const P256: &str = "ec -pkeyopt ec_paramgen_curve:prime256v1";

/// A certificate that signs itself, and its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A folder with the pair that a balancer reads, which may be replaced.
pub(crate) struct Shelf {
    folder: TempDir,
}

impl Pair {
    /// A new one, with a key that openssl makes by these words.
    pub(crate) fn with_key(key: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = "[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n\
            [name]\nCN = radio.example\n\
            [more]\nsubjectAltName = DNS:radio.example, IP:127.0.0.1\n\
            basicConstraints = critical, CA:FALSE\n";
        fs::write(folder.path().join("openssl.cnf"), config).unwrap();
        let arguments = format!(
            "req -config openssl.cnf -x509 -newkey {key} -nodes -days 2 -keyout key -out certificate"
        );
        openssl(folder.path(), &arguments);
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        Self { certificate: read("certificate"), key: read("key") }
    }

    /// A new one, with the key that is quickest.
    pub(crate) fn new() -> Self {
        Self::with_key(P256)
    }

    /// The certificate as it comes over the wire.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

impl Shelf {
    /// A shelf with a pair on it.
    pub(crate) fn with(pair: &Pair) -> Self {
        let shelf = Self { folder: tempfile::tempdir().unwrap() };
        shelf.put(pair);
        shelf
    }

    /// Replaces both files, one after the other, as `cp` does.
    pub(crate) fn put(&self, pair: &Pair) {
        fs::write(self.certificate(), &pair.certificate).unwrap();
        fs::write(self.key(), &pair.key).unwrap();
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("tls.key")
    }

    /// `tls:` for a configuration, on a port that is free.
    pub(crate) fn yaml(&self) -> String {
        let (certificate, key) = (self.certificate(), self.key());
        format!(
            "tls: {{listen: '127.0.0.1:0', certificate: '{}', key: '{}'}}\n",
            certificate.display(),
            key.display()
        )
    }
}

/// A player that believes in this certificate alone.
pub(crate) fn client(
    pair: &Pair,
    version: &'static SupportedProtocolVersion,
    protocols: &[&str],
) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(pair.der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config).into()
}

/// A wire through TLS.
pub(crate) type Secure = Wire<TlsStream<TcpStream>>;

/// Connects to a balancer that shows this certificate.
pub(crate) async fn connect(to: SocketAddr, pair: &Pair) -> std::io::Result<Secure> {
    shake(TcpStream::connect(to).await?, &client(pair, &TLS13, &[])).await
}

/// Makes the handshake over a connection.
pub(crate) async fn shake(socket: TcpStream, client: &TlsConnector) -> std::io::Result<Secure> {
    socket.set_nodelay(true)?;
    let name = ServerName::try_from("radio.example").unwrap();
    client.connect(name, socket).await.map(Wire::upon)
}

/// Both versions that are spoken.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Runs openssl in a folder.
pub(crate) fn openssl(folder: &Path, arguments: &str) {
    let run = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("openssl is installed; `tests/install` does that");
    assert!(run.status.success(), "{arguments}: {}", String::from_utf8_lossy(&run.stderr));
}
