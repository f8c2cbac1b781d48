//! The program: arguments in, exit code out.

use std::io::{self, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use clap::Parser;
use icecast_balancer::app::{App, Runtimes};
use icecast_balancer::cli::{Arguments, Command, LogFormat, Serve};
use icecast_balancer::commands::{self, BAD_CONFIG, Done, FAILED};
use icecast_balancer::logs::{AccessLog, Log, Style, panics};
use icecast_balancer::problem::Problems;
use icecast_balancer::reload::{self, ReloadHandle};
use icecast_balancer::systemd;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{error, info, warn};

/// How long the end of the program waits for what is still to be written of its logs. Who reads it
/// may have stopped.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Signals this close together are one.
const ECHO: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(serve) => run(&serve),
        Command::Check(arguments) => finish(&commands::check(&arguments, is_coloured())),
        Command::Diff(arguments) => finish(&commands::diff(&arguments, is_coloured())),
        Command::Simulate(arguments) => finish(&commands::simulate(&arguments, is_coloured())),
        Command::Probe(arguments) => finish(&commands::probe(&arguments, is_coloured())),
        Command::Explain(arguments) => finish(&commands::explain(&arguments, is_coloured())),
        Command::Status(arguments) => finish(&commands::status(&arguments, is_coloured())),
        Command::Healthcheck(arguments) => finish(&commands::healthcheck(&arguments)),
        Command::Schema(arguments) => finish(&commands::schema(&arguments)),
        Command::Completions(arguments) => finish(&commands::completions(&arguments)),
    }
}

/// Prints what a command has to say.
fn finish(done: &Done) -> ExitCode {
    // A reader that has gone changes nothing of what was found out.
    drop(io::stdout().write_all(done.text.as_bytes()));
    complain(&done.complaint);
    ExitCode::from(done.code)
}

/// Whether what is printed may have colours: on a terminal that can show them, unless `NO_COLOR` or
/// its like say otherwise.
fn is_coloured() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

fn run(arguments: &Serve) -> ExitCode {
    let log = match Log::on_stderr(arguments.log_format == LogFormat::Json) {
        Ok(log) => log,
        Err(error) => {
            complain(&format!("error: no log can be written: {error}\n"));
            return ExitCode::from(FAILED);
        }
    };
    let code = run_with(arguments, &log);
    log.finish(LAST_LINES);
    ExitCode::from(code)
}

fn run_with(arguments: &Serve, log: &Log) -> u8 {
    if let Err(error) = log_to(log, arguments) {
        log.say(&format!("error: --log-level or RUST_LOG: {error}"));
        return FAILED;
    }
    panics::watch();
    let loaded = match reload::load(&arguments.config) {
        Ok(loaded) => loaded,
        Err(problems) => {
            report_at_start(arguments, log, &problems);
            return BAD_CONFIG;
        }
    };
    let access = match open_access_log(arguments) {
        Ok(access) => access,
        Err(error) => {
            error!("{error}");
            return FAILED;
        }
    };
    let logs = Logs { log: log.clone(), access };
    let served = serve(arguments.config.clone(), loaded, &logs, arguments.one_door);
    if let Err(cause) = &served {
        error!("{cause}");
    }
    logs.finish();
    if served.is_ok() { 0 } else { FAILED }
}

/// Everything that lines are written to.
#[derive(Clone)]
struct Logs {
    log: Log,
    access: Option<AccessLog>,
}

impl Logs {
    /// Waits until what was told is written, but not long.
    fn finish(&self) {
        // It tells the log what it lost.
        if let Some(access) = &self.access {
            access.finish(LAST_LINES);
        }
        self.log.finish(LAST_LINES);
    }
}

fn open_access_log(arguments: &Serve) -> Result<Option<AccessLog>, String> {
    let Some(path) = &arguments.access_log else { return Ok(None) };
    let style = match arguments.log_format {
        LogFormat::Text => Style::Text,
        LogFormat::Json => Style::Json,
    };
    let log = match path.to_str() {
        Some("-") => AccessLog::on_stdout(style),
        _ => AccessLog::in_file(path, style),
    };
    log.map(Some)
        .map_err(|error| format!("cannot write the access log {}: {error}", path.display()))
}

