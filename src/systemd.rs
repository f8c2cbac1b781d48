//! What the service manager is told, where there is one: ready, reloading, stopping, and alive.
//!
//! That it cannot be told is no reason to stop: without it all of this does nothing.

use std::io;

use sd_notify::NotifyState;
use tokio::runtime::Handle;
use tokio::time::interval;
use tracing::warn;

/// Players are served.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A signal was taken, and the configuration is being read; [`ready`] ends it. `systemctl reload`
/// waits for that, if the unit's type is `notify-reload`.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => complain(&error),
    }
}

/// No new players are served.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that the program is alive, twice within the unit's `WatchdogSec`, as long as both runtimes
/// still run what they are given: the one this is polled on, and that of `public`. Ends at once where
/// there is no watchdog.
pub async fn watchdog(public: Handle) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    // Never zero, whatever the variable says: an interval must not be.
    let mut beats = interval((patience / 2).max(std::time::Duration::from_millis(1)));
    loop {
        beats.tick().await;
        if public.spawn(async {}).await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        complain(&error);
    }
}

fn complain(error: &io::Error) {
    warn!(%error, "cannot tell systemd");
}
