//! The names of relays, and their certificates.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::{Control, OFTEN, Row};
use crate::stage::{Door, QUICK, RADIO, SLACK, Stage, pass, s, three_looks};
use crate::support::balancer::{Balancer, Launch};
use crate::support::icecast::Setup;
use crate::support::names::{Names, Says};
use crate::support::process::{Process, done, promise, succeed};
use crate::support::proxy::Proxy;
use crate::support::source::Source;
use crate::support::stub::document;
use crate::support::watch::Watch;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "tls",
        title: "TLS expired, wrong name, self-signed, 1.0 only, hangs",
        expected: "nobody is sent there, nothing is asked in plain text; the good one is used",
        control: Control::Naive,
        seconds: 10,
        run: tls,
    },
    Row {
        name: "dns",
        title: "DNS hung, refused, NXDOMAIN",
        expected: "the last good address is used; relays without names notice nothing",
        control: Control::Without,
        seconds: 55,
        run: dns,
    },
    Row {
        name: "rebinding",
        title: "DNS answer changes to a private address",
        expected: "refused: the last good address is used, nobody connects to the new one",
        control: Control::Without,
        seconds: 45,
        run: rebinding,
    },
];

/// A name for `r1`, an address for `r2`; looks that wait long enough for a lost name.
const NAMED: &str = "poll: {interval: 500ms, fast_interval: 200ms, timeout: 2s, stale_after: 10s}\n\
    servers:\n  r1: http://relay1.test:8000\n  r2: http://127.0.1.2:8000\nstreams:\n  /radio.mp3:\n";

/// Longer than a good answer of the name system is used without asking again.
const UNTIL_ASKED_AGAIN: f64 = 33.0;

fn dns(stage: &Stage) -> String {
    let names = Names::start(Says::Address(Ipv4Addr::new(127, 0, 1, 1)));
    let relays = stage.relays(2, Setup::default());
    let _sources = [Source::start(&relays[0], RADIO), Source::start(&relays[1], RADIO)];
    let door = stage.open(NAMED);
    door.until_health("r1", "up", SLACK);
    let watch = Watch::start(RADIO, OFTEN);
    let began = Instant::now();
    let mut figures = Vec::new();
    for (says, name, seconds) in [
        (Says::Nothing, "hung", UNTIL_ASKED_AGAIN + 6.0),
        (Says::Refused, "refused", 4.0),
        (Says::NoSuchName, "NXDOMAIN", 4.0),
    ] {
        names.say(says);
        let (asked, other) = (names.asked(), Door::looks("r2", "ok"));
        pass(seconds);
        let (asked, other) = (names.asked() - asked, Door::looks("r2", "ok") - other);
        assert!(asked > 0, "the name was asked for again");
        let downs = door.turns("r1", "down");
        figures.push(format!("{name}: {downs} down, {other} looks at the other"));
        promise(downs == 0, || figures.join("; "));
        // Half of what is due, for a busy machine.
        promise(other >= (seconds / 0.75 / 2.0).floor(), || figures.join("; "));
    }
    let record = watch.stop();
    record.assert_all_redirected();
    let sent = record.sent_to("relay1.test:8000", began);
    promise(sent > 0, || "it is not used any more".to_owned());
    format!("{}; {sent} of {} sent there", figures.join("; "), record.len())
}

fn rebinding(stage: &Stage) -> String {
    // An address of a documentation network stands for one of the internet.
    done("ip", "address add 203.0.113.1/32 dev lo");
    let names = Names::start(Says::Address(Ipv4Addr::new(203, 0, 113, 1)));
    let relays = stage.relays(2, Setup::default());
    let _sources = [Source::start(&relays[0], RADIO), Source::start(&relays[1], RADIO)];
    let _public = Proxy::start("203.0.113.1:8000", &relays[0].address());
    let trap = TcpListener::bind("127.0.1.99:8000").unwrap();
    let caught = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&caught);
    thread::spawn(move || {
        for _ in trap.incoming() {
            counting.fetch_add(1, Relaxed);
        }
    });
    let door = stage.open(NAMED);
    door.until_health("r1", "up", SLACK);
    let asked = names.asked();
    names.say(Says::Address(Ipv4Addr::new(127, 0, 1, 99)));
    pass(UNTIL_ASKED_AGAIN + 5.0);
    assert!(names.asked() > asked, "the name was asked for again");
    let caught = caught.load(Relaxed);
    promise(caught == 0, || format!("{caught} looks went to the private address"));
    let (downs, health) = (door.turns("r1", "down"), Balancer::server("r1")["health"].clone());
    promise(downs == 0 && health == "up", || format!("{downs} down, {health}"));
    "0 looks went to the private address, 0 down".to_owned()
}

