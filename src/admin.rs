//! The operator's side: metrics, health, status, events, explanations, reload.
//!
//! Nothing here changes the configuration; `POST /-/reload` only asks for the file to be read
//! again. Whoever can reach the port may look; `POST` is for loopback, and from elsewhere for those
//! who know the token.

mod body;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::events::{self, Events, Unheard};
use crate::explanation::{Explanation, Mistake, Question};
use crate::fleet::ServerState;
use crate::forwarded::Peer;
use crate::metrics::{self, Mounts};
use crate::reload::{Outcome, ReloadHandle};
use crate::server::{self, Connections, Service, Shed, Terms};
use crate::slots::Moment;
use crate::state::State;
use crate::status::page::{self, View};
use crate::status::{Board, Status, Unknown, Wanted};

use body::Content;

/// The service of the admin port.
#[derive(Debug)]
pub struct Admin {
    state: Arc<State>,
    /// The connections of the public port.
    players: Arc<Connections>,
    reload: ReloadHandle,
    board: Arc<Board>,
    events: Arc<Events>,
    /// Cancelled when the program is told to stop.
    stopping: CancellationToken,
}

/// After this long the balancer is ready even if some relay has not been asked to the end.
const READY_AFTER: Duration = Duration::from_secs(5);

type Answer = server::Answer<Content>;

const TEXT: &str = "text/plain; charset=utf-8";

impl Admin {
    /// An operator's view of `state`, of the players' connections, of reloads, and of all that is
    /// shown and told of changes.
    pub fn new(
        state: Arc<State>,
        players: Arc<Connections>,
        reload: ReloadHandle,
        board: Arc<Board>,
        events: Arc<Events>,
        stopping: CancellationToken,
    ) -> Self {
        Self { state, players, reload, board, events, stopping }
    }

    async fn look(&self, uri: &Uri) -> Option<Answer> {
        Some(match uri.path() {
            "/metrics" => {
                let mounts = Mounts::wanted(uri.query().unwrap_or_default());
                let players = Arc::clone(&self.players);
                let scrape =
                    move |state: &State| metrics::render(state, &players, state.now(), mounts);
                match self.board.make(scrape).await {
                    Ok(text) => answer(StatusCode::OK, metrics::CONTENT_TYPE, text),
                    Err(error) => broken(&error),
                }
            }
            "/healthz" => answer(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => self.ready(),
            "/api/v1/explain" => self.explain(uri.query().unwrap_or_default(), self.state.now()),
            "/api/v1/status" => {
                let wanted = Wanted::of(uri.query().unwrap_or_default());
                let json = move |state: &State| {
                    let status = Status::of(state, state.now(), &wanted)?;
                    Ok(serde_json::to_vec(&status))
                };
                match self.board.make(json).await {
                    Ok(Ok(Ok(json))) => answer(StatusCode::OK, "application/json", json),
                    Ok(Ok(Err(error))) => broken(&error),
                    Ok(Err::<_, Unknown>(unknown)) => {
                        answer(StatusCode::NOT_FOUND, TEXT, format!("{unknown}\n"))
                    }
                    Err(error) => broken(&error),
                }
            }
            "/" => self.page(uri.query().unwrap_or_default()).await,
            path => {
                let (content_type, text) = page::file(path)?;
                answer(StatusCode::OK, content_type, text)
            }
        })
    }

    fn explain(&self, query: &str, now: Moment) -> Answer {
        let explained =
            Question::read(query).and_then(|question| Explanation::of(&self.state, &question, now));
        match explained.as_ref().map(serde_json::to_vec) {
            Ok(Ok(json)) => answer(StatusCode::OK, "application/json", json),
            Ok(Err(error)) => broken(&error),
            Err(mistake) => {
                let status = match mistake {
                    Mistake::Malformed(_) => StatusCode::BAD_REQUEST,
                    Mistake::UnknownStream(_) => StatusCode::NOT_FOUND,
                };
                answer(status, TEXT, format!("{mistake}\n"))
            }
        }
    }

    async fn page(&self, query: &str) -> Answer {
        let view = View::of(query);
        let overview = match self.board.overview().await {
            Ok(overview) => overview,
            Err(error) => return broken(&error),
        };
        match self.board.make(move |_| page::page(&overview, &view)).await {
            Ok(html) => {
                let mut answer = answer(StatusCode::OK, "text/html; charset=utf-8", html);
                let headers = answer.headers_mut();
                headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
                headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
                answer
            }
            Err(error) => broken(&error),
        }
    }

    /// Events for as long as the connection lasts; of a `HEAD` the head alone.
    fn events(&self, is_head: bool) -> Answer {
        let telling = match self.events.subscribe() {
            Ok(telling) => telling,
            Err(why) => {
                let why = match why {
                    Unheard::Full => format!("busy: {} others are told already\n", events::MOST),
                    Unheard::Stopping => "stopping\n".to_owned(),
                };
                let mut refusal = answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, why);
                refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
                return refusal;
            }
        };
        let mut answer = answer(StatusCode::OK, "text/event-stream", "");
        if !is_head {
            *answer.body_mut() = Content::Events(telling);
        }
        // nginx would keep events back until it has a few KiB of them.
        let unbuffered = HeaderName::from_static("x-accel-buffering");
        answer.headers_mut().insert(unbuffered, HeaderValue::from_static("no"));
        answer
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
    type Body = Content;

    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Answer {
        let posts = request.uri().path() == "/-/reload";
        let is_head = *request.method() == Method::HEAD;
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
            Method::GET | Method::HEAD if request.uri().path() == "/api/v1/events" => {
                self.events(is_head)
            }
            Method::GET | Method::HEAD if !posts => {
                let mut answer = self.look(request.uri()).await.unwrap_or_else(|| {
                    answer(StatusCode::NOT_FOUND, TEXT, "there is no such page here\n")
                });
                if is_head {
                    *answer.body_mut() = Content::default();
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

    fn terms(&self, _peer: IpAddr) -> Terms {
        Terms {
            max_connections: 256,
            per_client: None,
            header_timeout: Duration::from_secs(5),
            proxy_header: false,
        }
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Content::Whole(Full::new(body.into())));
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
