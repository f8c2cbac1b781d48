//! `completions`: what lets a shell complete our commands and options.

use clap::CommandFactory as _;

use crate::cli::{Arguments, Completions};

use super::{Done, FAILED};

/// Prints a script for a shell.
pub fn completions(arguments: &Completions) -> Done {
    let mut command = Arguments::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    match String::from_utf8(script) {
        Ok(script) => Done::told(agreeing(&script), 0),
        Err(error) => Done {
            text: String::new(),
            complaint: format!("error: no script could be made: {error}\n"),
            code: FAILED,
        },
    }
}

/// The script for bash remembers the command that was typed under one name, and looks for it under
/// another where the program's own name has a hyphen; then nothing behind a command is completed.
fn agreeing(script: &str) -> String {
    script.replace("icecast__subcmd__balancer", "icecast__balancer")
}
