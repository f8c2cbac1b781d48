//! The sound: a soft note that swells and fades, as 16-bit mono samples that loop without a seam.

use std::f64::consts::TAU;

/// Samples per second.
pub const RATE: u32 = 24_000;

/// Samples until the sound begins anew: a little over four seconds.
pub const LOOP: u32 = 98_304;

/// Swells within one loop.
const SWELLS: f64 = 2.0;
/// Quiet enough for headphones: a quarter of full scale.
const LOUDNESS: f64 = 8_000.0;
/// What is left of the note between two swells, so that nobody takes the pause for a failure.
const FLOOR: f64 = 0.15;
/// How loud the octave above sounds along, which takes the edge off the bare sine.
const OCTAVE: f64 = 0.15;

/// One note.
#[derive(Debug, Clone, Copy)]
pub struct Tone {
    cycles: f64,
}

impl Tone {
    /// The note of about `hertz`: a whole number of cycles fits the loop, which shifts a note by
    /// an eighth of a hertz at most.
    pub fn new(hertz: f64) -> Self {
        Self { cycles: (hertz * f64::from(LOOP) / f64::from(RATE)).round() }
    }

    /// The sample at `position` within the loop.
    pub fn sample(self, position: u32) -> i16 {
        let turn = f64::from(position % LOOP) / f64::from(LOOP);
        let phase = TAU * self.cycles * turn;
        let swell = (1.0 - (TAU * SWELLS * turn).cos()) / 2.0;
        let wave = phase.sin() + OCTAVE * (2.0 * phase).sin();
        let loudness = LOUDNESS * (FLOOR + (1.0 - FLOOR) * swell);
        #[expect(clippy::cast_possible_truncation, reason = "9,200 at most, by the constants")]
        let sample = (loudness * wave).round() as i16;
        sample
    }
}
