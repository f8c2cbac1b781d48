//! Who we are by TLS, and on which terms it is spoken: PEM in, something that a socket can use out.
//!
//! An [`Identity`] exists only if its certificate can be read and its key belongs to it, so nobody
//! who holds one checks anything again. Nothing here quotes what it has read: a file that was meant
//! to be a certificate may hold a key.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::Decode;

/// A certificate, its key, and the terms on which TLS is spoken with them.
#[derive(Clone)]
pub struct Identity {
    terms: Arc<ServerConfig>,
    /// Tells this chain from every other.
    fingerprint: [u8; 32],
    /// When it begins and when it ends to be valid, since 1970.
    valid: (Duration, Duration),
}

/// What is wrong with one of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// In which.
    pub half: Half,
    /// What: to follow the name of the file.
    pub what: &'static str,
    /// What to do about it.
    pub help: &'static str,
}

/// One of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The one with the certificate and those of its issuers.
    Certificate,
    /// The one with the private key.
    Key,
}

/// What is agreed on where a player asks for it. HTTP/2 is not offered; some players that speak
/// HTTP/1.0 say so here, too.
const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"http/1.0"];

impl Identity {
    /// Reads both halves, or tells what is wrong with them.
    pub fn read(certificate: &str, key: &SecretString) -> Result<Self, Vec<Fault>> {
        let provider = Arc::new(ring::default_provider());
        let chain = chain(certificate);
        let signing = signing_key(key, &provider);
        let ((chain, valid), signing) = match (chain, signing) {
            (Ok(chain), Ok(signing)) => (chain, signing),
            (chain, signing) => {
                return Err([chain.err(), signing.err()].into_iter().flatten().collect());
            }
        };
        let mut fingerprint = Sha256::new();
        for certificate in &chain {
            fingerprint.update(certificate);
        }
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            // Of some keys it cannot be told.
            Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(Error::InconsistentKeys(_)) => return Err(vec![MISMATCH]),
            Err(_) => return Err(vec![UNUSABLE]),
        }
        let terms = terms(certified, provider).map_err(|_| vec![UNUSABLE])?;
        Ok(Self { terms: Arc::new(terms), fingerprint: fingerprint.finalize().into(), valid })
    }

    /// What a handshake is made with.
    pub fn terms(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.terms)
    }

    /// When the certificate expires, since 1970.
    pub fn expiry(&self) -> Duration {
        self.valid.1
    }

    /// When the certificate is valid, if that is not `now`.
    pub fn out_of_date(&self, now: SystemTime) -> Option<OutOfDate> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (from, until) = self.valid;
        if now > until {
            Some(OutOfDate::Expired(SystemTime::UNIX_EPOCH + until))
        } else if now < from {
            Some(OutOfDate::NotYetValid(SystemTime::UNIX_EPOCH + from))
        } else {
            None
        }
    }
}

/// Why a certificate is not valid now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfDate {
    /// It expired at this time.
    Expired(SystemTime),
    /// It is valid from this time on.
    NotYetValid(SystemTime),
}

/// A chain, with the time in which its first certificate is valid.
type Chain = (Vec<CertificateDer<'static>>, (Duration, Duration));

fn chain(pem: &str) -> Result<Chain, Fault> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let chain = chain.map_err(|_| DAMAGED_CERTIFICATE)?;
    let parsed: Result<Vec<_>, _> =
        chain.iter().map(|der| CertificateInner::<Raw>::from_der(der)).collect();
    let parsed = parsed.map_err(|_| DAMAGED_CERTIFICATE)?;
    let Some(own) = parsed.first() else {
        return Err(if pem.contains("PRIVATE KEY-----") { SWAPPED } else { NO_CERTIFICATE });
    };
    let valid = own.tbs_certificate().validity();
    let valid = (valid.not_before.to_unix_duration(), valid.not_after.to_unix_duration());
    Ok((chain, valid))
}

fn signing_key(
    pem: &SecretString,
    provider: &CryptoProvider,
) -> Result<Arc<dyn rustls::sign::SigningKey>, Fault> {
    let pem = pem.expose_secret();
    let key = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        Ok(key) => key,
        Err(_) if pem.contains("ENCRYPTED") => return Err(LOCKED),
        Err(_) if pem.contains("PRIVATE KEY-----") => return Err(DAMAGED_KEY),
        Err(_) => return Err(NO_KEY),
    };
    provider.key_provider.load_private_key(key).map_err(|_| UNSUPPORTED)
}

/// No session is taken up again: a player comes once and goes on to a relay. So nothing is kept of
/// those who left, and a certificate that was replaced is gone.
fn terms(certified: CertifiedKey, provider: Arc<CryptoProvider>) -> Result<ServerConfig, Error> {
    let mut terms = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    terms.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    terms.session_storage = Arc::new(NoServerSessionStorage {});
    terms.send_tls13_tickets = 0;
    Ok(terms)
}

const NO_CERTIFICATE: Fault = Fault {
    half: Half::Certificate,
    what: "has no certificate in it",
    help: "put the server's certificate into it in PEM (`-----BEGIN CERTIFICATE-----`), and those \
           of its issuers after it",
};
const SWAPPED: Fault = Fault {
    half: Half::Certificate,
    what: "has a private key in it and no certificate",
    help: "`certificate` and `key` may have been mixed up",
};
const DAMAGED_CERTIFICATE: Fault = Fault {
    half: Half::Certificate,
    what: "has a certificate in it that is damaged",
    help: "copy it anew, in PEM and as a whole",
};
const UNUSABLE: Fault = Fault {
    half: Half::Certificate,
    what: "has a certificate in it that cannot be used for a server",
    help: "have one issued in version 3, as every authority does today",
};
const NO_KEY: Fault = Fault {
    half: Half::Key,
    what: "has no private key in it",
    help: "put the certificate's key into it in PEM (`-----BEGIN PRIVATE KEY-----`)",
};
const DAMAGED_KEY: Fault = Fault {
    half: Half::Key,
    what: "has a private key in it that is damaged",
    help: "copy it anew, in PEM and as a whole",
};
const LOCKED: Fault = Fault {
    half: Half::Key,
    what: "has a private key in it that is locked with a passphrase",
    help: "unlock it with `openssl pkey -in locked.key -out tls.key`, and let the user that the \
           balancer runs as alone read it",
};
const UNSUPPORTED: Fault = Fault {
    half: Half::Key,
    what: "has a private key in it that is damaged, or of a kind that is not supported",
    help: "use ECDSA with P-256 or P-384, Ed25519, or RSA with 2048 to 8192 bits",
};
const MISMATCH: Fault = Fault {
    half: Half::Key,
    what: "has the key of another certificate in it",
    help: "the first certificate in `certificate` must be the server's own, and `key` its key",
};

/// The key is never printed.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("fingerprint", &self.fingerprint)
            .field("valid", &self.valid)
            .finish_non_exhaustive()
    }
}
