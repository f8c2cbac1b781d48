//! What a fault of the program itself may cost: a connection, or the whole program; never half of it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use icecast_balancer::app::{App, Runtimes};
use icecast_balancer::forwarded::Peer;
use icecast_balancer::reload;
use icecast_balancer::server::{self, Answer, Connections, Service, Shed, Speech, Terms};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

use crate::support::{PORTS, Wire, eventually};

/// Answers, but for one path that it breaks over.
struct Brittle;

impl Service for Brittle {
    type Body = Full<Bytes>;

    async fn answer(&self, request: Request<Incoming>, _peer: Peer) -> Answer {
        assert_ne!(request.uri().path(), "/break", "on purpose");
        Response::new(Full::default())
    }

    fn malformed(&self) {}

    fn shed(&self, _why: Shed) {}

    fn terms(&self, _peer: IpAddr) -> Terms {
        Terms {
            max_connections: 100,
            per_client: None,
            header_timeout: Duration::from_secs(5),
            proxy_header: false,
        }
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

#[tokio::test]
async fn a_panic_over_a_request_costs_its_connection_alone() {
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::<Connections>::default();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server::serve(
        listener,
        Speech::Plain,
        Arc::new(Brittle),
        Arc::clone(&connections),
        stop.clone(),
        Duration::from_secs(1),
    ));
    let mut bystander = Wire::to(address).await;
    for _ in 0..20 {
        bystander.send(get("/")).await;
        assert_eq!(bystander.answer().await.status, 200);
        let mut broken = Wire::to(address).await;
        broken.send(get("/break")).await;
        broken.closed().await;
    }
    bystander.send(get("/")).await;
    assert_eq!(bystander.answer().await.status, 200);
    eventually("what it counted is counted no more", async || {
        (connections.open(), connections.busy()) == (1, 0)
    })
    .await;
    stop.cancel();
    serving.await.unwrap().unwrap();
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn app(folder: &Path) -> App {
    let file = folder.join("balancer.yaml");
    let yaml = format!("{PORTS}servers: {{one: 'http://127.0.0.1:9'}}\nstreams: {{/a: }}\n");
    std::fs::write(&file, yaml).unwrap();
    let loaded = reload::load(&file).unwrap();
    App::bind(file, loaded).unwrap()
}

#[tokio::test]
async fn a_part_that_breaks_ends_the_program_with_an_error() {
    for breaks_public in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        let admin = app.admin_address().unwrap();
        let doomed = runtime();
        let runtimes = if breaks_public {
            Runtimes { public: vec![doomed.handle().clone()], control: Handle::current() }
        } else {
            Runtimes { public: vec![Handle::current()], control: doomed.handle().clone() }
        };
        let running = tokio::spawn(app.run(runtimes, std::future::pending()));
        let mut operator = Wire::to(admin).await;
        operator.send(get("/healthz")).await;
        assert_eq!(operator.answer().await.status, 200);
        drop(operator);
        // Its tasks end as those do that panic: before they were told to.
        doomed.shutdown_background();
        let ended = running.await.unwrap().unwrap_err();
        assert!(ended.to_string().ends_with("ended without being told to"), "{ended}");
    }
}

#[test]
fn what_could_panic_is_a_lint_that_no_file_switches_off() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let lints = ["unwrap_used", "expect_used", "panic", "indexing_slicing", "string_slice", "todo"];
    let manifest = read("Cargo.toml");
    for lint in lints {
        assert!(manifest.contains(&format!("\n{lint} = \"warn\"\n")), "{lint}");
    }
    assert!(read("tests/run").contains("cargo clippy --locked --all-targets -- -D warnings"));
    assert!(!manifest.contains("panic = \"abort\""), "a panic must end its task alone");
    let mut folders = vec![root.join("src")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            for lint in lints {
                let off = format!("clippy::{lint}");
                assert!(!text.contains(&off), "{} switches {off} off", path.display());
            }
        }
    }
    assert!(files > 50, "the source is where it was");
}
