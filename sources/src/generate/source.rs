//! Makes the records, at once or as they fall due. A position:
//!
//! ```text
//! byte 0     version, 1
//! byte 1..9  number of the next record, u64, little endian
//! ```

use std::sync::Arc;
use std::time::Duration;

use millstream_core::contracts::{Cause, Chunk, Error, Event, Held, Result, Source};
use millstream_core::data::{Column, Data, Marks, Partition, Position};
use tokio::time::Instant;

const PARTITION: &str = "sequence";
const VERSION: u8 = 1;

/// The most records that a batch has.
const BATCH: u64 = 4_096;

/// The source that [`Generate`](super::Generate) declares.
pub struct GenerateSource<F> {
    make: Arc<F>,
    next: u64,
    end: u64,
    pace: Option<Pace>,
}

impl<T: Data, F: Fn(u64) -> T + Send + Sync + 'static> Source for GenerateSource<F> {
    type Out = T;

    async fn open(&mut self, held: &Held) -> Result<Vec<Partition>> {
        let partition = Partition::new(PARTITION);
        if let Some(position) = held.position(&partition) {
            self.next = number_in(&position, self.end)?;
        }
        Ok(vec![partition])
    }

    async fn next(&mut self) -> Result<Event<T>> {
        let left = self.end - self.next;
        if left == 0 {
            return Ok(Event::End);
        }
        let due = match &mut self.pace {
            Some(pace) => pace.due().await,
            None => BATCH,
        };
        let first = self.next;
        self.next += due.min(left).min(BATCH);
        if let Some(pace) = &mut self.pace {
            pace.given += self.next - first;
        }
        let mut column = T::Column::default();
        column.extend((first..self.next).map(|number| (self.make)(number)));
        let marks = Arc::new(Numbers { first });
        Ok(Event::Records(Chunk { partition: 0, column, times: None, marks, refused: Vec::new() }))
    }
}

impl<F> GenerateSource<F> {
    pub(super) fn new(make: Arc<F>, count: Option<u64>, rate: Option<u64>) -> Self {
        let pace = rate.map(|rate| Pace { rate: rate.max(1), start: None, given: 0 });
        Self { make, next: 0, end: count.unwrap_or(u64::MAX), pace }
    }
}

/// Which records are due when: of `rate` a second, counted from the first.
struct Pace {
    rate: u64,
    start: Option<Instant>,
    given: u64,
}

const SECOND: u128 = 1_000_000_000;

impl Pace {
    /// How many records are due and not given; waits until there is one. May be dropped at any time.
    async fn due(&mut self) -> u64 {
        let start = *self.start.get_or_insert_with(Instant::now);
        let wait = u128::from(self.given) * SECOND / u128::from(self.rate) + 1;
        let wait = Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX));
        if self.given > 0 && start.elapsed() < wait {
            tokio::time::sleep_until(start + wait).await;
        }
        let due = start.elapsed().as_nanos() * u128::from(self.rate) / SECOND + 1;
        u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(self.given).max(1)
    }
}

/// Where the records of one batch stand.
struct Numbers {
    first: u64,
}

impl Marks for Numbers {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let number = self.first + u64::from(count);
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&number.to_le_bytes());
        Position::new(bytes, format!("number {number}")).map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("number {}", self.first + u64::from(index))
    }
}

/// The number that a position stands for.
fn number_in(position: &Position, end: u64) -> Result<u64> {
    let lost = |wrong: String| {
        let text =
            format!("{wrong}; restore the declaration, or start over with another state folder and another output");
        Error::new(Cause::State, text)
    };
    let number = match position.bytes().split_first() {
        Some((&VERSION, body)) => <[u8; 8]>::try_from(body).ok().map(u64::from_le_bytes),
        _ => None,
    };
    let number = number.ok_or_else(|| {
        let text = format!("the position held for this sequence ({})", position.label());
        lost(format!("{text} can't be read: expected version {VERSION} and a number"))
    })?;
    if number > end {
        return Err(lost(format!("the sequence has become shorter: expected at least {number} records, found {end}")));
    }
    Ok(number)
}
