//! What the tests of several sinks use.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::commit::Ticket;
use millstream_core::contracts::{
    Compression, Compressor, Decompressor, DynSink, Error, Framer, Framing, FramingError, WriteError, Writer,
};
use millstream_core::data::{AnyColumn, Batch, EventTime, Marks, Packed, Partition, Position, Range32, Shared, Times};

/// A line a record.
#[derive(Clone, Copy)]
pub(crate) struct Lines;

impl Framing for Lines {
    fn name(&self) -> String {
        "lines".into()
    }
    fn framer(&self, _: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        unreachable!("sinks don't read")
    }
    fn writer(&self) -> Box<dyn Writer> {
        Box::new(LineWriter)
    }
}

struct LineWriter;

impl Writer for LineWriter {
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(record);
        out.push(b'\n');
    }
    fn terminator(&self) -> Option<&[u8]> {
        Some(b"\n")
    }
}

/// `{` and `}` around all records, `<` and `>` around each.
#[derive(Clone, Copy)]
pub(crate) struct Braces;

impl Framing for Braces {
    fn name(&self) -> String {
        "braces".into()
    }
    fn framer(&self, _: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        unreachable!("sinks don't read")
    }
    fn writer(&self) -> Box<dyn Writer> {
        Box::new(BraceWriter)
    }
}

struct BraceWriter;

impl Writer for BraceWriter {
    fn header(&mut self, out: &mut Vec<u8>) {
        out.push(b'{');
    }
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        out.push(b'<');
        out.extend_from_slice(record);
        out.push(b'>');
    }
    fn footer(&mut self, out: &mut Vec<u8>) {
        out.push(b'}');
    }
}

/// Compresses nothing; a member ends with a 0.
pub(crate) struct Members;

impl Compression for Members {
    fn name(&self) -> String {
        "members".into()
    }
    fn matches(&self, _: &[u8]) -> bool {
        false
    }
    fn decompressor(&self) -> Box<dyn Decompressor> {
        unreachable!("sinks don't read")
    }
    fn compressor(&self) -> Box<dyn Compressor> {
        Box::new(MemberWriter)
    }
}

struct MemberWriter;

impl Compressor for MemberWriter {
    fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(input);
        Ok(())
    }
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        out.push(0);
        Ok(())
    }
}

/// These records, with nothing between them.
pub(crate) fn packed(records: &[impl AsRef<[u8]>]) -> Packed<Bytes> {
    let mut packed = Packed::default();
    for record in records {
        packed.append_bytes(record.as_ref());
    }
    packed.freeze();
    packed
}

/// The lines of a text, in its own block.
pub(crate) fn lines_of(text: &str) -> Packed<Bytes> {
    let mut start = 0;
    let mut ranges = Vec::new();
    for line in text.split_inclusive('\n') {
        ranges.push(Range32 { start, end: start + line.trim_end_matches('\n').len() as u32 });
        start += line.len() as u32;
    }
    Packed::new(Bytes::copy_from_slice(text.as_bytes()), ranges)
}

struct NoMarks;

impl Marks for NoMarks {
    fn position(&self, _: u32) -> Result<Option<Position>, String> {
        Ok(None)
    }
    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        index.to_string()
    }
}

/// A batch of these rows.
pub(crate) fn batch(column: impl AnyColumn) -> Batch {
    let shared = Shared {
        stage: "TEST".into(),
        partition: Partition::new("0"),
        instance: 0,
        epoch: 0,
        first: 0,
        len: column.rows() as u32,
        times: Times::Uniform(EventTime { micros: 0, ingested: true }),
        marks: Arc::new(NoMarks),
        raw: None,
        late: false,
        turns: None,
        dealt: None,
    };
    Batch::new(Arc::new(shared), Box::new(column))
}

/// Waits on this thread: no sink here needs a runtime.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("this sink waits for something"),
    }
}

/// Writes these rows as the engine does.
pub(crate) fn write(sink: &mut dyn DynSink, column: impl AnyColumn) -> Result<(), WriteError> {
    wait(sink.write(&batch(column), &mut None::<Ticket>))
}
