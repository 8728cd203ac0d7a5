//! [`Deliveries`]: what is under way, and what became of it. No I/O: it is told.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::commit::Ticket;
use millstream_core::contracts::{Cause, Error, Failures};
use millstream_core::data::{Bytes, Partition, Shared};
use millstream_net::kafka::{Meaning, meaning};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use tokio::sync::Notify;

use super::config::Kept;

/// Names a row that is under way: the number of its batch, and its place in it. It is what librdkafka hands back with its
/// report, as one number; rows don't count past 2^32, nor do batches that are under way at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RowId {
    batch: u32,
    row: u32,
}

const _: () = assert!(usize::BITS == 64, "a row's name needs 64 bits");

impl From<RowId> for usize {
    fn from(id: RowId) -> usize {
        (id.batch as usize) << 32 | id.row as usize
    }
}

impl From<usize> for RowId {
    fn from(id: usize) -> Self {
        Self { batch: (id >> 32) as u32, row: id as u32 }
    }
}

/// What is under way.
#[derive(Default)]
pub(super) struct Deliveries {
    state: Mutex<State>,
    /// How many rows the client has that nothing is known of yet.
    under_way: AtomicUsize,
    /// Something has settled, or gone wrong.
    pub(super) news: Notify,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Under>,
    /// The number of the first of them.
    first: u32,
    /// Rows whose request was refused: by their own fault or by that of others that were in it.
    suspects: Vec<Suspect>,
    failures: Failures,
    /// Why nothing more can be sent.
    broken: Option<Error>,
    /// It may be that another producer of the same name has taken over.
    fenced: bool,
    /// In transactions: whom to remember when one breaks.
    kept: Option<Arc<Kept>>,
}

/// Records that broke a transaction, by their source positions: when they come again they are tried alone, and those that
/// failed alone are failures.
#[derive(Debug, Default)]
pub(super) struct Poison(Mutex<HashMap<Key, Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    verdict: Verdict,
    /// It has come again since all began anew: the next commit is behind it.
    met: bool,
}

/// A record of the source: its partition, and the position behind it.
pub(super) type Key = (Partition, Bytes);

/// What is known of a record that broke a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was in a request that was refused.
    Suspect,
    /// It was refused alone.
    Guilty(RDKafkaErrorCode),
}

impl Poison {
    fn known(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a record of this batch, which is about to be sent.
    pub(super) fn meet(&self, shared: &Shared, record: u32) -> Option<Verdict> {
        let mut known = self.known();
        if known.is_empty() {
            return None;
        }
        let known = known.get_mut(&key(shared, record)?)?;
        known.met = true;
        Some(known.verdict)
    }

    fn remember(&self, shared: &Shared, record: u32, verdict: Verdict) {
        if let Some(key) = key(shared, record) {
            let mut known = self.known();
            if known.get(&key).is_none_or(|before| before.verdict == Verdict::Suspect) {
                known.insert(key, Known { verdict, met: true });
            }
        }
    }

    /// A record of this batch was delivered alone.
    pub(super) fn clear(&self, shared: &Shared, record: u32) {
        if let Some(key) = key(shared, record) {
            self.known().remove(&key);
        }
    }

    /// What was met since all began anew is committed, in one way or the other; the rest is still to come.
    pub(super) fn forget_met(&self) {
        self.known().retain(|_, known| !known.met);
    }

    /// All begins anew, from the last commit.
    pub(super) fn comes_again(&self) {
        self.known().values_mut().for_each(|known| known.met = false);
    }
}

fn key(shared: &Shared, record: u32) -> Option<Key> {
    let position = shared.marks.position(record + 1).ok()??;
    Some((shared.partition.clone(), position.bytes().clone()))
}

/// A batch that is under way.
struct Under {
    /// Rows that have not settled.
    left: usize,
    /// What is left of the claim, cut where records have failed.
    tickets: Vec<Ticket>,
    shared: Arc<Shared>,
    /// The record of each row.
    records: Vec<u32>,
    /// They are dead letters, in the transaction of those that were none.
    letters: bool,
}

/// A row whose request was refused.
pub(super) struct Suspect {
    pub(super) id: RowId,
    pub(super) message: OwnedMessage,
    pub(super) code: RDKafkaErrorCode,
}

/// What a report says of a row.
pub(super) enum Told {
    Delivered,
    /// It failed, and was sent alone or without having been sent at all: by its own fault, or because nothing works.
    Failed(KafkaError),
    /// It failed together with others, in one request.
    Refused(RDKafkaErrorCode, OwnedMessage),
}

impl Deliveries {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows are sent in transactions from now on.
    pub(super) fn in_transactions(&self, kept: &Arc<Kept>) {
        self.state().kept = Some(kept.clone());
    }

