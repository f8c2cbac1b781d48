//! The series of a pattern: what the streams that were found under it come to. They have none of
//! their own, since relays chose their names.

use crate::fleet::Stream;
use crate::fleet::WhenFull;
use crate::fleet::patterns::Pattern;
use crate::select::{Sum, Trust, sums};
use crate::slots::Moment;
use crate::state::Snapshot;

use super::{Sheet, flag};

impl Sheet {
    /// Players sent for the streams of a pattern, those included that are forgotten; nothing of
    /// another stream.
    pub(super) fn redirects_by_pattern(&self, snapshot: &Snapshot, stream: &Stream) {
        let Some(pattern) = snapshot.fleet.pattern_of(stream) else { return };
        for (server, sent, overflows) in snapshot.sent(pattern) {
            let labels = [("stream", &*stream.path), ("server", &*server.name)];
            self.counter("redirects_total", &labels, sent);
            if stream.when_full == WhenFull::Overflow {
                self.counter("overflow_total", &labels, overflows);
            }
        }
    }

    /// Everything else of a pattern with this entry. Returns whether nothing is known for certain of
    /// those who could take a listener.
    pub(super) fn pattern(
        &self,
        snapshot: &Snapshot,
        entry: &Stream,
        pattern: &Pattern,
        now: Moment,
    ) -> bool {
        let sums = sums(snapshot, pattern, now);
        for sum in &sums {
            self.sum(snapshot, &entry.path, sum);
        }
        let best = sums.iter().filter_map(|sum| sum.best).min();
        let stream = ("stream", &*entry.path);
        self.gauge("stream_up", &[stream], flag(best.is_some()));
        if let Some(free) = sums.iter().map(|sum| sum.free).sum::<Option<u64>>() {
            self.gauge("stream_free_slots", &[stream], free as f64);
        }
        if let Some(listeners) =
            sums.iter().filter_map(|sum| sum.listeners).reduce(u64::saturating_add)
        {
            self.gauge("stream_listeners", &[stream], listeners as f64);
        }
        if let WhenFull::Wait(_) = entry.when_full {
            let queues = pattern.streams().filter_map(|id| snapshot.queue(id));
            let waiting: usize = queues.map(|queue| queue.waiting()).sum();
            self.gauge("stream_waiting", &[stream], waiting as f64);
        }
        self.gauge("pattern_streams", &[stream], pattern.streams().len() as f64);
        let left_out = if pattern.is_full() { snapshot.left_out(pattern) } else { 0 };
        self.gauge("pattern_left_out_mounts", &[stream], left_out as f64);
        best == Some(Trust::Guess)
    }

    fn sum(&self, snapshot: &Snapshot, stream: &str, sum: &Sum) {
        let Some(server) = snapshot.fleet.servers.get(sum.server) else { return };
        let labels = [("stream", stream), ("server", &*server.name)];
        self.gauge("mount_up", &labels, flag(sum.up));
        self.gauge("mount_reserved_slots", &labels, sum.reserved as f64);
        for (name, value) in [
            ("mount_listeners", sum.listeners),
            ("mount_max_listeners", sum.limit),
            ("mount_free_slots", sum.free),
        ] {
            if let Some(value) = value {
                self.gauge(name, &labels, value as f64);
            }
        }
    }
}
