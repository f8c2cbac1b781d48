//! A balancer with three relays, in one program, to listen to and to play with:
//! `cargo run --release --example demo`.
//!
//! Each relay plays a note of its own, so that you hear where you were sent. The configuration is
//! a file like any other: edit it while the demo runs.

#![expect(clippy::print_stdout, reason = "a program for people who try things prints")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use icecast_balancer::app::{App, Runtimes};
use icecast_balancer::reload;
use icecast_balancer::state::State;
use icecast_balancer::status::{MountStatus, Status, StreamStatus, Wanted};
use tokio::runtime::Handle;

use relay::Relay;

#[path = "../relay/relay.rs"]
#[expect(dead_code, reason = "the tests use what this program does not")]
mod relay;

/// Name, preferred port, note in hertz and listeners per mount of each relay.
const RELAYS: [(&str, u16, f64, u64); 3] =
    [("vienna", 8001, 440.0, 6), ("berlin", 8002, 554.37, 6), ("graz", 8003, 659.26, 3)];

const STREAMS: [&str; 2] = ["/saal1.ogg", "/saal2.ogg"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Problems of an edited configuration are worth seeing; everything else the demo tells itself.
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_target(false).init();

    let mut relays = Vec::new();
    for (name, port, note, limit) in RELAYS {
        let mut relay = Relay::builder().listen(free(port)?).name(name).note(note);
        for stream in STREAMS {
            relay = relay.mount(stream, limit);
        }
        relays.push((name, relay.start()?));
    }
    let config = write_config(&relays)?;
    let loaded = reload::load(&config).map_err(|problems| problems.to_string())?;
    let app = App::bind(config.clone(), loaded)?;
    introduce(&app, &config);

    let state = app.state();
    tokio::spawn(async move { show_changes(&state).await });
    let here = Runtimes { public: vec![Handle::current()], control: Handle::current() };
    app.run(here, async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            println!("cannot wait for Ctrl-C: {error}");
        }
    })
    .await?;
    Ok(())
}

/// The preferred port on this machine, or any other if that one is taken.
fn free(port: u16) -> Result<SocketAddr, Box<dyn Error>> {
    let preferred = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(preferred) {
        Ok(_) => Ok(preferred),
        Err(_) => Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?),
    }
}

fn write_config(relays: &[(&str, Relay)]) -> Result<PathBuf, Box<dyn Error>> {
    let servers: Vec<String> = relays
        .iter()
        .map(|(name, relay)| format!("  {name}:\n    url: {}\n    state: active\n", relay.url()))
        .collect();
    let streams: Vec<String> = STREAMS.iter().map(|path| format!("  {path}:\n")).collect();
    let text = format!(
        "# Edit and save: the next player goes where this file says.\n\
         # Try `state: draining` on a relay, or take one out.\n\
         listen: \"{}\"\nadmin: \"{}\"\n\nservers:\n{}\nstreams:\n{}",
        free(8000)?,
        free(9090)?,
        servers.concat(),
        streams.concat(),
    );
    let folder = std::env::temp_dir().join("icecast-balancer-demo");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("balancer.yaml");
    std::fs::write(&path, text)?;
    Ok(path)
}

fn introduce(app: &App, config: &Path) {
    println!("Three relays are playing, each a note of its own. Open one of these in a player");
    println!("(VLC, mpv, a browser) again and again, and hear who you are sent to:\n");
    for address in app.public_addresses() {
        for stream in STREAMS {
            println!("    http://{address}{stream}");
        }
    }
    if let Some(address) = app.admin_address() {
        println!("\nStatus page      http://{address}/");
    }
    println!("Configuration    {}  (edit it now: it is followed)", config.display());
    println!("Ctrl-C ends.\n");
}

/// Prints each stream whenever something about it changes.
async fn show_changes(state: &State) {
    let mut shown: Vec<String> = Vec::new();
    loop {
        let status = Status::of(state, state.now(), &Wanted::default());
        let streams = status.map(|status| status.streams).unwrap_or_default();
        let lines: Vec<String> = streams.iter().map(line).collect();
        for line in lines.iter().filter(|line| !shown.contains(line)) {
            println!("{line}");
        }
        shown = lines;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn line(stream: &StreamStatus) -> String {
    let redirects: u64 = stream.mounts.iter().map(|mount| mount.redirects).sum();
    let mounts: Vec<String> = stream.mounts.iter().map(mount).collect();
    format!("{}  {redirects:>3} redirected  {}", stream.path, mounts.join("  "))
}

/// A bar of the mount's slots: taken, on their way, free.
fn mount(mount: &MountStatus) -> String {
    let listeners = mount.listeners.unwrap_or(0);
    let bar: String = match mount.max_listeners {
        Some(max) => (0..max)
            .map(|slot| match slot {
                slot if slot < listeners => '█',
                slot if slot < listeners + mount.reserved => '▒',
                _ => '·',
            })
            .collect(),
        None => format!("{listeners} listeners"),
    };
    let remark = mount.reason.as_deref().filter(|_| !mount.candidate);
    format!("{} {bar}{}", mount.server, remark.map(|why| format!(" {why}")).unwrap_or_default())
}
