//! `GZIP-DECODER` and `GZIP-ENCODER`: each record is a gzip stream of its own.

use std::sync::Arc;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use millstream_core::contracts::{Code, CodeError, Coder, Decompressor, Faults, Kind};
use millstream_core::data::{AnyColumn, Bytes, Data, Packed};

use super::decompress::Members;
use super::header::MAGIC;
use crate::limits::Limits;

/// How many bytes are decompressed before the size is looked at again.
const STEP: usize = 64 << 10;

/// The most that the records of one batch may become: places in its block have 32 bits.
const BLOCK: usize = u32::MAX as usize;

pub(super) fn decoder(limits: Limits) -> Coder {
    coder("GZIP-DECODER", Kind::Decode, move || Unpack { limits, members: Members::default() })
}

pub(super) fn encoder(level: u32) -> Coder {
    coder("GZIP-ENCODER", Kind::Encode, move || Pack {
        body: Compress::new(Compression::new(level), false),
        crc: Crc::new(),
    })
}

fn coder<C: Record>(name: &str, kind: Kind, make: impl Fn() -> C + Send + Sync + 'static) -> Coder {
    Coder {
        name: name.to_owned(),
        from: Bytes::form(),
        to: Bytes::form(),
        kind,
        cost: 10,
        heavy: true,
        waits: false,
        make: Arc::new(move || Box::new(Each(make()))),
    }
}

/// A coder of single records, which keeps what it works with from one to the next.
trait Record: Send + 'static {
    /// Appends what the record becomes.
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), CodeError>;
}

struct Each<C>(C);

impl<C: Record> Code for Each<C> {
    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let (Some(from), Some(to)) = (from.cast::<Packed<Bytes>>(), to.cast_mut::<Packed<Bytes>>()) else {
            let message = "this coder was given a column of another type: the graph does not fit its operators";
            return faults.extend((0..from.rows()).map(|row| (row as u32, CodeError::new(message).into())));
        };
        for row in 0..from.len() {
            if let Err(error) = to.try_fill(|out| self.0.record(from.get(row), out)) {
                faults.push((row as u32, error.into()));
            }
        }
        to.freeze();
    }
}

struct Unpack {
    limits: Limits,
    members: Members,
}

impl Record for Unpack {
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), CodeError> {
        self.members.reset();
        let (start, mut rest) = (out.len(), record);
        loop {
            let before = out.len();
            let taken = self.members.decompress(rest, true, STEP, out);
            self.bounded(out.len() - start, out.len())?;
            rest = &rest[taken.map_err(|error| CodeError::new(error.to_string()))?..];
            if rest.is_empty() && out.len() == before {
                return Ok(());
            }
        }
    }
}

impl Unpack {
    fn bounded(&self, record: usize, block: usize) -> Result<(), CodeError> {
        let limit = self.limits.record;
        if record > limit {
            return Err(CodeError::new(format!(
                "expected at most {limit} bytes in a compressed record, found more; raise the limit on a record's size if \
                 it is meant to be that large"
            )));
        }
        if block > BLOCK {
            return Err(CodeError::new(
                "the records of this batch take more than 4 GiB decompressed; lower the number of records in a batch, or \
                 the limit on a record's size",
            ));
        }
        Ok(())
    }
}

struct Pack {
    body: Compress,
    crc: Crc,
}

impl Record for Pack {
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), CodeError> {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 255]); // no flags, no time, nothing extra, an unknown system
        self.body(record, out)?;
        self.crc.reset();
        self.crc.update(record);
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&(record.len() as u32).to_le_bytes());
        Ok(())
    }
}

impl Pack {
    fn body(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), CodeError> {
        self.body.reset();
        loop {
            let rest = &record[self.body.total_in() as usize..];
            out.reserve(64 + rest.len() / 2);
            match self.body.compress_vec(rest, out, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => return Ok(()),
                Ok(Status::Ok | Status::BufError) => {}
                Err(error) => return Err(CodeError::new(format!("gzip: compressing failed: {error}"))),
            }
        }
    }
}
