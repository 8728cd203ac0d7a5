//! [`Deliveries`]: what is under way, and what became of it. No I/O: it is told.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::commit::Ticket;
use millstream_core::contracts::{Cause, Error, Failures};
use millstream_core::data::Shared;
use millstream_net::kafka::{Meaning, meaning};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use tokio::sync::Notify;

use super::poison::{Identity, Poison, Verdict};

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

/// What is under way. One thread sends, and another hears reports, each once a row: neither touches what the other writes
/// but once a batch, and once a row where transactions know records by their content.
#[derive(Default)]
pub(super) struct Deliveries {
    sends: Apart<Sends>,
    hears: Apart<Hears>,
    /// Something has settled, or gone wrong.
    pub(super) news: Notify,
}

/// Cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Apart<T>(T);

/// What is written by who sends.
#[derive(Default)]
struct Sends {
    /// How many rows the client was given.
    sent: AtomicUsize,
    /// Whether there is an error that says why nothing more can be sent.
    is_broken: AtomicBool,
}

/// What is written by who hears reports.
#[derive(Default)]
struct Hears {
    state: Mutex<State>,
    /// Whether it is waited for that nothing is under way.
    awaited: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Of how many rows that the client was given it is known what became of them.
    told: usize,
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
    /// What has been given up with its transaction and may be to blame for that.
    given_up: Vec<GivenUp>,
    /// Whether a record is known to be to blame.
    blamed: bool,
    /// Topics of records, in transactions, of which some were delivered.
    good: HashSet<String>,
    /// In transactions: whom to remember when one breaks.
    poison: Option<Arc<Poison>>,
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
    contents: Vec<Identity>,
    /// They are dead letters, in the transaction of those that were none.
    letters: bool,
}

/// A row that was given up with its transaction.
struct GivenUp {
    identity: Identity,
    topic: String,
    /// Nothing else was under way.
    alone: bool,
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
    /// It was not sent any more: its transaction can't be committed, or the client ends.
    GivenUp {
        error: KafkaError,
        alone: bool,
    },
}

