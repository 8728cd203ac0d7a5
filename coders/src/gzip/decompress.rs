//! Taking a stream of members apart.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use millstream_core::contracts::{Cause, Decompressor, Error};

use super::header::Header;

/// How much is made room for at once.
const STEP: usize = 64 << 10;

/// And how little at least: what is not used has been filled with zeroes for nothing.
const LEAST: usize = 1 << 10;

/// One stream, in which any number of members follow each other.
pub(super) struct Members {
    at: At,
    header: Header,
    body: Decompress,
    crc: Crc,
    /// How many bytes of the stream have been taken.
    taken: u64,
    /// How many members have ended.
    ended: u64,
}

enum At {
    Header,
    Body,
    /// The trailer, of which so many bytes have been taken.
    Trailer([u8; 8], usize),
}

impl Default for Members {
    fn default() -> Self {
        let (header, body) = (Header::default(), Decompress::new(false));
        Self { at: At::Header, header, body, crc: Crc::new(), taken: 0, ended: 0 }
    }
}

impl Decompressor for Members {
    fn decompress(&mut self, input: &[u8], at_end: bool, max: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        let (mut rest, full) = (input, out.len().saturating_add(max));
        while self.step(&mut rest, full.saturating_sub(out.len()), out)? {}
        if at_end && rest.is_empty() && !self.is_complete() {
            if let At::Body = self.at {
                self.body(&mut rest, STEP, out)?; // what the body has and could not give yet
            }
            return Err(self.broken_off());
        }
        Ok(input.len() - rest.len())
    }
}

impl Members {
    /// Forgets the stream, to take another.
    pub(super) fn reset(&mut self) {
        self.next_member();
        (self.taken, self.ended) = (0, 0);
    }

    fn next_member(&mut self) {
        (self.at, self.header) = (At::Header, Header::default());
        self.body.reset(false);
        self.crc.reset();
    }

    /// Whether the stream may end here.
    fn is_complete(&self) -> bool {
        self.ended > 0 && matches!(self.at, At::Header) && self.header.is_empty()
    }

    /// Takes some of the input and adds at most `room` bytes. Returns whether anything happened.
    fn step(&mut self, input: &mut &[u8], room: usize, out: &mut Vec<u8>) -> Result<bool, Error> {
        match self.at {
            At::Header => self.header(input),
            At::Body => self.body(input, room, out),
            At::Trailer(trailer, count) => self.trailer(input, trailer, count),
        }
    }

    fn take<'i>(&mut self, input: &mut &'i [u8], count: usize) -> &'i [u8] {
        let (taken, rest) = input.split_at(count);
        *input = rest;
        self.taken += count as u64;
        taken
    }

    fn header(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        let Some(&byte) = input.first() else { return Ok(false) };
        let after_another = self.ended > 0 && self.header.is_empty();
        if let Err(message) = self.header.take(byte) {
            return Err(self.damaged(&if after_another { trailing(byte) } else { message }));
        }
        self.take(input, 1);
        if self.header.is_done() {
            self.at = At::Body;
        }
        Ok(true)
    }

    fn body(&mut self, input: &mut &[u8], room: usize, out: &mut Vec<u8>) -> Result<bool, Error> {
        if room == 0 {
            return Ok(false);
        }
        let (start, taken, made) = (out.len(), self.body.total_in(), self.body.total_out());
        out.resize(start + room.min((input.len() * 4).clamp(LEAST, STEP)), 0);
        let status = self.body.decompress(input, &mut out[start..], FlushDecompress::None);
        let (taken, made) = ((self.body.total_in() - taken) as usize, (self.body.total_out() - made) as usize);
        out.truncate(start + made);
        self.crc.update(&out[start..]);
        self.take(input, taken);
        match status {
            Ok(Status::StreamEnd) => self.at = At::Trailer([0; 8], 0),
            Ok(Status::Ok | Status::BufError) => return Ok(taken + made > 0),
            Err(_) => return Err(self.damaged("expected DEFLATE data, found what is not: the stream is damaged")),
        }
        Ok(true)
    }

    fn trailer(&mut self, input: &mut &[u8], mut trailer: [u8; 8], count: usize) -> Result<bool, Error> {
        let more = input.len().min(trailer.len() - count);
        trailer[count..count + more].copy_from_slice(&input[..more]);
        self.at = At::Trailer(trailer, count + more);
        if count + more == trailer.len() {
            // Its place is where it begins, however many pieces it came in.
            self.check(u64::from_le_bytes(trailer), self.taken - count as u64)?;
            self.next_member();
            self.ended += 1;
        }
        self.take(input, more);
        Ok(more > 0)
    }

    fn check(&self, trailer: u64, at: u64) -> Result<(), Error> {
        let (checksum, len) = (trailer as u32, (trailer >> 32) as u32);
        let (expected, made) = (self.crc.sum(), self.body.total_out() as u32);
        if checksum != expected {
            let message = format!("expected the checksum {expected:08x} after a member, found {checksum:08x}");
            return Err(damaged_at(at, &format!("{message}: the stream is damaged")));
        }
        if len != made {
            let message = format!("expected the length {made} after a member, found {len}");
            return Err(damaged_at(at + 4, &format!("{message}: the stream is damaged")));
        }
        Ok(())
    }

    fn damaged(&self, message: &str) -> Error {
        damaged_at(self.taken, message)
    }

    fn broken_off(&self) -> Error {
        let part = match self.at {
            At::Header => "the header",
            At::Body => "the body",
            At::Trailer(..) => "the trailer",
        };
        self.damaged(&format!("expected more of {part} of a member, found the end: the stream breaks off"))
    }
}

fn damaged_at(byte: u64, message: &str) -> Error {
    Error::new(Cause::Outside, format!("gzip, at byte {byte} of the compressed stream: {message}")).retryable(false)
}

fn trailing(byte: u8) -> String {
    format!(
        "expected the end or another gzip member, found the byte {byte:02x}; cut off what follows the last member, zeroes \
         too"
    )
}
