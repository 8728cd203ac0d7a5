//! [`Deliveries`]: what is under way, and what became of it. No I/O: it is told.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::commit::Ticket;
use millstream_core::contracts::{Cause, Error, Failures};
use millstream_core::data::Shared;
use millstream_net::kafka::{Meaning, meaning};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use tokio::sync::Notify;

use super::config::Kept;
use super::poison::{Key, Verdict};

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
    /// Whether there is an error that says why nothing more can be sent.
    is_broken: AtomicBool,
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

/// A batch that is under way.
struct Under {
    /// Rows that have not settled.
    left: usize,
    /// What is left of the claim, cut where records have failed.
    tickets: Vec<Ticket>,
    shared: Arc<Shared>,
    /// The record of each row.
    records: Vec<u32>,
    /// What is sent of each row, where that is what records are known by.
    contents: Vec<Key>,
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
        self.state().add(Under { left, tickets, shared: shared.clone(), records, contents: Vec::new(), letters: false })
    }

    /// Dead letters are about to be sent in the transaction at hand.
    pub(super) fn begin_letters(&self, shared: &Arc<Shared>, records: Vec<u32>) -> u32 {
        let (left, tickets) = (records.len(), Vec::new());
        self.state().add(Under { left, tickets, shared: shared.clone(), records, contents: Vec::new(), letters: true })
    }

    /// The next row of this batch, which is about to be sent, is known by its content.
    pub(super) fn known_by(&self, batch: u32, content: Key) {
        if let Some(under) = self.state().under(Self::id(batch, 0)) {
            under.contents.push(content);
        }
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

    /// What became of a row that the client was given. `by_record`: whether where it goes is said by the record, so that it
    /// is to blame for it.
    pub(super) fn tell(&self, id: RowId, told: Told, by_record: bool) {
        let mut state = self.state();
        let told = match (told, &state.kept) {
            (Told::Failed(error), Some(_)) => {
                state.break_transaction(id, error, true, by_record);
                Told::Delivered
            }
            (Told::Refused(code, _), Some(_)) => {
                state.break_transaction(id, KafkaError::MessageProduction(code), false, by_record);
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
        self.is_broken.store(state.broken.is_some(), SeqCst);
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
        self.is_broken.store(true, SeqCst);
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
        if self.is_broken.load(SeqCst) { self.state().broken.clone() } else { None }
    }
}

impl State {
    fn add(&mut self, batch: Under) -> u32 {
        let number = self.first.wrapping_add(self.batches.len() as u32);
        self.batches.push_back(batch);
        number
    }

    /// A row that fails breaks its transaction: what is its own fault is remembered, and all begins anew.
    fn break_transaction(&mut self, id: RowId, error: KafkaError, alone: bool, by_record: bool) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let cause = meaning(code).cause;
        let own = cause == Cause::Record || (by_record && cause == Cause::User);
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
            let content = under.contents.get(id.row as usize).cloned();
            if let Some(key) = content.or_else(|| Key::position(&under.shared, record)) {
                kept.poison.remember(key, verdict);
            }
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
    use super::*;

    #[test]
    fn what_is_broken_stays_broken() {
        let deliveries = Deliveries::default();
        deliveries.break_down(KafkaError::Global(RDKafkaErrorCode::Fatal), "it is over");
        let [first, second] = [(); 2].map(|()| deliveries.broken().map(|error| error.chain()));
        assert!(first.as_ref().is_some_and(|first| first.contains("it is over")), "{first:?}");
        assert_eq!(first, second);
    }
}
