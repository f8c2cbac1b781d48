//! Names to addresses, with the last good answer kept for when there is none.
//!
//! A resolver that hangs or forgets must not take relays out of service that still serve: what a
//! name meant last is used until the name system answers again.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::{Instant, timeout};

/// Resolves through the system, within bounds.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolver(Arc<Mutex<HashMap<String, Answer>>>);

#[derive(Debug, Clone)]
struct Answer {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

/// An answer younger than this is used without asking again.
const FRESH: Duration = Duration::from_secs(30);

/// The longest wait for the name system.
const PATIENCE: Duration = Duration::from_secs(1);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl Resolver {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let known = self.known(name);
        if let Some(answer) = &known
            && answer.at.elapsed() < FRESH
        {
            return Ok(answer.addresses.clone());
        }
        let asked = match timeout(PATIENCE, tokio::net::lookup_host((name, 0))).await {
            Ok(Ok(addresses)) => Ok(addresses.collect::<Vec<_>>()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the name {name} was not resolved in time"),
            )),
        };
        match (asked, known) {
            (Ok(addresses), _) if !addresses.is_empty() => {
                self.remember(name, &addresses);
                Ok(addresses)
            }
            (_, Some(known)) => Ok(known.addresses),
            (asked, None) => asked,
        }
    }

    fn known(&self, name: &str) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn remember(&self, name: &str, addresses: &[SocketAddr]) {
        let answer = Answer { addresses: addresses.to_vec(), at: Instant::now() };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_owned(), answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_no_longer_resolves_keeps_its_last_address() {
        let resolver = Resolver::default();
        let last = vec![SocketAddr::from(([192, 0, 2, 7], 0))];
        let long_ago = Instant::now().checked_sub(FRESH).expect("the clock has run this long");
        let answer = Answer { addresses: last.clone(), at: long_ago };
        resolver.0.lock().unwrap().insert("relay.invalid".to_owned(), answer);
        assert_eq!(resolver.addresses("relay.invalid").await.unwrap(), last);
    }

    #[tokio::test]
    async fn a_name_that_never_resolved_is_an_error() {
        assert!(Resolver::default().addresses("relay.invalid").await.is_err());
    }
}
