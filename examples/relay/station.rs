//! What a mount plays, and when: an endless sound in real time, as pages of an Ogg stream.
//!
//! The timeline is cut into slices of a third of a second. All listeners hear the same slice at the
//! same time, but each one's stream counts pages and samples from zero: players take a stream that
//! begins at a large number for a damaged one. Listeners who came together have the same bytes,
//! made when the first of them asks and forgotten soon after. Which slice is due when is plain
//! arithmetic, so nothing runs while nobody listens.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::flac;
use super::ogg::Page;
use super::tone::{self, Tone};

/// How many slices of the past a listener gets at once besides the newest: more than four seconds
/// of sound, as Icecast would send of a stream this thin.
const BURST: u64 = 12;

/// One frame to a page: players that place a page in time by its end begin in time then.
const PAGES_PER_SLICE: u32 = 4;
const SAMPLES_PER_SLICE: u32 = PAGES_PER_SLICE * flac::BLOCK as u32;
const FRAMES_PER_LOOP: usize = tone::LOOP as usize / flac::BLOCK as usize;
const HEADER_PAGES: u64 = 2;

/// An endless stream.
#[derive(Debug)]
pub struct Station {
    tone: Tone,
    serial: u32,
    title: String,
    headers: Vec<u8>,
    /// When slice [`BURST`] was complete; those before it are a past made up for the first listener.
    on_air: Instant,
    /// The frames of the loop, encoded when they are first played.
    subframes: [OnceLock<Vec<u8>>; FRAMES_PER_LOOP],
    /// By place on the timeline, then by the place where the stream that it is for began.
    slices: Mutex<BTreeMap<(u64, u64), Bytes>>,
    /// What those got who came last: the next ones may come in the same moment.
    latest: Mutex<Option<Join>>,
}

/// The beginning of one listener's stream.
#[derive(Debug, Clone)]
pub struct Join {
    /// The place on the timeline where the stream begins.
    pub first: u64,
    /// The place of the slice to be sent next, when it is [due](Station::due).
    pub next: u64,
    /// The headers, and the slices of the last seconds: players start at once.
    pub opening: Bytes,
}

impl Station {
    /// A stream of one note, on the air since `on_air`.
    pub fn new(hertz: f64, title: &str, on_air: Instant) -> Self {
        let serial = fastrand::u32(..);
        let header = |sequence, packet: &[u8]| Page { serial, sequence, granule: 0 }.wrap(packet);
        let headers = [header(0, &flac::first_packet()), header(1, &flac::comment_packet(title))];
        Self {
            tone: Tone::new(hertz),
            serial,
            title: title.to_owned(),
            headers: headers.concat(),
            on_air,
            subframes: [const { OnceLock::new() }; FRAMES_PER_LOOP],
            slices: Mutex::default(),
            latest: Mutex::default(),
        }
    }

    /// What players show.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What a listener who comes at `now` gets at once, and the place on the timeline that follows.
    pub fn join(&self, now: Instant) -> Join {
        let newest = self.newest(now);
        let first = newest.saturating_sub(BURST);
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(join) = latest.as_ref().filter(|join| join.first == first) {
            return join.clone();
        }
        let mut opening = self.headers.clone();
        for number in first..=newest {
            opening.extend(self.make_slice(first, number));
        }
        latest.insert(Join { first, next: newest + 1, opening: opening.into() }).clone()
    }

    /// When the slice at `number` on the timeline is complete.
    pub fn due(&self, number: u64) -> Instant {
        let slices = u32::try_from(number.saturating_sub(BURST)).unwrap_or(u32::MAX);
        self.on_air + slice_length() * slices
    }

    /// The slice at `number` on the timeline, for a stream that began with the one at `first`.
    pub fn slice(&self, first: u64, number: u64) -> Bytes {
        let mut slices = self.slices.lock().unwrap_or_else(PoisonError::into_inner);
        while slices.first_key_value().is_some_and(|(&(older, _), _)| older + 1 < number) {
            slices.pop_first();
        }
        let make = || self.make_slice(first, number).into();
        slices.entry((number, first)).or_insert_with(make).clone()
    }

    /// The newest slice that is complete at `now`.
    fn newest(&self, now: Instant) -> u64 {
        let on_air = now.saturating_duration_since(self.on_air);
        let slices = on_air.as_nanos() / slice_length().as_nanos();
        BURST.saturating_add(u64::try_from(slices).unwrap_or(u64::MAX))
    }

    fn make_slice(&self, first: u64, number: u64) -> Vec<u8> {
        let pages = u64::from(PAGES_PER_SLICE);
        let mut slice = Vec::new();
        for frame in number * pages..(number + 1) * pages {
            slice.extend(self.make_page(frame - first * pages, self.subframe(frame)));
        }
        slice
    }

    /// The page that is `place` pages after the headers.
    #[expect(clippy::cast_possible_truncation, reason = "Ogg and FLAC count modulo 2^32 and 2^31")]
    fn make_page(&self, place: u64, subframe: &[u8]) -> Vec<u8> {
        let page = Page {
            serial: self.serial,
            sequence: (place + HEADER_PAGES) as u32,
            granule: (place + 1) * u64::from(flac::BLOCK),
        };
        page.wrap(&flac::frame(place as u32 & 0x7fff_ffff, subframe))
    }

    /// The encoded samples of the frame at this place on the timeline: the loop has them all.
    fn subframe(&self, frame: u64) -> &[u8] {
        let place = usize::try_from(frame % FRAMES_PER_LOOP as u64).unwrap_or_default();
        let encode = || {
            let start = u32::try_from(place).unwrap_or_default() * u32::from(flac::BLOCK);
            let positions = start..start + u32::from(flac::BLOCK);
            flac::subframe(
                &positions.map(|position| self.tone.sample(position)).collect::<Vec<_>>(),
            )
        };
        self.subframes.get(place).map_or(&[], |subframe| subframe.get_or_init(encode))
    }
}

/// How long one slice plays.
fn slice_length() -> Duration {
    Duration::from_secs(1) * SAMPLES_PER_SLICE / tone::RATE
}