fn tls(stage: &Stage) -> String {
    openssl(
        stage,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 \
        -subj /CN=authority -keyout ca.key -out ca.pem",
    );
    certificate(stage, 1, "127.0.1.1", None);
    certificate(stage, 2, "127.0.1.2", Some("40 days ago"));
    certificate(stage, 3, "127.0.9.9", None);
    openssl(
        stage,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
        -subj /CN=4 -addext subjectAltName=IP:127.0.1.4 -keyout 4.key -out 4.pem",
    );
    certificate(stage, 5, "127.0.1.5", None);
    fs::write(stage.root.join("slots.xsl"), document("0", "100")).unwrap();
    let _servers: Vec<_> = [1, 2, 3, 4, 5].map(|number| tls_server(stage, number)).into();
    let plain = hanging_server();
    let servers: Vec<_> =
        (1..=6).map(|number| format!("  r{number}: https://127.0.1.{number}:8443\n")).collect();
    let servers = servers.concat();
    let trust = ("SSL_CERT_FILE".to_owned(), stage.root.join("ca.pem").display().to_string());
    let launch = Launch { env: vec![trust], ..Launch::default() };
    let began = Instant::now();
    let door =
        stage.open_with(launch, &format!("{QUICK}servers:\n{servers}streams:\n  {RADIO}:\n"));
    door.until_health("r1", "up", SLACK * 2);
    for number in 2..=6 {
        door.until_health(&format!("r{number}"), "down", three_looks(false) + SLACK);
    }
    let (down, asking) = (began.elapsed(), Instant::now());
    let watch = Watch::start(RADIO, OFTEN);
    pass(1.5);
    let record = watch.stop();
    record.assert_all_redirected();
    let good = record.sent_to("127.0.1.1:8443", asking);
    promise(good == record.len(), || {
        format!("{good} of {} are sent to the good one", record.len())
    });
    let plain = plain.load(Relaxed);
    promise(plain == 0, || format!("{plain} times something was asked in plain text"));
    format!(
        "five bad ones down {} after the start, {good} of {good} to the good one, 0 in plain text",
        s(down)
    )
}

fn openssl(stage: &Stage, words: &str) {
    succeed(Command::new("openssl").current_dir(&stage.root).args(words.split_whitespace()));
}

/// A certificate of our own authority for an address, made now or long ago.
fn certificate(stage: &Stage, number: u8, address: &str, made: Option<&str>) {
    openssl(
        stage,
        &format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
        -subj /CN={number} -addext subjectAltName=IP:{address} -keyout {number}.key -out {number}.csr"
        ),
    );
    let sign = format!(
        "x509 -req -in {number}.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
        -copy_extensions copy -days 30 -out {number}.pem"
    );
    match made {
        None => openssl(stage, &sign),
        Some(when) => succeed(
            Command::new("faketime")
                .current_dir(&stage.root)
                .arg(when)
                .arg("openssl")
                .args(sign.split_whitespace()),
        ),
    }
}

/// Serves the folder by TLS; the fifth speaks a version that nobody should.
fn tls_server(stage: &Stage, number: u8) -> Process {
    let mut command = Command::new("openssl");
    command.args(
        format!(
            "s_server -quiet -accept 127.0.1.{number}:8443 -cert {number}.pem \
        -key {number}.key -WWW"
        )
        .split_whitespace(),
    );
    if number == 5 {
        command.args(["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"]);
    }
    Process::start(&format!("tls-{number}"), command, &stage.root)
}

/// 127.0.1.6, which accepts and says nothing; counts those that did not begin a TLS handshake.
fn hanging_server() -> Arc<AtomicUsize> {
    let plain = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&plain);
    let listener = TcpListener::bind("127.0.1.6:8443").unwrap();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let counting = Arc::clone(&counting);
            thread::spawn(move || {
                let mut first = [0];
                if connection.read(&mut first).is_ok_and(|count| count > 0) && first[0] != 22 {
                    counting.fetch_add(1, Relaxed);
                }
                thread::sleep(Duration::from_secs(30));
            });
        }
    });
    plain
}