fn serve(
    config: PathBuf,
    loaded: reload::Loaded,
    logs: &Logs,
    one_door: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    // Answering players must not wait for polls, nor polls for a crowd of players.
    let public = public_threads()?;
    let control = runtime(Builder::new_multi_thread().worker_threads(1).thread_name("control"))?;
    let runtimes = Runtimes {
        public: public.iter().map(Public::handle).collect(),
        control: control.handle().clone(),
    };
    let result = control.block_on(async {
        // Before anybody can know that this program runs: a signal that nobody awaits kills it.
        let mut hangup = signal(SignalKind::hangup())?;
        let mut stops = Stops::new()?;
        let app = App::bind(config, loaded)?.with_access_log(logs.access.clone());
        let app = app.with_fast_door(!one_door);
        for address in app.public_addresses() {
            info!("players are served on http://{address}");
        }
        for address in app.tls_addresses() {
            info!("players are served on https://{address}");
        }
        if let Some(address) = app.admin_address() {
            info!("status and metrics are on http://{address}");
        }
        let reload = app.reload_handle();
        let access = logs.access.clone();
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                if let Some(access) = &access {
                    access.reopen();
                }
                on_hangup(&reload).await;
            }
        });
        let logs = logs.clone();
        let stop = async move {
            // Not within the line, which is left out, with all that stands in it, where nobody wants it.
            let word = stops.next().await;
            info!("{word}");
            systemd::stopping();
            tokio::spawn(async move {
                // Some supervisors signal the program and its group: that is one word, said twice.
                let echoes = async {
                    loop {
                        stops.next().await;
                    }
                };
                let Err(_elapsed) = timeout(ECHO, echoes).await;
                // A second word means that somebody has no patience left.
                stops.next().await;
                leave_at_once(&logs);
            });
        };
        if let Some(public) = runtimes.public.first() {
            tokio::spawn(systemd::watchdog(public.clone()));
        }
        systemd::ready();
        app.run(runtimes, stop).await?;
        Ok(())
    });
    drop(public);
    control.shutdown_background();
    result
}

/// A thread that answers players, with a runtime that is its own: what it does waits for no other
/// thread. Dropping it ends what runs there, unless that never pauses.
struct Public {
    handle: Handle,
    _end: oneshot::Sender<()>,
}

impl Public {
    fn start() -> io::Result<Self> {
        let runtime = runtime(&mut Builder::new_current_thread())?;
        let (end, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        thread::Builder::new().name("public".to_owned()).spawn(move || {
            drop(runtime.block_on(ended));
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _end: end })
    }

    fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

/// One for each processor.
fn public_threads() -> io::Result<Vec<Public>> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    (0..processors).map(|_| Public::start()).collect()
}

/// The signals that ask the program to end.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn runtime(builder: &mut Builder) -> io::Result<Runtime> {
    builder.enable_all().build()
}

/// The outcome stands in the log, which the reload itself writes.
async fn on_hangup(reload: &ReloadHandle) {
    info!("SIGHUP: reading the configuration");
    systemd::reloading();
    if reload.reload().await == Some(reload::Outcome::Unchanged) {
        info!("the configuration has not changed");
    }
    systemd::ready();
}

#[expect(clippy::exit, reason = "asked twice to end, the program does not wait for anything")]
fn leave_at_once(logs: &Logs) {
    warn!("asked twice to stop: leaving requests unanswered");
    logs.finish();
    std::process::exit(i32::from(FAILED));
}

fn report_at_start(arguments: &Serve, log: &Log, problems: &Problems) {
    match arguments.log_format {
        LogFormat::Text => log.say(&problems.human(log.is_coloured())),
        LogFormat::Json => error!("{problems}"),
    }
}

/// A log that cannot be written is no reason to panic: the library would, if told to report it.
fn log_to(log: &Log, arguments: &Serve) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = arguments.log_filter()?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log.clone())
        .log_internal_errors(false);
    match arguments.log_format {
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
        LogFormat::Text => subscriber.with_ansi(log.is_coloured()).with_target(false).try_init(),
    }
}

/// Whether anybody can read it or not, the exit code says the same.
fn complain(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}
