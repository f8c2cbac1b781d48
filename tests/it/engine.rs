//! Several balancers that lend one another slots through a real engine: Debian's redis-server.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::life::program::{Program, command};
use crate::relay::Relay;
use crate::support::{Balancer, PORTS, Player, eventually, servers};

const REPLICAS: usize = 3;

const ENGINE_UP: &str = "icecast_balancer_cluster_engine_up";
const MEMBERS: &str = "icecast_balancer_cluster_members";

const PASSWORD: &str = "geheim";

/// A redis-server in a folder of its own.
struct Redis {
    port: u16,
    folder: TempDir,
    server: Option<Child>,
    options: Vec<String>,
    /// What `redis-cli` needs to speak with it.
    client: Vec<String>,
    /// What it listens with: `--port`, or `--tls-port`.
    port_option: &'static str,
    /// If it is a Sentinel: what it watches.
    watches: Option<String>,
}

impl Redis {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = options.iter().map(ToString::to_string).collect();
        let client = Vec::new();
        Self::started(Self {
            port: 0,
            folder,
            server: None,
            options,
            client,
            port_option: "--port",
            watches: None,
        })
    }

    /// A Sentinel that calls a server `radio`, and does not wait long before it puts another one in its place.
    fn start_sentinel(server: &Self) -> Self {
        let watches = format!(
            "sentinel monitor radio 127.0.0.1 {} 1\nsentinel auth-pass radio {PASSWORD}\n\
             sentinel down-after-milliseconds radio 500\nsentinel failover-timeout radio 3000\n\
             requirepass {PASSWORD}\n",
            server.port
        );
        let client = with_password();
        Self::started(Self {
            port: 0,
            folder: tempfile::tempdir().unwrap(),
            server: None,
            options: Vec::new(),
            client,
            port_option: "--port",
            watches: Some(watches),
        })
    }

    /// One that speaks TLS alone, with what `authority` has signed.
    fn start_with_tls(authority: &Authority) -> Self {
        let file = |name: &str| authority.0.path().join(name).display().to_string();
        let [ca, crt, key] = ["ca.crt", "engine.crt", "engine.key"].map(file);
        let options = ["--port", "0", "--tls-auth-clients", "no", "--tls-ca-cert-file", &ca];
        let options = options.into_iter().chain(["--tls-cert-file", &crt, "--tls-key-file", &key]);
        let options = options.map(str::to_owned).collect();
        let client = ["--tls", "--cacert", &ca].map(str::to_owned).to_vec();
        let folder = tempfile::tempdir().unwrap();
        let port_option = "--tls-port";
        let watches = None;
        Self::started(Self { port: 0, folder, server: None, options, client, port_option, watches })
    }

    fn started(mut redis: Self) -> Self {
        // Another test may be given the same free port.
        for _ in 0..10 {
            if redis.answers() {
                return redis;
            }
            redis.kill();
            let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            redis.port = free.port();
            redis.begin();
        }
        panic!("redis-server does not run with {:?}", redis.options);
    }

    /// Whether it is this one that answers, as soon as anybody does.
    fn answers(&mut self) -> bool {
        while self.server.as_mut().is_some_and(|server| server.try_wait().unwrap().is_none()) {
            let process = format!("process_id:{}\r", self.server.as_ref().unwrap().id());
            let told = self.ask(&["INFO", "server"]);
            if told.contains("process_id:") {
                return told.contains(&process);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Starts it, with nothing in its memory.
    fn begin(&mut self) {
        let mut command = Command::new("redis-server");
        if let Some(watches) = &self.watches {
            // It writes to its file what becomes of the servers.
            let file = self.folder.path().join("sentinel.conf");
            std::fs::write(&file, watches).unwrap();
            command.arg(file).arg("--sentinel");
        } else {
            command.args(["--save", ""]);
        }
        let server = command
            .args(["--bind", "127.0.0.1", self.port_option, &self.port.to_string(), "--dir"])
            .arg(self.folder.path())
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is there; it is in Debian's package redis-server");
        self.server = Some(server);
    }

    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Sends it a signal by name.
    fn signal(&self, signal: &str) {
        let id = self.server.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Lets nobody in without [`PASSWORD`] from now on.
    fn want_password(&mut self) {
        assert_eq!(self.ask(&["CONFIG", "SET", "requirepass", PASSWORD]).trim(), "OK");
        self.client = with_password();
    }

    /// What `redis-cli` says to a command.
    fn ask(&self, command: &[&str]) -> String {
        let said = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(&self.client)
            .args(command)
            .output()
            .unwrap();
        String::from_utf8(said.stdout).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn with_password() -> Vec<String> {
    ["-a", PASSWORD, "--no-auth-warning"].map(str::to_owned).to_vec()
}

/// A relay that tells of a listener only 300 ms later. Of its slots two are kept free.
fn relay(slots: u64) -> Relay {
    let late = Relay::builder().statistics_delay(Duration::from_millis(300));
    late.mount("/saal1.ogg", slots + 2).start().unwrap()
}

fn config(relay: &Relay, redis: &Redis, more: &str) -> String {
    config_with(relay, &format!("redis://{}", redis.address()), more)
}

fn config_with(relay: &Relay, engine: &str, more: &str) -> String {
    format!(
        "{}cluster: {{replicas: {REPLICAS}, engine: '{engine}'{more}}}\n\
         poll: {{interval: 200ms, fast_interval: 100ms}}\nstreams: {{/saal1.ogg: }}\n",
        servers(&[relay]),
    )
}

/// Replicas that have seen the relay and one another.
async fn replicas(config: &str) -> Vec<Balancer> {
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        let replica = Balancer::start(config).await;
        replica.until_health("r0", "up").await;
        replicas.push(replica);
    }
    for replica in &replicas {
        eventually("all have met", async || replica.metric(MEMBERS).await == Some(REPLICAS as f64))
            .await;
    }
    replicas
}

async fn until_engine_is(replicas: &[Balancer], up: bool) {
    for replica in replicas {
        eventually("all know how the engine is", async || {
            replica.metric(ENGINE_UP).await == Some(f64::from(u8::from(up)))
        })
        .await;
    }
}

/// Where a replica sends a player, if it does.
async fn ask(replica: &Balancer) -> Option<String> {
    let answer = replica.get("/saal1.ogg").await;
    (answer.status == 302).then(|| answer.location().to_owned())
}

/// An authority that has signed a certificate for 127.0.0.1, in a folder.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let openssl = |arguments: &str| {
            let made = Command::new("openssl")
                .args(arguments.split_whitespace())
                .current_dir(folder.path())
                .output()
                .expect("openssl is there; it is in Debian's package openssl");
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(&format!("req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.crt"));
        openssl(&format!("req {key} -subj /CN=engine -keyout engine.key -out engine.csr"));
        std::fs::write(folder.path().join("names"), "subjectAltName = IP:127.0.0.1\n").unwrap();
        openssl(
            "x509 -req -in engine.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
             -extfile names -out engine.crt",
        );
        Self(folder)
    }

    /// A program that trusts this authority and no other, with an engine that speaks TLS.
    async fn program(&self, engine: SocketAddr, folder: &TempDir) -> Program {
        let (password, file) =
            (folder.path().join("password"), folder.path().join("balancer.yaml"));
        std::fs::write(&password, "geheim\n").unwrap();
        let yaml = format!(
            "{PORTS}cluster: {{replicas: 2, engine: 'rediss://{engine}', password_file: '{}'}}\n\
             servers: {{a: 'http://127.0.0.1:9'}}\nstreams: {{/saal1.ogg: }}\n",
            password.display(),
        );
        std::fs::write(&file, yaml).unwrap();
        let trusted = self.0.path().join("ca.crt").display().to_string();
        let mut program = command(&["--config", file.to_str().unwrap()]);
        program.env("SSL_CERT_FILE", trusted);
        Program::spawn(program).await
    }
}

/// Players who ask a replica until it has refused one for a second; those that it sent play.
async fn crowd(replica: &Balancer, most: usize) -> Vec<Player> {
    let mut players: Vec<Player> = Vec::new();
    let mut refused = 0;
    while players.len() < most && refused < 40 {
        if let Some(location) = ask(replica).await {
            players.push(Player::follow(&location).await);
            refused = 0;
        } else {
            refused += 1;
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
    players
}

fn all_play(players: &[Player]) -> bool {
    players.iter().all(|player| player.status == 200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_at_one_replica_gets_the_slots_of_all() {
    let (relay, redis) = (relay(90), Redis::start(&[]));
    let replicas = replicas(&config(&relay, &redis, "")).await;
    let players = crowd(&replicas[0], 100).await;
    assert!(all_play(&players));
    assert_eq!(relay.refused(), 0);
    assert!(relay.peak("/saal1.ogg") <= 90, "{}", relay.peak("/saal1.ogg"));
    // `cluster::tests` counts them all; on a busy machine some loans come too late.
    assert!(players.len() >= 65, "{}", players.len());
    let borrowed = replicas[0].metric("icecast_balancer_cluster_slots_borrowed_total").await;
    let lent = replicas[1].metric("icecast_balancer_cluster_slots_lent_total").await;
    assert!(borrowed > Some(30.0) && lent > Some(10.0), "{borrowed:?} {lent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_hangs_dies_and_comes_back_empty_costs_the_lending_alone() {
    let (relay, mut redis) = (relay(90), Redis::start(&[]));
    let replicas = replicas(&config(&relay, &redis, "")).await;
    // It hangs: each has its share at once. Whoever goes on asking has more of it by and by, when the
    // share is drawn anew, half a minute later at the soonest; so one refusal is the end of it.
    redis.signal("STOP");
    let mut players = Vec::new();
    while let Some(location) = ask(&replicas[0]).await {
        players.push(Player::follow(&location).await);
        assert!(players.len() <= 30, "it has more than its share");
    }
    assert!(players.len() >= 20, "{}", players.len());
    until_engine_is(&replicas, false).await;
    // It goes on, with what was said to it before.
    redis.signal("CONT");
    until_engine_is(&replicas, true).await;
    players.extend(crowd(&replicas[0], 10).await);
    // It comes back with nothing in its memory.
    redis.kill();
    until_engine_is(&replicas, false).await;
    redis.begin();
    until_engine_is(&replicas, true).await;
    for replica in &replicas {
        players.extend(crowd(replica, 100).await);
    }
    assert!(all_play(&players));
    assert_eq!(relay.refused(), 0);
    assert!(relay.peak("/saal1.ogg") <= 90, "{}", relay.peak("/saal1.ogg"));
    assert!(players.len() >= 45, "{}", players.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_lead_to_the_server_that_takes_writes_and_to_another_when_it_has_died() {
    let relay = relay(90);
    let mut first = Redis::start(&["--repl-diskless-sync-delay", "0"]);
    let port = first.port.to_string();
    let mut second = Redis::start(&["--replicaof", "127.0.0.1", &port, "--masterauth", PASSWORD]);
    first.want_password();
    second.want_password();
    eventually("the copy is one", async || second.ask(&["ROLE"]).contains("connected")).await;
    let sentinel = Redis::start_sentinel(&first);
    eventually("the Sentinel knows the copy", async || {
        sentinel.ask(&["SENTINEL", "replicas", "radio"]).contains("master-link-status\nok")
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    // At the first that is named nobody is at home.
    let engine = format!("redis-sentinel://127.0.0.1:1,{}/radio", sentinel.address());
    let more = format!(", password_file: '{}'", password.display());
    let replicas = replicas(&config_with(&relay, &engine, &more)).await;
    let mut players = crowd(&replicas[0], 40).await;
    assert_eq!(second.ask(&["ROLE"]).lines().next(), Some("slave"));

    first.kill();
    until_engine_is(&replicas, false).await;
    until_engine_is(&replicas, true).await;
    assert_eq!(second.ask(&["ROLE"]).lines().next(), Some("master"));
    // More than it has left of its own.
    players.extend(crowd(&replicas[1], 40).await);
    assert!(players.len() >= 50 && all_play(&players), "{}", players.len());
    let borrowed = replicas[1].metric("icecast_balancer_cluster_slots_borrowed_total").await;
    assert!(borrowed > Some(0.0), "{borrowed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_no_sentinel_knows_is_told() {
    let redis = Redis::start(&[]);
    let sentinel = Redis::start_sentinel(&redis);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, PASSWORD).unwrap();
    let engine = format!("redis-sentinel://{}/fernsehen", sentinel.address());
    let more = format!(", password_file: '{}'", password.display());
    let relay = relay(30);
    let replica = Balancer::start(&config_with(&relay, &engine, &more)).await;
    replica.until_health("r0", "up").await;
    eventually("it says why", async || {
        let status = replica.admin_get("/api/v1/status").await.body;
        status.contains("it knows no server of that name")
    })
    .await;
    assert!(ask(&replica).await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_comes_in_with_a_name_and_a_password_and_keeps_to_its_keys() {
    let relay = relay(90);
    // As the documentation has it.
    let redis = Redis::start(&[
        "--user",
        "balancer",
        "on",
        ">geheim",
        "~radio:*",
        "+evalsha",
        "+script|load",
        "+info",
        "+hset",
        "+hget",
        "+hdel",
        "+hgetall",
        "+rpush",
        "+lrange",
        "+del",
        "+pexpire",
        "+time",
    ]);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "geheim\n").unwrap();
    let more =
        format!(", username: balancer, password_file: '{}', key_prefix: radio", password.display());
    let replicas = replicas(&config(&relay, &redis, &more)).await;
    let players = crowd(&replicas[0], 60).await;
    assert!(players.len() == 60 && all_play(&players), "{}", players.len());
    let keys = redis.ask(&["--scan"]);
    assert!(
        keys.lines().count() >= 1 && keys.lines().all(|key| key.starts_with("radio:{")),
        "{keys}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_has_to_do_is_bounded() {
    let (relay, redis) = (relay(600), Redis::start(&[]));
    let replicas = replicas(&config(&relay, &redis, "")).await;
    let calls = || {
        let told = redis.ask(&["INFO", "commandstats"]);
        let line = told.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.and_then(|line| line.split(',').next()?.parse::<u64>().ok()).unwrap()
    };
    let (before, began) = (calls(), std::time::Instant::now());
    let players = crowd(&replicas[0], 500).await;
    let (after, took) = (calls(), began.elapsed().as_secs_f64());
    assert_eq!(players.len(), 500);
    // Two for each replica in each hundredth of a second, and those under way.
    let most = (took * 100.0 + 1.0) * 2.0 * REPLICAS as f64;
    assert!((after - before) as f64 <= most, "{before} to {after} in {took} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_an_engine_that_takes_connections_and_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = relay(30);
    let yaml = format!(
        "{}cluster: {{replicas: 3, engine: 'redis://{}'}}\nstreams: {{/saal1.ogg: }}\n",
        servers(&[&relay]),
        silent.local_addr().unwrap(),
    );
    let replica = Balancer::start(&yaml).await;
    replica.until_health("r0", "up").await;
    assert!(ask(&replica).await.is_some());
    assert_eq!(replica.metric(ENGINE_UP).await, Some(0.0));
    // It was asked all the same.
    let (mut asked, _): (TcpStream, _) = silent.accept().unwrap();
    assert!(asked.read(&mut [0; 16]).unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_with_tls_is_spoken_with_if_its_authority_is_trusted_and_else_is_down() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let redis = Redis::start_with_tls(&trusted);
    assert_eq!(redis.ask(&["CONFIG", "SET", "requirepass", "geheim"]).trim(), "OK");
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let good = trusted.program(redis.address(), &folders[0]).await;
    good.until_logged("slots are lent between the replicas").await;
    let bad = other.program(redis.address(), &folders[1]).await;
    bad.until_logged("the engine does not answer, so that nothing is lent").await;
    let metrics = bad.admin_get("/metrics").await.body;
    assert!(metrics.contains(&format!("{ENGINE_UP} 0\n")), "{metrics}");
    let status = bad.admin_get("/api/v1/status").await.body;
    for text in [bad.log(), status.clone(), bad.admin_get("/").await.body] {
        assert!(text.contains("certificate"), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
    assert!(!good.log().contains("geheim"));
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["cluster"]["engine"]["up"], false, "{status}");
}
