//! Going to where a held position stands, and seeing that the file is still the one that it was made in.

use std::sync::Arc;

use millstream_core::contracts::{Cause, Error, Result};
use millstream_core::data::Position;

use super::identity::{KIB, Print};
use super::input::{self, Input, Opened};
use super::marks::{self, Known};
use super::position::{Place, path_text};
use super::source::{FileSource, Reading};
use crate::frames::{Start, lines};

/// What to do about every one of these errors.
const WAY_OUT: &str = "restore it, or start over with another state folder and another output";

impl FileSource {
    /// Opens the file that the position stands in and goes there.
    pub(super) fn resume(&mut self, position: &Position) -> Result<Reading> {
        let place = Place::from_position(position).map_err(|wrong| {
            lost(format!("the position held for these files ({}) can't be read: {wrong}", position.label()))
        })?;
        let index = self.index_of(&place)?;
        let path = self.files.paths[index].display().to_string();
        let opened = input::open(&self.files.paths[index], &self.files.unpack).map_err(|error| {
            lost(format!("{path} has been read up to byte {} and is gone", place.end())).because(error)
        })?;
        let known = Arc::new(self.known(index, &opened));
        check_reading(&place, &known)?;
        check_head(&place, &opened, &path)?;
        let head = self.head_of(index)?;
        let (input, start) = go_to(&place, opened, &path)?;
        let mut reading = self.reading(known, input, Some((&head, &place.state)), start)?;
        pass_done(&mut reading, &place, &path)?;
        Ok(reading)
    }

    /// The bytes at the beginning of a file without which its framing can't go on in the middle of it.
    fn head_of(&self, index: usize) -> Result<Vec<u8>> {
        let framing = &self.files.framing;
        let path = &self.files.paths[index];
        let (mut head, mut ended) = (Vec::new(), false);
        let mut input = None;
        loop {
            let known = framing.head(&head, ended).map_err(|error| {
                lost(format!("the beginning of {} can't be read any more", path.display())).because(error)
            })?;
            if let Some(bytes) = known {
                head.truncate(bytes);
                return Ok(head);
            }
            if ended {
                let text = format!("the framing of {} asks for more of it than there is", path.display());
                return Err(Error::new(Cause::Bug, text));
            }
            let input = match &mut input {
                Some(input) => input,
                None => input.insert(self.beginning(index)?),
            };
            let read = head.len();
            head.resize((2 * read).max(4 * KIB), 0);
            let (more, at_end) = input.fill(&mut head[read..]).map_err(|error| error.at(path.display().to_string()))?;
            head.truncate(read + more);
            ended = at_end;
        }
    }

    fn beginning(&self, index: usize) -> Result<Input> {
        let path = &self.files.paths[index];
        let opened = input::open(path, &self.files.unpack)?;
        Input::new(opened, 0)
            .map_err(|error| Error::new(Cause::Outside, format!("can't read {}", path.display())).because(error))
    }

    /// The number of the position's file in the list, which has to be the same up to there.
    fn index_of(&self, place: &Place) -> Result<usize> {
        let index = place.file as usize;
        let Some(path) = self.files.paths.get(index) else {
            return Err(lost(format!(
                "the list of files has changed: expected {} as file {}, found {} files",
                place.path,
                index + 1,
                self.files.paths.len()
            )));
        };
        if path_text(path) != place.path {
            let (expected, found) = (&place.path, path.display());
            let text =
                format!("the list of files has changed: expected {expected} as file {}, found {found}", index + 1);
            return Err(lost(text));
        }
        Ok(index)
    }
}

fn lost(text: String) -> Error {
    Error::new(Cause::State, format!("{text}; {WAY_OUT}"))
}

/// Whether the same paths come before it, and it is read in the same way.
fn check_reading(place: &Place, known: &Known) -> Result<()> {
    if place.paths != known.paths {
        let text = format!("the list of files has changed: expected the same paths before {} as before", place.path);
        return Err(lost(text));
    }
    if place.reading != known.reading {
        let (path, expected, found) = (&place.path, &place.reading, &known.reading);
        return Err(lost(format!("{path} has been read as {expected}, now it is to be read as {found}")));
    }
    Ok(())
}

fn check_head(place: &Place, opened: &Opened, path: &str) -> Result<()> {
    let len = usize::from(place.head.len);
    if opened.head.len() < len {
        return Err(shorter(path, len as u64, opened.len));
    }
    if Print::of_head(&opened.head[..len]) != place.head {
        let text = format!("{path} has changed: expected the file that has been read up to byte {}", place.end());
        return Err(lost(format!("{text}, found another beginning (first {len} bytes)")));
    }
    Ok(())
}

fn shorter(path: &str, expected: u64, found: u64) -> Error {
    lost(format!("{path} has become shorter: expected at least {expected} bytes, found {found}"))
}

/// Goes to the byte from which on records are looked for.
fn go_to(place: &Place, opened: Opened, path: &str) -> Result<(Input, Start)> {
    let packed = opened.compression.is_some();
    if !packed && opened.len < place.end() {
        return Err(shorter(path, place.end(), opened.len));
    }
    let mut lead = vec![0; place.offset.min(KIB as u64) as usize];
    let from = place.offset - lead.len() as u64;
    let unreadable = |error| Error::new(Cause::Outside, format!("can't read {path}")).because(error);
    let mut input = Input::new(opened, from).map_err(unreadable)?;
    let line = if packed { Some(pass(&mut input, from, place, path)?) } else { None };
    read(&mut input, &mut lead, from, place, path)?;
    Ok((input, Start { offset: place.offset, lead, line }))
}

/// Reads over the first `bytes` of a compressed file, and counts their lines.
fn pass(input: &mut Input, bytes: u64, place: &Place, path: &str) -> Result<u64> {
    let mut block = vec![0; 64 << 10];
    let (mut done, mut count) = (0, 0);
    while done < bytes {
        let some = (bytes - done).min(block.len() as u64) as usize;
        read(input, &mut block[..some], done, place, path)?;
        count += lines(&block[..some]);
        done += some as u64;
    }
    Ok(count)
}

fn read(input: &mut Input, into: &mut [u8], at: u64, place: &Place, path: &str) -> Result<()> {
    let (found, _) = input.fill(into).map_err(|error| error.at(path))?;
    if found < into.len() {
        return Err(shorter(path, place.end(), at + found as u64));
    }
    Ok(())
}

/// Passes the records that are done, and sees whether what they end with is what it was.
fn pass_done(reading: &mut Reading, place: &Place, path: &str) -> Result<()> {
    let changed = || {
        let text = format!("{path} has changed: expected the file that has been read up to byte {}", place.end());
        lost(format!("{text}, found other bytes before there"))
    };
    let mut tail = Print::of_tail(reading.frames.dealt_with());
    let mut end = place.offset;
    let mut left = place.skip as usize;
    while left > 0 {
        let found = reading.step(left).map_err(|error| changed().because(error))?;
        let found = found.ok_or_else(|| shorter(path, place.end(), reading.frames.offset()))?;
        let count = found.records.len() as u32;
        let within = found.records.ranges().last().map_or(found.site.at, |last| found.site.end(count - 1, last));
        (tail, end) = (marks::tail(&found.site, &found.records, count), found.site.base + within as u64);
        left = left.saturating_sub(count as usize);
    }
    if tail == place.tail && end == place.end() { Ok(()) } else { Err(changed()) }
}
