//! Gzip: what is taken apart is what flate2 takes apart, whatever the pieces; what is put together comes back.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use millstream_coders::gzip::Gzip;
use millstream_core::contracts::{Compression, Error};
use millstream_fuzz::{How, byte};

/// What is made of one input at most: it may be a bomb.
const MOST: usize = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let kind = byte(&mut data);
    let how = How::take(&mut data);
    match kind % 2 {
        0 => taken_apart(data, &how),
        _ => comes_back(data, &how),
    }
});

fn taken_apart(data: &[u8], how: &How) {
    let (whole, error) = unpacked(data, &How::whole());
    let (pieces, other) = unpacked(data, how);
    if whole.len() >= MOST || pieces.len() >= MOST {
        return;
    }
    // Of what stands right before damage less is given where there was less room for it.
    match other {
        None => assert_eq!(whole, pieces),
        Some(_) => assert!(whole.starts_with(&pieces) || pieces.starts_with(&whole)),
    }
    assert_eq!(error.as_ref().map(what), other.as_ref().map(what));
    let mut theirs = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(data).take(MOST as u64 + 1).read_to_end(&mut theirs);
    match other {
        None => assert_eq!((read.is_ok(), theirs), (true, whole)),
        Some(error) => assert!(error.to_string().contains("at byte"), "{error}"),
    }
}

/// An error without its place: where damage within DEFLATE data shows, and in which part a stream breaks off, depends on
/// what is seen together.
fn what(error: &Error) -> String {
    let text = error.to_string();
    let (_, message) = text.split_once("stream: ").expect("a place");
    if message.ends_with("breaks off") { "breaks off".to_owned() } else { message.to_owned() }
}

/// What is made of the stream, until an error or until it is enough.
fn unpacked(stream: &[u8], how: &How) -> (Vec<u8>, Option<Error>) {
    let (mut unpacking, mut out) = (Gzip::default().decompressor(), Vec::new());
    let mut blocks = how.blocks.iter().cycle();
    let (mut from, mut to) = (0, 0);
    loop {
        let (at_end, before) = (to == stream.len(), out.len());
        let max = how.max.saturating_mul(16).min(MOST);
        let taken = match unpacking.decompress(&stream[from..to], at_end, max, &mut out) {
            Ok(taken) => taken,
            Err(error) => return (out, Some(error)),
        };
        assert!(out.len() - before <= max, "no more is made than was asked for");
        from += taken;
        let idle = taken == 0 && out.len() == before;
        match at_end {
            _ if out.len() >= MOST => return (out, None),
            true if idle => {
                assert_eq!(from, to, "all is taken at the end");
                return (out, None);
            }
            false if idle => to = stream.len().min(to.saturating_add(blocks.next().copied().unwrap_or(1))),
            _ => {}
        }
    }
}

/// A member for each block, and back in the same blocks.
fn comes_back(data: &[u8], how: &How) {
    let (mut packing, mut stream) = (Gzip::default().level(1).compressor(), Vec::new());
    for member in data.chunks(how.blocks[0].max(16)) {
        packing.compress(member, &mut stream).expect("memory takes it");
        packing.finish(&mut stream).expect("memory takes it");
    }
    if data.is_empty() {
        packing.finish(&mut stream).expect("memory takes it");
    }
    let (back, error) = unpacked(&stream, how);
    assert_eq!((back.as_slice(), error.map(|error| error.to_string())), (data, None));
}
