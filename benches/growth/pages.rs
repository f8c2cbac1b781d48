//! What operators and Prometheus are shown.

use std::rc::Rc;
use std::sync::Arc;

use icecast_balancer::metrics::{self, Mounts};
use icecast_balancer::server::Connections;
use icecast_balancer::state::State;
use icecast_balancer::status::page::{View, page};
use icecast_balancer::status::{Overview, Status, Wanted};

use crate::curve::{Curve, Promise, millis};
use crate::world::{size, state};

const STATIONS: [(usize, usize); 4] = [(10, 12), (1_500, 12), (10_000, 12), (10_000, 100)];

/// Each takes up to seconds, and varies little.
const ROUNDS: usize = 3;

const MEGABYTE: f64 = 1e6;

/// The curves.
pub(crate) fn curves() -> Vec<Curve> {
    let states = STATIONS.map(|station| (station, Rc::new(state(station))));
    let now = |state: &State| state.now();
    let connections = Arc::new(Connections::default());
    let scrape = move |state: &State| metrics::render(state, &connections, now(state), Mounts::Few);
    let json = move |state: &State, query: &str| {
        let told = Status::of(state, now(state), &Wanted::of(query)).unwrap();
        serde_json::to_vec(&told).unwrap()
    };
    let front = move |state: &State| page(&Overview::of(state, now(state)), &View::of(""));
    vec![
        pages(&states, "/metrics", "ms", Promise::Power(1.1), {
            let scrape = scrape.clone();
            move |state| millis(|| drop(scrape(state)))
        }),
        pages(&states, "the same, its size", "MB", Promise::Nothing, move |state| {
            scrape(state).len() as f64 / MEGABYTE
        }),
        pages(&states, "/api/v1/status", "ms", Promise::Power(1.1), move |state| {
            millis(|| drop(json(state, "")))
        }),
        pages(&states, "the same, its size", "MB", Promise::Nothing, move |state| {
            json(state, "").len() as f64 / MEGABYTE
        }),
        pages(
            &states,
            "/api/v1/status?mounts=all, its size",
            "MB",
            Promise::Nothing,
            move |state| json(state, "mounts=all").len() as f64 / MEGABYTE,
        ),
        pages(&states, "what events are made of", "ms", Promise::Power(1.1), move |state| {
            millis(|| drop(Overview::of(state, now(state))))
        }),
        pages(&states, "the status page", "ms", Promise::Power(1.1), move |state| {
            millis(|| drop(front(state)))
        }),
        pages(&states, "the same, its size", "MB", Promise::Nothing, move |state| {
            front(state).len() as f64 / MEGABYTE
        }),
    ]
}

fn pages(
    states: &[((usize, usize), Rc<State>)],
    title: &'static str,
    unit: &'static str,
    promise: Promise,
    measure: impl Fn(&State) -> f64 + Clone + 'static,
) -> Curve {
    let mut curve = Curve::new(title, unit, promise).at_most(ROUNDS);
    for (station, state) in states {
        let (state, measure) = (Rc::clone(state), measure.clone());
        curve = curve.at(size(*station), station.0 * station.1, move || measure(&state));
    }
    curve
}
