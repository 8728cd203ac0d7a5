//! [`Kept`]: an output whose positions are kept beside it, so that each record is in it exactly once.
//!
//! **Recovery.** The positions' file is there before the output is, and each change of the output becomes durable
//! before the file tells of it. So what a kill leaves behind is one of these, and each goes on by itself:
//!
//! ```text
//! positions        output                      then
//! none             none, or empty              begin anew
//! of 0 bytes       none                        make the output
//! of n bytes       n bytes or more             cut back to n
//! of n + footer    n + footer bytes or more    cut back to that; the next record first writes "n bytes" to the
//!                                              positions, then cuts the footer off
//! ```
//!
//! Everything else was not done by us, and is an error that says what is lost and what to do.

use std::fs::{File, OpenOptions};
use std::io;

use millstream_core::contracts::{Cause, Checkpoint, Compression, Error, Result, SinkContext, around_difference};

use super::append::{Tail, last_before};
use super::held::{ENDING, Held, checksum};
use super::place::{Found, Place, failed};

/// What is kept beside an open output.
#[derive(Debug)]
pub(super) struct Kept {
    place: Place,
    held: Held,
    /// Whether records were written since the last commit.
    uncommitted: bool,
}

/// How an output is gone on with.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// Nothing is there, or nothing that would be lost.
    Anew,
    /// Cut back to this many bytes.
    From(u64),
}

/// What is not as we left it.
#[derive(Debug, PartialEq, Eq)]
enum Lost {
    /// Neither output nor positions are there, and the checkpoint store knows of both.
    Both,
    /// The output is gone.
    Output,
    /// The positions are gone.
    Positions,
    /// The output is not of a run that keeps positions.
    Foreign,
    /// The output is shorter than this.
    Shorter { found: u64, committed: u64 },
    /// The output's committed end is not the one we wrote.
    Changed,
    /// The positions are of another pipeline.
    Pipeline(String),
    /// The output was made of another input.
    Input(String),
    /// The output is of another form.
    Form(String),
}

impl Kept {
    /// Opens an output, or begins one. It must be locked.
    pub(super) fn open(
        place: &Place,
        form: String,
        compression: Option<&dyn Compression>,
        context: &SinkContext,
    ) -> Result<(Self, Tail)> {
        let (held, found) = (Held::read(place)?, place.found()?);
        let lost = |lost| lost_error(place, context, lost);
        let start = start(held.as_ref(), found, &form, context).map_err(lost)?;
        let held = match (start, held) {
            (Start::From(_), Some(held)) => Held { input: context.input.clone().or(held.input), ..held },
            _ => first(place, form, context)?,
        };
        let whole = held.length + held.footer;
        let file = output(place, found).map_err(|error| failed(place.output(), "opened", error))?;
        // Looked at before anything is cut: what someone else put there is not ours to lose.
        let last = last_before(&file, whole, ENDING).map_err(|error| failed(place.output(), "read back", error))?;
        if checksum(&last) != held.ending {
            return Err(lost(Lost::Changed));
        }
        let tail = Tail::new(file, whole, compression).map_err(|error| failed(place.output(), "cut back", error))?;
        Ok((Self { place: place.clone(), held, uncommitted: false }, tail))
    }

    /// The positions that the output holds.
    pub(super) fn checkpoints(&self) -> Vec<Checkpoint> {
        self.held.checkpoints.clone()
    }

    /// Whether the footer has been written and nothing came after it.
    pub(super) fn is_finished(&self) -> bool {
        self.held.footer > 0
    }

    /// Whether records were written since the last commit.
    pub(super) fn is_uncommitted(&self) -> bool {
        self.uncommitted
    }

    /// Records are about to be written: a footer goes, the positions' file first.
    pub(super) fn unfinish(&mut self, tail: &mut Tail) -> Result<()> {
        self.uncommitted = true;
        if !self.is_finished() {
            return Ok(());
        }
        let cut = |error| failed(self.place.output(), "cut back", error);
        let length = self.held.length;
        let whole = tail.last(self.held.footer + ENDING).map_err(cut)?;
        let body = &whole[..whole.len() - self.held.footer as usize];
        let ending = checksum(&body[body.len().saturating_sub(ENDING as usize)..]);
        let held = Held { footer: 0, ending, ..self.held.clone() };
        held.write(&self.place)?;
        tail.cut(length).map_err(cut)?;
        self.held = held;
        Ok(())
    }

    /// Keeps these positions for all that is in the output. It must be synced.
    pub(super) fn commit(&mut self, positions: &[Checkpoint], tail: &mut Tail) -> Result<()> {
        let mut held = Held { checkpoints: positions.to_vec(), ..self.held.clone() };
        if !self.is_finished() {
            held.length = tail.length();
        }
        self.put(held, tail)
    }

    /// What was added since `length` bytes is the footer. It must be synced.
    pub(super) fn finish(&mut self, length: u64, tail: &mut Tail) -> Result<()> {
        if tail.length() == self.held.length {
            return Ok(());
        }
        let held = Held { length, footer: tail.length() - length, ..self.held.clone() };
        self.put(held, tail)
    }

