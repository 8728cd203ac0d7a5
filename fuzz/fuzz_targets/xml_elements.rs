//! Elements out of one document: blocks make no difference, and any state is refused or gone on with.
//!
//! ```text
//! input  name  how to read (see How)  then the document; with an odd name a state comes first, its length in a byte
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_coders::limits::Limits;
use millstream_coders::xml::Elements;
use millstream_core::contracts::Framing;
use millstream_fuzz::{Cut, How, byte, cut, cut_on};

const NAMES: [&str; 4] = ["order", "a", "x:order", "\u{e4}"];

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let kind = byte(&mut data);
    let limits = Limits { record: if kind & 0x80 == 0 { 64 } else { 1 << 20 }, ..Limits::default() };
    let name = NAMES[usize::from(kind >> 1) % NAMES.len()];
    let elements = Elements::named(name).with_limits(limits);
    let how = How::take(&mut data);
    match kind & 1 {
        0 => same(&elements, data, &how),
        _ => resumed(&elements, name, data, &how),
    }
});

fn same(elements: &Elements, document: &[u8], how: &How) {
    let (whole, blocks) = (cut(elements, document, &How::whole()), cut(elements, document, how));
    // How much is kept of what is refused depends on where a block ends when the limit is this low.
    let rows = |cut: &Cut| cut.records.iter().map(|(row, refused)| (!refused).then(|| row.clone())).collect::<Vec<_>>();
    assert_eq!(rows(&whole), rows(&blocks));
    let place = |cut: &Cut| cut.error.as_ref().map(|(place, _)| *place);
    assert_eq!(place(&whole), place(&blocks), "{:?} {:?}", whole.error, blocks.error);
}

/// From a state that nobody wrote, whose hashes are made to fit so that what is behind them is looked at.
fn resumed(elements: &Elements, name: &str, mut data: &[u8], how: &How) {
    let len = usize::from(byte(&mut data)).min(data.len());
    let (state, document) = data.split_at(len);
    assert!(elements.framer(Some(state)).is_err(), "a state that is not hashed is damaged");
    let mut state = state.to_vec();
    state.resize(len.max(19), 0);
    state[0] = 1;
    state[15..19].copy_from_slice(&hash(name.as_bytes()).to_le_bytes());
    state.extend(hash(&state).to_le_bytes());
    if let Ok(framer) = elements.framer(Some(&state)) {
        let (state, again) = (framer.state(), elements.framer(Some(&framer.state())).expect("its own state"));
        assert_eq!(again.state(), state, "a state that is taken says the same again");
        let _ = cut_on(elements, framer, document, how);
    }
}

/// FNV-1a, 32 bits.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
