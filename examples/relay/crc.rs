//! The checksums of FLAC frames and Ogg pages.

/// The remainder of `bytes` divided by a `polynomial` of `width` bits, most significant bit first,
/// from zero and not inverted: FLAC's and Ogg's checksums are all of this kind.
///
/// Bit by bit is fast enough for a sound of a few kilobytes a second that all listeners share.
pub fn crc(width: u32, polynomial: u32, bytes: &[u8]) -> u32 {
    let unused = u32::BITS - width;
    let mut remainder = 0u32;
    for &byte in bytes {
        remainder ^= u32::from(byte) << 24;
        for _ in 0..8 {
            let carry = remainder >> 31 == 1;
            remainder <<= 1;
            if carry {
                remainder ^= polynomial << unused;
            }
        }
    }
    remainder >> unused
}
