//! Looking for bytes that are most likely near: eight bytes at a time, in line. Over the few bytes between two tags that
//! takes half the time of a call to `memchr`, which is what goes on from there.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
/// How many words are looked at before `memchr` is called.
const WORDS: usize = 4;

/// Marks where `word` has `byte`; the lowest mark is exact.
#[inline]
fn marks(word: u64, byte: u8) -> u64 {
    let zeros = word ^ (ONES * u64::from(byte));
    zeros.wrapping_sub(ONES) & !zeros & HIGHS
}

#[inline]
fn word_at(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The next `byte` from `at` on.
#[inline]
pub(super) fn find(data: &[u8], mut at: usize, byte: u8) -> Option<usize> {
    for _ in 0..WORDS {
        let Some(word) = word_at(data, at) else { break };
        match marks(word, byte) {
            0 => at += 8,
            found => return Some(at + found.trailing_zeros() as usize / 8),
        }
    }
    memchr::memchr(byte, &data[at..]).map(|found| at + found)
}

/// The next of three bytes from `at` on.
#[inline]
pub(super) fn find3(data: &[u8], mut at: usize, bytes: [u8; 3]) -> Option<usize> {
    for _ in 0..WORDS {
        let Some(word) = word_at(data, at) else { break };
        match bytes.iter().fold(0, |found, &byte| found | marks(word, byte)) {
            0 => at += 8,
            found => return Some(at + found.trailing_zeros() as usize / 8),
        }
    }
    memchr::memchr3(bytes[0], bytes[1], bytes[2], &data[at..]).map(|found| at + found)
}
