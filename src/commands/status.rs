//! `status`: the status page of a running balancer, for a terminal.

mod page;
mod view;
mod watch;

use std::io::{self, IsTerminal as _};

use crate::cli::Status;

use super::admin::AdminPort;
use super::{Done, wait_for};

use page::Page;
use view::View;

/// Where a balancer tells its status.
const PATH: &str = "/api/v1/status";

/// Prints the status once; with `--watch` again and again until it is interrupted.
pub fn status(arguments: &Status, coloured: bool) -> Done {
    let shown = wait_for(async {
        let admin = AdminPort::at(&arguments.admin.admin)?;
        // Asked once before anything is drawn: a wrong address is told as by any other command.
        let first = look(&admin).await?;
        if !arguments.watch {
            return Ok(Page { view: &first, coloured, is_still: false }.to_string());
        }
        watch::until_interrupted(&admin, first, io::stdout().is_terminal(), coloured)
            .await
            .map(|()| String::new())
            .map_err(|error| format!("cannot write: {error}"))
    });
    match shown {
        Ok(Ok(text)) => Done::told(text, 0),
        Ok(Err(why)) | Err(why) => Done::failed(why),
    }
}

async fn look(admin: &AdminPort) -> Result<View, String> {
    admin.read(PATH, &[]).await
}
