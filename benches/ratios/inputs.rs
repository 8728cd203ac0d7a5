//! The files that are read: always the same for the same size.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Failure;

const CITIES: [&str; 6] = ["Lisbon", "Vienna", "Oslo", "Ghent", "Porto Alegre", "Nagoya"];
const WORDS: [&str; 16] = [
    "mill", "stream", "water", "wheel", "stone", "flour", "grain", "weir", "sluice", "bran", "race", "pond", "hopper",
    "the", "of", "and",
];

/// Numbers that look random and are the same at each run: splitmix64.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(16) as usize]
    }
}

/// About `bytes` bytes of lines of 90 to 150 bytes; those that begin with an `a` are every
/// second.
pub(crate) fn lines(path: &Path, bytes: u64) -> Result<(), Failure> {
    let (mut file, mut numbers, mut written, mut even) = (create(path)?, Numbers(1), 0, false);
    let mut line = String::new();
    while written < bytes {
        line.clear();
        even = !even;
        line.push(if even { 'a' } else { 'b' });
        let end = 90 + numbers.below(60) as usize;
        while line.len() < end {
            line.push(' ');
            line.push_str(numbers.word());
        }
        line.push('\n');
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    Ok(file.flush()?)
}

/// About `bytes` bytes of lines of `length` bytes, line end included, that begin with their numbers.
pub(crate) fn numbered(path: &Path, bytes: u64, length: usize) -> Result<(), Failure> {
    let (mut file, mut numbers, mut line) = (create(path)?, Numbers(5), String::new());
    for number in 0..bytes / length as u64 {
        line.clear();
        write!(line, "{number:012}")?;
        while line.len() < length - 1 {
            line.push(' ');
            line.push_str(numbers.word());
        }
        line.truncate(length - 1);
        line.push('\n');
        file.write_all(line.as_bytes())?;
    }
    file.flush()?;
    // The system would write it while it is read, at the cost of whoever reads it first.
    Ok(file.get_ref().sync_all()?)
}

/// One document of about `bytes` bytes for each path, orders of about 265 bytes numbered on from one to the next; one
/// in two is paid.
pub(crate) fn orders_xml(paths: &[&Path], bytes: u64) -> Result<(), Failure> {
    let (mut numbers, mut id) = (Numbers(2), 0);
    for path in paths {
        let (mut file, mut written) = (create(path)?, 0);
        writeln!(file, "<?xml version=\"1.0\"?>\n<orders>")?;
        while written < bytes {
            let order = order_xml(id, &mut numbers);
            file.write_all(order.as_bytes())?;
            written += order.len() as u64;
            id += 1;
        }
        writeln!(file, "</orders>")?;
        file.flush()?;
    }
    Ok(())
}

fn order_xml(id: u64, numbers: &mut Numbers) -> String {
    let status = if numbers.below(2) == 0 { "paid" } else { "open" };
    let city = CITIES[numbers.below(6) as usize];
    let (sku, count, price) = (numbers.below(10_000), 1 + numbers.below(9), numbers.below(100_000));
    let (one, other) = (numbers.word(), numbers.word());
    format!(
        "  <order id=\"{id}\" currency=\"EUR\"><customer><name>{one} &amp; {other}</name><city>{city}</city></customer>\
         <status>{status}</status><item sku=\"A{sku}\" count=\"{count}\">{other}</item>\
         <shipping carrier=\"{one}\"><weight>{count}.5</weight></shipping><total>{price}.00</total></order>\n"
    )
}

/// About `bytes` bytes of lines with a JSON order each, of about 200 bytes; one in two is paid.
pub(crate) fn orders_json(path: &Path, bytes: u64) -> Result<(), Failure> {
    let (mut file, mut numbers, mut written, mut id) = (create(path)?, Numbers(3), 0, 0);
    while written < bytes {
        let status = if numbers.below(2) == 0 { "paid" } else { "open" };
        let city = CITIES[numbers.below(6) as usize];
        let (sku, count, price) = (numbers.below(10_000), 1 + numbers.below(9), numbers.below(100_000));
        let (one, other) = (numbers.word(), numbers.word());
        let order = format!(
            "{{\"id\":{id},\"customer\":{{\"name\":\"{one} & {other}\",\"city\":\"{city}\"}},\"status\":\"{status}\",\
             \"items\":[{{\"sku\":\"A{sku}\",\"count\":{count},\"note\":\"{other}\"}}],\"shipping\":{{\"carrier\":\
             \"{one}\",\"weight\":{count}.5}},\"total\":{price}.00}}\n"
        );
        file.write_all(order.as_bytes())?;
        written += order.len() as u64;
        id += 1;
    }
    Ok(file.flush()?)
}

/// About `bytes` bytes of lines of eight words, gzipped; there are some 50,000 different words.
pub(crate) fn words_gzip(path: &Path, bytes: u64) -> Result<(), Failure> {
    let mut file = GzEncoder::new(create(path)?, Compression::new(6));
    let (mut numbers, mut written, mut line) = (Numbers(4), 0, String::new());
    while written < bytes {
        line.clear();
        for _ in 0..8 {
            // Small numbers come more often, as words do.
            let number = numbers.below(224) * numbers.below(224);
            write!(line, "{}{number} ", WORDS[number as usize % 16])?;
        }
        line.push('\n');
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    file.finish()?.flush()?;
    Ok(())
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    Ok(BufWriter::with_capacity(1 << 20, File::create(path)?))
}
