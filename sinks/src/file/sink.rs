//! [`FileSink`]: writes batches to a file.

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, ErrorKind, Read};

use bytes::Bytes;
use millstream_core::commit::Ticket;
use millstream_core::contracts::{Cause, Checkpoint, Error, Framing, Result, Sink, SinkContext, WriteError, Writer};
use millstream_core::data::{Packed, Records};

use super::append::Tail;
use super::config::{Begin, Output};
use super::kept::Kept;
use super::lock::Lock;
use super::place::{Found, Place, failed};
use super::replaced::{Replacement, kept_by_positions};
use crate::gather::{Gather, refused};

/// Writes batches to a file. After a write, a sync or a commit that failed, every call is an error: what is in the file
/// is not known before it is opened anew.
pub struct FileSink {
    output: Output,
    state: State,
}

enum State {
    Closed,
    Open(Box<Open>),
    Broken,
}

/// An output that is open.
struct Open {
    place: Place,
    writer: Box<dyn Writer>,
    gather: Gather,
    tail: Tail,
    /// Whether the header has been written. Cutting a footer off leaves it: it counts as committed with the footer.
    headed: bool,
    mode: Mode,
    /// Given back last.
    _lock: Option<Lock>,
}

/// What becomes of what is written.
enum Mode {
    /// It replaces the output at the end.
    Replace(Replacement),
    /// It is in the output, and its positions are kept beside it.
    Keep(Kept),
    /// It is in the output.
    Append,
    /// It has left.
    Device,
}

impl FileSink {
    pub(super) fn new(output: Output) -> Self {
        Self { output, state: State::Closed }
    }

    /// Does something with the open output; a failure is its end.
    fn with<T, E: From<Error>>(&mut self, work: impl FnOnce(&mut Open) -> Result<T, E>) -> Result<T, E> {
        let done = match &mut self.state {
            State::Open(open) => work(open),
            State::Closed => return Err(Error::new(Cause::Bug, "a file sink was used that is not open").into()),
            State::Broken => return Err(self.broken().into()),
        };
        if done.is_err() {
            self.state = State::Broken;
        }
        done
    }

    fn broken(&self) -> Error {
        let message = format!(
            "an earlier write to {} failed, and what is in it is not known: start again",
            self.output.path.display()
        );
        Error::new(Cause::Outside, message).retryable(false)
    }
}

impl Sink for FileSink {
    type In = Bytes;

    async fn open(&mut self, context: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        let open = Open::new(&self.output, context)?;
        let held = match &open.mode {
            Mode::Keep(kept) => Some(kept.checkpoints()),
            _ => None,
        };
        self.state = State::Open(Box::new(open));
        Ok(held)
    }

    fn write(
        &mut self,
        records: Records<'_, Packed<Bytes>>,
        _: &mut Option<Ticket>,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        let written = match records.is_empty() {
            true => Ok(None),
            false => self.with(|open| open.write(records.column())),
        };
        // A record that can't be written leaves the file as good as it was.
        let written = written.and_then(|refused| match refused {
            Some((row, error)) => Err(WriteError::Row { row, error }),
            None => Ok(()),
        });
        async { written }
    }

    async fn flush(&mut self) -> Result<()> {
        self.with(|open| open.settle(false))
    }

    async fn commit(&mut self, positions: &[Checkpoint]) -> Result<()> {
        self.with(|open| open.commit(positions))
    }

    async fn close(&mut self) -> Result<()> {
        self.with(Open::close)?;
        self.state = State::Closed;
        Ok(())
    }
}

impl Open {
    fn new(output: &Output, context: &SinkContext) -> Result<Self> {
        let place = Place::of(&output.path);
        let compression = output.compression.as_deref();
        let opened = |mode, tail: Tail, lock| {
            let headed = tail.length() > 0;
            let writer = match &mode {
                Mode::Keep(_) if headed => writer_behind(&place, &*output.framing, tail.length())?,
                _ => output.framing.writer(),
            };
            Ok(Self { headed, place: place.clone(), writer, gather: Gather::default(), tail, mode, _lock: lock })
        };
        let keeps = output.begin == Begin::Anew && context.keeps_positions;
        if place.found()? == Found::Device {
            return match keeps {
                true => Err(no_file(&place)),
                false => opened(Mode::Device, Tail::device(open_device(&place)?, compression), None),
            };
        }
        let lock = Lock::take(&place)?;
        let (mode, tail) = match output.begin {
            Begin::Anew if keeps => {
                let (kept, tail) = Kept::open(&place, output.form(), compression, context)?;
                (Mode::Keep(kept), tail)
            }
            Begin::Anew => {
                let (replacement, file) = Replacement::begin(&place)?;
                let tail = Tail::new(file, 0, compression);
                (Mode::Replace(replacement), tail.map_err(|error| failed(place.output(), "written", error))?)
            }
            Begin::AtEnd => (Mode::Append, open_to_append(&place, &*output.framing.writer())?),
        };
        opened(mode, tail, Some(lock))
    }

