//! Work that may take its time, beside that which may not.

use std::thread;

use rustix::process::setpriority_process;
use rustix::thread::gettid;
use tokio::sync::oneshot;
use tracing::debug;

/// How nice the thread is to all others: it gets a tenth of a processor that others want as well,
/// and is made to wait as soon as one of them has something to do.
const NICE: i32 = 10;

/// Does it on a thread of its own, which gives way to those that answer players; `None` if that
/// panicked, or if there can be no more threads.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new().name("reload".to_owned()).spawn(move || {
        give_way();
        // Nobody waits any more if the program is about to end.
        drop(tell.send(work()));
    });
    if let Err(error) = thread {
        debug!(%error, "there can be no more threads");
        return None;
    }
    told.await.ok()
}

/// Linux has a priority for each thread where POSIX has one for all of a process: setpriority(2).
fn give_way() {
    if let Err(error) = setpriority_process(Some(gettid()), NICE) {
        debug!(%error, "a reload has the priority of everything else");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[tokio::test]
    async fn what_is_done_aside_gives_way_and_nothing_else_does() {
        let here = getpriority_process(Some(gettid())).unwrap();
        let there = aside(|| getpriority_process(Some(gettid())).unwrap()).await;
        assert_eq!(there, Some(NICE.max(here)));
        assert_eq!(getpriority_process(Some(gettid())).unwrap(), here);
    }

    #[tokio::test]
    async fn what_panics_aside_is_none() {
        assert_eq!(aside(|| -> u8 { panic!("on purpose") }).await, None);
    }
}
