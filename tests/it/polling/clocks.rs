//! What the balancer makes of a clock that jumps, and of having been stopped itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::stub::Stub;
use super::{STREAM, relay};
use crate::life::program::{Program, command};
use crate::relay::Relay;
use crate::support::{PORTS, eventually, servers};

/// Where Debian's package `faketime` puts the library that changes a program's time of day.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Looks that are given up soon, so that a stop of the program always meets some under way.
const POLL: &str = "poll: {interval: 200ms, fast_interval: 200ms, timeout: 400ms, fall: 1}\n";

fn configuration(folder: &Path, servers: &str) -> PathBuf {
    let file = folder.join("balancer.yaml");
    fs::write(&file, format!("{PORTS}{POLL}{servers}{STREAM}")).unwrap();
    file
}

async fn health(program: &Program) -> Vec<String> {
    let status: Value =
        serde_json::from_str(&program.admin_get("/api/v1/status").await.body).expect("JSON");
    let servers = status["servers"].as_array().expect("servers");
    servers.iter().map(|server| server["health"].as_str().unwrap().to_owned()).collect()
}

async fn until_all_polled(relays: &[Relay], times: u64) {
    let before: Vec<_> = relays.iter().map(Relay::polls).collect();
    eventually("every relay is looked at again", async || {
        relays.iter().zip(&before).all(|(relay, before)| relay.polls() >= before + times)
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_jumps_changes_nothing() {
    assert!(
        Path::new(FAKETIME).exists(),
        "libfaketime is not installed: run `apt-get install --no-install-recommends faketime`"
    );
    let relays = [relay(100), relay(100), relay(100)];
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &servers(&[&relays[0], &relays[1], &relays[2]]));
    let time = folder.path().join("time");
    fs::write(&time, "+0").unwrap();
    let mut command = command(&["--config", file.to_str().unwrap()]);
    command
        .env("LD_PRELOAD", FAKETIME)
        .env("FAKETIME_TIMESTAMP_FILE", &time)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let program = Program::spawn(command).await;
    until_all_polled(&relays, 2).await;
    eventually("all are up", async || health(&program).await == ["up"; 3]).await;
    let lines = program.log().lines().count();
    let age = async || {
        let metrics = program.admin_get("/metrics").await.body;
        let series = "icecast_balancer_server_last_success_timestamp_seconds{server=\"r0\"} ";
        let told = metrics.lines().find_map(|line| line.strip_prefix(series)?.parse::<f64>().ok());
        told.expect("a time")
    };
    let now = age().await;
    for (jump, seconds) in [
        ("+1h", 3_600.0),
        ("-1h", -3_600.0),
        ("+3650d", 315_360_000.0),
        ("-3650d", -315_360_000.0),
        ("+0", 0.0),
    ] {
        fs::write(&time, jump).unwrap();
        until_all_polled(&relays, 3).await;
        eventually("its time of day has jumped", async || {
            (age().await - now - seconds).abs() < 600.0
        })
        .await;
        assert_eq!(health(&program).await, ["up"; 3], "{jump}");
        for _ in 0..10 {
            assert_eq!(program.get("/saal1.ogg").await.status, 302, "{jump}");
        }
    }
    assert_eq!(program.log().lines().count(), lines, "nothing to tell: {}", program.log());
}

#[tokio::test]
async fn while_it_is_stopped_itself_no_relay_goes_down() {
    // They take their time, so that every stop meets looks under way.
    let think = Duration::from_millis(150);
    let relays =
        [Stub::thinking(think).await, Stub::thinking(think).await, Stub::thinking(think).await];
    let urls: Vec<_> =
        relays.iter().enumerate().map(|(n, relay)| format!("r{n}: '{}'", relay.url())).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = configuration(folder.path(), &format!("servers: {{{}}}\n", urls.join(", ")));
    let program = Program::start(&file, &[]).await;
    let until_asked = async |times: usize| {
        let before: Vec<_> = relays.iter().map(Stub::asked).collect();
        eventually("every relay is asked again", async || {
            relays.iter().zip(&before).all(|(relay, before)| relay.asked() >= before + times)
        })
        .await;
    };
    until_asked(3).await;
    for seconds in [2, 2, 2, 8] {
        program.signal("STOP");
        sleep(Duration::from_secs(seconds)).await;
        program.signal("CONT");
        until_asked(3).await;
        assert_eq!(program.get("/saal1.ogg").await.status, 302);
    }
    assert!(!program.log().contains("now=\"down\""), "{}", program.log());
    eventually("all are up", async || health(&program).await == ["up"; 3]).await;
}
