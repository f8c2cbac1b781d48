//! Reloads: does a request fail while the configuration is replaced, and what does it cost those who
//! ask meanwhile?

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Crowd, Manner};
use crate::cores;
use crate::figures::{Figures, Reload, Spread};
use crate::load::KEEP;
use crate::machine;
use crate::options::Options;
use crate::server::{Haproxy, MANY, Nginx, Ours};
use crate::station::{STREAMS, Station};
use crate::support::lab::Lab;

/// Requests in a second, on as many kept connections as ever.
const RATE: f64 = 10_000.0;

/// How long requests come during reloads, in parts between which it is quiet.
const PARTS: u32 = 5;
const PART: Duration = Duration::from_secs(3);

/// How often we reload, and how often the others do.
const OURS: Duration = Duration::from_millis(100);
const THEIRS: Duration = Duration::from_secs(1);

/// Streams of the configuration that is reloaded.
const ALL_STREAMS: usize = 1_000;

const IN_FORCE: &str = "icecast_balancer_config_reloads_total{result=\"ok\"}";

pub(crate) fn run(lab: &Lab, station: &Station, options: &Options, figures: &mut Figures) {
    figures.reloads.push(ours(lab, station, options));
    let nginx = Nginx::start(lab, MANY);
    let hangup = || nginx.server.signal(Signal::HUP);
    figures.reloads.push(theirs("nginx, `return 302`", nginx.plain, hangup));
    drop(nginx);
    let haproxy = Haproxy::start_with_master(lab, station);
    let reload = || haproxy.server.signal(Signal::USR2);
    figures.reloads.push(theirs("HAProxy, map", haproxy.map, reload));
    for reload in &figures.reloads {
        eprintln!("{reload:?}");
    }
}

fn manner() -> Manner {
    Manner { rate: Some(RATE), core: cores::OTHERS, ..KEEP.manner() }
}

fn ours(lab: &Lab, station: &Station, options: &Options) -> Reload {
    let config = station.config(ALL_STREAMS - STREAMS);
    let ours = Ours::start(lab, &options.balancer, &config, &[]);
    let threads = ours.server.threads("public");
    let cpu = || threads.iter().map(|thread| machine::thread_cpu(*thread)).sum::<Duration>();
    let crowd = Crowd::ask(ours.address, manner());
    crowd.wait_for(10_000);
    // Microseconds for each request within one part.
    let part = |act: &dyn Fn()| {
        let (answered, spent) = (crowd.answered(), cpu());
        act();
        let (answered, spent) = (crowd.answered() - answered, cpu().saturating_sub(spent));
        (answered, spent.as_secs_f64() * 1e6 / answered as f64)
    };
    let written = AtomicU32::new(0);
    let (mut requests, mut ratios) = (0, Vec::new());
    for _ in 0..PARTS {
        let (_, quiet) = part(&|| thread::sleep(PART));
        let (answered, reloading) = part(&|| {
            again_and_again(OURS, || {
                let change = written.fetch_add(1, Relaxed);
                // A stream comes with each change, and that of the change before goes.
                ours.configure(&format!("{config}  /change{change}.ogg:\n"));
                // Without being asked it would wait for a moment in which nobody writes.
                ours.reload();
            });
        });
        requests += answered;
        ratios.push(reloading / quiet);
    }
    let failed = crowd.tally().failed();
    drop(crowd);
    let in_force = ours.metric(IN_FORCE);
    let each_second = in_force / (PART * PARTS).as_secs_f64();
    Reload {
        who: "**icecast-balancer**",
        how: format!("{ALL_STREAMS} streams, {in_force} changes put in force"),
        requests,
        failed,
        each_second,
        cpu: Spread::of(ratios.into_iter()),
    }
}

fn theirs(who: &'static str, address: std::net::SocketAddr, reload: impl Fn() + Sync) -> Reload {
    let crowd = Crowd::ask(address, manner());
    crowd.wait_for(10_000);
    crowd.tally();
    let answered = crowd.answered();
    for _ in 0..PARTS {
        again_and_again(THEIRS, &reload);
    }
    let requests = crowd.answered() - answered;
    let failed = crowd.tally().failed();
    let how = format!("{STREAMS} streams, a reload each second");
    let each_second = 1.0 / THEIRS.as_secs_f64();
    Reload { who, how, requests, failed, each_second, cpu: None }
}

/// Acts so often for a part.
fn again_and_again(each: Duration, act: impl Fn() + Sync) {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut due = Instant::now();
            while !ended.load(Relaxed) {
                act();
                due += each;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        thread::sleep(PART);
        ended.store(true, Relaxed);
    });
}
