//! A thread reads, the source cuts what it has read into records. The thread waits when two pieces are waiting.

use std::io::{ErrorKind, Read};
use std::sync::Arc;

use millstream_core::contracts::{Cause, Chunk, Error, Event, Framing, Held, Result, Source};
use millstream_core::data::{Bytes, Marks, Packed, Partition, Position};
use tokio::sync::mpsc;

use crate::blocks::Blocks;
use crate::frames::{Found, Frames, Site, Start, Step, lines};

const NAME: &str = "standard input";
const PARTITION: &str = "stdin";

/// How many bytes are read at once.
const PIECE: usize = 128 << 10;

/// How many pieces may wait.
const WAITING: usize = 2;

/// The most records that a batch has.
const BATCH: usize = 1_024;

/// The source that [`Stdin`](super::Stdin) declares.
pub struct StdinSource {
    framing: Arc<dyn Framing>,
    input: Option<Box<dyn Read + Send>>,
    pieces: Option<mpsc::Receiver<std::io::Result<Bytes>>>,
    /// What is left of a piece that didn't fit the block.
    piece: Bytes,
    frames: Option<Frames>,
}

impl Source for StdinSource {
    type Out = Bytes;

    async fn open(&mut self, _: &Held) -> Result<Vec<Partition>> {
        let framer = self
            .framing
            .framer(None)
            .map_err(|error| Error::new(Cause::Bug, format!("{NAME}: its framing can't begin")).because(error))?;
        let start = Start { line: Some(0), ..Start::default() };
        self.frames = Some(Frames::new(framer, Blocks::new(PIECE), 0, start));
        if let Some(input) = self.input.take() {
            let (sender, receiver) = mpsc::channel(WAITING);
            let reader = std::thread::Builder::new().name("stdin".into()).spawn(move || read(input, &sender));
            reader.map_err(|error| Error::new(Cause::Outside, "can't start a thread for it").because(error))?;
            self.pieces = Some(receiver);
        }
        Ok(vec![Partition::new(PARTITION)])
    }

    async fn next(&mut self) -> Result<Event<Bytes>> {
        loop {
            let Some(frames) = &mut self.frames else {
                return Err(Error::new(Cause::Bug, format!("{NAME} was read before it was opened")));
            };
            match frames.step(BATCH) {
                Ok(Step::Found(found)) => return Ok(Event::Records(chunk(found))),
                Ok(Step::End) => return Ok(Event::End),
                Ok(Step::Hungry) => self.fill().await?,
                Err(broken) => {
                    let place = place(broken.line, broken.offset);
                    return Err(Error::new(broken.cause, broken.message).at(place));
                }
            }
        }
    }
}

impl StdinSource {
    pub(super) fn new(framing: Arc<dyn Framing>, input: impl Read + Send + 'static) -> Self {
        Self { framing, input: Some(Box::new(input)), pieces: None, piece: Bytes::new(), frames: None }
    }

    /// Waits for bytes, or the end. May be dropped at any time: nothing is taken before it is there.
    async fn fill(&mut self) -> Result<()> {
        let mut ended = false;
        if self.piece.is_empty() {
            let next = match &mut self.pieces {
                Some(pieces) => pieces.recv().await,
                None => None,
            };
            match next {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => {
                    return Err(Error::new(Cause::Outside, format!("{NAME} can't be read on")).because(error));
                }
                None => ended = true,
            }
        }
        let Self { frames: Some(frames), piece, .. } = self else { return Ok(()) };
        frames.fill(|block| {
            let some = block.len().min(piece.len());
            block[..some].copy_from_slice(&piece.split_to(some));
            Ok((some, ended))
        })
    }
}

/// Reads until the end, an error, or nobody wants it any more.
fn read(mut input: Box<dyn Read + Send>, pieces: &mpsc::Sender<std::io::Result<Bytes>>) {
    let mut block = vec![0; PIECE];
    loop {
        let piece = match input.read(&mut block) {
            Ok(0) => return,
            Ok(read) => Ok(Bytes::copy_from_slice(&block[..read])),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = piece.is_err();
        if pieces.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}

fn chunk(found: Found) -> Chunk<Bytes> {
    let Found { records, refused, site } = found;
    let marks = Arc::new(StdinMarks { records: records.clone(), site });
    Chunk { partition: 0, column: records, times: None, marks, refused }
}

/// Where the records of one batch stand, for people: positions there are none.
struct StdinMarks {
    records: Packed<Bytes>,
    site: Site,
}

impl Marks for StdinMarks {
    fn position(&self, _: u32) -> Result<Option<Position>, String> {
        Ok(None)
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        let Some(range) = self.records.ranges().get(index as usize) else { return NAME.to_owned() };
        let within = self.site.start(index, range);
        if self.site.unpacked.is_some() {
            let byte = self.site.base + within as u64;
            return format!("{NAME} byte {byte}, record {}", self.site.number(index));
        }
        let line = self.site.line.map(|line| line + lines(&self.site.block[..within]));
        place(line, self.site.base + within as u64)
    }
}

fn place(line: Option<u64>, offset: u64) -> String {
    match line {
        Some(line) => format!("{NAME} line {}, byte {offset}", line + 1),
        None => format!("{NAME} byte {offset}"),
    }
}
