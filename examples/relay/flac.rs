//! FLAC in its simplest honest form: mono, 16 bits, fixed prediction, one Rice parameter a frame.
//!
//! A note is so smooth that FLAC's own fourth-order predictor leaves a few bits of each sample, and
//! every player has a FLAC decoder: a tone of 100 kbit/s needs no codec library. The format is
//! that of RFC 9639, whose section 10.1 puts it into Ogg.

use super::crc::crc;
use super::tone::RATE;

/// Samples in one frame: a size that FLAC has a code for.
pub const BLOCK: u16 = 2048;

const ORDER: usize = 4;
const STREAMINFO_LENGTH: u8 = 34;
const LAST_VORBIS_COMMENT: u8 = 0x84;
const VENDOR: &str = "icecast-balancer demo relay";

/// The first packet of FLAC in Ogg: how many headers follow, and the parameters of the stream.
pub fn first_packet() -> Vec<u8> {
    const VERSION: [u8; 2] = [1, 0];
    const HEADERS_THAT_FOLLOW: [u8; 2] = [0, 1];
    // Rate (20 bits), channels less one (3), bits less one (5), samples of the stream (36), which
    // nobody knows.
    let parameters = (u64::from(RATE) << 44) | ((16 - 1) << 36);

    let mut packet = b"\x7fFLAC".to_vec();
    packet.extend(VERSION);
    packet.extend(HEADERS_THAT_FOLLOW);
    packet.extend(b"fLaC");
    packet.extend([0, 0, 0, STREAMINFO_LENGTH]);
    packet.extend(BLOCK.to_be_bytes()); // the smallest block
    packet.extend(BLOCK.to_be_bytes()); // the largest
    packet.extend([0; 6]); // the smallest and the largest frame: unknown
    packet.extend(parameters.to_be_bytes());
    packet.extend([0; 16]); // the checksum of the whole sound, which has no whole
    packet
}

/// The second and last header packet: the title that players show.
pub fn comment_packet(title: &str) -> Vec<u8> {
    let title = format!("TITLE={title}");
    let mut comment = length(VENDOR).to_le_bytes().to_vec();
    comment.extend(VENDOR.as_bytes());
    comment.extend(1u32.to_le_bytes()); // fields that follow
    comment.extend(length(&title).to_le_bytes());
    comment.extend(title.as_bytes());

    // The type of the block, then its length in three bytes.
    let [_, high, middle, low] = u32::try_from(comment.len()).unwrap_or_default().to_be_bytes();
    let mut packet = vec![LAST_VORBIS_COMMENT, high, middle, low];
    packet.extend(comment);
    packet
}

/// The frame with this number in its header, around the encoded samples of a [`subframe`].
pub fn frame(number: u32, subframe: &[u8]) -> Vec<u8> {
    // Sync and fixed block size; a block of 2048 at 24 kHz; mono at 16 bits.
    let mut frame = vec![0xff, 0xf8, 0xb7, 0x08];
    push_number(&mut frame, number);
    let [.., check] = crc(8, 0x07, &frame).to_be_bytes();
    frame.push(check);
    frame.extend(subframe);
    let [_, _, high, low] = crc(16, 0x8005, &frame).to_be_bytes();
    frame.extend([high, low]);
    frame
}

/// Encodes one block of samples; what comes out does not depend on its place in the stream.
pub fn subframe(samples: &[i16]) -> Vec<u8> {
    let mut bits = BitWriter::default();
    bits.push(0b0001_1000, 8); // fixed prediction of the fourth order, no wasted bits
    for &first in samples.iter().take(ORDER) {
        bits.push(u32::from(first.cast_unsigned()), 16);
    }
    let residual: Vec<u32> = samples.windows(ORDER + 1).map(unpredicted).collect();
    let parameter = (0..=14).min_by_key(|&p| rice_length(&residual, p)).unwrap_or_default();
    bits.push(0b00_0000, 6); // Rice codes of four-bit parameters, in one partition
    bits.push(parameter, 4);
    for value in residual {
        bits.push_zeros(value >> parameter);
        bits.push(1, 1);
        bits.push(value & ((1 << parameter) - 1), parameter);
    }
    bits.finish()
}

/// By how much the last of five samples misses what the four before it foretell, folded so that
/// small misses of either sign are small numbers.
fn unpredicted(window: &[i16]) -> u32 {
    let miss: i32 = window
        .iter()
        .zip([1, -4, 6, -4, 1])
        .map(|(&sample, weight)| i32::from(sample) * weight)
        .sum();
    ((miss << 1) ^ (miss >> 31)).cast_unsigned()
}

/// How many bits the Rice codes of `residual` take.
fn rice_length(residual: &[u32], parameter: u32) -> u64 {
    residual.iter().map(|value| u64::from((value >> parameter) + 1 + parameter)).sum()
}

/// A frame's number is written as UTF-8 writes a character, continued up to 31 bits.
fn push_number(out: &mut Vec<u8>, number: u32) {
    let continuations = match number {
        0..0x80 => 0,
        0x80..0x800 => 1,
        0x800..0x1_0000 => 2,
        0x1_0000..0x20_0000 => 3,
        0x20_0000..0x400_0000 => 4,
        _ => 5,
    };
    let low_byte = |value: u32| value.to_le_bytes()[0];
    out.push(if continuations == 0 {
        low_byte(number)
    } else {
        low_byte(0xff00 >> (continuations + 1)) | low_byte(number >> (6 * continuations))
    });
    for place in (0..continuations).rev() {
        out.push(0x80 | low_byte((number >> (6 * place)) & 0x3f));
    }
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or_default()
}

/// Bits to bytes, the most significant bit first.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    pending_bits: u32,
}

impl BitWriter {
    /// Appends the `count` (at most 32) low bits of `value`.
    fn push(&mut self, value: u32, count: u32) {
        self.pending = (self.pending << count) | u64::from(value);
        self.pending_bits += count;
        while self.pending_bits >= 8 {
            self.pending_bits -= 8;
            self.bytes.push((self.pending >> self.pending_bits).to_le_bytes()[0]);
        }
    }

    fn push_zeros(&mut self, mut count: u32) {
        while count > 0 {
            let now = count.min(32);
            self.push(0, now);
            count -= now;
        }
    }

    /// The bytes, the last one filled up with zeros.
    fn finish(mut self) -> Vec<u8> {
        self.push(0, (8 - self.pending_bits) % 8);
        self.bytes
    }
}
