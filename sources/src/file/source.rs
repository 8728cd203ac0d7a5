//! Reads the files: opens them in turn and gives what their frames hold.

use std::sync::{Arc, Mutex};

use millstream_core::contracts::{Cause, Chunk, Error, Event, Held, Result, Source};
use millstream_core::data::{Bytes, Partition};

use super::config::Files;
use super::identity::{KIB, Print, chain};
use super::input::{self, Input, Opened};
use super::marks::{FileMarks, Known};
use super::position::{name_text, path_text};
use crate::blocks::Blocks;
use crate::frames::{Found, Frames, Start, Step};

/// The one partition's name.
const PARTITION: &str = "files";

/// The source that [`Files`] declares.
pub struct FileSource {
    pub(super) files: Files,
    /// What the paths up to each one are known by.
    paths: Vec<u64>,
    reading: Option<Reading>,
    /// The number of the file after the one that is being read.
    next: usize,
    blocks: Option<Blocks>,
    size: Option<u64>,
}

impl Source for FileSource {
    type Out = Bytes;

    async fn open(&mut self, held: &Held) -> Result<Vec<Partition>> {
        let partition = Partition::new(PARTITION);
        if let Some(position) = held.position(&partition) {
            let reading = self.resume(&position)?;
            self.next = reading.known.index as usize + 1;
            self.reading = Some(reading);
        }
        self.size = self.look_ahead()?;
        Ok(vec![partition])
    }

    fn size(&self) -> Option<u64> {
        self.size
    }

    async fn next(&mut self) -> Result<Event<Bytes>> {
        loop {
            if let Some(reading) = &mut self.reading {
                if let Some(found) = reading.step(self.files.batch_records)? {
                    return Ok(Event::Records(reading.chunk(found)));
                }
                self.blocks = self.reading.take().map(|reading| reading.frames.into_blocks());
            }
            if self.next == self.files.paths.len() {
                return Ok(Event::End);
            }
            self.reading = Some(self.begin()?);
            self.next += 1;
        }
    }
}

impl FileSource {
    pub(super) fn new(files: Files) -> Self {
        let chained = files.paths.iter().scan(0, |before, path| {
            *before = chain(*before, path);
            Some(*before)
        });
        Self { paths: chained.collect(), files, reading: None, next: 0, blocks: None, size: None }
    }

    /// Sees that all files that are still to be read can be, and how many bytes there are, if that can be known.
    fn look_ahead(&self) -> Result<Option<u64>> {
        let mut size = self.reading.as_ref().map_or(Some(0), Reading::left);
        for path in &self.files.paths[self.next..] {
            let opened = input::open(path, &self.files.unpack)?;
            let len = opened.compression.is_none().then_some(opened.len);
            size = size.zip(len).map(|(size, len)| size + len);
        }
        Ok(size)
    }

    /// Begins the next file.
    fn begin(&mut self) -> Result<Reading> {
        let index = self.next;
        let path = &self.files.paths[index];
        let opened = input::open(path, &self.files.unpack)?;
        let known = Arc::new(self.known(index, &opened));
        let packed = opened.compression.is_some();
        let input = Input::new(opened, 0).map_err(|error| {
            let text = format!("can't read {}", path.display());
            Error::new(Cause::Outside, text).because(error)
        })?;
        let start = Start { line: packed.then_some(0), ..Start::default() };
        self.reading(known, input, None, start)
    }

    /// A file that is read from `start` on: the file's head, and the framing's state there, unless it is the beginning.
    pub(super) fn reading(
        &mut self,
        known: Arc<Known>,
        input: Input,
        behind: Option<(&[u8], &[u8])>,
        start: Start,
    ) -> Result<Reading> {
        let framing = &self.files.framing;
        let framer = match behind {
            Some((head, state)) => framing.framer_behind(head, state),
            None => framing.framer(None),
        };
        let framer = framer.map_err(|error| {
            let text = format!("{}: its framing can't begin at byte {}", known.path.display(), start.offset);
            Error::new(if behind.is_some() { Cause::State } else { Cause::Bug }, text).because(error)
        })?;
        let blocks = self.blocks.take().unwrap_or_else(|| Blocks::new(self.files.block_bytes + KIB));
        Ok(Reading { known, input, frames: Frames::new(framer, blocks, KIB, start) })
    }

    pub(super) fn known(&self, index: usize, opened: &Opened) -> Known {
        let path = self.files.paths[index].clone();
        let compression = opened.compression.as_ref().map(|compression| compression.name());
        let reading = [Some(self.files.framing.name()), compression].into_iter().flatten().collect::<Vec<_>>();
        Known {
            index: index as u32,
            path_text: path_text(&path),
            path,
            paths: self.paths[index],
            reading: name_text(&reading.join(", ")),
            head: Print::of_head(&opened.head),
            counted: Mutex::default(),
        }
    }
}

/// A file that is being read.
pub(super) struct Reading {
    pub(super) known: Arc<Known>,
    input: Input,
    pub(super) frames: Frames,
}

impl Reading {
    /// The next records of the file, at most `max`; `None` at its end.
    pub(super) fn step(&mut self, max: usize) -> Result<Option<Found>> {
        loop {
            match self.frames.step(max) {
                Ok(Step::Found(found)) => return Ok(Some(found)),
                Ok(Step::End) => return Ok(None),
                Ok(Step::Hungry) => self.fill()?,
                Err(broken) => {
                    let place = self.known.place_of(&broken);
                    return Err(Error::new(broken.cause, broken.message).at(place));
                }
            }
        }
    }

    fn fill(&mut self) -> Result<()> {
        let Self { known, input, frames } = self;
        frames.fill(|block| input.fill(block)).map_err(|error| error.at(known.path.display().to_string()))
    }

    fn chunk(&self, found: Found) -> Chunk<Bytes> {
        let Found { records, refused, site } = found;
        let marks = FileMarks::new(self.known.clone(), records.clone(), site);
        Chunk { partition: 0, column: records, times: None, marks: Arc::new(marks), refused }
    }

    /// How many bytes are left to read, if that can be known.
    fn left(&self) -> Option<u64> {
        match &self.input {
            Input::Plain { len, .. } => Some(len.saturating_sub(self.frames.offset())),
            Input::Packed(_) => None,
        }
    }
}
