//! [`Coder`]: from one form of a value to another.

use std::fmt;
use std::sync::Arc;

use super::{Rows, each_row, mistyped};
use crate::data::{AnyColumn, Bytes, Column, Data, Form, Packed};

/// Why a value can't be coded. The place within the record is given by what is known of it; all count from 1 but
/// `byte`, which counts from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeError {
    message: String,
    local: Option<Local>,
}

/// A place within a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The line, from 1.
    pub line: u64,
    /// The column in bytes, from 1.
    pub column: u64,
    /// The byte, from 0.
    pub byte: u64,
}

impl Local {
    /// The place of `byte` in `text`, or of the end if that comes before.
    pub fn of(text: &[u8], byte: usize) -> Self {
        let before = &text[..byte.min(text.len())];
        let line = before.iter().filter(|&&b| b == b'\n').count() as u64 + 1;
        let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |newline| newline + 1);
        Self { line, column: (before.len() - start) as u64 + 1, byte: before.len() as u64 }
    }
}

impl CodeError {
    /// What was expected and what was found.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), local: None }
    }

    /// With the place within the record.
    #[must_use]
    pub fn at(mut self, local: Local) -> Self {
        self.local = Some(local);
        self
    }

    /// The message without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The place within the record.
    pub fn local(&self) -> Option<Local> {
        self.local
    }
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.local {
            Some(Local { line, column, byte }) => {
                write!(f, " (in the record: line {line}, column {column}, byte {byte})")
            }
            None => Ok(()),
        }
    }
}

impl std::error::Error for CodeError {}

/// What a coder is for, which decides how chains of them may be built: nothing is decoded that was just encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// From bytes or text to a structured value.
    Decode,
    /// From a structured value to bytes or text.
    Encode,
    /// The same bytes under another type: bytes and text.
    Recast,
    /// From a value to the bytes that network stages carry. The planner uses it for nothing else: such bytes reach no
    /// sink, no dead letter and no other stage. Instances have to agree on the layout, and compare the coder's name to
    /// see that they do; so another layout has another name.
    WireEncode,
    /// From the bytes that a network stage carried back to the value that [`WireEncode`](Self::WireEncode) made them of,
    /// and to no other.
    WireDecode,
}

impl Kind {
    /// Whether it is for network stages alone.
    pub fn is_wire(self) -> bool {
        matches!(self, Self::WireEncode | Self::WireDecode)
    }
}

/// Rows that could not be coded or made.
pub type Faults = Vec<(u32, Box<dyn std::error::Error + Send + Sync>)>;

/// Tells a coder that waits for something outside when to give that up, because the run is breaking off: it then leaves
/// the rows that are not done as faults of any kind, which nobody looks at, and they run again next time.
#[derive(Clone)]
pub struct Halt(Arc<dyn Fn() -> bool + Send + Sync>);

impl Halt {
    /// Once `is_due` says so. It is asked every few milliseconds.
    pub fn when(is_due: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_due))
    }

    /// Whether to give up.
    pub fn is_due(&self) -> bool {
        (self.0)()
    }
}

impl Default for Halt {
    /// Never.
    fn default() -> Self {
        Self::when(|| false)
    }
}

impl fmt::Debug for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Halt({})", self.is_due())
    }
}

/// A coder at work on batches; each worker has its own.
pub trait Code: Send {
    /// Called once before anything is coded, for a coder that [waits](Coder::waits).
    fn halt_by(&mut self, halt: &Halt) {
        let _ = halt;
    }

    /// Codes every row of `from` and adds the results to `to`, in order. A row that can't be coded adds nothing to
    /// `to` and its number to `faults`.
    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults);
}

/// A registered way from one form to another, as plain data with a factory. The planner finds the cheapest chain.
#[derive(Clone)]
pub struct Coder {
    /// What plans print, e.g. `XML-DECODER`.
    pub name: String,
    /// What it takes.
    pub from: Form,
    /// What it gives.
    pub to: Form,
    /// What it is for.
    pub kind: Kind,
    /// What it costs against others, at least 1: recast 1, to the wire and back 2, decode or encode 10 by custom.
    pub cost: u32,
    /// Whether a worker thread is worth it: parsing is, recasting isn't.
    pub heavy: bool,
    /// Whether it may wait for something outside, such as a server that has to be asked first. It then runs on a thread
    /// of its own, apart from the source and the sink, which go on committing meanwhile. It waits as long as it takes, and
    /// gives up by [`Code::halt_by`].
    pub waits: bool,
    /// Makes one at work.
    pub make: Arc<dyn Fn() -> Box<dyn Code> + Send + Sync>,
}

impl fmt::Debug for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {} ({:?}, cost {})", self.name, self.from, self.to, self.kind, self.cost)
    }
}

