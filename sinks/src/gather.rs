//! [`Gather`]: from batches of byte records to few large writes.

use std::io::{self, Write};

use bytes::Bytes;
use millstream_core::contracts::{Cause, Error, Writer};
use millstream_core::data::Packed;

use crate::runs::runs;

/// How many bytes are gathered before they are written. The larger a write, the less a file system does for each byte:
/// 200 MB cost 103 ms in writes of 32 KiB, 80 ms in writes of 64 KiB, 58 ms in writes of 256 KiB (ext4, Linux 6).
const GATHERED: usize = 256 << 10;
/// A run of this many bytes is written straight from its block; below it, the copy costs less than the write.
const STRAIGHT: usize = 64 << 10;

/// Writes long runs straight from their block and gathers what is shorter. It doesn't write by itself when dropped.
///
/// After an error what was written is unknown: the output has to be given up, or cut back.
#[derive(Debug, Default)]
pub(crate) struct Gather {
    bytes: Vec<u8>,
}

impl Gather {
    /// Writes all records of a batch to `to`, or gathers them.
    pub(crate) fn records(
        &mut self,
        records: &Packed<Bytes>,
        writer: &mut dyn Writer,
        to: &mut impl Write,
    ) -> io::Result<()> {
        let Some(terminator) = writer.terminator() else {
            return self.one_by_one(records, records.len(), writer, to);
        };
        let block = records.block();
        for run in runs(block, records.ranges(), terminator) {
            let behind = if run.terminated { &[][..] } else { terminator };
            self.put(&block[run.start..run.end], behind, to)?;
        }
        Ok(())
    }

    /// Writes the first `rows` records of a batch to `to`, or gathers them.
    pub(crate) fn first_records(
        &mut self,
        records: &Packed<Bytes>,
        rows: usize,
        writer: &mut dyn Writer,
        to: &mut impl Write,
    ) -> io::Result<()> {
        if rows == records.len() {
            self.records(records, writer, to)
        } else {
            self.one_by_one(records, rows, writer, to)
        }
    }

    /// Has `write` append to what is gathered.
    pub(crate) fn append(&mut self, to: &mut impl Write, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        write(&mut self.bytes);
        if self.bytes.len() >= GATHERED { self.drain(to) } else { Ok(()) }
    }

    /// Writes what is gathered.
    pub(crate) fn drain(&mut self, to: &mut impl Write) -> io::Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let written = to.write_all(&self.bytes);
        self.bytes.clear();
        // A large record is not a reason to hold its room for ever.
        self.bytes.shrink_to(2 * GATHERED);
        written
    }

    fn one_by_one(
        &mut self,
        records: &Packed<Bytes>,
        rows: usize,
        writer: &mut dyn Writer,
        to: &mut impl Write,
    ) -> io::Result<()> {
        for row in 0..rows {
            self.append(to, |out| writer.record(records.get(row), out))?;
        }
        Ok(())
    }

    #[inline]
    fn put(&mut self, run: &[u8], behind: &[u8], to: &mut impl Write) -> io::Result<()> {
        if run.len() >= STRAIGHT {
            self.drain(to)?;
            to.write_all(run)?;
        } else {
            if self.bytes.len() + run.len() > GATHERED {
                self.drain(to)?;
            }
            self.bytes.extend_from_slice(run);
        }
        if !behind.is_empty() {
            self.bytes.extend_from_slice(behind);
        }
        Ok(())
    }
}

/// The first record of a batch that the writer's stream can't hold, as the failure of that row.
pub(crate) fn refused(records: &Packed<Bytes>, writer: &dyn Writer) -> Option<(usize, Error)> {
    if writer.terminator().is_some() {
        return None;
    }
    (0..records.len()).find_map(|row| {
        let refused = writer.check(records.get(row)).err()?;
        Some((row, Error::new(Cause::Record, refused.to_string())))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::support::{Lines, packed};
    use millstream_core::contracts::Framing;

    /// Counts its calls.
    #[derive(Default)]
    struct Calls(Vec<u8>, usize);

    impl Write for Calls {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend_from_slice(bytes);
            self.1 += 1;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_long_run_is_written_in_one_call_and_short_ones_are_gathered() {
        let (mut gather, mut calls, mut writer) = (Gather::default(), Calls::default(), Lines.writer());
        gather.records(&packed(&["short"; 1000]), &mut *writer, &mut calls).unwrap();
        assert_eq!((calls.1, gather.bytes.is_empty()), (0, false));
        let block = "x".repeat(99) + "\n";
        let lines = crate::support::lines_of(&block.repeat(1000));
        gather.records(&lines, &mut *writer, &mut calls).unwrap();
        assert_eq!((calls.1, gather.bytes.is_empty()), (2, true));
        assert_eq!(calls.0, ("short\n".repeat(1000) + &block.repeat(1000)).into_bytes());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn all_arrives_in_order(sizes in prop::collection::vec(0usize..60_000, 0..30), own in any::<bool>()) {
            let (mut gather, mut calls) = (Gather::default(), Calls::default());
            let mut writer = if own { crate::support::Braces.writer() } else { Lines.writer() };
            let mut naive = Vec::new();
            for (row, size) in sizes.iter().enumerate() {
                let record = row.to_string().repeat(*size / 2);
                writer.record(record.as_bytes(), &mut naive);
                gather.records(&packed(&[&record]), &mut *writer, &mut calls).unwrap();
            }
            gather.drain(&mut calls).unwrap();
            prop_assert!(calls.0 == naive);
        }
    }
}
