//! People who come to one of several replicas, go where they are sent, and listen.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::web;

/// The longest that a relay may take to answer, and everybody to be answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// The replicas as players know them: by URLs, of which some are given out and others are not now.
#[derive(Clone)]
pub(crate) struct Doors(Arc<[Door]>);

struct Door {
    url: String,
    is_open: AtomicBool,
}

/// What became of somebody's wish.
#[derive(Debug)]
enum Fate {
    /// A relay plays.
    Plays,
    /// A replica sent them to a relay that refuses, or does not answer.
    Refused(String),
    /// The replica said that everything is full.
    TurnedAway,
    /// No replica answered as it should.
    Unserved(String),
}

/// What became of all of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// How many hear the radio.
    pub(crate) play: usize,
    /// How many a replica said to that everything is full.
    pub(crate) turned_away: usize,
    /// How many had been sent to a relay when the first was told that everything is full.
    pub(crate) sent_before: Option<usize>,
    /// Of those who were sent in vain, what they were told.
    pub(crate) refused: Vec<String>,
    /// Of those to whom no replica was of any use, why.
    pub(crate) unserved: Vec<String>,
}

/// People who come by and by. They leave when this is dropped.
pub(crate) struct People {
    doors: Doors,
    dawdle: Duration,
    answers: Arc<Answers>,
    leave: Arc<AtomicBool>,
    tell: Sender<Fate>,
    told: Receiver<Fate>,
    threads: Vec<JoinHandle<()>>,
}

/// What replicas have said so far.
#[derive(Default)]
struct Answers {
    all: AtomicUsize,
    sent: AtomicUsize,
    sent_before: OnceLock<usize>,
}

/// People who come all the time.
pub(crate) struct Tide {
    ebb: Arc<AtomicBool>,
    coming: JoinHandle<Tally>,
}

impl Answers {
    fn note(&self, answer: &Result<web::Answer, String>) {
        self.all.fetch_add(1, Relaxed);
        match answer {
            Ok(answer) if answer.status == 302 => {
                self.sent.fetch_add(1, Relaxed);
            }
            _ => {
                self.sent_before.get_or_init(|| self.sent.load(Relaxed));
            }
        }
    }
}

impl Doors {
    /// All of them are given out.
    pub(crate) fn new(urls: impl Iterator<Item = String>) -> Self {
        Self(urls.map(|url| Door { url, is_open: AtomicBool::new(true) }).collect())
    }

    /// Says whether players are told of this one.
    pub(crate) fn set_open(&self, door: usize, is_open: bool) {
        self.0[door].is_open.store(is_open, Relaxed);
    }

    /// Asks this one, or the next if it is not given out or does not answer.
    fn ask(&self, first: usize) -> Result<web::Answer, String> {
        let doors = self.0.iter().cycle().skip(first).take(self.0.len());
        let mut why = "there is none".to_owned();
        for door in doors.filter(|door| door.is_open.load(Relaxed)) {
            match web::get(&door.url) {
                Ok(answer) => return Ok(answer),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }
}

impl People {
    /// Nobody yet.
    pub(crate) fn new(doors: &Doors) -> Self {
        Self::who_dawdle(doors, Duration::ZERO)
    }

    /// Nobody yet of people who take so long from a replica to the relay.
    pub(crate) fn who_dawdle(doors: &Doors, dawdle: Duration) -> Self {
        let (tell, told) = channel();
        Self {
            doors: doors.clone(),
            dawdle,
            answers: Arc::default(),
            leave: Arc::default(),
            tell,
            told,
            threads: Vec::new(),
        }
    }

    /// How many a replica has answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.answers.all.load(Relaxed)
    }

    /// Has somebody come to `door` after a while, and listen for so long at most.
    pub(crate) fn expect(&mut self, door: usize, after: Duration, stay: Duration) {
        let (doors, leave) = (self.doors.clone(), Arc::clone(&self.leave));
        let (tell, answers, dawdle) = (self.tell.clone(), Arc::clone(&self.answers), self.dawdle);
        self.threads.push(thread::spawn(move || {
            thread::sleep(after);
            let answer = doors.ask(door);
            answers.note(&answer);
            let (fate, stream) = follow(answer, dawdle);
            // Nobody wants to know any more: then somebody failed already.
            let _unheard = tell.send(fate);
            if let Some(stream) = stream {
                listen(stream, &leave, stay);
            }
        }));
    }

    /// Waits until everybody who came knows what became of it.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for _ in &self.threads {
            match self.told.recv_timeout(PATIENCE).expect("everybody is answered") {
                Fate::Plays => tally.play += 1,
                Fate::TurnedAway => tally.turned_away += 1,
                Fate::Refused(why) => tally.refused.push(why),
                Fate::Unserved(why) => tally.unserved.push(why),
            }
        }
        tally.sent_before = self.answers.sent_before.get().copied();
        tally
    }
}

impl Drop for People {
    fn drop(&mut self) {
        self.leave.store(true, Relaxed);
        for person in self.threads.drain(..) {
            // Its failure is told by its own panic.
            let _failed = person.join();
        }
    }
}

impl Tide {
    /// Sends somebody every so often, to one replica after the other, who listens a few seconds.
    pub(crate) fn rise(doors: &Doors, every: Duration) -> Self {
        let ebb: Arc<AtomicBool> = Arc::default();
        let (told, mut people) = (Arc::clone(&ebb), People::new(doors));
        let coming = thread::spawn(move || {
            let doors = people.doors.0.len();
            for door in (0..doors).cycle() {
                if told.load(Relaxed) {
                    break;
                }
                let stay = Duration::from_secs(2) + Duration::from_secs(4).mul_f64(fastrand::f64());
                people.expect(door, Duration::ZERO, stay);
                thread::sleep(every);
            }
            people.tally()
        });
        Self { ebb, coming }
    }

    /// Lets nobody else come, and tells what became of those who did.
    pub(crate) fn fall(self) -> Tally {
        self.ebb.store(true, Relaxed);
        self.coming.join().expect("people do not fail")
    }
}

/// Goes where the answer sends, after a while; with the stream, if there is one.
fn follow(answer: Result<web::Answer, String>, dawdle: Duration) -> (Fate, Option<TcpStream>) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return (Fate::Unserved(why), None),
    };
    match (answer.status, answer.header("Location")) {
        (302, Some(location)) => {
            thread::sleep(dawdle);
            match relay(location) {
                Ok(stream) => (Fate::Plays, Some(stream)),
                Err(why) => (Fate::Refused(why.to_string()), None),
            }
        }
        (503, None) if answer.body.starts_with("full: ") => (Fate::TurnedAway, None),
        _ => (Fate::Unserved(format!("{answer:?}")), None),
    }
}

/// The stream at `url`.
fn relay(url: &str) -> io::Result<TcpStream> {
    let (relay, path) = web::split(url);
    let mut stream = TcpStream::connect(relay)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {relay}\r\n\r\n")?;
    let mut line = [0; "HTTP/1.0 200".len()];
    stream.read_exact(&mut line)?;
    match &line {
        [.., b'2', b'0', b'0'] => Ok(stream),
        other => Err(io::Error::other(String::from_utf8_lossy(other).into_owned())),
    }
}

fn listen(mut stream: TcpStream, leave: &AtomicBool, stay: Duration) {
    let began = Instant::now();
    let mut bytes = [0; 4096];
    // It plays all the time, so that reading never waits for long.
    while !leave.load(Relaxed) && began.elapsed() < stay {
        if !matches!(stream.read(&mut bytes), Ok(1..)) {
            break;
        }
    }
}
