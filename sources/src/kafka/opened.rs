//! [`Reading`]: one partition that is being read.

use std::sync::Arc;

use millstream_core::contracts::{Chunk, Refused};
use millstream_core::data::{Column as _, Partition, PartitionId, Times};
use millstream_net::kafka::{Place, partition_name};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset};
use std::time::Duration;

use super::begin::Begin;
use super::decide::Undecided;
use super::form::Form;
use super::inbox::Context;
use super::marks::OffsetMarks;

/// One partition that is being read.
pub(super) struct Reading {
    pub(super) id: PartitionId,
    pub(super) name: Partition,
    pub(super) place: Place,
    topic: Arc<str>,
    /// The id of its cluster; empty if it isn't known.
    cluster: Arc<str>,
    queue: PartitionQueue<Context>,
    /// The offset behind the last record that was emitted.
    pub(super) emitted: Option<i64>,
    /// What the engine wants committed, and what is known to be stored.
    pub(super) wanted: i64,
    pub(super) stored: i64,
    /// Where it ends, if it does.
    pub(super) end: Option<i64>,
    pub(super) at_end: bool,
    /// What is read first.
    first: Offset,
    /// Of what is before its end not all was decided: the end of what is committed is not its end.
    undecided: bool,
    /// The end of what was committed is reached.
    waits: bool,
    /// It was put back to where it is read: what comes of before that was on its way then.
    put_back: bool,
    pub(super) rewound: Rewound,
}

/// Whether a partition goes on before what was read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rewound {
    No,
    /// It does so at this offset.
    At(i64),
    /// It was sought there.
    Sought(i64),
}

impl Rewound {
    pub(super) fn is_sought(self) -> bool {
        matches!(self, Self::Sought(_))
    }

    /// Where it is to be sought.
    pub(super) fn unsought(self) -> Option<i64> {
        match self {
            Self::At(offset) => Some(offset),
            Self::No | Self::Sought(_) => None,
        }
    }

    /// Where it goes on.
    pub(super) fn offset(self) -> Option<i64> {
        match self {
            Self::At(offset) | Self::Sought(offset) => Some(offset),
            Self::No => None,
        }
    }
}

/// What was taken from a partition's queue.
pub(super) struct Taken<T: Form> {
    pub(super) chunk: Option<Chunk<T>>,
    pub(super) error: Option<KafkaError>,
}

/// What may be taken at once.
#[derive(Clone, Copy)]
pub(super) struct Most {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Reading {
    pub(super) fn new(id: PartitionId, begin: Begin, queue: PartitionQueue<Context>, cluster: Arc<str>) -> Self {
        let first = begin.told();
        let Begin { place, offset, end, stable, .. } = begin;
        let at_end = end.is_some_and(|end| offset >= end);
        Self {
            id,
            name: partition_name(&place.topic, place.partition),
            topic: place.topic.as_str().into(),
            place,
            cluster,
            queue,
            emitted: None,
            wanted: -1,
            stored: -1,
            end,
            at_end,
            first,
            undecided: end.is_some_and(|end| stable < end),
            waits: false,
            put_back: false,
            rewound: Rewound::No,
        }
    }

    /// What it waits for, if it has come to a transaction that is open.
    pub(super) fn undecided(&self) -> Option<Undecided> {
        let end = self.end.filter(|_| self.waits && !self.at_end)?;
        let next = self.emitted.map_or(self.first, Offset::Offset);
        Some(Undecided { place: self.place.clone(), end, next })
    }

    /// All before its end is decided, and it is being read from where it stood.
    pub(super) fn decided(&mut self) {
        (self.undecided, self.waits, self.put_back) = (false, false, true);
    }

    /// It was sought where it goes on.
    pub(super) fn sought(&mut self) {
        if let Rewound::At(offset) = self.rewound {
            self.rewound = Rewound::Sought(offset);
        }
    }

    /// The record at `offset` comes, and all before `read` were read: all that follows is others than those.
    fn rewind(&mut self, offset: i64, read: Option<i64>) {
        tracing::warn!(
            partition = %self.name,
            read,
            offset,
            "goes on before what was read of it: its topic was made anew, or its end was lost with a leader. It is read from \
             there on, once what was read has settled"
        );
        self.rewound = Rewound::At(offset);
    }

    /// Whether all that was emitted is known to be committed.
    pub(super) fn is_settled(&self) -> bool {
        self.emitted.is_none_or(|emitted| self.stored >= emitted)
    }

    /// Takes what is there.
    pub(super) fn take<T: Form>(&mut self, most: Most) -> Taken<T> {
        let mut building = Building::<T>::default();
        let (mut error, mut next) = (None, self.emitted);
        while !self.at_end
            && self.rewound == Rewound::No
            && building.offsets.len() < most.records
            && building.bytes < most.bytes
        {
            match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) if self.end.is_some_and(|end| message.offset() >= end) => self.at_end = true,
                Some(Ok(message)) if next.is_some_and(|next| message.offset() < next) => {
                    if !self.put_back {
                        self.rewind(message.offset(), next);
                    }
                }
                Some(Ok(message)) => {
                    building.add(&message, &self.topic);
                    next = Some(message.offset() + 1);
                    self.at_end = self.end.is_some_and(|end| message.offset() + 1 >= end);
                }
                Some(Err(KafkaError::PartitionEOF(_))) if self.undecided => self.waits = true,
                Some(Err(KafkaError::PartitionEOF(_))) => self.at_end = self.end.is_some(),
                Some(Err(other)) => {
                    error = Some(other);
                    break;
                }
                None => break,
            }
        }
        let chunk = building.finish(self);
        self.emitted = next;
        Taken { chunk, error }
    }
}

/// A batch that is being put together.
struct Building<T: Form> {
    column: T::Column,
    offsets: Vec<i64>,
    times: Vec<i64>,
    refused: Vec<(u32, Refused)>,
    bytes: usize,
}

impl<T: Form> Default for Building<T> {
    fn default() -> Self {
        Self { column: T::Column::default(), offsets: vec![], times: vec![], refused: vec![], bytes: 0 }
    }
}

impl<T: Form> Building<T> {
    fn add(&mut self, message: &rdkafka::message::BorrowedMessage<'_>, topic: &Arc<str>) {
        if let Some(refused) = T::append(&mut self.column, message, topic) {
            self.refused.push((self.offsets.len() as u32, refused));
        }
        self.bytes += message.payload_len() + message.key_len();
        self.offsets.push(message.offset());
        self.times.extend(message.timestamp().to_millis().map(|millis| millis.saturating_mul(1_000)));
    }

    fn finish(&mut self, of: &Reading) -> Option<Chunk<T>> {
        let mut column = std::mem::take(&mut self.column);
        if column.is_empty() {
            return None;
        }
        T::seal(&mut column);
        // Messages of very old brokers have no time; a batch has one for each record or none.
        let times = (self.times.len() == self.offsets.len()).then(|| Times::Each(self.times.as_slice().into()));
        let marks = Arc::new(OffsetMarks::new(of.name.clone(), of.cluster.clone(), &self.offsets));
        Some(Chunk { partition: of.id, column, times, marks, refused: std::mem::take(&mut self.refused) })
    }
}