    fn put(&mut self, mut held: Held, tail: &mut Tail) -> Result<()> {
        let last = tail.last(ENDING).map_err(|error| failed(self.place.output(), "read back", error))?;
        held.ending = checksum(&last);
        held.write(&self.place)?;
        self.held = held;
        self.uncommitted = false;
        Ok(())
    }
}

/// Decides how to go on.
fn start(held: Option<&Held>, found: Found, form: &str, context: &SinkContext) -> Result<Start, Lost> {
    let remembered = !context.committed.is_empty();
    let Some(held) = held else {
        return match found {
            Found::Nothing if remembered => Err(Lost::Both),
            Found::Nothing => Ok(Start::Anew),
            _ if remembered => Err(Lost::Positions),
            Found::File(0) => Ok(Start::Anew),
            _ => Err(Lost::Foreign),
        };
    };
    let committed = held.length + held.footer;
    match found {
        _ if held.pipeline != context.pipeline => Err(Lost::Pipeline(held.pipeline.clone())),
        _ if let Some(other) = other_input(held, context) => Err(Lost::Input(other.to_owned())),
        _ if held.form != form => Err(Lost::Form(held.form.clone())),
        _ if held.checkpoints.is_empty() && remembered => Err(Lost::Positions),
        Found::Nothing if committed > 0 => Err(Lost::Output),
        Found::File(found) if found < committed => Err(Lost::Shorter { found, committed }),
        _ => Ok(Start::From(committed)),
    }
}

/// The input that the output was made of, if this run reads another. As with a state folder, one that holds nothing is
/// nobody's, and one that says of no input is taken as it is.
fn other_input<'a>(held: &'a Held, context: &SinkContext) -> Option<&'a str> {
    let is_empty = held.checkpoints.is_empty() && held.length + held.footer == 0;
    let there = held.input.as_deref().filter(|_| !is_empty)?;
    context.input.as_ref().is_some_and(|here| here != there).then_some(there)
}

/// The positions' file of an output that is about to begin.
fn first(place: &Place, form: String, context: &SinkContext) -> Result<Held> {
    let (pipeline, input) = (context.pipeline.clone(), context.input.clone());
    let held = Held { pipeline, form, length: 0, footer: 0, ending: checksum(b""), checkpoints: Vec::new(), input };
    held.write(place)?;
    Ok(held)
}

fn output(place: &Place, found: Found) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(place.output())?;
    if found == Found::Nothing {
        place.sync_folder()?;
    }
    Ok(file)
}

fn lost_error(place: &Place, context: &SinkContext, lost: Lost) -> Error {
    let (output, positions) = (place.output().display(), place.positions());
    let positions = positions.display();
    let anew = "the state folder to begin anew (and set back what a server keeps, as a consumer group's offsets)";
    let message = match lost {
        Lost::Both => format!(
            "{output} is gone, and so is {positions}, but the state folder says that this pipeline has committed {}: \
             bring both back, or remove {anew}",
            labels(&context.committed)
        ),
        Lost::Output => format!(
            "{output} is gone, and {positions} says that records were committed to it: bring it back, or remove \
             {positions} and {anew}"
        ),
        Lost::Positions => format!(
            "the positions that belong to {output} are gone: {positions} does not know of what the state folder says \
             was committed ({}), so nothing tells how much of the output that is; bring it back, or remove the \
             output, {positions} and {anew}",
            labels(&context.committed)
        ),
        Lost::Foreign => format!(
            "{output} exists, and no {positions} stands beside it: it was not written by a run with a state folder, \
             and is not overwritten by one; move it away or name another output"
        ),
        Lost::Shorter { found, committed } => format!(
            "{output} has {found} bytes, and {positions} says that {committed} were committed: it was cut or replaced; \
             bring it back, or remove both and {anew}"
        ),
        Lost::Changed => format!(
            "{output} does not end, where its committed part ends, as it did when that was committed: it was changed \
             or replaced; bring it back, or remove it, {positions} and {anew}"
        ),
        Lost::Pipeline(other) => format!(
            "{positions} says that {output} is of the pipeline `{other}`, and this one is `{}`: name another output, \
             or remove both to begin anew",
            context.pipeline
        ),
        Lost::Input(there) => {
            let (there, here) = around_difference(&there, context.input.as_deref().unwrap_or_default());
            format!(
                "{output} holds what was made of another input: {positions} says that its input is `{there}`, and this \
                 run's is `{here}`; name another output, or read the former input"
            )
        }
        Lost::Form(form) => format!(
            "{output} was begun as {form}, and can't be gone on with in another form: declare it as it was, or remove \
             it, {positions} and {anew}"
        ),
    };
    Error::new(Cause::State, message)
}

fn labels(checkpoints: &[Checkpoint]) -> String {
    const SHOWN: usize = 3;
    let mut labels: Vec<_> = checkpoints.iter().take(SHOWN).map(|one| one.position.label()).collect();
    if checkpoints.len() > SHOWN {
        labels.push("…");
    }
    labels.join(", ")
}
