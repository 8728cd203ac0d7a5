//! [`Transactions`]: records and positions, committed together.
//!
//! Positions are either the offsets of the source's group, or messages of a compacted topic:
//!
//! ```text
//! key     pipeline u16 length, text | stage u16 length, text | partition, text     lengths are big-endian
//! value   version u8 = 1 | position u16 length, bytes | label, text
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use millstream_core::contracts::{Cause, Checkpoint, CommitSoon, Error, Key, Result};
use millstream_core::data::{Bytes, Partition, Position};
use millstream_net::kafka::{Committing, Group, Place, decode, failed, marked, meaning, split_name};
use rdkafka::TopicPartitionList;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;

use super::delivery::Deliveries;
use super::producer::{Client, Producer};

/// How long a commit is tried before all begins anew.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one try of it may take.
const TRY: Duration = Duration::from_secs(15);

/// How long between two looks at what is under way.
const LOOK: Duration = Duration::from_millis(10);

/// The version of a position's message.
const VERSION: u8 = 1;

/// Where the positions of a transaction go.
pub(super) enum Positions {
    /// Into the offsets of the group that the source is a member of.
    Group(Arc<Group>),
    /// Into this topic.
    Topic(String),
}

/// Where transactions are written: by their sink, and by those of dead letters, each in its turn.
#[derive(Clone)]
pub(super) struct Line {
    /// Gone with its sink.
    pub(super) producer: Weak<Producer>,
    pub(super) deliveries: Arc<Deliveries>,
    /// Whether a transaction has begun.
    begun: Arc<AtomicBool>,
    /// Whether another run may take over: where positions are in a topic.
    fences: bool,
    pub(super) size: Arc<Size>,
}

/// How much the transaction at hand holds, and where a commit is asked for once that is enough.
pub(super) struct Size {
    /// Records and bytes.
    most: (u64, u64),
    holds: Mutex<(u64, u64)>,
    commit_soon: CommitSoon,
}

impl Size {
    pub(super) fn new(most: (u64, u64), commit_soon: CommitSoon) -> Self {
        Self { most, holds: Mutex::default(), commit_soon }
    }

    /// So much was added. Once it is large enough, whoever sees to the commit has its turn before more is written.
    pub(super) async fn grow(&self, records: usize, bytes: usize) {
        if self.is_enough_with(records, bytes) {
            self.commit_soon.ask();
            tokio::task::yield_now().await;
        }
    }

    fn is_enough_with(&self, records: usize, bytes: usize) -> bool {
        let mut holds = self.holds();
        *holds = (holds.0 + records as u64, holds.1 + bytes as u64);
        holds.0 >= self.most.0 || holds.1 >= self.most.1
    }

    /// The next one is empty.
    fn begin(&self) {
        *self.holds() = (0, 0);
    }

    fn holds(&self) -> MutexGuard<'_, (u64, u64)> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Begins a transaction unless there is one.
    pub(super) async fn begin(&self, producer: &Producer) -> Result<()> {
        if self.begun.load(SeqCst) {
            return Ok(());
        }
        let begun = producer.ask(|client| client.begin_transaction()).await?;
        self.begun.store(begun.is_ok(), SeqCst);
        begun.map_err(|error| self.broken("begun", error))
    }

    /// After `error`, which may be because another run has taken over: to begin anew would be to take over from that.
    /// Where positions are in a topic, the end of the transaction says whether it is so.
    pub(super) async fn judge(&self, producer: &Producer, error: Error) -> Error {
        if !error.begins_anew() {
            return error;
        }
        if let Some(refused) = self.refused(producer).await {
            return refused;
        }
        if !self.fences {
            return error;
        }
        let may_be_fenced = self.deliveries.may_be_fenced();
        let ended = producer.ask(move |client| match client.client().fatal_error() {
            Some((code, _)) => Err(KafkaError::Global(code)),
            None if may_be_fenced => again(|| client.abort_transaction(TRY)),
            None => Ok(()),
        });
        match ended.await {
            Ok(Err(ended)) if is_fenced(&ended) => fenced(ended),
            _ => error,
        }
    }

    /// Why the brokers will never take the transaction at hand, if they won't: this user may not write to a topic, say. That is
    /// the fault of a record if it has said where it goes; then all begins anew and it meets its policy.
    async fn refused(&self, producer: &Producer) -> Option<Error> {
        if !self.begun.load(SeqCst) {
            return None;
        }
        // It has begun: what is said is that, or why it can only be aborted.
        let begun = producer.ask(|client| client.begin_transaction()).await.ok()?;
        let Err(KafkaError::Transaction(error)) = begun else { return None };
        let code = error.code();
        if !error.txn_requires_abort() || meaning(code).cause != Cause::User {
            return None;
        }
        // What was given up is told behind what was delivered before it.
        let until = Instant::now() + TRY;
        while self.deliveries.under_way() > 0 && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
        (!self.deliveries.blame(code)).then(|| failed("a transaction was refused", KafkaError::Transaction(error)))
    }

