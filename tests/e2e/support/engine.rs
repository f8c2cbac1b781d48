//! The engine between balancers: Debian's redis-server, and a wire to it that can be cut.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::lab::{Lab, free_port};
use super::process::{Process, Program, eventually};

/// A running engine. Dropping it ends it.
pub(crate) struct Engine {
    port: u16,
    folder: PathBuf,
    server: Process,
}

impl Engine {
    /// Starts one, with nothing in its memory.
    pub(crate) fn start(lab: &Lab) -> Self {
        let (port, folder) = (free_port(), lab.folder("engine", "root"));
        let server = serve(port, &folder);
        let engine = Self { port, folder, server };
        engine.wait_until_it_answers();
        engine
    }

    fn wait_until_it_answers(&self) {
        let process = format!("process_id:{}\r", self.id());
        eventually("the engine answers", Duration::from_secs(10), || {
            self.says("INFO server").is_ok_and(|told| told.contains(&process)).then_some(())
        });
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    /// Lets it hang.
    pub(crate) fn hang(&self) {
        self.server.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.server.signal(Signal::CONT);
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.server.stop_with(Signal::KILL);
    }

    /// Starts it again, with nothing in its memory.
    pub(crate) fn begin_empty(&mut self) {
        self.server = serve(self.port, &self.folder);
    }

    /// What it says to a command: as much as comes in one piece.
    fn says(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "{command}\r\n")?;
        let mut answer = [0; 16_384];
        let length = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    /// A wire to it.
    pub(crate) fn wire(&self) -> Wire {
        Wire::to(self.address())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // One that hangs could not end when it is asked to.
        self.kill();
    }
}

fn serve(port: u16, folder: &std::path::Path) -> Process {
    Program::new("redis-server", "redis-server")
        .words(&format!("--bind 127.0.0.1 --port {port} --appendonly no --save"))
        .args([""])
        .start(folder)
}

/// A wire to an engine, which can be cut: then nothing passes any more, and nobody is told.
pub(crate) struct Wire {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    fn to(engine: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::<AtomicBool>::default();
        let told = Arc::clone(&is_cut);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // Who comes to an engine that is dead is hung up on.
                let Ok(far) = TcpStream::connect(&engine) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let is_cut = Arc::clone(&told);
                    thread::spawn(move || carry(from, to, &is_cut));
                }
            }
        });
        Self { port, is_cut }
    }

    /// The URL of the engine at its other end.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Cuts it, or mends it again.
    pub(crate) fn set_cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Relaxed);
    }
}

/// Carries one direction of a connection to its end. What is on the way when the wire is cut gets
/// through when it is mended, as it would by TCP.
fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut bytes = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        while is_cut.load(Relaxed) {
            thread::sleep(Duration::from_millis(5));
        }
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    // Either end may have gone already.
    for end in [from, to] {
        let _gone = end.shutdown(Shutdown::Both);
    }
}
