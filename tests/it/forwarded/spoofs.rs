//! What anybody may write into a request, and that it changes nothing.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use icecast_balancer::forwarded::{Origin, Peer, origin};
use icecast_balancer::network::Networks;

use super::{Lab, PROXY, STRANGER, TIMES, get, get_for};

/// What it is called, the lines that are sent, from where they are taken to be, and whether by
/// https. Empty: from the socket's own address.
type Vector = (&'static str, Vec<u8>, &'static str, bool);

/// The address that the proxy was asked from, and what it therefore appends.
const CLIENT: &str = "198.51.100.7";

/// What the tests trust besides [`PROXY`].
const TRUSTED: [&str; 4] = ["127.0.0.1", "10.0.0.0/8", "2001:db8:f::/48", "fe80::/10"];

fn list(of: &str, times: usize) -> String {
    vec![of; times].join(",")
}

/// From an address that nobody trusts.
fn of_strangers() -> Vec<Vector> {
    let lines = |lines: &str| lines.as_bytes().to_vec();
    let many = format!("X-Forwarded-For: {}\r\n", list("9.9.9.9", 1_000));
    let many_lines = "X-Forwarded-For: 9.9.9.9\r\n".repeat(40);
    let mut vectors = vec![
        ("one address", lines("X-Forwarded-For: 9.9.9.9\r\n")),
        ("two lines", lines("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8\r\n")),
        ("40 lines", lines(&many_lines)),
        ("1,000 entries", lines(&many)),
        ("a trusted address", lines("X-Forwarded-For: 127.0.0.1\r\n")),
        ("another trusted address", lines("X-Forwarded-For: 9.9.9.9, 10.0.0.1\r\n")),
        ("IPv6", lines("X-Forwarded-For: 2001:db8::9\r\n")),
        ("an address with a port", lines("X-Forwarded-For: 9.9.9.9:80\r\n")),
        ("names in capitals", lines("X-FORWARDED-FOR: 9.9.9.9\r\n")),
        ("an underscore", lines("X_Forwarded_For: 9.9.9.9\r\n")),
        ("X-Real-IP", lines("X-Real-IP: 9.9.9.9\r\n")),
        ("X-Client-IP", lines("X-Client-IP: 9.9.9.9\r\nClient-IP: 9.9.9.9\r\n")),
        ("names of CDNs", lines("CF-Connecting-IP: 9.9.9.9\r\nTrue-Client-IP: 9.9.9.9\r\n")),
        ("Forwarded", lines("Forwarded: for=9.9.9.9;proto=https;by=127.0.0.1\r\n")),
        ("Via", lines("Via: 1.1 proxy.example\r\nX-Forwarded-For: 9.9.9.9\r\n")),
        ("https", lines("X-Forwarded-Proto: https\r\n")),
        ("https twice", lines("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n")),
        ("other words for https", lines("X-Forwarded-Ssl: on\r\nFront-End-Https: on\r\n")),
        ("other names of the scheme", lines("X-Scheme: https\r\nX-Url-Scheme: https\r\n")),
        ("a host", lines("X-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 443\r\n")),
    ];
    vectors.drain(..).map(|(name, lines)| (name, lines, "", false)).collect()
}