    /// Why a transaction could not be begun or committed. Almost always all begins anew then.
    fn broken(&self, what: &str, error: KafkaError) -> Error {
        if self.fences && is_fenced(&error) {
            return fenced(error);
        }
        let error = failed(format!("a transaction could not be {what}"), error);
        if error.cause() == Cause::User { error } else { error.begin_anew() }
    }
}

/// Records and positions, committed together.
pub(super) struct Transactions {
    pub(super) line: Line,
    positions: Positions,
    committed: HashMap<Key, Bytes>,
}

impl Transactions {
    /// Ends what a run of this name has left behind, and keeps that run from going on.
    pub(super) async fn new(
        producer: &Arc<Producer>,
        deliveries: &Arc<Deliveries>,
        positions: Positions,
        size: Size,
    ) -> Result<Self> {
        let what = "transactions can't be begun";
        let begun = producer.ask_first(what, |client| again(|| client.init_transactions(TRY))).await?;
        begun.map_err(|error| {
            let error = producer.said().failed(what, error);
            let retry = error.cause() != Cause::User;
            error.retryable(retry)
        })?;
        let line = Line {
            producer: Arc::downgrade(producer),
            deliveries: deliveries.clone(),
            begun: Arc::default(),
            fences: matches!(positions, Positions::Topic(_)),
            size: Arc::new(size),
        };
        Ok(Self { line, positions, committed: HashMap::new() })
    }

    /// The topic that positions are kept in, if they are.
    pub(super) fn topic(&self) -> Option<&str> {
        match &self.positions {
            Positions::Group(_) => None,
            Positions::Topic(topic) => Some(topic),
        }
    }

    /// What the positions' topic holds.
    pub(super) fn holds(&mut self, held: &[Checkpoint]) {
        self.committed = held.iter().map(|it| (it.key.clone(), it.position.bytes().clone())).collect();
    }

    /// The positions that have moved since the last commit.
    pub(super) fn moved(&self, positions: &[Checkpoint]) -> Vec<Checkpoint> {
        let moved = |it: &&Checkpoint| self.committed.get(&it.key) != Some(it.position.bytes());
        positions.iter().filter(moved).cloned().collect()
    }

    /// Whether there is anything to commit.
    pub(super) fn is_empty(&self, moved: &[Checkpoint]) -> bool {
        !self.line.begun.load(SeqCst) && moved.is_empty()
    }

    /// Commits what was sent, and these positions with it.
    pub(super) async fn commit(&mut self, producer: &Producer, moved: &[Checkpoint]) -> Result<()> {
        let committed = match &self.positions {
            Positions::Group(group) => {
                let (offsets, committing) = offsets(group, moved)?;
                producer.ask(move |client| commit_with(client, &offsets, &committing)).await?
            }
            Positions::Topic(_) => producer.ask(|client| again(|| client.commit_transaction(TRY))).await?,
        };
        committed.map_err(|error| self.line.broken("committed", error))?;
        self.line.begun.store(false, SeqCst);
        self.line.size.begin();
        self.committed.extend(moved.iter().map(|it| (it.key.clone(), it.position.bytes().clone())));
        Ok(())
    }
}

fn is_fenced(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    [Some(RDKafkaErrorCode::Fenced), Some(RDKafkaErrorCode::ProducerFenced)].contains(&code)
}

fn fenced(error: KafkaError) -> Error {
    let message = "another run of this pipeline has taken over, or this one was stopped for longer than \
                   `transaction.timeout.ms`: nothing of it is committed twice; stop the other, or start this again";
    Error::new(Cause::State, message).because(error)
}

/// The offsets of a commit, and the word that their partitions stay this member's until it has ended.
fn offsets(group: &Arc<Group>, moved: &[Checkpoint]) -> Result<(TopicPartitionList, Committing)> {
    let mut found: Vec<(Place, i64)> = Vec::new();
    for Checkpoint { key, position } in moved {
        let Some(place) = split_name(&key.partition) else {
            return Err(Error::new(Cause::Bug, format!("{} is no partition of a topic", key.partition)));
        };
        found.push((place, decode(position)?));
    }
    let committing = group.commit(found.iter().map(|(place, _)| place)).ok_or_else(gone)?;
    Ok((marked(found.iter().map(|(place, offset)| (place, *offset)), group.mark()), committing))
}

fn gone() -> Error {
    Error::new(Cause::Outside, "a transaction holds records of partitions that were taken away").begin_anew()
}

fn commit_with(client: &Client, offsets: &TopicPartitionList, committing: &Committing) -> KafkaResult<()> {
    let lost = KafkaError::ConsumerCommit(RDKafkaErrorCode::AssignmentLost);
    again(|| {
        let metadata = committing.metadata().ok_or_else(|| lost.clone())?;
        client.send_offsets_to_transaction(offsets, &metadata, TRY)
    })?;
    again(|| client.commit_transaction(TRY))
}

