//! [`Packed`]: byte-like records in one shared block.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;

use super::Column;

/// A record's place in its block, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range32 {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Range32 {
    /// How many bytes.
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.end == self.start
    }
}

/// Byte-like records: one shared block, and where in it each record stands. Records lie in ascending order and don't
/// overlap; what lies between them (line ends, separators) stays in the block. Cloning shares both once the block is
/// [frozen](Packed::freeze), and copies the block before that.
///
/// Blocks are at most 4 GiB: what would grow one further panics.
#[derive(Debug)]
pub struct Packed<T> {
    block: Block,
    ranges: Arc<Vec<Range32>>,
    item: PhantomData<fn() -> T>,
}

#[derive(Debug, Clone)]
enum Block {
    Building(Vec<u8>),
    Shared(Bytes),
}

impl Block {
    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Building(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Default for Block {
    fn default() -> Self {
        Self::Building(Vec::new())
    }
}

impl<T> Default for Packed<T> {
    fn default() -> Self {
        Self { block: Block::default(), ranges: Arc::default(), item: PhantomData }
    }
}

impl<T> Clone for Packed<T> {
    fn clone(&self) -> Self {
        Self { block: self.block.clone(), ranges: self.ranges.clone(), item: PhantomData }
    }
}

impl Packed<Bytes> {
    /// The records of `block` that stand at `ranges` (ascending, not overlapping, inside the block).
    pub fn new(block: Bytes, ranges: Vec<Range32>) -> Self {
        debug_assert!(ranges.is_sorted_by_key(|range| range.start));
        debug_assert!(ranges.last().is_none_or(|range| range.end as usize <= block.len()));
        Self { block: Block::Shared(block), ranges: Arc::new(ranges), item: PhantomData }
    }

    /// The same records as text, sharing the block once it is [frozen](Self::freeze). An error is the first row that is
    /// not UTF-8, and why.
    pub fn checked_as_text(&self) -> Result<Packed<String>, (usize, std::str::Utf8Error)> {
        for row in 0..self.ranges.len() {
            std::str::from_utf8(self.get(row)).map_err(|error| (row, error))?;
        }
        Ok(Packed { block: self.block.clone(), ranges: self.ranges.clone(), item: PhantomData })
    }

    /// The records that are UTF-8, as text that shares the block. The others are left out and given to `invalid` with
    /// their rows.
    pub fn texts(&self, mut invalid: impl FnMut(usize, std::str::Utf8Error)) -> Packed<String> {
        let all_valid = || Packed { block: self.block.clone(), ranges: self.ranges.clone(), item: PhantomData };
        if self.is_text_throughout() {
            return all_valid();
        }
        let mut ranges = Vec::with_capacity(self.ranges.len());
        for row in 0..self.ranges.len() {
            match std::str::from_utf8(self.get(row)) {
                Ok(_) => ranges.push(self.ranges[row]),
                Err(error) => invalid(row, error),
            }
        }
        if ranges.len() == self.ranges.len() {
            return all_valid();
        }
        Packed { block: self.block.clone(), ranges: Arc::new(ranges), item: PhantomData }
    }

    /// Whether one look over the block says that every record is UTF-8: the stretch that they lie in is, and none
    /// begins or ends inside a character. `false` also when most of that stretch lies between the records: looking at
    /// each of them is then less work.
    fn is_text_throughout(&self) -> bool {
        let (Some(first), Some(last)) = (self.ranges.first(), self.ranges.last()) else { return true };
        let records: usize = self.ranges.iter().map(|range| range.len()).sum();
        let stretch = &self.block()[first.start as usize..last.end as usize];
        if records < stretch.len() / 2 {
            return false;
        }
        let Ok(stretch) = std::str::from_utf8(stretch) else { return false };
        let whole = |at: u32| stretch.is_char_boundary((at - first.start) as usize);
        self.ranges.iter().all(|range| whole(range.start) && whole(range.end))
    }

    /// The record in `row` as bytes that share the block.
    #[inline]
    pub fn share(&self, row: usize) -> Bytes {
        let range = self.ranges[row];
        match &self.block {
            Block::Shared(block) => block.slice(range.start as usize..range.end as usize),
            Block::Building(_) => Bytes::copy_from_slice(self.get(row)),
        }
    }

    /// The whole block: shared once it is [frozen](Self::freeze), and a copy before that.
    pub fn share_block(&self) -> Bytes {
        match &self.block {
            Block::Shared(block) => block.clone(),
            Block::Building(bytes) => Bytes::copy_from_slice(bytes),
        }
    }
}

impl Packed<String> {
    /// The record in `row`.
    #[inline]
    pub fn text(&self, row: usize) -> &str {
        // Only whole, checked texts are ever put in: by `push`, `append`, `checked_as_text` and `texts`. The check is
        // repeated because the alternative is `unsafe`; for ASCII it runs at memory speed.
        std::str::from_utf8(self.get(row)).unwrap_or_default()
    }

    /// The same records as bytes, without copying.
    pub fn into_bytes(self) -> Packed<Bytes> {
        Packed { block: self.block, ranges: self.ranges, item: PhantomData }
    }

    /// Adds a record by copying it.
    pub fn append_text(&mut self, text: &str) {
        self.append(text.as_bytes());
    }
}

impl<T> Packed<T> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The record in `row`.
    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        let range = self.ranges[row];
        &self.block.as_slice()[range.start as usize..range.end as usize]
    }

