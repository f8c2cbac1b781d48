//! The waiting room: players of a full stream, held until a slot frees or their patience ends.
//!
//! To most players a refusal is final, so a moment's wait is worth much. Whoever waits is served
//! first come, first served: as long as somebody waits for a stream, those who come later queue up
//! behind. A place costs a queue entry and the player's connection, no task and no thread. Nobody
//! here looks at relays: whoever finds slots free has the queue served.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::player::{Client, Refusal};

/// Those who wait for one stream.
#[derive(Debug, Default)]
pub struct Queue {
    /// How many wait, without a lock for those who only want to know whether anybody does.
    waiting: AtomicUsize,
    /// How many of them came by plain http.
    plain: AtomicUsize,
    /// How many wait for this stream or another.
    everybody: Arc<AtomicUsize>,
    tickets: Mutex<VecDeque<Ticket>>,
}

/// A place in a queue, as the one sees it who serves.
#[derive(Debug)]
struct Ticket {
    client: Client,
    call: oneshot::Sender<Call>,
}

/// What a player is told at last: where to go, its slot taken, or why there is none.
pub type Call = Result<Invitation, Refusal>;

/// Where a player goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The `Location` it is sent to.
    pub location: HeaderValue,
    /// The server that is there; `None` for a URL elsewhere.
    pub server: Option<Box<str>>,
}

/// A place in a queue, as the player sees it. Dropped, it is given up.
#[derive(Debug)]
pub struct Place {
    call: oneshot::Receiver<Call>,
    _counted: Counted,
}

/// Counts somebody who waits, until dropped.
#[derive(Debug)]
struct Counted {
    queue: Arc<Queue>,
    https: bool,
}

