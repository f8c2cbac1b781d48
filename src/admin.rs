//! The operator's side: metrics, health, status, reload.
//!
//! Nothing here changes the configuration; `POST /-/reload` only asks for the file to be read
//! again. Whoever can reach the port may look; `POST` is for loopback, and from elsewhere for those
//! who know the token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap,
    HeaderValue, ORIGIN, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::fleet::ServerState;
use crate::forwarded::Peer;
use crate::metrics;
use crate::reload::{Outcome, ReloadHandle};
use crate::server::{Answer, Bounds, Connections, Service, Shed};
use crate::state::State;
use crate::status::{self, Status};

/// The service of the admin port.
#[derive(Debug)]
pub struct Admin {
    state: Arc<State>,
    /// The connections of the public port.
    players: Arc<Connections>,
    reload: ReloadHandle,
    /// Cancelled when the program is told to stop.
    stopping: CancellationToken,
}

/// After this long the balancer is ready even if some relay has not been asked to the end.
const READY_AFTER: Duration = Duration::from_secs(5);

const TEXT: &str = "text/plain; charset=utf-8";

impl Admin {
    /// An operator's view of `state`, of the players' connections and of reloads.
    pub fn new(
        state: Arc<State>,
        players: Arc<Connections>,
        reload: ReloadHandle,
        stopping: CancellationToken,
    ) -> Self {
        Self { state, players, reload, stopping }
    }

    fn look(&self, path: &str) -> Option<Answer> {
        let now = self.state.now();
        Some(match path {
            "/metrics" => {
                let text = metrics::render(&self.state, &self.players, now);
                answer(StatusCode::OK, metrics::CONTENT_TYPE, text)
            }
            "/healthz" => answer(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => self.ready(),
            "/api/v1/status" => match serde_json::to_vec(&Status::of(&self.state, now)) {
                Ok(json) => answer(StatusCode::OK, "application/json", json),
                Err(error) => broken(&error),
            },
            "/" => match status::page(&Status::of_page(&self.state, now)) {
                Ok(html) => {
                    let mut answer = answer(StatusCode::OK, "text/html; charset=utf-8", html);
                    let policy = HeaderValue::from_static(status::POLICY);
                    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
                    answer
                }
                Err(error) => broken(&error),
            },
            _ => return None,
        })
    }

    fn ready(&self) -> Answer {
        if self.stopping.is_cancelled() {
            return answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stopping\n");
        }
        let snapshot = self.state.load();
        let mut waited_for = snapshot
            .servers()
            .filter(|(server, slots)| server.state != ServerState::Disabled && !slots.was_asked())
            .map(|(server, _)| server.name.as_str());
        match waited_for.next() {
            Some(name) if self.state.now() < READY_AFTER => {
                let why = format!("starting: {name} has not been asked yet\n");
                answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, why)
            }
            _ => answer(StatusCode::OK, TEXT, "ready\n"),
        }
    }

    fn may_post(&self, peer: SocketAddr, headers: &HeaderMap) -> bool {
        may_post(self.state.load().fleet.admin_token.as_ref(), peer, headers)
    }

    async fn reload(&self) -> Answer {
        match self.reload.reload().await {
            Some(Outcome::Unchanged) => {
                let text = "unchanged: the configuration on disk is the one in force\n";
                answer(StatusCode::OK, TEXT, text)
            }
            Some(Outcome::Applied(changes)) => {
                let mut text = format!("reloaded\n{changes}");
                let restart_required = self.state.reloads().restart_required;
                if !restart_required.is_empty() {
                    let keys = restart_required.join(", ");
                    text.extend(["a restart is needed for: ", &keys, "\n"]);
                }
                answer(StatusCode::OK, TEXT, text)
            }
            Some(Outcome::Rejected(diagnostics)) => {
                answer(StatusCode::UNPROCESSABLE_ENTITY, TEXT, diagnostics)
            }
            None => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stopping\n"),
        }
    }
}