    /// A batch is about to be sent. Returns the number of its rows' names.
    pub(super) fn begin(&self, ticket: Option<Ticket>, shared: &Arc<Shared>, records: Vec<u32>) -> u32 {
        let (left, tickets) = (records.len(), ticket.into_iter().collect());
        self.state().add(Under { left, tickets, shared: shared.clone(), records, letters: false })
    }

    /// Dead letters are about to be sent in the transaction at hand.
    pub(super) fn begin_letters(&self, shared: &Arc<Shared>, records: Vec<u32>) -> u32 {
        let (left, tickets) = (records.len(), Vec::new());
        self.state().add(Under { left, tickets, shared: shared.clone(), records, letters: true })
    }

    /// The name of what is sent and is no row.
    pub(super) const NO_ROW: RowId = RowId { batch: u32::MAX, row: u32::MAX };

    /// The rows of a batch from `row` on are not sent.
    pub(super) fn leave_out(&self, batch: u32, row: usize) {
        let mut state = self.state();
        let id = Self::id(batch, row);
        if let Some(under) = state.under(id) {
            under.left -= under.records.len() - row;
        }
        state.finish();
    }

    pub(super) fn id(batch: u32, row: usize) -> RowId {
        RowId { batch, row: row as u32 }
    }

    /// What became of a row that the client was given. `by_record`: whether where it goes is said by the record, so that it is to blame for it.
    pub(super) fn tell(&self, id: RowId, told: Told, by_record: bool) {
        let mut state = self.state();
        let told = match (told, &state.kept) {
            (Told::Failed(error), Some(_)) => {
                state.break_transaction(id, error, true);
                Told::Delivered
            }
            (Told::Refused(code, _), Some(_)) => {
                state.break_transaction(id, KafkaError::MessageProduction(code), false);
                Told::Delivered
            }
            (told, _) => told,
        };
        match told {
            Told::Delivered => state.settle(id),
            Told::Failed(error) => {
                state.fail(id, error, by_record);
                state.settle(id);
                self.news.notify_one();
            }
            Told::Refused(code, message) => {
                state.suspects.push(Suspect { id, message, code });
                self.news.notify_one();
            }
        }
        let settled = state.finish();
        if self.under_way.fetch_sub(1, SeqCst) == 1 || settled {
            self.news.notify_one();
        }
    }

    /// Nothing more can be sent by this client.
    pub(super) fn break_down(&self, error: KafkaError, reason: &str) {
        let mut state = self.state();
        let error = millstream_net::kafka::failed(format!("nothing more can be sent ({reason})"), error);
        let error = if state.kept.is_some() { error.begin_anew() } else { error };
        state.fenced = true;
        state.broken.get_or_insert(error);
        drop(state);
        self.news.notify_one();
    }

    /// Whether another producer of the same name may have taken over.
    pub(super) fn may_be_fenced(&self) -> bool {
        self.state().fenced
    }

    /// How many rows the client has that nothing is known of yet.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(SeqCst)
    }

