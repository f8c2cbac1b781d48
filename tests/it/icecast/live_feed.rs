//! Icecast's `STATS` feed, as Icecast 2.4.4 wrote it and as nobody should ever write it.

use icecast_balancer::icecast::feed::{Event, Lines};
use proptest::prelude::*;

/// The feed of a relay with three mounts, from its head on: one listener joins, another, both
/// leave.
const RECORDED: &[u8] = include_bytes!("../../fixtures/icecast/stats-wire.bin");

#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Listeners(String, u64),
    MaxListeners(String, u64),
    Clients(u64),
}

fn told<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Told> {
    let mut lines = Lines::default();
    let mut told = Vec::new();
    for piece in pieces {
        lines.read(piece, |event| {
            told.push(match event {
                Event::Listeners { mount, listeners } => Told::Listeners(mount.into(), listeners),
                Event::MaxListeners { mount, most } => Told::MaxListeners(mount.into(), most),
                Event::Clients(clients) => Told::Clients(clients),
            });
        });
    }
    told
}

#[test]
fn a_recorded_feed_tells_of_every_listener_who_came_and_went() {
    let told = told([RECORDED]);
    let of_tv = told.iter().filter_map(|told| match told {
        Told::Listeners(mount, listeners) if mount == "/tv.ogv" => Some(*listeners),
        _ => None,
    });
    assert_eq!(of_tv.collect::<Vec<_>>(), [0, 1, 2, 1, 0]);
}

#[test]
fn a_recorded_feed_tells_of_limits_and_clients() {
    let told = told([RECORDED]);
    let clients = told.iter().filter(|told| matches!(told, Told::Clients(_)));
    assert_eq!(clients.cloned().collect::<Vec<_>>(), [2, 3, 4, 5, 4, 3].map(Told::Clients));
    let limits = told.iter().filter(|told| matches!(told, Told::MaxListeners(..)));
    assert_eq!(
        limits.cloned().collect::<Vec<_>>(),
        [Told::MaxListeners("/audio.ogg".into(), 5), Told::MaxListeners("/tv.ogv".into(), 3)]
    );
}

proptest! {
    #[test]
    fn wherever_the_feed_is_split_it_tells_the_same(
        sizes in prop::collection::vec(1_usize..60, 1..400),
    ) {
        let mut pieces = Vec::new();
        let mut rest = RECORDED;
        for size in sizes {
            let (piece, after) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert_eq!(told(pieces), told([RECORDED]));
    }

    #[test]
    fn no_bytes_make_it_panic(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
    ) {
        let _told = told(pieces.iter().map(Vec::as_slice));
    }

    #[test]
    fn no_words_make_it_panic_or_tell_of_what_is_not_there(words in prop::collection::vec(word(), 0..60)) {
        let text = words.concat();
        for told in told([text.as_bytes()]) {
            let (mount, number) = match told {
                Told::Listeners(mount, number) | Told::MaxListeners(mount, number) => (mount, number),
                Told::Clients(number) => ("global".to_owned(), number),
            };
            prop_assert!(text.contains(&mount) && text.contains(&number.to_string()));
        }
    }

    #[test]
    fn rubbish_costs_nothing_that_comes_after_it(
        rubbish in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let text = [&rubbish[..], b"\nEVENT /x listeners 7\n"].concat();
        let told = told(text.chunks(97));
        prop_assert_eq!(told.last(), Some(&Told::Listeners("/x".into(), 7)));
    }
}

/// What lines are made of, so that many of them are nearly good.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "EVENT ",
        "global ",
        "/x ",
        "/sp ace ",
        "listeners ",
        "max_listeners ",
        "clients ",
        "null",
        "12",
        "-3",
        "unlimited",
        "\n",
        " ",
        "\r",
        "title ",
    ];
    prop::sample::select(words.map(str::to_owned).to_vec())
}
