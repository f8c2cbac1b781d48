//! Coming from something else, as docs/migration.md says: what stands there is tried with the real thing,
//! before and after.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::process::{Program, eventually};
use crate::support::proxy::{Proxy, documented_in};
use crate::support::source::{Source, Stream};
use crate::support::web::{self, Answer};

const PAGE: &str = "docs/migration.md";

/// The tables as Django made them for the models of 2010, of which nobody else knows.
const TABLES: &str = r#"
CREATE TABLE "icecast_balancer_stream" ("id" integer NOT NULL PRIMARY KEY,
    "published" datetime NOT NULL, "modified" datetime NOT NULL, "name" varchar(128) NOT NULL);
CREATE TABLE "icecast_balancer_server" ("id" integer NOT NULL PRIMARY KEY,
    "published" datetime NOT NULL, "modified" datetime NOT NULL,
    "hostname" varchar(512) NOT NULL, "port" integer NOT NULL, "country" varchar(4));
CREATE TABLE "icecast_balancer_mount" ("id" integer NOT NULL PRIMARY KEY,
    "published" datetime NOT NULL, "modified" datetime NOT NULL,
    "stream_id" integer NOT NULL REFERENCES "icecast_balancer_stream" ("id"),
    "server_id" integer NOT NULL REFERENCES "icecast_balancer_server" ("id"),
    "name" varchar(512) NOT NULL, "slots" integer NOT NULL);
"#;

/// A database of 2010, and what the page's recipe makes of it.
struct Django<'a> {
    lab: &'a Lab,
    rows: Vec<String>,
}

impl<'a> Django<'a> {
    fn new(lab: &'a Lab) -> Self {
        Self { lab, rows: vec![TABLES.to_owned()] }
    }

    /// A row of a model, with what is beside its number and the two times that each has.
    fn row(&mut self, model: &str, id: &str, rest: &str) {
        self.rows.push(format!(
            "INSERT INTO icecast_balancer_{model} VALUES ({id}, '2010-04-01', '2010-04-01', {rest});"
        ));
    }

    fn server(mut self, id: u32, hostname: &str, port: u16, country: Option<&str>) -> Self {
        let country = country.map_or("NULL".to_owned(), quoted);
        self.row("server", &id.to_string(), &format!("'{hostname}', {port}, {country}"));
        self
    }

    /// A stream, with its mounts as servers and names.
    fn stream(mut self, id: u32, name: &str, mounts: &[(u32, &str)]) -> Self {
        self.row("stream", &id.to_string(), &quoted(name));
        for (server, mount) in mounts {
            self.row("mount", "NULL", &format!("{id}, {server}, {}, 7", quoted(mount)));
        }
        self
    }

