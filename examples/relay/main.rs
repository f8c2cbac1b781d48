//! The demo relay as a program of its own: `cargo run --example relay -- --mount /saal1.ogg`.

#![expect(clippy::print_stdout, reason = "a program for people who try things prints")]

use std::error::Error;
use std::net::SocketAddr;

use clap::Parser;

use relay::Relay;
use relay::stats::Document;

#[path = "relay.rs"]
#[expect(dead_code, reason = "the tests use what this program does not")]
mod relay;

/// A relay that speaks like Icecast 2.4.4 and plays a soft note on each of its mounts.
#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8001")]
    listen: SocketAddr,
    /// A path to serve; may be given several times.
    #[arg(long = "mount", value_name = "PATH", default_value = "/saal1.ogg", value_parser = path)]
    mounts: Vec<String>,
    /// How many listeners each mount takes; unlimited unless given.
    #[arg(long, value_name = "N")]
    max_listeners: Option<u64>,
    /// How many clients the whole relay takes, sources included; unlimited unless given.
    #[arg(long, value_name = "N")]
    clients: Option<u64>,
    /// What the first mount plays, in hertz; further mounts play it in other octaves.
    #[arg(long, value_name = "HERTZ", default_value_t = 440.0, value_parser = note)]
    note: f64,
    /// What players show as the title, before the mount.
    #[arg(long, default_value = "relay")]
    name: String,
    /// Offer no statistics but these.
    #[arg(long, value_enum)]
    only: Option<Document>,
    /// Let the user `admin` with this password read /admin/stats.
    #[arg(long, env = "RELAY_ADMIN_PASSWORD", hide_env_values = true)]
    admin_password: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut builder =
        Relay::builder().listen(arguments.listen).name(&arguments.name).note(arguments.note);
    for mount in &arguments.mounts {
        builder = match arguments.max_listeners {
            Some(limit) => builder.mount(mount, limit),
            None => builder.unlimited(mount),
        };
    }
    if let Some(limit) = arguments.clients {
        builder = builder.clients(limit);
    }
    if let Some(document) = arguments.only {
        builder = builder.only(document);
    }
    if let Some(password) = &arguments.admin_password {
        builder = builder.admin("admin", password);
    }
    let start = builder.start();
    let relay = start.map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;

    for mount in &arguments.mounts {
        println!("listen: {}{mount}", relay.url());
    }
    println!("slots:  {}{}", relay.url(), Document::Slots.path());
    tokio::signal::ctrl_c().await?;
    relay.stop().await;
    Ok(())
}

fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("a mount's path begins with a slash".to_owned())
    }
}

fn note(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(hertz) if (40.0..=1000.0).contains(&hertz) => Ok(hertz),
        _ => Err("a note has 40 to 1000 hertz".to_owned()),
    }
}
