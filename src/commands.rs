//! What the program does beside serving: each command looks at something, says what it found, and
//! ends with an exit code that a script can act on.

mod admin;
mod check;
mod completions;
mod diff;
mod explain;
mod healthcheck;
mod probe;
mod progress;
mod schema;
mod simulate;
mod status;
mod table;

pub use check::check;
pub use completions::completions;
pub use diff::diff;
pub use explain::explain;
pub use healthcheck::healthcheck;
pub use probe::probe;
pub use schema::schema;
pub use simulate::simulate;
pub use status::status;

use tokio::runtime::Builder;

use crate::problem::Problems;

/// The exit code for a configuration, or a plan, that is bad.
pub const BAD_CONFIG: u8 = 2;

/// The exit code for what did not go well otherwise.
pub const FAILED: u8 = 1;

/// Does what waits for others.
fn wait_for<T>(work: impl Future<Output = T>) -> Result<T, String> {
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let done = runtime.block_on(work);
            // A name that is still being looked up must not hold up the end.
            runtime.shutdown_background();
            Ok(done)
        }
        Err(error) => Err(format!("the system gives no means to wait: {error}")),
    }
}

/// What a command ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What it found, for standard output.
    pub text: String,
    /// Why it found nothing, for standard error.
    pub complaint: String,
    /// The exit code.
    pub code: u8,
}

impl Done {
    /// It found this.
    fn told(text: String, code: u8) -> Self {
        Self { text, complaint: String::new(), code }
    }

    /// It cannot be done with what was given.
    fn refused(why: impl Into<String>) -> Self {
        Self {
            text: String::new(),
            complaint: format!("error: {}\n", why.into()),
            code: BAD_CONFIG,
        }
    }

    /// It was tried, and did not come about.
    fn failed(why: impl Into<String>) -> Self {
        Self { code: FAILED, ..Self::refused(why) }
    }

    /// Configurations are bad.
    fn bad(problems: impl IntoIterator<Item = Problems>, coloured: bool) -> Self {
        let all = problems.into_iter().map(|problems| problems.human(coloured) + "\n");
        let complaint = all.collect();
        Self { text: String::new(), complaint, code: BAD_CONFIG }
    }

    /// As JSON, for programs.
    fn json(value: &impl serde::Serialize, code: u8) -> Self {
        match serde_json::to_string_pretty(value) {
            Ok(text) => Self::told(text + "\n", code),
            Err(error) => Self::refused(format!("this cannot be told as JSON: {error}")),
        }
    }
}