impl Service for Admin {
    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let path = request.uri().path();
        let posts = path == "/-/reload";
        match *request.method() {
            Method::POST if posts && self.may_post(peer.address, request.headers()) => {
                self.reload().await
            }
            Method::POST if posts => {
                let why = "POST is for programs on this host that call it by an address or \
                           localhost, or needs the bearer token of admin_token_file\n";
                let mut refusal = answer(StatusCode::UNAUTHORIZED, TEXT, why);
                let bearer = HeaderValue::from_static("Bearer");
                refusal.headers_mut().insert(WWW_AUTHENTICATE, bearer);
                refusal
            }
            Method::GET | Method::HEAD if !posts => {
                let mut answer = self.look(path).unwrap_or_else(|| {
                    answer(StatusCode::NOT_FOUND, TEXT, "there is no such page here\n")
                });
                if *request.method() == Method::HEAD {
                    *answer.body_mut() = Full::default();
                }
                answer
            }
            _ => {
                let allowed = if posts { "POST" } else { "GET, HEAD" };
                let mut refusal =
                    answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "not allowed here\n");
                refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                refusal
            }
        }
    }

    fn malformed(&self) {}

    fn shed(&self, _why: Shed) {}

    fn bounds(&self, _peer: IpAddr) -> Bounds {
        Bounds { max_connections: 256, per_client: None, header_timeout: Duration::from_secs(5) }
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Whether a `POST` may be made by `peer` with these headers.
///
/// A browser on the operator's own machine may be made to post by any site it visits; it then
/// names that site as `Origin`, which no tool does. And should the site's name have been pointed at
/// this very address, so that browser and site agree on being here, `Host` still has that name.
fn may_post(token: Option<&SecretString>, peer: SocketAddr, headers: &HeaderMap) -> bool {
    if let (Some(token), Some(offered)) = (token, headers.get(AUTHORIZATION)) {
        // Comparing digests takes as long wherever the first difference is.
        return bearer(offered).is_some_and(|offered| {
            Sha256::digest(token.expose_secret()) == Sha256::digest(offered)
        });
    }
    let is_meant = headers.get_all(HOST).iter().all(is_no_name_of_others);
    peer.ip().is_loopback() && !headers.contains_key(ORIGIN) && is_meant
}

/// Whether a `Host` is an address or `localhost`, which nobody can point elsewhere.
fn is_no_name_of_others(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.to_ascii_lowercase();
    address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

/// The token of an `Authorization`.
fn bearer(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn broken(error: &dyn std::error::Error) -> Answer {
    answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("cannot tell: {error}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1:4711";
    const ELSEWHERE: &str = "192.0.2.7:4711";

    fn allowed(token: Option<&str>, peer: &str, headers: &[(http::HeaderName, &str)]) -> bool {
        let token = token.map(|token| SecretString::from(token.to_owned()));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        may_post(token.as_ref(), peer.parse().unwrap(), &map)
    }

    #[test]
    fn loopback_may_post_without_a_token_unless_a_site_made_it() {
        assert!(allowed(None, HERE, &[]));
        assert!(allowed(Some("sesame"), "[::1]:4711", &[]));
        assert!(!allowed(None, HERE, &[(ORIGIN, "http://evil.example")]));
    }

    #[test]
    fn loopback_is_called_by_an_address_or_localhost_and_by_no_name_of_others() {
        for host in ["127.0.0.1", "127.0.0.1:9090", "[::1]:9090", "192.0.2.7", "LocalHost:9090"] {
            assert!(allowed(None, HERE, &[(HOST, host)]), "{host}");
        }
        for host in
            ["evil.example:9090", "127.0.0.1.evil.example", "localhost.evil.example", "", "a b"]
        {
            assert!(!allowed(None, HERE, &[(HOST, host)]), "{host}");
        }
        assert!(!allowed(None, HERE, &[(HOST, "localhost"), (HOST, "evil.example")]));
    }

    #[test]
    fn whoever_knows_the_token_may_call_it_as_they_like() {
        let headers = [(HOST, "balancer.example.org"), (AUTHORIZATION, "Bearer sesame")];
        assert!(allowed(Some("sesame"), ELSEWHERE, &headers));
    }

    #[test]
    fn others_need_the_token() {
        assert!(!allowed(None, ELSEWHERE, &[]));
        assert!(!allowed(Some("sesame"), ELSEWHERE, &[]));
        assert!(!allowed(Some("sesame"), ELSEWHERE, &[(AUTHORIZATION, "Bearer open")]));
        assert!(allowed(Some("sesame"), ELSEWHERE, &[(AUTHORIZATION, "Bearer sesame")]));
    }

    #[test]
    fn no_token_opens_where_none_is_configured() {
        for offered in ["Bearer ", "Bearer", "Bearer sesame"] {
            assert!(!allowed(None, ELSEWHERE, &[(AUTHORIZATION, offered)]));
        }
    }
}
