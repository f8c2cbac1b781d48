//! What a mount plays, and when: the pages of an endless Ogg stream on one shared timeline.
//!
//! Which page is due when is plain arithmetic, so nothing runs while nobody listens. All listeners
//! get the same pages, which are made when the first of them asks and forgotten soon after.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::flac;
use super::ogg::Page;
use super::tone::{self, Tone};

/// How many pages of the past a listener gets at once, so that players start within a second:
/// more than four seconds of sound, as Icecast would send of a stream this thin.
pub const BURST: u64 = 12;

const FRAMES_PER_PAGE: u32 = 2;
const SAMPLES_PER_PAGE: u32 = FRAMES_PER_PAGE * flac::BLOCK as u32;
const FRAMES_PER_LOOP: usize = tone::LOOP as usize / flac::BLOCK as usize;
const HEADER_PAGES: u32 = 2;

/// An endless stream.
#[derive(Debug)]
pub struct Station {
    tone: Tone,
    serial: u32,
    title: String,
    headers: Bytes,
    /// When page [`BURST`] was complete; those before it are a past made up for the first listener.
    on_air: Instant,
    /// The frames of the loop, encoded when they are first played.
    subframes: [OnceLock<Vec<u8>>; FRAMES_PER_LOOP],
    pages: Mutex<BTreeMap<u64, Bytes>>,
}

impl Station {
    /// A stream of one note, on the air since `on_air`.
    pub fn new(hertz: f64, title: &str, on_air: Instant) -> Self {
        let serial = fastrand::u32(..);
        let header = |sequence, packet| Page { serial, sequence, granule: 0 }.wrap(&[packet]);
        let headers = [header(0, flac::first_packet()), header(1, flac::comment_packet(title))];
        Self {
            tone: Tone::new(hertz),
            serial,
            title: title.to_owned(),
            headers: headers.concat().into(),
            on_air,
            subframes: [const { OnceLock::new() }; FRAMES_PER_LOOP],
            pages: Mutex::default(),
        }
    }

    /// What players show.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The pages that every listener needs first.
    pub fn headers(&self) -> Bytes {
        self.headers.clone()
    }

    /// The newest page that is complete at `now`.
    pub fn newest(&self, now: Instant) -> u64 {
        let nanos =
            now.saturating_duration_since(self.on_air).as_nanos() / page_length().as_nanos();
        BURST.saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When page `number` is complete.
    pub fn due(&self, number: u64) -> Instant {
        let pages = u32::try_from(number.saturating_sub(BURST)).unwrap_or(u32::MAX);
        self.on_air + page_length() * pages
    }

    /// Page `number` of the stream, headers not counted.
    pub fn page(&self, number: u64) -> Bytes {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let page = pages.entry(number).or_insert_with(|| self.make_page(number)).clone();
        while pages.len() > 2 * usize::try_from(BURST).unwrap_or(usize::MAX) {
            pages.pop_first();
        }
        page
    }

    #[expect(clippy::cast_possible_truncation, reason = "Ogg and FLAC count modulo 2^32 and 2^31")]
    fn make_page(&self, number: u64) -> Bytes {
        let first_frame = number * u64::from(FRAMES_PER_PAGE);
        let frames: Vec<_> = (first_frame..first_frame + u64::from(FRAMES_PER_PAGE))
            .map(|frame| flac::frame(frame as u32 & 0x7fff_ffff, self.subframe(frame)))
            .collect();
        let page = Page {
            serial: self.serial,
            sequence: (number as u32).wrapping_add(HEADER_PAGES),
            granule: (number + 1) * u64::from(SAMPLES_PER_PAGE),
        };
        page.wrap(&frames)
    }

    /// The encoded samples of the frame with this number: the loop has them all.
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

/// How long one page plays.
fn page_length() -> Duration {
    Duration::from_secs(1) * SAMPLES_PER_PAGE / tone::RATE
}