/// Tries again what may succeed then.
fn again(work: impl Fn() -> KafkaResult<()>) -> KafkaResult<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match work() {
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < until => {
                tracing::warn!(%error, "a step of a transaction is tried again");
                std::thread::sleep(Duration::from_millis(100));
            }
            done => return done,
        }
    }
}

/// A position as a message's key and value.
pub(super) fn message(checkpoint: &Checkpoint) -> (Vec<u8>, Vec<u8>) {
    let Checkpoint { key, position } = checkpoint;
    let mut name = Vec::new();
    for text in [&key.pipeline, &key.stage] {
        name.extend_from_slice(&(text.len() as u16).to_be_bytes());
        name.extend_from_slice(text.as_bytes());
    }
    name.extend_from_slice(key.partition.name().as_bytes());
    let mut value = vec![VERSION];
    value.extend_from_slice(&(position.bytes().len() as u16).to_be_bytes());
    value.extend_from_slice(position.bytes());
    value.extend_from_slice(position.label().as_bytes());
    (name, value)
}

/// What a message of the topic says of a pipeline's positions.
#[derive(Debug)]
pub(super) enum Said {
    /// It is none, or one of another pipeline.
    Other,
    /// This position is not held any more.
    Gone(Key),
    Holds(Checkpoint),
    /// It is one of this pipeline, and can't be read: what is wrong with it.
    Unreadable(String),
}

/// Reads a message for this pipeline; without a value it takes back what was said before.
pub(super) fn read(key: &[u8], value: Option<&[u8]>, pipeline: &str) -> Said {
    let Some((found, rest)) = text(key) else { return Said::Other };
    if found != pipeline {
        return Said::Other;
    }
    let partition = |(stage, partition)| Some((stage, Partition::new(std::str::from_utf8(partition).ok()?)));
    let Some((stage, partition)) = text(rest).and_then(partition) else {
        return Said::Unreadable("a key that names no stage and partition".into());
    };
    let key = Key { pipeline: found, stage, partition };
    match value.map(position) {
        None => Said::Gone(key),
        Some(Ok(position)) => Said::Holds(Checkpoint { key, position }),
        Some(Err(found)) => Said::Unreadable(format!("{found} for partition {} of {}", key.partition, key.stage)),
    }
}

fn position(value: &[u8]) -> Result<Position, String> {
    let cut = || "a position that ends early".to_owned();
    let rest = match value.split_first() {
        Some((&VERSION, rest)) => rest,
        Some((version, _)) => return Err(format!("a position of version {version}")),
        None => return Err(cut()),
    };
    let (bytes, label) = piece(rest).ok_or_else(cut)?;
    let label = std::str::from_utf8(label).map_err(|_| "a position without a text that names it".to_owned())?;
    Position::new(bytes.to_vec(), label).map_err(|error| error.to_string())
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (piece, rest) = piece(bytes)?;
    Some((std::str::from_utf8(piece).ok()?.to_owned(), rest))
}

fn piece(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_transaction_is_enough_by_its_records_or_its_bytes() {
        let size = Size::new((3, 100), CommitSoon::default());
        assert_eq!([(2, 10), (1, 10)].map(|(records, bytes)| size.is_enough_with(records, bytes)), [false, true]);
        size.begin();
        assert_eq!([(1, 99), (1, 1)].map(|(records, bytes)| size.is_enough_with(records, bytes)), [false, true]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn a_position_is_read_as_it_was_written(
            names in proptest::array::uniform3("[a-zé/ ]{0,9}"),
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            label in "[a-z@0-9]{0,9}",
        ) {
            let [pipeline, stage, partition] = names;
            let key = Key { pipeline, stage, partition: Partition::new(partition) };
            let position = Position::new(bytes, label.clone()).unwrap();
            let (name, mut value) = message(&Checkpoint { key: key.clone(), position: position.clone() });
            let Said::Holds(found) = read(&name, Some(&value), &key.pipeline) else { panic!("it is a position") };
            prop_assert_eq!((&found.key, found.position.bytes(), found.position.label()), (&key, position.bytes(), &*label));
            for cut in 0..value.len().min(3 + position.bytes().len()) {
                let unreadable = matches!(read(&name, Some(&value[..cut]), &key.pipeline), Said::Unreadable(_));
                prop_assert!(unreadable, "cut to {cut}");
            }
            value[0] = VERSION + 1;
            prop_assert!(matches!(read(&name, Some(&value), &key.pipeline), Said::Unreadable(_)));
            prop_assert!(matches!(read(&name, Some(&value), "another pipeline"), Said::Other));
            let gone = read(&name, None, &key.pipeline);
            prop_assert!(matches!(gone, Said::Gone(gone) if gone == key));
        }

        #[test]
        fn whatever_stands_there_is_read_or_is_none(key in any::<Vec<u8>>(), value in any::<Vec<u8>>()) {
            let _ = read(&key, Some(&value), "");
        }
    }
}