    fn written(&self) -> String {
        let folder = self.lab.folder("django", "root");
        sqlite(&folder, &[], &self.rows.join("\n"));
        let [recipe] = &documented_in(PAGE, "sql")[..] else { panic!("one recipe") };
        sqlite(&folder, &["-readonly"], recipe)
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn sqlite(folder: &Path, options: &[&str], script: &str) -> String {
    fs::write(folder.join("script.sql"), script).unwrap();
    let (code, printed) = Program::new("sqlite3", "sqlite3")
        .args(options)
        .args(["-bail", "django.db"])
        .input(File::open(folder.join("script.sql")).unwrap())
        .run(folder);
    assert_eq!(code, Some(0), "{printed}");
    printed
}

#[test]
fn the_three_tables_of_2010_become_the_file_that_the_page_shows() {
    let lab = Lab::new();
    let written = Django::new(&lab)
        .server(1, "stream1.example.org", 8000, Some("AT"))
        .server(2, "stream2.example.org", 8000, Some("DE"))
        .stream(1, "fm4-hq.ogg", &[(2, "relay/fm4-hq.ogg"), (1, "fm4-hq.ogg")])
        .stream(2, "nowhere.ogg", &[])
        .written();
    let shown = documented_in(PAGE, "yaml");
    assert!(shown.contains(&written), "{written}");
}

#[test]
fn odd_names_of_2010_become_a_file_that_is_valid() {
    let lab = Lab::new();
    let written = Django::new(&lab)
        .server(1, "a.example.org", 8000, None)
        .server(2, "a.example.org", 8010, Some(""))
        .server(3, "unused.example.org", 8000, Some("AT"))
        .stream(1, "it's 100%.ogg", &[(1, "it's 100%.ogg"), (2, "x/y.ogg")])
        .stream(2, "fm4/hq.mp3", &[(2, "hq.mp3")])
        .written();
    let folder = lab.folder("check", "root");
    fs::write(folder.join("balancer.yaml"), &written).unwrap();
    let (code, printed) = Program::balancer().args(["check"]).run(&folder);
    assert_eq!(code, Some(0), "{printed}\n{written}");
    let unused = "server \"unused.example.org:8000\" is used by no stream";
    assert!(printed.contains("valid") && printed.contains(unused), "{printed}");
    assert!(written.contains("/it''s%20100%25.ogg"), "{written}");
}

#[test]
fn players_with_an_address_of_2010_are_sent_to_relays_of_2010() {
    let lab = Lab::new();
    let relays = ["vienna", "berlin"].map(|name| {
        Setup::new(&lab, name).stylesheets(&["load.xsl"]).max_listeners("/fm4.mp3", 90)
    });
    let relays = relays.map(Setup::start);
    let _sources =
        relays.each_ref().map(|relay| Source::start_at(&lab, relay, Stream::Mp3, "/fm4.mp3"));
    let [vienna, berlin] = relays.each_ref().map(Icecast::port);
    let written = Django::new(&lab)
        .server(1, "127.0.0.1", vienna, None)
        .server(2, "127.0.0.1", berlin, None)
        .stream(1, "fm4.mp3", &[(1, "fm4.mp3"), (2, "fm4.mp3")])
        .written();
    let balancer = Balancer::start(&lab, &written);
    let sent: BTreeSet<String> =
        (0..8).map(|_| location(&balancer.ask("/icecast_balancer/fm4.mp3/?token=a"))).collect();
    let expected = relays.iter().map(|relay| format!("{}/fm4.mp3?token=a", relay.url())).collect();
    assert_eq!(sent, expected);
}

/// Three relays, the way they are before and after.
struct Haproxy {
    lab: Lab,
    relays: [Icecast; 3],
    _sources: [Source; 3],
}

const SAAL1: &str = "/saal1.mp3";

impl Haproxy {
    fn start() -> Self {
        let lab = Lab::new();
        let relays = ["vienna", "berlin", "frankfurt"].map(|name| Setup::new(&lab, name).start());
        let sources =
            relays.each_ref().map(|relay| Source::start_at(&lab, relay, Stream::Mp3, SAAL1));
        Self { lab, relays, _sources: sources }
    }

    /// What the page shows, for these relays.
    fn here(&self, shown: &str) -> String {
        let names = ["vienna", "berlin", "frankfurt"];
        names.iter().zip(&self.relays).fold(shown.to_owned(), |text, (name, relay)| {
            let there = format!("{name}.example.org:8000");
            assert!(text.contains(&there), "{there} in:\n{text}");
            text.replace(&there, &format!("127.0.0.1:{}", relay.port()))
        })
    }

    /// HAProxy as it was.
    fn before(&self) -> String {
        self.here(&documented_in(PAGE, "haproxy")[0])
    }

    /// The balancer as it is afterwards.
    fn after(&self) -> Balancer {
        let shown = documented_in(PAGE, "yaml").into_iter().find(|yaml| yaml.contains("/*:"));
        // The harness says where it listens.
        let shown = shown.expect("the file of the page").replace("listen: \"[::]:80\"\n", "");
        Balancer::start(&self.lab, &self.here(&shown))
    }

    fn urls(&self, relays: std::ops::Range<usize>, target: &str) -> BTreeSet<String> {
        self.relays[relays].iter().map(|relay| format!("{}{target}", relay.url())).collect()
    }
}

#[test]
fn what_haproxy_redirected_the_balancer_redirects_with_more_knowledge() {
    let mut station = Haproxy::start();
    let haproxy = Proxy::haproxy_alone(&station.lab, &station.before());
    let balancer = station.after();
    let target = format!("{SAAL1}?token=a%20b");
    let first_two = station.urls(0..2, &target);
    for answer in [ask(&haproxy, &target), balancer.ask(&target)] {
        assert!(first_two.contains(&location(&answer)), "{answer:?}");
    }
    // The same relay again, for one address.
    let again = location(&balancer.ask(&target));
    assert!((0..5).all(|_| location(&balancer.ask(&target)) == again));

    // What HAProxy cannot say, and what it cannot know.
    let cors = "Access-Control-Allow-Origin";
    assert_eq!(ask(&haproxy, SAAL1).header(cors), None);
    assert_eq!(balancer.ask(SAAL1).header(cors), Some("*"));
    assert_eq!(ask(&haproxy, "/nowhere.mp3").status, 302);
    assert_eq!(balancer.ask("/nowhere.mp3").status, 503);

    // The one that is kept for need.
    station.relays[0].kill();
    station.relays[1].kill();
    let spare = station.urls(2..3, SAAL1);
    for (who, ask) in [
        ("HAProxy", &(|| ask(&haproxy, SAAL1)) as &dyn Fn() -> Answer),
        ("the balancer", &|| balancer.ask(SAAL1)),
    ] {
        let what = format!("{who} sends players to the backup");
        eventually(&what, Duration::from_secs(30), || {
            let answer = ask();
            (answer.status == 302 && spare.contains(&location(&answer))).then_some(())
        });
    }
}

#[test]
fn one_stream_after_the_other_goes_from_haproxy_to_the_balancer() {
    let station = Haproxy::start();
    let balancer = station.after();
    let before = station.before();
    let (_, relays) = before.split_once("\nbackend relays").expect("the relays");
    let step = documented_in(PAGE, "haproxy").swap_remove(1);
    let both = format!("{step}\nbackend relays{relays}")
        .replace("127.0.0.1:8000", &format!("127.0.0.1:{}", balancer.port()));
    let haproxy = Proxy::haproxy_alone(&station.lab, &both);
    let cors = "Access-Control-Allow-Origin";
    let moved = ask(&haproxy, SAAL1);
    assert_eq!((moved.status, moved.header(cors)), (302, Some("*")));
    assert!(station.urls(0..2, SAAL1).contains(&location(&moved)));
    let left = ask(&haproxy, "/saal2.mp3");
    assert_eq!((left.status, left.header(cors)), (302, None));
}

fn ask(haproxy: &Proxy, target: &str) -> Answer {
    web::get(&haproxy.url("http", target)).expect("HAProxy answers")
}

fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 302);
    answer.header("Location").expect("where to").to_owned()
}
