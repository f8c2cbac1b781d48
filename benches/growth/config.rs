//! What it takes to load a configuration and to put another one in force.

use std::hint::black_box;

use icecast_balancer::fleet::changes::Changes;
use icecast_balancer::state::{Snapshot, State};

use crate::curve::{Curve, Promise, millis};
use crate::world::{fleet, look, path, size, yaml};

const STATIONS: [(usize, usize); 4] = [(10, 12), (100, 12), (1_000, 12), (10_000, 12)];

/// Large configurations take long, and vary little.
const ROUNDS: usize = 5;

/// The curves.
pub(crate) fn curves() -> Vec<Curve> {
    let mut load = curve("loading a configuration, by streams × relays");
    let mut reload = curve("putting the next one in force, one stream being another");
    let mut compare = curve("telling what changed between two");
    for station in STATIONS {
        let streams = station.0;
        let text = yaml(station, "");
        load = load.at(size(station), streams, {
            let text = text.clone();
            move || millis(|| drop(black_box(fleet(&text))))
        });
        reload = reload.at(size(station), streams, {
            let state = State::new(Snapshot::first(fleet(&text), String::new()));
            (0..station.1).for_each(|id| look(&state, id));
            let (before, after) = (fleet(&text), fleet(&with_another(&text)));
            let mut turn = false;
            move || {
                millis(|| {
                    turn = !turn;
                    let next = if turn { &after } else { &before };
                    state.replace(next.clone(), String::new());
                    drop(state.sweep());
                })
            }
        });
        compare = compare.at(size(station), streams, {
            let (before, after) = (fleet(&text), fleet(&with_another(&text)));
            move || {
                millis(|| {
                    let changes = Changes::between(&before, &after);
                    assert_eq!(changes.streams.changed, [path(0)]);
                })
            }
        });
    }
    vec![load, reload, compare]
}

fn curve(title: &'static str) -> Curve {
    Curve::new(title, "ms", Promise::Power(1.1)).at_most(ROUNDS)
}

/// The same configuration, but for one stream.
fn with_another(text: &str) -> String {
    let stream = format!("{}:\n", path(0));
    text.replace(&stream, &format!("{} {{aliases: [/another]}}\n", stream.trim_end()))
}