impl Deliveries {
    fn state(&self) -> MutexGuard<'_, State> {
        self.hears.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows are sent in transactions from now on; what breaks one is remembered there.
    pub(super) fn in_transactions(&self, poison: &Arc<Poison>) {
        self.state().poison = Some(poison.clone());
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
    pub(super) fn known_by(&self, batch: u32, content: Identity) {
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

    /// What became of a row that the client was given. `topic`: where it goes, if its record has said so and is to blame for
    /// that.
    pub(super) fn tell(&self, id: RowId, told: Told, topic: Option<&str>) {
        let (mut state, by_record) = (self.state(), topic.is_some());
        if let (Some(topic), Told::Delivered) = (topic, &told)
            && state.poison.is_some()
            && !state.good.contains(topic)
        {
            state.good.insert(topic.to_owned());
        }
        let told = match (told, &state.poison) {
            (Told::Failed(error), Some(_)) => {
                state.break_transaction(id, error, true, by_record);
                Told::Delivered
            }
            (Told::Refused(code, _), Some(_)) => {
                state.break_transaction(id, KafkaError::MessageProduction(code), false, by_record);
                Told::Delivered
            }
            (Told::GivenUp { error, alone }, Some(_)) => {
                state.give_up(id, error, alone, topic);
                Told::Delivered
            }
            (told, _) => told,
        };
        match told {
            Told::Delivered => state.settle(id),
            Told::Failed(error) | Told::GivenUp { error, .. } => {
                state.fail(id, why(error, by_record));
                state.settle(id);
                self.news.notify_one();
            }
            Told::Refused(code, message) => {
                state.suspects.push(Suspect { id, message, code });
                self.news.notify_one();
            }
        }
        state.told = state.told.wrapping_add(1);
        let settled = state.finish();
        if state.broken.is_some() {
            self.sends.0.is_broken.store(true, SeqCst);
        }
        let awaited = self.hears.0.awaited.load(SeqCst) && self.left(&state) == 0;
        drop(state);
        if settled || awaited {
            self.news.notify_one();
        }
    }

    /// This row is not sent: its record can't be a message.
    pub(super) fn refuse(&self, id: RowId, error: Error) {
        let mut state = self.state();
        state.fail(id, error);
        state.settle(id);
        state.finish();
        drop(state);
        self.news.notify_one();
    }

    /// Nothing more can be sent by this client.
    pub(super) fn break_down(&self, error: KafkaError, reason: &str) {
        let mut state = self.state();
        let error = millstream_net::kafka::failed(format!("nothing more can be sent ({reason})"), error);
        let error = if state.poison.is_some() { error.begin_anew() } else { error };
        state.fenced = true;
        state.broken.get_or_insert(error);
        self.sends.0.is_broken.store(true, SeqCst);
        drop(state);
        self.news.notify_one();
    }

    /// The transaction is refused with this code. If that is for where some record goes, what was given up with it is tried
    /// alone, or is to blame if it was; `false`: it is no record's fault.
    pub(super) fn blame(&self, code: RDKafkaErrorCode) -> bool {
        let mut state = self.state();
        let given_up = std::mem::take(&mut state.given_up);
        let is_any = state.blamed || !given_up.is_empty();
        // Who may write to a topic may do so with each of its records.
        let (good, other): (Vec<_>, Vec<_>) = given_up.into_iter().partition(|it| state.good.contains(&it.topic));
        if let Some(poison) = &state.poison {
            for GivenUp { identity, alone, .. } in if other.is_empty() { good } else { other } {
                poison.remember(identity, if alone { Verdict::Guilty(code) } else { Verdict::Suspect });
            }
        }
        is_any
    }

    /// Whether another producer of the same name may have taken over.
    pub(super) fn may_be_fenced(&self) -> bool {
        self.state().fenced
    }

    /// How many rows the client has that nothing is known of yet. If there are any, there is news once there are none.
    pub(super) fn under_way(&self) -> usize {
        self.hears.0.awaited.store(true, SeqCst);
        let left = self.left(&self.state());
        if left == 0 {
            self.hears.0.awaited.store(false, SeqCst);
        }
        left
    }

    fn left(&self, state: &State) -> usize {
        self.sends.0.sent.load(SeqCst).wrapping_sub(state.told)
    }

    /// The client is about to be given a row.
    pub(super) fn hand_over(&self) {
        self.sends.0.sent.fetch_add(1, SeqCst);
    }

    /// The client has no room for it.
    pub(super) fn take_back(&self) {
        self.sends.0.sent.fetch_sub(1, SeqCst);
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
        if self.sends.0.is_broken.load(SeqCst) { self.state().broken.clone() } else { None }
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
        let own = cause == Cause::Record || (by_record && cause == Cause::User && self.under(id).is_some());
        self.fenced |= is_fence(code);
        if own && self.under(id).is_some_and(|under| under.letters) {
            // It would be refused again and again.
            let message = format!("dead letters could not be delivered: {}", meaning(code).way_out);
            self.broken.get_or_insert(Error::new(Cause::User, message).because(code).in_stage("dead letters"));
            return;
        }
        if let (true, Some(poison), Some(identity)) = (own, self.poison.clone(), self.identity(id)) {
            poison.remember(identity, if alone { Verdict::Guilty(code) } else { Verdict::Suspect });
            self.blamed = true;
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

    /// A row is not sent any more. Why its transaction can't be committed the client says when it is asked.
    fn give_up(&mut self, id: RowId, error: KafkaError, alone: bool, topic: Option<&str>) {
        if let Some(topic) = topic
            && self.under(id).is_some_and(|under| !under.letters)
            && let Some(identity) = self.identity(id)
        {
            self.given_up.push(GivenUp { identity, topic: topic.to_owned(), alone });
        }
        let what = "a transaction that can't be committed was given up";
        self.broken.get_or_insert_with(|| millstream_net::kafka::failed(what, error).begin_anew());
    }

    /// What a row is known by when it comes again.
    fn identity(&mut self, id: RowId) -> Option<Identity> {
        let under = self.under(id)?;
        let record = *under.records.get(id.row as usize)?;
        let content = under.contents.get(id.row as usize).cloned();
        content.or_else(|| Identity::position(&under.shared, record))
    }

    fn under(&mut self, id: RowId) -> Option<&mut Under> {
        self.batches.get_mut(id.batch.wrapping_sub(self.first) as usize)
    }

    fn settle(&mut self, id: RowId) {
        if let Some(under) = self.under(id) {
            under.left = under.left.saturating_sub(1);
        }
    }

    fn fail(&mut self, id: RowId, error: Error) {
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

/// Whether it says that a record was not sent any more.
pub(super) fn is_given_up(code: RDKafkaErrorCode) -> bool {
    [RDKafkaErrorCode::PurgeQueue, RDKafkaErrorCode::PurgeInflight].contains(&code)
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

    #[tokio::test]
    async fn who_waits_for_all_reports_hears_of_the_last_one() {
        let deliveries = Deliveries::default();
        for _ in 0..2 {
            assert_eq!(deliveries.under_way(), 0);
            (0..3).for_each(|_| deliveries.hand_over());
            deliveries.take_back();
            for left in [1, 0] {
                let heard = deliveries.news.notified();
                deliveries.under_way();
                deliveries.tell(Deliveries::NO_ROW, Told::Delivered, None);
                assert_eq!(deliveries.under_way(), left);
                let mut heard = std::pin::pin!(heard);
                let is_heard = heard.as_mut().enable();
                assert_eq!(is_heard, left == 0, "{left} are under way");
            }
        }
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
