//! Relays that one address family reaches, one of each, and players of both families.

use std::time::Duration;

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::player::{Player, Playing};
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};
use crate::support::web;

const PLAYERS: [Player; 3] = [Player::Mpv, Player::Ffmpeg, Player::Curl];

#[test]
fn players_are_sent_to_relays_that_their_address_family_reaches() {
    let lab = Lab::new();
    let master = Setup::new(&lab, "master").start();
    let _source = Source::start(&lab, &master, Stream::Mp3);
    let mount = Stream::Mp3.mount();
    let by_4 = Setup::new(&lab, "by-4").pulls(master.port(), mount).start();
    let by_6 = Setup::new(&lab, "by-6").host("::1").pulls(master.port(), mount).start();
    let server = |relay: &Icecast, ip| format!("{{url: '{}', ip: {ip}}}", relay.url());
    let (by_4_only, by_6_only) = (server(&by_4, 4), server(&by_6, 6));
    let both = format!("servers: {{by-4: {by_4_only}, by-6: {by_6_only}}}\nstreams: {{{mount}: }}");
    let balancer = Balancer::start_dual_stack(&lab, &both);

    let mut playing: Vec<Playing> = Vec::new();
    for player in PLAYERS {
        for (family, host) in [("4", "127.0.0.1"), ("6", "[::1]")] {
            let url = format!("http://{host}:{}{mount}", balancer.port());
            playing.push(player.play(&lab, &format!("{player:?}-by-{family}"), &url));
        }
    }
    for (name, relay) in [("by-4", &by_4), ("by-6", &by_6)] {
        eventually(&format!("{name} has one of each player"), Duration::from_secs(40), || {
            let agents: Vec<_> = relay.listening(mount).into_iter().map(|one| one.agent).collect();
            let of = |agent: &str| agents.iter().filter(|known| known.contains(agent)).count();
            PLAYERS.iter().all(|player| of(player.agent()) == 1).then_some(())
        });
        let labels = [&*format!("stream=\"{mount}\""), &*format!("server=\"{name}\"")];
        assert!(balancer.metric("redirects_total", &labels) >= Some(3.0), "{name}");
    }
    for player in &mut playing {
        player.still_plays();
    }

    balancer.edit(&format!("servers: {{by-6: {by_6_only}}}\nstreams: {{{mount}: }}"));
    let told = |host: &str| web::get(&format!("http://{host}:{}{mount}", balancer.port())).unwrap();
    eventually("IPv4 is refused", Duration::from_secs(10), || {
        (told("127.0.0.1").status == 503).then_some(())
    });
    assert_eq!(
        told("127.0.0.1").body,
        format!(
            "unreachable: the relays of {mount} are reached by IPv6 only, and you came by IPv4\n"
        )
    );
    assert_eq!(told("[::1]").status, 302);
}