    /// The client is about to be given a row.
    pub(super) fn hand_over(&self) {
        self.under_way.fetch_add(1, SeqCst);
    }

    /// The client has no room for it.
    pub(super) fn take_back(&self) {
        self.under_way.fetch_sub(1, SeqCst);
    }

    pub(super) fn has_suspects(&self) -> bool {
        !self.state().suspects.is_empty()
    }

    /// The suspects, in the order in which they were sent.
    pub(super) fn take_suspects(&self) -> Vec<Suspect> {
        let mut state = self.state();
        let mut suspects = std::mem::take(&mut state.suspects);
        let first = state.first;
        suspects.sort_by_key(|suspect| (suspect.id.batch.wrapping_sub(first), suspect.id.row));
        suspects
    }

    /// Where records that can't be delivered are told.
    pub(super) fn tell_failures(&self, failures: Failures) {
        self.state().failures = failures;
    }

    /// Why nothing more can be sent, if that is so. It stays so.
    pub(super) fn broken(&self) -> Option<Error> {
        self.state().broken.clone()
    }
}

impl State {
    fn add(&mut self, batch: Under) -> u32 {
        let number = self.first.wrapping_add(self.batches.len() as u32);
        self.batches.push_back(batch);
        number
    }

    /// A row that fails breaks its transaction: what is its own fault is remembered, and all begins anew.
    fn break_transaction(&mut self, id: RowId, error: KafkaError, alone: bool) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let own = meaning(code).cause == Cause::Record;
        self.fenced |= is_fence(code);
        if own && self.under(id).is_some_and(|under| under.letters) {
            // It would be refused again and again.
            let message = format!("dead letters could not be delivered: {}", meaning(code).way_out);
            self.broken.get_or_insert(Error::new(Cause::User, message).because(code).in_stage("dead letters"));
            return;
        }
        if let (true, Some(kept), Some(under)) = (own, self.kept.clone(), self.under(id))
            && let Some(&record) = under.records.get(id.row as usize)
        {
            let verdict = if alone { Verdict::Guilty(code) } else { Verdict::Suspect };
            kept.poison.remember(&under.shared, record, verdict);
        }
        let what = "a transaction was broken by a record that was not delivered";
        let error = match own {
            // No policy is to deal with whatever record is at hand: which one it was is found when they come again.
            true => Error::new(Cause::Outside, what).because(code).begin_anew(),
            false => millstream_net::kafka::failed(what, error),
        };
        let ends = error.cause() == Cause::User;
        self.broken.get_or_insert(if ends { error } else { error.begin_anew() });
    }

    fn under(&mut self, id: RowId) -> Option<&mut Under> {
        self.batches.get_mut(id.batch.wrapping_sub(self.first) as usize)
    }

    fn settle(&mut self, id: RowId) {
        if let Some(under) = self.under(id) {
            under.left = under.left.saturating_sub(1);
        }
    }

    fn fail(&mut self, id: RowId, error: KafkaError, by_record: bool) {
        let error = why(error, by_record);
        if error.cause() != Cause::Record {
            self.broken.get_or_insert(error);
            // What is left of the batch is abandoned: nobody knows what became of it.
            if let Some(under) = self.under(id) {
                under.tickets.clear();
            }
            return;
        }
        let Some(under) = self.under(id) else { return };
        let Some(&record) = under.records.get(id.row as usize) else { return };
        let shared = under.shared.clone();
        // Of a record of several rows the first that fails tells it.
        let share = under.take(record).and_then(|ticket| ticket.share(&[record]).pop());
        if let Some(share) = share {
            self.failures.tell(share, &shared, error);
        }
    }

    /// Settles batches of which all rows have; whether there were any.
    fn finish(&mut self) -> bool {
        let before = self.batches.len();
        while self.batches.front().is_some_and(|under| under.left == 0) {
            let under = self.batches.pop_front();
            self.first = self.first.wrapping_add(1);
            under.into_iter().flat_map(|under| under.tickets).for_each(Ticket::delivered);
        }
        before != self.batches.len()
    }
}

