//! A stream loses its source and gets it back: who hears the fallback, and who returns by what.

use std::time::{Duration, Instant};

use crate::support::balancer::Balancer;
use crate::support::icecast::{Icecast, Setup};
use crate::support::lab::Lab;
use crate::support::listener::{Listener, Outcome};
use crate::support::process::eventually;
use crate::support::source::{Source, Stream};

const RADIO: &str = "/radio.mp3";
const PAUSE: &str = "/pause.mp3";

/// Slots of the stream.
const SLOTS: u32 = 6;

#[test]
fn newcomers_get_the_fallback_while_there_is_no_source_and_the_stream_from_then_on() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").max_listeners(RADIO, SLOTS).start();
    let _pause = Source::start_at(&lab, &vienna, Stream::Mp3, PAUSE);
    let radio = Source::start(&lab, &vienna, Stream::Mp3);
    let balancer = balancer(&lab, &vienna);
    wait_until_sent_to(&balancer, &vienna, RADIO);

    drop(radio);
    vienna.wait_until_gone(RADIO);
    let sent = wait_until_sent_to(&balancer, &vienna, PAUSE);
    eprintln!("newcomers are sent to the fallback {sent:?} after the source is gone");
    let meanwhile = listener(&lab, &balancer, "meanwhile");
    assert_eq!(names(&vienna, PAUSE), ["meanwhile"]);

    let _radio = Source::start(&lab, &vienna, Stream::Mp3);
    let sent = wait_until_sent_to(&balancer, &vienna, RADIO);
    eprintln!("newcomers are sent to the stream {sent:?} after it is back");
    let _after = listener(&lab, &balancer, "after");
    assert_eq!(names(&vienna, RADIO), ["after"]);
    assert_eq!(names(&vienna, PAUSE), ["meanwhile"], "who was sent to the fallback stays there");
    drop(meanwhile);
}

/// With `<fallback-mount>` and `<fallback-override>` on the relay nobody has to connect anew, not
/// even those whom the balancer sent to the fallback.
#[test]
fn icecast_itself_takes_listeners_to_its_fallback_and_brings_all_of_them_back() {
    let lab = Lab::new();
    let vienna = Setup::new(&lab, "vienna").falls_back(RADIO, SLOTS, PAUSE).start();
    let _pause = Source::start_at(&lab, &vienna, Stream::Mp3, PAUSE);
    let radio = Source::start(&lab, &vienna, Stream::Mp3);
    let balancer = balancer(&lab, &vienna);
    wait_until_sent_to(&balancer, &vienna, RADIO);
    let mut all: Vec<Listener> =
        (1..=3).map(|n| listener(&lab, &balancer, &format!("early-{n}"))).collect();
    assert_eq!(names(&vienna, RADIO), ["early-1", "early-2", "early-3"]);

    drop(radio);
    vienna.wait_until_gone(RADIO);
    wait_for_presence(&balancer, "idle");
    // Icecast lists the mount as long as it has a fallback for it, and plays that to who asks.
    all.push(listener(&lab, &balancer, "late"));
    assert_eq!(balancer.head(RADIO).header("Location"), Some(&*format!("{}{RADIO}", vienna.url())));
    let everybody = ["early-1", "early-2", "early-3", "late"];
    eventually("all hear the fallback", Duration::from_secs(20), || {
        (names(&vienna, PAUSE) == everybody).then_some(())
    });
    wait_until_counted(&balancer, PAUSE, 4.0);
    assert_eq!(counted(&balancer, RADIO), Some(0.0), "nobody is counted where they asked");

    let radio = Source::start(&lab, &vienna, Stream::Mp3);
    eventually("all are back", Duration::from_secs(20), || {
        (names(&vienna, RADIO) == everybody).then_some(())
    });
    wait_until_counted(&balancer, RADIO, 4.0);
    wait_until_counted(&balancer, PAUSE, 0.0);
    let before: Vec<u64> = all.iter().map(Listener::heard).collect();
    eventually("all of them hear on", Duration::from_secs(20), || {
        let hear_on = all.iter().zip(&before).all(|(one, before)| one.heard() > before + 32_000);
        hear_on.then_some(())
    });

    // Two of six slots are left, and no more than two players get in.
    eventually("the moved listeners have their slots", Duration::from_secs(20), || {
        let labels = ["stream=\"/radio.mp3\"", "server=\"vienna\""];
        (balancer.metric("mount_free_slots", &labels) == Some(2.0)).then_some(())
    });
    all.extend((1..=2).map(|n| listener(&lab, &balancer, &format!("after-{n}"))));
    assert_eq!(balancer.ask(RADIO).status, 503);
    assert_eq!(vienna.listeners(RADIO), 6);

    // Whoever listens to the fallback is brought along, as far as there are slots.
    drop(radio);
    let direct = format!("{}{PAUSE}", vienna.url());
    all.push(Listener::start(&lab, "direct", &direct));
    eventually("seven hear the fallback", Duration::from_secs(20), || {
        (vienna.listeners(PAUSE) == 7).then_some(())
    });
    let _radio = Source::start(&lab, &vienna, Stream::Mp3);
    eventually("one of the seven is left over", Duration::from_secs(20), || {
        (all.iter_mut().filter_map(Listener::ended).count() == 1).then_some(())
    });
    wait_until_counted(&balancer, RADIO, 6.0);
    assert_eq!(balancer.ask(RADIO).status, 503);
}

fn balancer(lab: &Lab, vienna: &Icecast) -> Balancer {
    let url = vienna.url();
    let config = format!(
        "balance: {{headroom: 0}}
servers: {{vienna: '{url}'}}
streams:
  {RADIO}: {{fallback: {PAUSE}}}
  {PAUSE}:
"
    );
    Balancer::start(lab, &config)
}

/// A listener that plays.
fn listener(lab: &Lab, balancer: &Balancer, name: &str) -> Listener {
    let mut listener = Listener::start(lab, name, &balancer.url(RADIO));
    assert!(matches!(listener.outcome(), Outcome::Plays(_)), "{name} plays");
    listener
}

/// Waits until the balancer sends whoever asks for the stream to `mount`. It asks by `HEAD`, which
/// takes no slot.
fn wait_until_sent_to(balancer: &Balancer, relay: &Icecast, mount: &str) -> Duration {
    let began = Instant::now();
    let expected = format!("{}{mount}", relay.url());
    eventually(&format!("players are sent to {mount}"), Duration::from_secs(20), || {
        let answer = balancer.head(RADIO);
        (answer.header("Location") == Some(&*expected)).then(|| began.elapsed())
    })
}

/// Waits until the balancer shows the stream's one mount so.
fn wait_for_presence(balancer: &Balancer, presence: &str) {
    eventually(&format!("the mount is shown {presence}"), Duration::from_secs(20), || {
        (balancer.mount(RADIO, "vienna")["presence"] == presence).then_some(())
    });
}

fn counted(balancer: &Balancer, mount: &str) -> Option<f64> {
    let labels = [&*format!("stream=\"{mount}\""), "server=\"vienna\""];
    balancer.metric("mount_listeners", &labels)
}

fn wait_until_counted(balancer: &Balancer, mount: &str, listeners: f64) {
    let what = format!("{listeners} listeners are counted on {mount}");
    eventually(&what, Duration::from_secs(20), || {
        (counted(balancer, mount) == Some(listeners)).then_some(())
    });
}

/// Who listens to a mount, in the order of their names.
fn names(relay: &Icecast, mount: &str) -> Vec<String> {
    let mut names: Vec<_> = relay.listening(mount).into_iter().map(|one| one.agent).collect();
    names.sort();
    names
}