/// From the proxy, which appended the address that it was asked from to what was there.
fn through_the_proxy() -> Vec<Vector> {
    let entry = |entry: &str, from| (format!("X-Forwarded-For: {entry}\r\n").into_bytes(), from);
    let many = list("9.9.9.9", 999);
    let many = format!("{many}, {CLIENT}");
    let two_lines = format!("X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: {CLIENT}\r\n");
    let two_lines_of_proxies =
        format!("X-Forwarded-For: 9.9.9.9, {CLIENT}, 10.0.0.2\r\nX-Forwarded-For: 10.0.0.3\r\n");
    let bytes = [b"X-Forwarded-For: ", CLIENT.as_bytes(), b", \xff\xfe\r\n"].concat();
    let long = format!("{CLIENT}, {}", "x".repeat(8_000));
    // The first of 40 trusted ones is beyond the reach of any real chain.
    let chain: Vec<_> = (1..=40).map(|number| format!("10.0.1.{number}")).collect();
    let chain = chain.join(", ");
    let vectors = [
        ("the client alone", entry(CLIENT, CLIENT)),
        ("a forged one before", entry("9.9.9.9, 198.51.100.7", CLIENT)),
        ("a forged line before", (two_lines.into(), CLIENT)),
        ("a forged trusted one before", entry("127.0.0.1, 198.51.100.7", CLIENT)),
        ("999 forged ones before", entry(&many, CLIENT)),
        ("garbage before", entry("unknown, <script>, 198.51.100.7", CLIENT)),
        ("nothing before", entry(", ,198.51.100.7", CLIENT)),
        ("the client with its port", entry("9.9.9.9:1, 198.51.100.7:4711", CLIENT)),
        ("the client in tabs", entry("9.9.9.9\t,\t 198.51.100.7 \t", CLIENT)),
        ("the client mapped to IPv6", entry("9.9.9.9, ::ffff:198.51.100.7", CLIENT)),
        ("the client mapped to IPv6 with its port", entry("[::ffff:198.51.100.7]:1", CLIENT)),
        ("IPv6", entry("9.9.9.9, 2001:db8::7", "2001:db8::7")),
        ("IPv6 in brackets", entry("9.9.9.9, [2001:db8::7]", "2001:db8::7")),
        ("IPv6 with a port", entry("9.9.9.9, [2001:db8::7]:443", "2001:db8::7")),
        ("IPv6 in capitals", entry("2001:DB8:0:0:0:0:0:7", "2001:db8::7")),
        ("two more proxies", entry("9.9.9.9, 198.51.100.7, 10.0.0.2, 10.0.0.3", CLIENT)),
        ("two more proxies in two lines", (two_lines_of_proxies.into(), CLIENT)),
        ("a proxy by IPv6 and a port", entry("198.51.100.7, [2001:db8:f::1]:80", CLIENT)),
        ("a client of our own network", entry("10.0.0.9, 10.0.0.2", "10.0.0.9")),
        ("more proxies than there are", entry(&chain, "10.0.1.9")),
        ("nobody knows", entry("9.9.9.9, unknown", "")),
        ("a proxy does not know", entry("9.9.9.9, unknown, 10.0.0.2", "10.0.0.2")),
        ("no header", (Vec::new(), "")),
        ("an empty header", entry("", "")),
        ("an empty last entry", entry("9.9.9.9,", "")),
        ("an empty last line", (b"X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For:\r\n".into(), "")),
        ("an address in quotes", entry("\"198.51.100.7\"", "")),
        ("the form of Forwarded", entry("for=198.51.100.7", "")),
        ("two addresses in one entry", entry("9.9.9.9 198.51.100.7", "")),
        ("leading zeros", entry("198.051.100.007", "")),
        ("an address as one number", entry("3325256711", "")),
        ("an address in hexadecimal", entry("0xc6.0x33.0x64.0x7", "")),
        ("an address cut short", entry("198.51.100", "")),
        ("a port that is none", entry("198.51.100.7:99999", "")),
        ("an empty port", entry("198.51.100.7:", "")),
        ("IPv4 in brackets", entry("[198.51.100.7]", "")),
        ("half a bracket", entry("[2001:db8::7", "")),
        ("a zone", entry("9.9.9.9, fe80::1%1", "")),
        ("a zone with a port", entry("9.9.9.9, [fe80::1%1]:80", "")),
        ("a network", entry("198.51.100.0/24", "")),
        ("a name", entry("localhost", "")),
        ("8,000 bytes of garbage", entry(&long, "")),
        ("bytes that are no text", (bytes, "")),
        ("Forwarded", (b"Forwarded: for=9.9.9.9;proto=https\r\n".into(), "")),
        ("X-Real-IP", (b"X-Real-IP: 9.9.9.9\r\n".into(), "")),
    ];
    vectors.into_iter().map(|(name, (lines, from))| (name, lines, from, false)).collect()
}

/// From the proxy, which says how it was asked.
fn schemes() -> Vec<Vector> {
    let lines = |values: &[&str]| {
        let lines = values.iter().map(|value| format!("X-Forwarded-Proto: {value}\r\n"));
        lines.collect::<Vec<_>>().concat().into_bytes()
    };
    vec![
        ("by https", lines(&["https"]), "", true),
        ("by HTTPS", lines(&[" HTTPS "]), "", true),
        ("by http", lines(&["http"]), "", false),
        ("the last word is https", lines(&["http, https"]), "", true),
        ("the last word is http", lines(&["https, http"]), "", false),
        ("the last line is http", lines(&["https", "http"]), "", false),
        ("the last line is https", lines(&["http", "https"]), "", true),
        ("an unknown word", lines(&["https, wss"]), "", false),
        ("an empty last word", lines(&["https,"]), "", false),
        ("a URL", lines(&["https://"]), "", false),
        ("two words", lines(&["https https"]), "", false),
        ("words before", lines(&["\"https\""]), "", false),
    ]
}

fn headers(lines: &[u8]) -> HeaderMap {
    let lines = lines.split(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\r"));
    lines
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap();
            let name = HeaderName::from_bytes(&line[..colon]).unwrap();
            (name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).unwrap())
        })
        .collect()
}

fn trusted() -> Networks {
    TRUSTED.iter().map(|network| network.parse().unwrap()).collect()
}

fn from_socket(address: std::net::IpAddr) -> Peer {
    Peer::of_socket(SocketAddr::new(address, 4711))
}

/// Where each vector is not taken to be from where it should be.
fn mistaken(peer: Peer, vectors: &[Vector]) -> Vec<String> {
    let wrong = vectors.iter().filter_map(|(name, lines, from, https)| {
        let address = from.parse().unwrap_or(peer.address.ip());
        let found = origin(peer, &headers(lines), &trusted());
        (found != Origin { address, https: *https }).then(|| format!("{name}: {found:?}"))
    });
    wrong.collect()
}