    /// The whole block.
    pub fn block(&self) -> &[u8] {
        self.block.as_slice()
    }

    /// Where in the block the records stand.
    pub fn ranges(&self) -> &[Range32] {
        &self.ranges
    }

    /// Turns a block under construction into a shared one, so that clones and slices cost nothing.
    pub fn freeze(&mut self) {
        if let Block::Building(bytes) = &mut self.block {
            self.block = Block::Shared(Bytes::from(std::mem::take(bytes)));
        }
    }

    fn append(&mut self, record: &[u8]) {
        let block = self.building();
        let start = block.len();
        block.extend_from_slice(record);
        self.end_record(start);
    }

    /// Makes a record of what was appended since the block was `start` bytes long.
    fn end_record(&mut self, start: usize) {
        let end = self.block.as_slice().len();
        assert!(start <= end, "what writes a record may only append to the block, and has cut off those before it");
        assert!(
            end <= u32::MAX as usize,
            "a batch's block can't grow past 4 GiB: emit fewer or smaller records from one"
        );
        Arc::make_mut(&mut self.ranges).push(Range32 { start: start as u32, end: end as u32 });
    }

    /// The block, to append to. It ends with the last record: what a writer that panicked left behind is not kept.
    fn building(&mut self) -> &mut Vec<u8> {
        let end = self.ranges.last().map_or(0, |range| range.end as usize);
        if let Block::Shared(bytes) = &mut self.block {
            self.block = Block::Building(match bytes.is_unique() {
                true => std::mem::take(bytes).into(),
                false => bytes[..end].to_vec(),
            });
        }
        match &mut self.block {
            Block::Building(bytes) => {
                bytes.truncate(end);
                bytes
            }
            Block::Shared(_) => unreachable!("made to be built just above"),
        }
    }

    fn select_rows(&mut self, rows: &[u32]) {
        debug_assert!(rows.is_sorted_by(|a, b| a < b), "rows are selected in ascending order");
        let old = &self.ranges;
        self.ranges = Arc::new(rows.iter().map(|&row| old[row as usize]).collect());
    }

    fn split_rows(&mut self, row: usize) -> Self {
        self.freeze();
        let rest = self.ranges[row..].to_vec();
        let first = self.ranges[..row].to_vec();
        self.ranges = Arc::new(first);
        Self { block: self.block.clone(), ranges: Arc::new(rest), item: PhantomData }
    }

    fn clear_rows(&mut self) {
        self.block = Block::Building(match std::mem::take(&mut self.block) {
            Block::Building(mut bytes) => {
                bytes.clear();
                bytes
            }
            // Of a block that nobody else has, the memory is kept.
            Block::Shared(bytes) if bytes.is_unique() => {
                let mut bytes = Vec::from(bytes);
                bytes.clear();
                bytes
            }
            Block::Shared(_) => Vec::new(),
        });
        match Arc::get_mut(&mut self.ranges) {
            Some(ranges) => ranges.clear(),
            None => self.ranges = Arc::default(),
        }
    }
}

impl Packed<Bytes> {
    /// Adds a record by copying it.
    pub fn append_bytes(&mut self, record: &[u8]) {
        self.append(record);
    }

    /// Adds a record that `write` appends to the block. What it appends before an error is taken back. To cut off what
    /// the block holds already panics.
    pub fn try_fill<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let block = self.building();
        let start = block.len();
        if let Err(error) = write(block) {
            block.truncate(start);
            return Err(error);
        }
        self.end_record(start);
        Ok(())
    }
}

/// What packed records are when they are taken out one by one.
trait Piece: AsRef<[u8]> + Send + Sync + Sized + 'static {
    fn take(from: &Packed<Self>, row: usize) -> Self;
}

impl Piece for Bytes {
    fn take(from: &Packed<Self>, row: usize) -> Self {
        from.share(row)
    }
}

impl Piece for String {
    fn take(from: &Packed<Self>, row: usize) -> Self {
        from.text(row).to_owned()
    }
}

impl<T: Piece> Column for Packed<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.ranges.len()
    }

    fn push(&mut self, item: T) {
        self.append(item.as_ref());
    }

    fn with<R>(&self, row: usize, look: impl FnOnce(&T) -> R) -> R {
        look(&T::take(self, row))
    }

    fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        let mut taken = std::mem::take(self);
        taken.freeze();
        (0..taken.ranges.len()).map(move |row| T::take(&taken, row))
    }

    fn select(&mut self, rows: &[u32]) {
        self.select_rows(rows);
    }

    fn split_off(&mut self, row: usize) -> Self {
        self.split_rows(row)
    }

    fn clear(&mut self) {
        self.clear_rows();
    }

    fn weight(&self) -> usize {
        self.block().len() + self.ranges.len() * size_of::<Range32>()
    }
}

#[cfg(test)]
mod tests;
