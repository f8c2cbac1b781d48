//! Three replicas on one engine, of which one serves: another is killed, the others are replaced one after
//! the other, or this one is cut off from the engine.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::balancer::Balancer;
use crate::options::Options;
use crate::station::{STREAM, Station, config};
use crate::support::engine::{Engine, Wire};
use crate::support::lab::Lab;
use crate::support::process::eventually;

use super::{Fault, Finding};

const ENGINE_UP: &str = "icecast_balancer_cluster_engine_up";
const MEMBERS: &str = "icecast_balancer_cluster_members";

/// How many others there are.
const OTHERS: usize = 2;

/// A share of it lasts for less than half a minute, so that slots are lent all the time, but never runs out.
const SLOTS: u64 = 11_000;

/// What becomes of the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Killed,
    Replaced,
    CutOff,
}

pub(super) struct Replicas {
    balancer: Balancer,
    others: Others,
    wire: Wire,
    how: How,
    /// In how many rounds it happened in time, and in how many not.
    seen: usize,
    unseen: usize,
    engine: Engine,
    _station: Station,
}

impl Replicas {
    pub(super) fn prepare(how: How, lab: &Lab, options: &Options) -> Self {
        let (station, engine) = (Station::start(8, Some(SLOTS)), Engine::start(lab));
        let wire = engine.wire();
        let with = |engine: &str| {
            let cluster = format!("cluster: {{replicas: {}, engine: '{engine}'}}\n", OTHERS + 1);
            config(&cluster, &station.urls(), &[STREAM])
        };
        let others = Others::start(options, with(&engine.url()));
        let balancer = Balancer::start(lab, options, &with(&wire.url()), &[]);
        let replicas =
            Self { balancer, others, wire, how, seen: 0, unseen: 0, engine, _station: station };
        replicas.wait_until_all_have_met();
        replicas
    }

    fn wait_until_all_have_met(&self) {
        eventually("all replicas have met", Duration::from_secs(20), || {
            let all = (OTHERS + 1) as f64;
            let up = self.balancer.metric(ENGINE_UP) > 0.5;
            (up && (self.balancer.metric(MEMBERS) - all).abs() < 0.5).then_some(())
        });
    }

    fn on_loan(&self) -> f64 {
        let of =
            |what| self.balancer.metric(&format!("icecast_balancer_cluster_slots_{what}_total"));
        of("lent") + of("borrowed")
    }
}

impl Fault for Replicas {
    fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    fn processes(&self) -> Vec<u32> {
        let mut processes = self.others.processes.lock().expect("nobody panicked").clone();
        processes.extend([self.balancer.id(), self.engine.id()]);
        processes
    }

    fn begin(&mut self) {
        match self.how {
            How::Killed => {
                self.others.order(Order::Kill);
                self.others.wait();
            }
            How::Replaced => self.others.order(Order::Replace),
            How::CutOff => self.wire.set_cut(true),
        }
    }

    fn end(&mut self) {
        let has_happened = match self.how {
            How::Killed => self.balancer.metric(MEMBERS) < 2.5,
            How::Replaced => {
                self.others.done.try_recv().is_ok() || {
                    self.others.wait();
                    false
                }
            }
            How::CutOff => self.balancer.metric(ENGINE_UP) < 0.5,
        };
        *(if has_happened { &mut self.seen } else { &mut self.unseen }) += 1;
        match self.how {
            How::Killed => {
                self.others.order(Order::Start);
                self.others.wait();
            }
            How::Replaced => {}
            How::CutOff => self.wire.set_cut(false),
        }
        self.wait_until_all_have_met();
    }

    fn findings(&self) -> Vec<Finding> {
        let Self { seen, unseen, .. } = self;
        let what = match self.how {
            How::Killed => "the other was known to be gone",
            How::Replaced => "both others were replaced",
            How::CutOff => "the engine was known to be out of reach",
        };
        let happened = format!("{what} in {seen} rounds, and not in {unseen}");
        let on_loan = self.on_loan();
        vec![
            Finding { text: happened, good: *seen > 0 && *unseen == 0 },
            Finding { text: format!("it lent or borrowed {on_loan} slots"), good: on_loan > 0.0 },
        ]
    }
}

enum Order {
    Kill,
    Start,
    Replace,
}

/// The other replicas, on a thread that stays: the kernel ends them with it.
struct Others {
    orders: Sender<Order>,
    done: Receiver<()>,
    processes: Arc<Mutex<Vec<u32>>>,
}

impl Others {
    fn start(options: &Options, config: String) -> Self {
        let (orders, receives) = channel();
        let (tells, done) = channel();
        let processes = Arc::<Mutex<Vec<u32>>>::default();
        let (known, options) = (Arc::clone(&processes), options.clone());
        thread::spawn(move || {
            let lab = Lab::new();
            let mut others = Vec::new();
            let start = |others: &mut Vec<Balancer>| {
                others.push(Balancer::start(&lab, &options, &config, &[]));
                let ids = others.iter().map(Balancer::id).collect();
                *known.lock().expect("nobody panicked") = ids;
            };
            (0..OTHERS).for_each(|_| start(&mut others));
            // It ends when nobody waits for it any more.
            while tells.send(()).is_ok() {
                match receives.recv() {
                    Err(_) => return,
                    Ok(Order::Kill) => drop(others.pop()),
                    Ok(Order::Start) => start(&mut others),
                    Ok(Order::Replace) => {
                        for _ in 0..OTHERS {
                            others.remove(0).stop();
                            start(&mut others);
                        }
                    }
                }
            }
        });
        let others = Self { orders, done, processes };
        others.wait();
        others
    }

    fn order(&self, order: Order) {
        self.orders.send(order).expect("the thread lives");
    }

    fn wait(&self) {
        self.done.recv().expect("the thread lives");
    }
}
