//! [`StdoutSink`]: prints batches.

use std::fs::File;
use std::future::Future;
use std::io::{self, ErrorKind, Write};

use bytes::Bytes;
use millstream_core::commit::Ticket;
use millstream_core::contracts::{Cause, Checkpoint, Error, Result, Sink, SinkContext, WriteError, Writer};
use millstream_core::data::{Packed, Records};

use crate::gather::{Gather, refused};

/// Prints batches to standard output.
pub struct StdoutSink {
    writer: Box<dyn Writer>,
    gather: Gather,
    /// Standard output without the buffer that the standard library puts before it, which looks for line ends.
    to: Option<File>,
    headed: bool,
}

impl StdoutSink {
    pub(super) fn new(writer: Box<dyn Writer>) -> Self {
        Self { writer, gather: Gather::default(), to: None, headed: false }
    }

    /// Prints to this file.
    #[cfg(test)]
    pub(super) fn to(writer: Box<dyn Writer>, to: File) -> Self {
        Self { to: Some(to), ..Self::new(writer) }
    }

    fn print<T>(&mut self, work: impl FnOnce(&mut Self, &mut File) -> io::Result<T>) -> io::Result<T> {
        let Some(mut to) = self.to.take() else { return Err(ErrorKind::NotConnected.into()) };
        let printed = work(self, &mut to).and_then(|done| self.gather.drain(&mut to).map(|()| done))?;
        // Not given back after an error: what was printed is not known.
        self.to = Some(to);
        Ok(printed)
    }

    fn header(&mut self, to: &mut File) -> io::Result<()> {
        if std::mem::replace(&mut self.headed, true) {
            return Ok(());
        }
        self.gather.append(to, |out| self.writer.header(out))
    }
}

impl Sink for StdoutSink {
    type In = Bytes;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        if self.to.is_none() {
            // What the program has printed before comes first.
            let opened = io::stdout().flush().and_then(|()| standard_output());
            self.to = Some(opened.map_err(failed)?);
        }
        Ok(None)
    }

    fn write(
        &mut self,
        records: Records<'_, Packed<Bytes>>,
        _: &mut Option<Ticket>,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        let printed = match records.is_empty() {
            true => Ok(None),
            false => self.print(|sink, to| {
                let refused = refused(records.column(), &*sink.writer);
                let rows = refused.as_ref().map_or(records.len(), |(row, _)| *row);
                sink.header(to)?;
                sink.gather.first_records(records.column(), rows, &mut *sink.writer, to)?;
                // Someone may be waiting at the other end.
                sink.gather.append(to, |out| sink.writer.flush(out))?;
                Ok(refused)
            }),
        };
        let printed = match printed {
            Ok(None) => Ok(()),
            Ok(Some((row, error))) => Err(WriteError::Row { row, error }),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(WriteError::ReaderGone),
            Err(error) => Err(failed(error).into()),
        };
        async { printed }
    }

    /// Everything has been handed to the operating system when its batch was written, and no more can be done.
    async fn flush(&mut self) -> Result<()> {
        match self.to {
            Some(_) => Ok(()),
            None => Err(failed(ErrorKind::NotConnected.into())),
        }
    }

    async fn close(&mut self) -> Result<()> {
        let printed = self.print(|sink, to| {
            sink.header(to)?;
            sink.gather.append(to, |out| sink.writer.footer(out))
        });
        match printed {
            // All records were printed before: a reader that wants no footer is no error.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            printed => printed.map_err(failed),
        }
    }
}

#[cfg(unix)]
fn standard_output() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn standard_output() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

fn failed(error: io::Error) -> Error {
    let message = match error.kind() {
        ErrorKind::StorageFull => "nothing more can be printed to standard output: the disk that it leads to is full",
        ErrorKind::NotConnected => "standard output is not open, or an earlier print to it failed: start again",
        _ => "nothing more can be printed to standard output: see to what it leads to and start again",
    };
    Error::new(Cause::Outside, message).retryable(false).because(error)
}
