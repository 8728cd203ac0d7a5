//! Gives the list in batches. A position:
//!
//! ```text
//! byte 0      version, 1
//! byte 1..9   index of the next record, u64, little endian
//! byte 9..17  length of the list, u64, little endian
//! ```

use std::sync::Arc;

use millstream_core::contracts::{Cause, Chunk, Error, Event, Held, Result, Source};
use millstream_core::data::{Column, Data, Marks, Partition, Position};

const PARTITION: &str = "list";
const VERSION: u8 = 1;

/// How many records a batch has.
const BATCH: usize = 1_024;

/// The source that [`List`](super::List) declares.
pub struct ListSource<T> {
    items: Arc<[T]>,
    next: usize,
}

impl<T: Data + Clone + Sync> Source for ListSource<T> {
    type Out = T;

    async fn open(&mut self, held: &Held) -> Result<Vec<Partition>> {
        let partition = Partition::new(PARTITION);
        if let Some(position) = held.position(&partition) {
            self.next = index_in(&position, self.items.len())?;
        }
        Ok(vec![partition])
    }

    async fn next(&mut self) -> Result<Event<T>> {
        let end = self.items.len().min(self.next + BATCH);
        if self.next == end {
            return Ok(Event::End);
        }
        let mut column = T::Column::default();
        for item in &self.items[self.next..end] {
            column.push(item.clone());
        }
        let marks = ListMarks { first: self.next as u64, len: self.items.len() as u64 };
        self.next = end;
        Ok(Event::Records(Chunk { partition: 0, column, times: None, marks: Arc::new(marks), refused: Vec::new() }))
    }
}

impl<T> ListSource<T> {
    pub(super) fn new(items: Arc<[T]>) -> Self {
        Self { items, next: 0 }
    }
}

struct ListMarks {
    first: u64,
    len: u64,
}

impl Marks for ListMarks {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let index = self.first + u64::from(count);
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&index.to_le_bytes());
        bytes.extend_from_slice(&self.len.to_le_bytes());
        Position::new(bytes, format!("record {index} of {}", self.len)).map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("list record {}", self.first + u64::from(index))
    }
}

/// The index that a position stands for in a list of this length.
fn index_in(position: &Position, len: usize) -> Result<usize> {
    let lost = |wrong: String| {
        let text =
            format!("{wrong}; give the list as it was, or start over with another state folder and another output");
        Error::new(Cause::State, text)
    };
    let (index, of) = read(position.bytes()).ok_or_else(|| {
        lost(format!(
            "the position held for this list ({}) can't be read: expected version {VERSION}",
            position.label()
        ))
    })?;
    if of != len as u64 || index > of {
        return Err(lost(format!("the list has changed: expected {of} records, found {len}")));
    }
    Ok(index as usize)
}

fn read(bytes: &[u8]) -> Option<(u64, u64)> {
    let (&VERSION, body) = bytes.split_first()? else { return None };
    let (index, len) = body.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*index), u64::from_le_bytes(len.try_into().ok()?)))
}