    /// Writes the records up to the first that the file can't hold, which is returned.
    fn write(&mut self, records: &Packed<Bytes>) -> Result<Option<(usize, Error)>, WriteError> {
        let refused = refused(records, &*self.writer);
        let rows = refused.as_ref().map_or(records.len(), |(row, _)| *row);
        if rows == 0 {
            return Ok(refused);
        }
        if let Mode::Keep(kept) = &mut self.mode {
            kept.unfinish(&mut self.tail)?;
        }
        let written = self
            .begin()
            .and_then(|()| self.gather.first_records(records, rows, &mut *self.writer, &mut self.tail))
            .and_then(|()| match self.mode {
                // Someone may be waiting at the other end.
                Mode::Device => self.drain(),
                _ => Ok(()),
            });
        written.map(|()| refused).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => WriteError::ReaderGone,
            _ => self.failed(error).into(),
        })
    }

    /// Writes the header, unless it is there.
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.headed, true) {
            return Ok(());
        }
        self.gather.append(&mut self.tail, |out| self.writer.header(out))
    }

    /// Everything given so far is written.
    fn drain(&mut self) -> io::Result<()> {
        self.gather.append(&mut self.tail, |out| self.writer.flush(out))?;
        self.gather.drain(&mut self.tail)
    }

    /// Everything given so far is written, can be read back, and is durable.
    fn settle(&mut self, member_needed: bool) -> Result<()> {
        self.drain()
            .and_then(|()| self.tail.end_member(member_needed))
            .and_then(|()| self.tail.sync())
            .map_err(|error| self.failed(error))
    }

    fn commit(&mut self, positions: &[Checkpoint]) -> Result<()> {
        self.settle(false)?;
        match &mut self.mode {
            Mode::Keep(kept) => kept.commit(positions, &mut self.tail),
            _ => Err(Error::new(Cause::Bug, "a file sink that keeps no positions was given some")),
        }
    }

    fn close(&mut self) -> Result<()> {
        match &self.mode {
            Mode::Append => return self.settle(false),
            Mode::Keep(kept) if kept.is_uncommitted() => {
                return Err(Error::new(Cause::Bug, "a file was closed with records in it that were not committed"));
            }
            Mode::Keep(kept) if kept.is_finished() => return Ok(()),
            _ => {}
        }
        let length = self.finish()?;
        match &mut self.mode {
            Mode::Keep(kept) => kept.finish(length, &mut self.tail),
            Mode::Replace(replacement) => {
                replacement.put().map_err(|error| failed(self.place.output(), "put in its place", error))
            }
            Mode::Append | Mode::Device => Ok(()),
        }
    }

    /// Writes the footer, and the header if nothing came before it. Returns the length before the footer.
    fn finish(&mut self) -> Result<u64> {
        self.begin().and_then(|()| self.drain()).map_err(|error| self.failed(error))?;
        self.tail.end_member(false).map_err(|error| self.failed(error))?;
        let length = self.tail.length();
        self.gather
            .append(&mut self.tail, |out| self.writer.footer(out))
            .map_err(|error| failed(self.place.output(), "written", error))?;
        // A compressed stream of nothing is still a stream.
        self.settle(length == 0)?;
        Ok(length)
    }

    fn failed(&self, error: io::Error) -> Error {
        failed(self.place.output(), "written", error)
    }
}

/// A writer that goes on with what is committed of an output.
fn writer_behind(place: &Place, framing: &dyn Framing, committed: u64) -> Result<Box<dyn Writer>> {
    let unfit = || {
        let output = place.output().display();
        let message = format!("{output} does not begin as it did when it was written: bring it back, or begin anew");
        Error::new(Cause::State, message)
    };
    let (mut head, mut ended) = (Vec::new(), false);
    loop {
        match framing.head(&head, ended).map_err(|error| unfit().because(error))? {
            Some(bytes) => return framing.writer_behind(&head[..bytes]).map_err(|error| unfit().because(error)),
            None if ended => return Err(unfit()),
            None => {}
        }
        let wanted = (2 * head.len() as u64).max(4096).min(committed);
        head.clear();
        let read = File::open(place.output()).and_then(|file| file.take(wanted).read_to_end(&mut head));
        read.map_err(|error| failed(place.output(), "read back", error))?;
        ended = (head.len() as u64) < wanted || wanted == committed;
    }
}

fn open_device(place: &Place) -> Result<File> {
    OpenOptions::new().write(true).open(place.output()).map_err(|error| failed(place.output(), "opened", error))
}

/// Opens a file at its end and ends the record that a crash may have torn off.
fn open_to_append(place: &Place, writer: &dyn Writer) -> Result<Tail> {
    if place.positions().exists() {
        return Err(kept_by_positions(place));
    }
    let opened = || {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(place.output())?;
        let length = file.metadata()?.len();
        let mut tail = Tail::new(file, length, None)?;
        let terminator = writer.terminator().unwrap_or_default();
        if length > 0 && tail.last(terminator.len() as u64)? != terminator {
            io::Write::write_all(&mut tail, terminator)?;
        }
        place.sync_folder()?;
        Ok(tail)
    };
    opened().map_err(|error| failed(place.output(), "opened", error))
}

fn no_file(place: &Place) -> Error {
    let message = format!(
        "{} is no file, and only a file can be written exactly-once: name another output, or run without a state \
         folder",
        place.output().display()
    );
    Error::new(Cause::User, message)
}
