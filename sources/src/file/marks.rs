//! Where records of a file stand: positions and lines, worked out when they are asked for.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::data::{Bytes, Marks, Packed, Position};

use super::identity::Print;
use super::position::Place;
use crate::frames::{Broken, Site, lines};

/// A file that is being read, as all of its batches know it.
pub(super) struct Known {
    /// The number in the list, from 0.
    pub(super) index: u32,
    pub(super) path: PathBuf,
    /// What positions call it.
    pub(super) path_text: String,
    /// What the paths up to this one are known by.
    pub(super) paths: u64,
    /// The names of framing and compression.
    pub(super) reading: String,
    /// What its first KiB is known by.
    pub(super) head: Print,
    /// How many lines end before some byte: the last that was counted.
    pub(super) counted: Mutex<(u64, u64)>,
}

impl Known {
    /// Where a stream broke.
    pub(super) fn place_of(&self, broken: &Broken) -> String {
        self.place(broken.line.or_else(|| self.lines_before(broken.offset)), broken.offset)
    }

    fn place(&self, line: Option<u64>, offset: u64) -> String {
        let path = self.path.display();
        match line {
            Some(line) => format!("{path} line {}, byte {offset}", line + 1),
            None => format!("{path} byte {offset}"),
        }
    }

    /// How many lines end before byte `offset` of a file that isn't compressed. This reads the file, since counting
    /// lines along would cost every run what few ever ask for.
    fn lines_before(&self, offset: u64) -> Option<u64> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        *counted = self.count_on(*counted, offset)?;
        Some(counted.1)
    }

    /// How many lines end before byte `within` of a batch's block.
    fn lines_within(&self, site: &Site, within: usize) -> Option<u64> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let target = site.base + within as u64;
        let (from, line) = match (*counted, site.line) {
            (counted, _) if (site.base..=target).contains(&counted.0) => counted,
            (_, Some(line)) => (site.base, line),
            (counted, None) => self.count_on(counted, site.base)?,
        };
        let line = line + lines(&site.block[(from - site.base) as usize..within]);
        *counted = (target, line);
        Some(line)
    }

    /// Counts on (or back) from a byte and the lines before it, so that many questions cost no more than one.
    fn count_on(&self, (at, line): (u64, u64), offset: u64) -> Option<(u64, u64)> {
        let (at, line) = if offset < at / 2 { (0, 0) } else { (at, line) };
        let between = self.count(at.min(offset), at.max(offset))?;
        Some((offset, if at <= offset { line + between } else { line.checked_sub(between)? }))
    }

    fn count(&self, from: u64, to: u64) -> Option<u64> {
        if from == to {
            return Some(0);
        }
        let mut file = File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut block = vec![0; (to - from).min(64 << 10) as usize];
        let (mut left, mut count) = (to - from, 0);
        while left > 0 {
            let some = left.min(block.len() as u64) as usize;
            file.read_exact(&mut block[..some]).ok()?;
            count += lines(&block[..some]);
            left -= some as u64;
        }
        Some(count)
    }
}

/// Where the records of one batch stand.
pub(super) struct FileMarks {
    file: Arc<Known>,
    records: Packed<Bytes>,
    site: Site,
}

impl FileMarks {
    /// Of these records, which share their block with it.
    pub(super) fn new(file: Arc<Known>, records: Packed<Bytes>, site: Site) -> Self {
        Self { file, records, site }
    }

    /// Where in the block the first `count` records end, where records are looked for from there on, in which state,
    /// and how many of those are done.
    fn after(&self, count: u32) -> (usize, usize, &[u8], u32) {
        let Site { at, before, after, .. } = &self.site;
        match (self.records.ranges().get(..count as usize), after) {
            (Some([]), _) => (*at, *at, before, 0),
            (Some(all), Some((after, state))) if all.len() == self.records.len() => (*after, *after, state, 0),
            (Some([.., last]), _) => {
                let stretch = self.site.stretch(count - 1);
                (self.site.end(count - 1, last), stretch.at, stretch.state, count - stretch.first)
            }
            (None, _) => (*at, *at, before, 0),
        }
    }
}

/// What the end of the first `done` records is known by, one at least.
pub(super) fn tail(site: &Site, records: &Packed<Bytes>, done: u32) -> Print {
    let Some(last) = done.checked_sub(1) else { return Print::of_tail(&site.block[..site.at]) };
    let range = records.ranges()[last as usize];
    let before = &site.block[..site.end(last, &range)];
    match site.unpacked {
        Some(_) => {
            let first = records.ranges()[site.stretch(last).first as usize];
            Print::of_tail_and(before, &records.block()[first.start as usize..range.end as usize])
        }
        None => Print::of_tail(before),
    }
}

impl Marks for FileMarks {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        if count as usize > self.records.len() {
            return Err(format!("record {count} of a batch of {}", self.records.len()));
        }
        let (end, from, state, skip) = self.after(count);
        let place = Place {
            file: self.file.index,
            path: self.file.path_text.clone(),
            paths: self.file.paths,
            reading: self.file.reading.clone(),
            head: self.file.head,
            offset: self.site.base + from as u64,
            state: state.to_vec(),
            skip,
            ahead: (end - from) as u64,
            tail: match skip {
                0 => Print::of_tail(&self.site.block[..end]),
                _ => tail(&self.site, &self.records, count),
            },
        };
        place.to_position().map(Some)
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        let Some(range) = self.records.ranges().get(index as usize) else {
            return self.file.path.display().to_string();
        };
        let within = self.site.start(index, range);
        let byte = self.site.base + within as u64;
        if self.site.unpacked.is_some() {
            // What stands there is packed: it has no lines.
            return format!("{} byte {byte}, record {}", self.file.path.display(), self.site.number(index));
        }
        self.file.place(self.file.lines_within(&self.site, within), byte)
    }
}
