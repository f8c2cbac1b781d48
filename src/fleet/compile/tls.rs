//! `tls`: its addresses, and the certificate and key that are read for it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use secrecy::ExposeSecret;

use crate::config::findings::Findings;
use crate::config::source::{At, Span};
use crate::config::{self, Config};
use crate::fleet::Tls;
use crate::fleet::compile::secrets::Secrets;
use crate::fleet::compile::settings::clash;
use crate::tls::{Half, Identity, OutOfDate};

const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8443);

/// `tls`, of which no address may be in the way of those `taken` by the keys they stand with.
pub(super) fn tls(
    config: &Config,
    taken: &[(&str, SocketAddr)],
    secrets: &Secrets<'_>,
    findings: &mut Findings,
) -> Option<Tls> {
    let tls = config.tls.as_ref()?;
    let listen = listen(tls, taken, findings);
    let identity = identity(tls, secrets, findings);
    Some(Tls { listen, identity: identity? })
}

fn listen(
    tls: &config::Tls,
    taken: &[(&str, SocketAddr)],
    findings: &mut Findings,
) -> Vec<SocketAddr> {
    let default = [At { value: LISTEN, span: tls.key }];
    let written = tls.listen.as_deref().unwrap_or(&default);
    for (index, address) in written.iter().enumerate() {
        let earlier = written.iter().take(index).map(|other| ("tls.listen", other.value));
        let mut others = taken.iter().copied().chain(earlier);
        if let Some((key, other)) = others.find(|(_, other)| clash(*other, address.value)) {
            let message = format!(
                "`tls.listen` ({}) and `{key}` ({other}) need the same port",
                address.value
            );
            findings.problem(address.span, message, "give `tls.listen` a port of its own");
        }
    }
    written.iter().map(|address| address.value).collect()
}

fn identity(tls: &config::Tls, secrets: &Secrets<'_>, findings: &mut Findings) -> Option<Identity> {
    let certificate = tls.certificate.as_ref().and_then(|file| {
        let text = secrets.document(file, "certificate", findings)?;
        Some((file, text))
    });
    let key = tls.private_key.as_ref().and_then(|file| {
        let text = secrets.document(file, "key", findings)?;
        Some((file, text))
    });
    let ((certificate_file, certificate), (key_file, key)) = certificate.zip(key)?;
    match Identity::read(certificate.expose_secret(), &key) {
        Ok(identity) => Some(identity),
        Err(faults) => {
            for fault in faults {
                let (what, file) = match fault.half {
                    Half::Certificate => ("certificate", certificate_file),
                    Half::Key => ("key", key_file),
                };
                let path = secrets.path(file);
                let message = format!("the {what} file \"{}\" {}", path.display(), fault.what);
                findings.problem(file.span, message, fault.help);
            }
            None
        }
    }
}

/// What works, but deserves a word: a certificate that players will refuse.
pub(super) fn warning(
    config: &Config,
    tls: Option<&Tls>,
    secrets: &Secrets<'_>,
    findings: &Findings,
) -> Option<String> {
    let span: Span = config.tls.as_ref()?.certificate.as_ref()?.span;
    let place = findings.place(span)?;
    let what = match tls?.identity.out_of_date(secrets.now()?)? {
        OutOfDate::Expired(at) => format!("expired on {}", date(at)),
        OutOfDate::NotYetValid(at) => format!("is not valid before {}", date(at)),
    };
    Some(format!("{place}: the certificate {what}: most players will refuse it"))
}

fn date(time: std::time::SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(time)
}
