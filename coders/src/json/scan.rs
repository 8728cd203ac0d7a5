//! Where things end. The text has been checked, so nothing is checked again; on any other text the answers are wrong but
//! lie within it.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Moves `at` to the next quote, backslash or control character and returns it; `None` at the end of the text. The bytes
/// that were looked at are added to `seen` by `or`.
#[inline]
pub(super) fn special(text: &[u8], at: &mut usize, seen: &mut u64) -> Option<u8> {
    while let Some(word) = text.get(*at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        *seen |= word;
        let marked = zeroes(word ^ (ONES * b'"' as u64)) | zeroes(word ^ (ONES * b'\\' as u64)) | controls(word);
        if marked != 0 {
            *at += marked.trailing_zeros() as usize / 8;
            return Some(text[*at]);
        }
        *at += 8;
    }
    while let Some(&byte) = text.get(*at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            return Some(byte);
        }
        *seen |= u64::from(byte);
        *at += 1;
    }
    None
}

/// The high bit of the first byte that is zero, and perhaps of bytes above it.
#[inline]
fn zeroes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// The high bit of the first byte below 0x20, and perhaps of bytes above it.
#[inline]
fn controls(word: u64) -> u64 {
    word.wrapping_sub(ONES * 0x20) & !word & HIGH
}

#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The first byte from `at` on that is not white space.
#[inline]
pub(super) fn spaces(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|&byte| is_space(byte)) {
        at += 1;
    }
    at
}

/// One past the string whose opening quote is at `at`, and whether there are escapes in it.
#[inline]
pub(super) fn string_end(text: &[u8], at: usize) -> (usize, bool) {
    let (mut at, mut escaped) = (at + 1, false);
    loop {
        match special(text, &mut at, &mut 0) {
            Some(b'"') => return (at + 1, escaped),
            Some(b'\\') => (at, escaped) = (at + 2, true),
            Some(_) => at += 1,
            None => return (text.len(), escaped),
        }
    }
}

/// One past the value that begins at `at`.
#[inline]
pub(super) fn value_end(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => string_end(text, at).0,
        Some(b'{' | b'[') => container_end(text, at),
        _ => scalar_end(text, at),
    }
}

#[inline]
fn scalar_end(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|&byte| !matches!(byte, b',' | b'}' | b']') && !is_space(byte)) {
        at += 1;
    }
    at
}

fn container_end(text: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at).0;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// What stands before and after the value of a document, taken off.
pub(super) fn trim(text: &[u8]) -> std::ops::Range<usize> {
    let start = spaces(text, 0);
    let end = text.iter().rposition(|&byte| !is_space(byte)).map_or(start, |last| last + 1);
    start..end.max(start)
}
