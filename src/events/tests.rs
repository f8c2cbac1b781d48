use std::time::Duration;

use super::*;
use crate::config::source::Sources;
use crate::fleet::compile::{Nothing, compile};
use crate::state::{Snapshot, State};
use crate::status::Overview;

fn state() -> Arc<State> {
    let text = "servers: {vienna: 'http://v:8000'}\nstreams: {/a: , /b: }\n";
    let fleet = compile(&Sources::new("balancer.yaml", text), &Nothing).unwrap();
    Arc::new(State::new(Snapshot::first(fleet, "first".to_owned())))
}

/// Something that happens, and is to be told.
fn happen(state: &State, what: u32) {
    state.note_reload(|reloads| reloads.refused = Some(format!("<{what}>")));
}

fn events(state: &Arc<State>) -> (Arc<Events>, CancellationToken) {
    let stopping = CancellationToken::new();
    let board = Arc::new(Board::new(Arc::clone(state)));
    let events = Arc::new(Events::new(board, stopping.clone()));
    let (running, stop) = (Arc::clone(&events), stopping.clone());
    tokio::spawn(async move { running.run(stop).await });
    (events, stopping)
}

async fn piece(telling: &mut Telling) -> String {
    let piece = telling.recv().await.expect("it goes on");
    String::from_utf8(piece.to_vec()).unwrap()
}

/// The number, and what the edition says of what happens last.
fn read(event: &str) -> (u64, &str, &str) {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    let happened = event.split("\"refused\":\"").nth(1).and_then(|text| text.split('"').next());
    (field("id: ").parse().unwrap(), field("event: "), happened.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn there_are_two_editions_a_second_at_most() {
    let state = state();
    let (events, _stopping) = events(&state);
    let mut telling = events.subscribe().unwrap();
    assert_eq!(piece(&mut telling).await, "retry: 3000\n\n");
    piece(&mut telling).await;
    let mut last = Instant::now();
    for what in 0..20 {
        happen(&state, what);
        let event = piece(&mut telling).await;
        assert_eq!(read(&event), (u64::from(what) + 2, "change", &*format!("<{what}>")));
        assert!(last.elapsed() >= PAUSE, "{:?}", last.elapsed());
        last = Instant::now();
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_happens_nothing_but_a_heartbeat_is_told() {
    let state = state();
    let (events, _stopping) = events(&state);
    let mut telling = events.subscribe().unwrap();
    piece(&mut telling).await;
    piece(&mut telling).await;
    for _ in 0..3 {
        assert_eq!(piece(&mut telling).await, ": nothing has changed\n\n");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_slow_misses_editions_and_is_told_the_newest() {
    let state = state();
    let (events, _stopping) = events(&state);
    let mut slow = events.subscribe().unwrap();
    assert_eq!(piece(&mut slow).await, "retry: 3000\n\n");
    let mut quick = events.subscribe().unwrap();
    piece(&mut quick).await;
    piece(&mut quick).await;
    for what in 0..50 {
        happen(&state, what);
        piece(&mut quick).await;
    }
    // One was on its way to it, and all others are one.
    assert_eq!(read(&piece(&mut slow).await), (1, "state", ""));
    assert_eq!(read(&piece(&mut slow).await), (51, "state", "<49>"));
    happen(&state, 50);
    assert_eq!(read(&piece(&mut slow).await), (52, "change", "<50>"));
}

#[tokio::test(start_paused = true)]
async fn while_nobody_listens_nothing_is_made_and_who_comes_is_told_what_is_so_now() {
    let state = state();
    let (events, _stopping) = events(&state);
    let mut first = events.subscribe().unwrap();
    piece(&mut first).await;
    piece(&mut first).await;
    drop(first);
    // Long enough for it to be noticed that nobody is there.
    sleep(Duration::from_secs(5)).await;
    assert!(events.newest.borrow().is_none());
    happen(&state, 7);
    let mut second = events.subscribe().unwrap();
    piece(&mut second).await;
    assert_eq!(read(&piece(&mut second).await), (2, "state", "<7>"));
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_told_and_nobody_is_told_anything_after_it() {
    let state = state();
    let (events, stopping) = events(&state);
    let mut telling = events.subscribe().unwrap();
    piece(&mut telling).await;
    piece(&mut telling).await;
    stopping.cancel();
    assert_eq!(piece(&mut telling).await, "event: end\ndata: {\"reason\":\"stopping\"}\n\n");
    assert_eq!(telling.recv().await, None);
    assert_eq!(events.subscribe().unwrap_err(), Unheard::Stopping);
}

#[tokio::test(start_paused = true)]
async fn so_many_are_told_and_no_more() {
    let state = state();
    let (events, _stopping) = events(&state);
    let mut telling: Vec<_> = (0..MOST).map(|_| events.subscribe().unwrap()).collect();
    assert_eq!(events.subscribe().unwrap_err(), Unheard::Full);
    telling.pop();
    // Who tells it learns that it has gone.
    sleep(Duration::from_secs(1)).await;
    assert!(events.subscribe().is_ok());
}

#[test]
fn that_time_goes_by_is_no_change() {
    let state = state();
    let at = |seconds| Arc::new(Overview::of(&state, Duration::from_secs(seconds)));
    let first = Edition::after(None, 0, at(100)).unwrap();
    assert!(Edition::after(Some(&first), 1, at(200)).is_none());
    happen(&state, 1);
    assert_eq!(Edition::after(Some(&first), 1, at(300)).unwrap().number, 2);
}
