//! What operators look at, made aside: on a thread of its own, one piece at a time.
//!
//! With the largest configurations a look at everything takes a good part of a second, and polls
//! share their only thread with operators. So nothing is worked out there, and an overview that
//! took long to make is given to everybody who asks soon after.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::state::State;

use super::Overview;

/// Makes what operators look at.
#[derive(Debug)]
pub struct Board {
    state: Arc<State>,
    /// Held while something is made.
    last: Mutex<Option<Made>>,
}

/// An overview, and what it took to make.
#[derive(Debug)]
struct Made {
    overview: Arc<Overview>,
    ended: Instant,
    took: Duration,
}

/// A fault of this program, which the log tells of.
#[derive(Debug)]
pub struct Broken;

/// An overview serves for so many times as long as it took to make: at most a tenth of the time goes
/// into that, whoever asks.
const SERVES: u32 = 9;

impl Board {
    /// A board of what is known in `state`.
    pub fn new(state: Arc<State>) -> Self {
        Self { state, last: Mutex::default() }
    }

    /// The overview as of now, or of a moment ago.
    pub async fn overview(&self) -> Result<Arc<Overview>, Broken> {
        let mut last = self.last.lock().await;
        if let Some(made) = &*last
            && made.ended.elapsed() < made.took.saturating_mul(SERVES)
        {
            return Ok(Arc::clone(&made.overview));
        }
        let state = Arc::clone(&self.state);
        let made = aside(move || {
            let began = Instant::now();
            let overview = Arc::new(Overview::of(&state, state.now()));
            Made { overview, ended: Instant::now(), took: began.elapsed() }
        });
        let made = made.await?;
        let overview = Arc::clone(&made.overview);
        *last = Some(made);
        Ok(overview)
    }

    /// Has something else made of what is known, while nothing else is.
    pub async fn make<T: Send + 'static>(
        &self,
        make: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Broken> {
        let _turn = self.last.lock().await;
        let state = Arc::clone(&self.state);
        aside(move || make(&state)).await
    }
}

/// What a panic says may quote what was being worked on, so nobody prints it.
async fn aside<T: Send + 'static>(make: impl FnOnce() -> T + Send + 'static) -> Result<T, Broken> {
    spawn_blocking(make).await.map_err(|_panicked| Broken)
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault of this program; the log tells where")
    }
}

impl std::error::Error for Broken {}
