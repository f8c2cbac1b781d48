//! The demo's own relay is no Icecast, but what it plays is a stream to real players.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::lab::{Lab, free_port};
use crate::support::player::Player;
use crate::support::process::{Process, Program, eventually};
use crate::support::web;

const TONE: &str = "/saal1.ogg";

#[test]
fn the_tone_of_the_demo_decodes_without_a_word_from_ffmpeg() {
    let lab = Lab::new();
    let (_relay, balancer) = demo(&lab);

    let said = Program::new("ffmpeg", "ffmpeg")
        .words("-nostdin -v warning -xerror -err_detect explode -i")
        .args([balancer.url(TONE)])
        .words("-t 3 -f null -")
        .run(&lab.folder("ffmpeg", "nobody"));

    assert_eq!(said, (Some(0), String::new()));
}

#[test]
fn a_browser_plays_the_tone_of_the_demo() {
    let lab = Lab::new();
    let (_relay, balancer) = demo(&lab);

    let chromium = Player::Chromium.play(&lab, "chromium", &balancer.url(TONE));

    chromium.prints("played 2");
}

/// The relay of the examples, with the balancer before it.
fn demo(lab: &Lab) -> (Process, Balancer) {
    let address = format!("127.0.0.1:{}", free_port());
    let relay = Program::example("relay")
        .args(["--listen", &address, "--mount", TONE])
        .start(&lab.folder("relay", "nobody"));
    eventually("the demo relay answers", Duration::from_secs(10), || {
        web::get(&format!("http://{address}/slots.xsl")).ok()
    });
    let config = format!("servers:\n  demo: http://{address}\nstreams:\n  {TONE}:\n");
    (relay, Balancer::start(lab, &config))
}
