//! Inputs, and what a naive reader makes of them.

use std::fmt::Write as _;

use millstream::coders::gzip::Gzip;
use millstream::contracts::Compression;

/// So many lines, of different lengths, each with its number; some are empty.
pub(crate) fn lines(numbers: std::ops::Range<u64>) -> String {
    let mut text = String::new();
    for number in numbers {
        if number % 97 != 0 {
            let filling = &FILLING[..(number as usize * 31) % FILLING.len()];
            let _ = write!(text, "{number} {filling}");
        }
        text.push('\n');
    }
    text
}

const FILLING: &str = "the quick brown fox jumps over the lazy dog; the quick brown fox jumps over the lazy dog; the \
                       quick brown fox jumps over the lazy dog; the quick brown fox jumps over it";

/// A document of so many orders, and those of them that are paid, a line end behind each.
pub(crate) fn orders(count: u64) -> (String, String) {
    let (mut document, mut paid) = (String::from("<?xml version=\"1.0\"?>\n<orders>\n"), String::new());
    for number in 0..count {
        let is_paid = number % 7 < 4;
        let status = if is_paid { "paid" } else { "open" };
        let filling = &FILLING[..(number as usize * 13) % FILLING.len()];
        let order = format!(
            "<order id='{number}'>\n  <customer><name>{filling} &amp; sons</name></customer><!-- </order> -->\n  \
             <status>{status}</status>\n</order>"
        );
        document.push_str(&order);
        document.push_str(" \n");
        if is_paid {
            paid.push_str(&order);
            paid.push('\n');
        }
    }
    document.push_str("</orders>\n");
    (document, paid)
}

/// Compressed, in several members.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let (mut packing, mut packed) = (Gzip::default().level(1).compressor(), Vec::new());
    for member in bytes.chunks(1_000_003) {
        packing.compress(member, &mut packed).expect("memory takes it");
        packing.finish(&mut packed).expect("memory takes it");
    }
    packed
}