impl Queue {
    /// A queue whose guests also count among `everybody` who waits.
    pub fn among(everybody: Arc<AtomicUsize>) -> Self {
        Self { everybody, ..Self::default() }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Whether somebody waits whom `client` would overtake. Where those who came by https stay with
    /// it (`https_apart`), they wait for fewer relays, and nobody who came by plain http for them.
    pub fn is_before(&self, client: Client, https_apart: bool) -> bool {
        let counts = if https_apart && !client.https { &self.plain } else { &self.waiting };
        counts.load(Relaxed) > 0
    }

    /// Queues up. `None` if `most` wait already.
    pub fn enter(self: &Arc<Self>, client: Client, most: usize) -> Option<Place> {
        if self.waiting() >= most {
            return None;
        }
        let counted = Counted::new(Arc::clone(self), client.https);
        let (sender, call) = oneshot::channel();
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.push_back(Ticket { client, call: sender });
        Some(Place { call, _counted: counted })
    }

    /// Serves from the front until somebody cannot be served. `serve` decides for one player.
    ///
    /// Where not every relay takes everybody, those who wait for other relays are served all the
    /// same: `admission` is equal for players whom the same relays take, and `None` where all do.
    pub fn serve(
        &self,
        admission: impl Fn(Client) -> Option<u64>,
        mut serve: impl FnMut(Client) -> Call,
    ) {
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut in_vain: Vec<Option<u64>> = Vec::new();
        let mut wait_on = VecDeque::new();
        while let Some(ticket) = tickets.pop_front() {
            // Whoever has gone must not be given a slot.
            if ticket.call.is_closed() {
                continue;
            }
            let admission = admission(ticket.client);
            if in_vain.contains(&admission) {
                wait_on.push_back(ticket);
                continue;
            }
            match serve(ticket.client) {
                Err(Refusal::Full) if admission.is_none() => {
                    tickets.push_front(ticket);
                    return;
                }
                Err(Refusal::Full) => {
                    wait_on.push_back(ticket);
                    in_vain.push(admission);
                }
                // Who goes in this very moment leaves a slot promised, which runs out by itself.
                call => drop(ticket.call.send(call)),
            }
        }
        *tickets = wait_on;
    }
}

impl Place {
    /// Waits to be called, for so long; then the stream is still full.
    pub async fn called(mut self, patience: Duration) -> Call {
        match timeout(patience, &mut self.call).await {
            Ok(Ok(call)) => call,
            // Called in the very moment in which patience ended: the slot is taken all the same.
            Err(_) => self.call.try_recv().unwrap_or(Err(Refusal::Full)),
            // The stream has left the configuration.
            Ok(Err(_)) => Err(Refusal::Offline),
        }
    }
}

impl Counted {
    fn new(queue: Arc<Queue>, https: bool) -> Self {
        queue.waiting.fetch_add(1, Relaxed);
        queue.everybody.fetch_add(1, Relaxed);
        queue.plain.fetch_add(usize::from(!https), Relaxed);
        Self { queue, https }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.queue.waiting.fetch_sub(1, Relaxed);
        self.queue.everybody.fetch_sub(1, Relaxed);
        self.queue.plain.fetch_sub(usize::from(!self.https), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(text: &'static str) -> Invitation {
        Invitation { location: HeaderValue::from_static(text), server: None }
    }

    fn two(connections: u64) -> Client {
        Client { connections, ..Client::ANY }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_come_is_the_first_to_be_served() {
        let queue = Arc::new(Queue::default());
        let first = queue.enter(two(1), 9).unwrap();
        let second = queue.enter(two(2), 9).unwrap();
        let mut served = Vec::new();
        queue.serve(
            |_| None,
            |client| {
                served.push(client.connections);
                if served.len() == 1 { Ok(location("http://one/")) } else { Err(Refusal::Full) }
            },
        );
        assert_eq!(served, [1, 2]);
        assert_eq!(first.called(Duration::from_secs(8)).await, Ok(location("http://one/")));
        queue.serve(|_| None, |_| Ok(location("http://two/")));
        assert_eq!(second.called(Duration::from_secs(8)).await, Ok(location("http://two/")));
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn who_waits_for_one_stream_is_one_of_all_who_wait() {
        let everybody = Arc::new(AtomicUsize::new(0));
        let queues = [(); 2].map(|()| Arc::new(Queue::among(Arc::clone(&everybody))));
        let places = queues.each_ref().map(|queue| queue.enter(Client::ANY, 9).unwrap());
        assert_eq!((everybody.load(Relaxed), queues[0].waiting()), (2, 1));
        drop(places);
        assert_eq!((everybody.load(Relaxed), queues[0].waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_other_relays_is_served_past_those_who_wait_in_vain() {
        let queue = Arc::new(Queue::default());
        let places: Vec<_> =
            [1, 2, 1, 2].into_iter().map(|kind| queue.enter(two(kind), 9).unwrap()).collect();
        let mut asked = Vec::new();
        queue.serve(
            |client| Some(client.connections),
            |client| {
                asked.push(client.connections);
                if client.connections == 2 {
                    Ok(location("http://two/"))
                } else {
                    Err(Refusal::Full)
                }
            },
        );
        assert_eq!(asked, [1, 2, 2], "one in vain speaks for its like");
        assert_eq!(queue.waiting(), 4, "nobody has gone yet");
        let mut order = Vec::new();
        queue.serve(
            |client| Some(client.connections),
            |client| {
                order.push(client.connections);
                Ok(location("http://one/"))
            },
        );
        assert_eq!(order, [1, 1], "they kept their places");
        for (place, url) in places.into_iter().zip(["one", "two", "one", "two"]) {
            let invitation = place.called(Duration::from_secs(8)).await.unwrap();
            assert_eq!(invitation.location, format!("http://{url}/"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let queue = Arc::new(Queue::default());
        let place = queue.enter(Client::ANY, 9).unwrap();
        assert_eq!(place.called(Duration::from_secs(8)).await, Err(Refusal::Full));
    }

    #[test]
    fn who_has_gone_is_not_served() {
        let queue = Arc::new(Queue::default());
        drop(queue.enter(Client::ANY, 9));
        assert_eq!(queue.waiting(), 0);
        queue.serve(|_| None, |_| panic!("a slot for nobody"));
    }

    #[test]
    fn nobody_overtakes_those_who_wait_for_the_same() {
        let queue = Arc::new(Queue::default());
        let by = |https| Client { https, ..Client::ANY };
        let _by_https = queue.enter(by(true), 9).unwrap();
        assert!(queue.is_before(by(true), true));
        assert!(!queue.is_before(by(false), true));
        assert!(queue.is_before(by(false), false));
        let by_http = queue.enter(by(false), 9).unwrap();
        assert!(queue.is_before(by(false), true));
        drop(by_http);
        assert!(!queue.is_before(by(false), true));
    }

    #[test]
    fn the_room_is_bounded() {
        let queue = Arc::new(Queue::default());
        let _one = queue.enter(Client::ANY, 1).unwrap();
        assert!(queue.enter(Client::ANY, 1).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_goes_lets_its_players_go() {
        let queue = Arc::new(Queue::default());
        let place = queue.enter(Client::ANY, 9).unwrap();
        queue.serve(|_| None, |_| Err(Refusal::Offline));
        assert_eq!(place.called(Duration::from_secs(8)).await, Err(Refusal::Offline));
    }
}
