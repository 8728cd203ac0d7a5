//! What the fuzz targets share: how a stream is read is taken off the fuzzer's own input, so that it finds the sizes of
//! blocks that matter as it finds the bytes.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use millstream_core::contracts::{Framer, Framing, Scan};

/// The first byte of the input, which is taken off; 0 of an empty one.
pub fn byte(data: &mut &[u8]) -> u8 {
    let Some((&first, rest)) = data.split_first() else { return 0 };
    *data = rest;
    first
}

/// How a stream is read.
#[derive(Debug)]
pub struct How {
    /// The sizes of the blocks, again and again.
    pub blocks: Vec<usize>,
    /// The most records of a scan.
    pub max: usize,
    /// A new framer goes on from the state after every scan.
    pub resumed: bool,
}

impl How {
    /// All at once.
    pub fn whole() -> Self {
        Self { blocks: vec![usize::MAX], max: usize::MAX, resumed: false }
    }

    /// As the first bytes of the input say: how many blocks and whether they are resumed, how many records a scan, then
    /// the block's sizes.
    pub fn take(data: &mut &[u8]) -> Self {
        let head = byte(data);
        let max = usize::from(byte(data) % 8) + 1;
        let blocks = (0..=head % 4).map(|_| usize::from(byte(data)) + 1).collect();
        Self { blocks, max, resumed: head & 0x80 != 0 }
    }
}

/// What came of a stream: the records, each with whether it was refused, and the error with its place in the stream.
#[derive(Debug, Default, PartialEq)]
pub struct Cut {
    pub records: Vec<(Vec<u8>, bool)>,
    pub error: Option<(usize, String)>,
}

/// Reads a stream from its beginning.
pub fn cut(framing: &dyn Framing, stream: &[u8], how: &How) -> Cut {
    cut_on(framing, framing.framer(None).expect("a framer at the beginning"), stream, how)
}

/// Reads a stream on with this framer.
pub fn cut_on(framing: &dyn Framing, mut framer: Box<dyn Framer>, stream: &[u8], how: &How) -> Cut {
    let (mut cut, mut found) = (Cut::default(), Scan::default());
    let mut blocks = how.blocks.iter().cycle();
    let (mut from, mut to) = (0, 0);
    loop {
        let at_end = to == stream.len();
        let scanned = framer.scan(&stream[from..to], at_end, how.max, &mut found);
        assert!(found.records.len() <= how.max, "no more records than were asked for");
        for (index, range) in found.records.iter().enumerate() {
            let whole = found.unpacked.as_ref().map_or(&stream[from..to], |unpacked| &unpacked.bytes);
            let record = whole[range.start as usize..range.end as usize].to_vec();
            cut.records.push((record, found.refused.iter().any(|(of, _)| *of as usize == index)));
        }
        if let Err(error) = scanned {
            cut.error = Some((from + error.offset, error.message));
            return cut;
        }
        let progress = found.consumed > 0 || !found.records.is_empty();
        from += found.consumed;
        assert!(from <= to, "no more is consumed than there was");
        if how.resumed {
            let state = framer.state();
            assert!(state.len() <= 2_048, "a state of {} bytes", state.len());
            let head = match framing.head(stream, true) {
                Ok(head) => head.unwrap_or_default(),
                // Whoever goes on in it sees that first.
                Err(error) => {
                    cut.error = Some((error.offset, error.message));
                    return cut;
                }
            };
            framer = framing.framer_behind(&stream[..head], &state).expect("a framer's own state");
        }
        match at_end {
            true if from == to && found.records.len() < how.max => return cut,
            true => assert!(progress, "{} bytes are left at the end", to - from),
            false if found.records.len() < how.max => {
                to = stream.len().min(to.saturating_add(blocks.next().copied().unwrap_or(1)));
            }
            false => {}
        }
    }
}

/// The result of a future that never waits: sources and sinks of files block.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a file made its caller wait"),
    }
}
