//! Ogg pages (RFC 3533): what wraps the codec's packets.

use super::crc::crc;

/// What a page says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The logical stream it belongs to.
    pub serial: u32,
    /// Its place in that stream, from zero.
    pub sequence: u32,
    /// Samples played when its packet has been.
    pub granule: u64,
}

impl Page {
    /// Wraps one packet of less than 255 × 255 bytes.
    pub fn wrap(self, packet: &[u8]) -> Vec<u8> {
        let lacing: Vec<u8> = lacing(packet.len()).collect();
        let begins_stream = u8::from(self.sequence == 0) << 1;

        let mut front = b"OggS\0".to_vec();
        front.push(begins_stream);
        front.extend(self.granule.to_le_bytes());
        front.extend(self.serial.to_le_bytes());
        front.extend(self.sequence.to_le_bytes());
        let mut back = vec![u8::try_from(lacing.len()).unwrap_or(u8::MAX)];
        back.extend(lacing);
        back.extend(packet);

        // The checksum is taken with zeros in its own place.
        let blank = [front.as_slice(), &[0; 4], &back].concat();
        let checksum = crc(32, 0x04c1_1db7, &blank).to_le_bytes();
        [front.as_slice(), &checksum, &back].concat()
    }
}

/// A packet's length: as many 255s as fit it, then the rest, which may be zero.
fn lacing(length: usize) -> impl Iterator<Item = u8> {
    let rest = u8::try_from(length % 255).unwrap_or_default();
    std::iter::repeat_n(255, length / 255).chain([rest])
}
