//! The same odd requests to us, to nginx and to HAProxy, and what each of them makes of them.
//!
//! `docs/edge-vectors.md` is written by this test: `UPDATE_DOCS=1 cargo test --test e2e beside`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::lab::{Lab, free_port};
use crate::support::process::{Process, Program, eventually};

use super::vectors::vectors;
use super::{REQUEST, answer, start};

/// Requests that one of them refuses and we do not, and why that is right.
const MILDER: &[(&str, &str)] = &[
    ("our path at another host", "RFC 9112 wants absolute targets accepted; the path alone counts"),
    ("our path at another host by https", "as above"),
    ("OPTIONS *", "answered 204 as any OPTIONS; it leads nowhere"),
];

const DOCUMENT: &str = "docs/edge-vectors.md";

struct Door {
    name: &'static str,
    version: String,
    port: u16,
    _process: Option<Process>,
}

/// The status, or `closed` where the connection ends without one.
fn status(answer: &str) -> String {
    let code = answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    code.filter(|code| code.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or("closed").into()
}

/// Whether a request gets anywhere.
fn is_accepted(status: &str) -> bool {
    status.starts_with('2') || status.starts_with('3')
}

fn nginx(lab: &Lab) -> Door {
    let (folder, port) = (lab.folder("nginx", "root"), free_port());
    let config = format!(
        "daemon off; pid {0}/pid; error_log stderr;\nevents {{}}\nhttp {{\n access_log off;\n \
         client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0};\n \
         uwsgi_temp_path {0}; scgi_temp_path {0};\n server {{\n  listen 127.0.0.1:{port};\n  \
         location = /saal1.ogg {{ return 302 http://relay.example/saal1.ogg$is_args$args; }}\n  \
         location / {{ return 404; }}\n }}\n}}\n",
        folder.display()
    );
    fs::write(folder.join("nginx.conf"), config).unwrap();
    let process = Program::new("nginx", "nginx-light")
        .args(["-c", folder.join("nginx.conf").to_str().unwrap(), "-e", "stderr"])
        .start(&folder);
    let (_, said) = Program::new("nginx", "nginx-light").words("-v").run(&lab.folder("v", "root"));
    let version = said.trim().rsplit('/').next().unwrap_or_default().to_owned();
    Door { name: "nginx", version, port, _process: Some(process) }
}

fn haproxy(lab: &Lab) -> Door {
    let (folder, port) = (lab.folder("haproxy", "root"), free_port());
    let config = format!(
        "defaults\n mode http\n timeout client 2s\n timeout connect 2s\n timeout server 2s\n \
         timeout http-request 2s\nfrontend players\n bind 127.0.0.1:{port}\n http-request redirect \
         code 302 location http://relay.example/saal1.ogg if {{ path /saal1.ogg }}\n \
         http-request return status 404\n"
    );
    fs::write(folder.join("haproxy.cfg"), config).unwrap();
    let process = Program::new("haproxy", "haproxy")
        .args(["-db", "-f", folder.join("haproxy.cfg").to_str().unwrap()])
        .start(&folder);
    let (_, said) = Program::new("haproxy", "haproxy").words("-v").run(&lab.folder("v", "root"));
    let version = said.split_whitespace().nth(2).unwrap_or_default();
    let version = version.split('-').next().unwrap_or_default().to_owned();
    Door { name: "HAProxy", version, port, _process: Some(process) }
}

#[test]
fn it_is_as_strict_as_the_stricter_of_nginx_and_haproxy() {
    let lab = Lab::new();
    let (_relay, balancer) = start(&lab, "");
    let ours = Door {
        name: "ours",
        version: env!("CARGO_PKG_VERSION").to_owned(),
        port: balancer.port(),
        _process: None,
    };
    let doors = [ours, nginx(&lab), haproxy(&lab)];
    for door in &doors {
        eventually(&format!("{} redirects", door.name), Duration::from_secs(20), || {
            answer(door.port, REQUEST).contains(" 302 ").then_some(())
        });
    }
    let (mut rows, mut milder, mut excused) = (String::new(), Vec::new(), 0);
    for (name, bytes, expected, _) in vectors() {
        let [we, nginx, haproxy] = doors.each_ref().map(|door| status(&answer(door.port, &bytes)));
        assert_eq!(we, expected.to_string(), "{name}");
        let refused = !is_accepted(&nginx) || !is_accepted(&haproxy);
        let reason = MILDER.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
        let note = match (refused && is_accepted(&we), reason) {
            (true, Some(reason)) => {
                excused += 1;
                reason
            }
            (true, None) => {
                milder.push(format!("{name}: {we}; nginx {nginx}, HAProxy {haproxy}"));
                ""
            }
            (false, _) => "",
        };
        writeln!(rows, "| {name} | {we} | {nginx} | {haproxy} | {note} |").unwrap();
    }
    assert!(milder.is_empty(), "stricter than we are: {milder:#?}");
    assert_eq!(excused, MILDER.len(), "an excuse that nobody needs");
    let [ours, nginx, haproxy] = doors;
    eprintln!("beside nginx {} and HAProxy {}", nginx.version, haproxy.version);
    hold_document(&rows, &ours, &nginx, &haproxy);
}

/// The names and our own answers in the document must be those of today; what the others answer is
/// theirs to change.
fn hold_document(rows: &str, ours: &Door, nginx: &Door, haproxy: &Door) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!(
            "# Odd requests\n\n\
             What the public port answers to requests that no player means, beside nginx {} and \
             HAProxy {}, each set up to redirect\n`/saal1.ogg` and to answer 404 for anything else. \
             `closed` is an end without an answer. The public port gives each of these\nanswers \
             every time, and in whatever pieces a request comes.\n\n\
             This page is written by a test, which also holds that the public port refuses what one \
             of the others refuses; the last column says\nwhere it does not, and why: \
             `UPDATE_DOCS=1 cargo test --test e2e beside`.\n\n\
             | request | {} | {} | {} | why milder |\n| --- | --- | --- | --- | --- |\n{rows}",
            nginx.version, haproxy.version, ours.name, nginx.name, haproxy.name
        );
        fs::write(&path, text).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    let own = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| line.starts_with("| "));
        rows.map(|row| row.split('|').take(3).collect::<Vec<_>>().join("|")).collect()
    };
    // The first two rows are the head of the table and that of the list of exceptions or versions.
    let recorded = own(&text).into_iter().skip(2).collect::<Vec<_>>();
    assert_eq!(recorded, own(rows), "{DOCUMENT} is out of date: set UPDATE_DOCS=1 to write it");
}