impl Under {
    /// Takes the claim to one record out.
    fn take(&mut self, record: u32) -> Option<Ticket> {
        let place = self.tickets.iter().position(|ticket| ticket.records().contains(&record))?;
        let mut before = self.tickets.swap_remove(place);
        let mut this = before.split_at(record);
        let after = this.split_at(record + 1);
        self.tickets.extend([before, after].into_iter().filter(|ticket| !ticket.records().is_empty()));
        Some(this)
    }
}

/// An error of a row.
pub(super) fn why(error: KafkaError, by_record: bool) -> Error {
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
    let Meaning { cause, .. } = meaning(code);
    let failed = millstream_net::kafka::failed("a record could not be delivered", error);
    match cause {
        Cause::User if by_record => Error::new(Cause::Record, failed.message()).because(code),
        _ => failed,
    }
}

/// Whether another producer of the same name may have taken over; one whose transaction has timed out is told the same.
pub(super) fn is_fence(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    [Code::Fenced, Code::ProducerFenced, Code::InvalidProducerEpoch].contains(&code)
}

/// Whether a request is refused for the sake of some record in it.
pub(super) fn is_of_request(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    [
        Code::MessageSizeTooLarge,
        Code::InvalidMessage,
        Code::InvalidMessageSize,
        Code::InvalidRecord,
        Code::InvalidTimestamp,
    ]
    .contains(&code)
}

#[cfg(test)]
mod tests {
    use millstream_core::data::{EventTime, Marks, Position, Times};

    use super::*;

    /// Each record's position is its number.
    #[derive(Debug)]
    struct Numbers;

    impl Marks for Numbers {
        fn position(&self, count: u32) -> Result<Option<Position>, String> {
            Ok(Some(Position::new(vec![count as u8], count.to_string()).map_err(|error| error.to_string())?))
        }

        fn place(&self, record: u32, _: &[u8], _: usize) -> String {
            record.to_string()
        }
    }

    fn shared() -> Arc<Shared> {
        Arc::new(Shared {
            stage: "source".into(),
            partition: Partition::new("p"),
            instance: 0,
            epoch: 0,
            first: 0,
            len: 9,
            times: Times::Uniform(EventTime { micros: 0, ingested: true }),
            marks: Arc::new(Numbers),
            raw: None,
            late: false,
            turns: None,
            dealt: None,
        })
    }

    #[test]
    fn what_broke_a_transaction_is_known_until_a_commit_behind_it() {
        let (poison, shared) = (Poison::default(), shared());
        poison.remember(&shared, 2, Verdict::Suspect);
        poison.remember(&shared, 7, Verdict::Guilty(RDKafkaErrorCode::InvalidRecord));
        poison.remember(&shared, 7, Verdict::Suspect);
        poison.comes_again();
        assert_eq!(poison.meet(&shared, 2), Some(Verdict::Suspect));
        poison.forget_met();
        assert_eq!(poison.meet(&shared, 2), None);
        assert_eq!(poison.meet(&shared, 7), Some(Verdict::Guilty(RDKafkaErrorCode::InvalidRecord)));
        poison.comes_again();
        poison.forget_met();
        assert!(poison.meet(&shared, 7).is_some(), "the commit was before it");
        poison.forget_met();
        assert_eq!(poison.meet(&shared, 7), None);
    }

    #[test]
    fn what_is_broken_stays_broken() {
        let deliveries = Deliveries::default();
        deliveries.break_down(KafkaError::Global(RDKafkaErrorCode::Fatal), "it is over");
        let [first, second] = [(); 2].map(|()| deliveries.broken().map(|error| error.chain()));
        assert!(first.as_ref().is_some_and(|first| first.contains("it is over")), "{first:?}");
        assert_eq!(first, second);
    }
}