/// Decodes bytes into a value, a record at a time.
pub trait Decoder: Send + Sync + 'static {
    /// What it makes.
    type Out: Data;

    /// What plans print, e.g. `XML-DECODER`.
    fn name(&self) -> String;

    /// See [`Coder::waits`].
    fn waits(&self) -> bool {
        false
    }

    /// See [`Code::halt_by`].
    fn halt_by(&self, halt: &Halt) {
        let _ = halt;
    }

    /// Adds the value that `bytes` stand for to `column`, or nothing and an error. The bytes share the source's block:
    /// keeping them costs no copy.
    fn decode(&self, bytes: Bytes, column: &mut <Self::Out as Data>::Column) -> Result<(), CodeError>;
}

/// Encodes a value as bytes, a record at a time.
pub trait Encoder: Send + Sync + 'static {
    /// What it takes.
    type In: Data;

    /// What plans print, e.g. `XML-ENCODER`.
    fn name(&self) -> String;

    /// See [`Coder::waits`].
    fn waits(&self) -> bool {
        false
    }

    /// See [`Code::halt_by`].
    fn halt_by(&self, halt: &Halt) {
        let _ = halt;
    }

    /// Writes the bytes that stand for `value` to `out`, which is empty.
    fn encode(&self, value: &Self::In, out: &mut Vec<u8>) -> Result<(), CodeError>;
}

/// A format: how a type is read from bytes and written to them. Given to `decode_as`, `encode_as` and `with`.
pub trait Format: 'static {
    /// The type it is a format of; [`Bytes`] for one that turns bytes into bytes, such as a compression.
    type Value: Data;

    /// How bytes become the type; `None` if it only writes.
    fn decoder(&self) -> Option<Coder>;

    /// How the type becomes bytes; `None` if it only reads.
    fn encoder(&self) -> Option<Coder>;
}

/// A [`Decoder`] as a [`Coder`] of cost 10.
pub fn decoder<D: Decoder>(decoder: D) -> Coder {
    let decoder = Arc::new(decoder);
    Coder {
        name: decoder.name(),
        from: Bytes::form(),
        to: D::Out::form(),
        kind: Kind::Decode,
        cost: 10,
        heavy: true,
        waits: decoder.waits(),
        make: Arc::new(move || Box::new(Decoding(decoder.clone()))),
    }
}

/// An [`Encoder`] as a [`Coder`] of cost 10.
pub fn encoder<E: Encoder>(encoder: E) -> Coder {
    let encoder = Arc::new(encoder);
    Coder {
        name: encoder.name(),
        from: E::In::form(),
        to: Bytes::form(),
        kind: Kind::Encode,
        cost: 10,
        heavy: false,
        waits: encoder.waits(),
        make: Arc::new(move || Box::new(Encoding { encoder: encoder.clone(), scratch: Vec::new() })),
    }
}

struct Decoding<D>(Arc<D>);

impl<D: Decoder> Code for Decoding<D> {
    fn halt_by(&mut self, halt: &Halt) {
        self.0.halt_by(halt);
    }

    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let rows = Rows::all(from.rows());
        let (Some(from), Some(to)) = (from.cast::<Packed<Bytes>>(), to.cast_mut::<<D::Out as Data>::Column>()) else {
            return mistyped(&rows, faults);
        };
        let mut whole = to.len();
        each_row(&rows, faults, |row, faults| {
            take_back(to, whole);
            match self.0.decode(from.share(row as usize), to) {
                Ok(()) => whole = to.len(),
                Err(error) => faults.push((row, error.into())),
            }
        });
        take_back(to, whole);
    }
}

/// What a decoder that failed or panicked left behind doesn't count.
fn take_back<C: Column>(column: &mut C, whole: usize) {
    if column.len() > whole {
        drop(column.split_off(whole));
    }
}

struct Encoding<E> {
    encoder: Arc<E>,
    /// Each record is encoded here first: what an encoder does to its output can't touch the records before.
    scratch: Vec<u8>,
}

impl<E: Encoder> Code for Encoding<E> {
    fn halt_by(&mut self, halt: &Halt) {
        self.encoder.halt_by(halt);
    }

    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let rows = Rows::all(from.rows());
        let (Some(from), Some(to)) = (from.cast::<<E::In as Data>::Column>(), to.cast_mut::<Packed<Bytes>>()) else {
            return mistyped(&rows, faults);
        };
        each_row(&rows, faults, |row, faults| {
            self.scratch.clear();
            match from.with(row as usize, |value| self.encoder.encode(value, &mut self.scratch)) {
                Ok(()) => to.append_bytes(&self.scratch),
                Err(error) => faults.push((row, error.into())),
            }
        });
        to.freeze();
    }
}

#[cfg(test)]
mod tests;
