//! Lines and whole streams: what is found is what a naive reader finds, whatever the blocks, and any state is refused
//! or gone on with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_coders::limits::Limits;
use millstream_coders::lines::Lines;
use millstream_coders::whole::Whole;
use millstream_core::contracts::Framing;
use millstream_fuzz::{Cut, How, byte, cut, cut_on};

/// The largest record.
const LIMIT: usize = 24;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let kind = byte(&mut data);
    let how = How::take(&mut data);
    let limits = Limits { record: LIMIT, ..Limits::default() };
    let (lines, whole) = (Lines::default().limits(limits), Whole::default().limits(limits));
    match kind % 5 {
        0 => assert_eq!(cut(&lines, data, &how), naive(data, false)),
        1 => assert_eq!(cut(&lines.trim_cr(), data, &how), naive(data, true)),
        2 => assert_eq!(cut(&whole, data, &how), one(data)),
        3 => resumed(&lines, data, &how),
        _ => resumed(&whole, data, &how),
    }
});

fn naive(data: &[u8], trim: bool) -> Cut {
    let mut records = Vec::new();
    for line in data.split_inclusive(|&byte| byte == b'\n') {
        let ended = line.ends_with(b"\n");
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let trimmed = if trim && ended { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        records.push(match line.len() > LIMIT {
            true => (line[..LIMIT].to_vec(), true),
            false => (trimmed.to_vec(), false),
        });
    }
    Cut { records, error: None }
}

fn one(data: &[u8]) -> Cut {
    let (kept, refused) = if data.len() > LIMIT { (&data[..LIMIT], true) } else { (data, false) };
    Cut { records: vec![(kept.to_vec(), refused)], error: None }
}

fn resumed(framing: &dyn Framing, mut data: &[u8], how: &How) {
    let len = usize::from(byte(&mut data) % 4).min(data.len());
    let (state, stream) = data.split_at(len);
    if let Ok(framer) = framing.framer(Some(state)) {
        assert_eq!(framer.state(), state, "a state that is taken says the same again");
        let _ = cut_on(framing, framer, stream, how);
    }
}