#[test]
fn nothing_that_a_stranger_writes_makes_it_somebody_else() {
    let vectors = [of_strangers(), through_the_proxy(), schemes()].concat();
    let ours: Vec<_> =
        vectors.into_iter().map(|(name, lines, ..)| (name, lines, "", false)).collect();
    assert_eq!(mistaken(from_socket(STRANGER), &ours), [""; 0]);
    // So it is for one whose address the trusted proxy could not tell.
    let unnamed = Peer { speaks_for_itself: false, ..from_socket(PROXY) };
    assert_eq!(mistaken(unnamed, &ours), [""; 0]);
    assert!(ours.len() >= 70, "{}", ours.len());
}

#[test]
fn through_a_trusted_proxy_the_rightmost_address_that_is_not_trusted_asks() {
    let vectors = [through_the_proxy(), schemes()].concat();
    assert_eq!(mistaken(from_socket(PROXY), &vectors), [""; 0]);
    let mapped = from_socket("::ffff:127.0.0.1".parse().unwrap());
    assert_eq!(mistaken(mapped, &vectors), [""; 0]);
}

/// What these tables are worth: to believe everybody, as many do, would be noticed.
#[test]
fn to_believe_everybody_fails_most_vectors() {
    let everybody: Networks =
        ["0.0.0.0/0", "::/0"].iter().map(|network| network.parse().unwrap()).collect();
    let believed = |vectors: Vec<Vector>, peer: Peer| {
        let count = vectors.len();
        let wrong = vectors.into_iter().filter(|(_, lines, from, https)| {
            let address = from.parse().unwrap_or(peer.address.ip());
            origin(peer, &headers(lines), &everybody) != Origin { address, https: *https }
        });
        (wrong.count(), count)
    };
    let (wrong, count) = believed(of_strangers(), from_socket(STRANGER));
    assert!(wrong * 2 >= count, "{wrong} of {count}");
    let (wrong, _) = believed(through_the_proxy(), from_socket(PROXY));
    assert!(wrong >= 12, "{wrong}");
}

#[tokio::test]
async fn a_running_balancer_takes_nobody_for_somebody_else() {
    let lab =
        Lab::start("trusted_proxies: [127.0.0.1, 10.0.0.0/8, '2001:db8:f::/48', 'fe80::/10']")
            .await;
    let mut wrong = Vec::new();
    for (name, lines, ..) in [of_strangers(), through_the_proxy(), schemes()].concat() {
        let plain = (STRANGER, |player: &str| get(player, b""));
        let forged = (STRANGER, |player: &str| get(player, &lines));
        let known = lab.sent_elsewhere(plain, forged, name).await;
        let location = lab.ask(STRANGER, &get(name, &lines)).await.location().to_owned();
        if known != TIMES || !location.starts_with("http:") {
            wrong.push(format!("a stranger, {name}: {known}, {location}"));
        }
    }
    for (name, lines, from, https) in [through_the_proxy(), schemes()].concat() {
        let from = if from.is_empty() { "unknown" } else { from };
        let forged = (PROXY, |player: &str| get(player, &lines));
        let known = lab.sent_elsewhere((PROXY, get_for(from)), forged, name).await;
        let location = lab.ask(PROXY, &get(name, &lines)).await.location().to_owned();
        if known != TIMES || location.starts_with("https:") != https {
            wrong.push(format!("the proxy, {name}: {known}, {location}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn nobody_is_believed_unless_the_configuration_says_so() {
    let lab = Lab::start("").await;
    let forged = (PROXY, get_for("9.9.9.9"));
    let plain = (PROXY, |player: &str| get(player, b""));
    assert_eq!(lab.sent_elsewhere(plain, forged, "x").await, TIMES);
    let answer = lab.ask(PROXY, &get("x", b"X-Forwarded-Proto: https\r\n")).await;
    assert!(answer.location().starts_with("http:"), "{answer:?}");
}

/// What the tests above are worth: players of different addresses are not taken for one.
#[tokio::test]
async fn players_behind_one_proxy_are_told_apart() {
    let lab = Lab::start("trusted_proxies: [127.0.0.1]").await;
    let mut elsewhere = 0;
    for round in 0..8 {
        let pair = ((PROXY, get_for("9.9.9.9")), (PROXY, get_for("8.8.8.8")));
        elsewhere += lab.sent_elsewhere(pair.0, pair.1, &round.to_string()).await;
    }
    // By chance half of 64.
    assert!((8..=56).contains(&elsewhere), "{elsewhere} of {}", 8 * TIMES);
}

#[tokio::test]
async fn a_reload_changes_who_is_believed() {
    let lab = Lab::start("trusted_proxies: []").await;
    let asked = async || {
        let answer = lab.ask(PROXY, &get("x", b"X-Forwarded-Proto: https\r\n")).await;
        answer.location().split(':').next().unwrap().to_owned()
    };
    assert_eq!(asked().await, "http");
    let file = std::fs::read_to_string(lab.balancer.config()).unwrap();
    let file = file.replace("trusted_proxies: []", "trusted_proxies: [127.0.0.1]");
    std::fs::write(lab.balancer.config(), file).unwrap();
    lab.balancer.reload.reload().await.unwrap();
    assert_eq!(asked().await, "https");
}
