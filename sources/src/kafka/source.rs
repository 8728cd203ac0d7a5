//! [`KafkaSource`]: reads the partitions that the group has assigned to this member, and commits what has arrived.

mod assigned;
mod commits;
mod parked;
mod revoked;
mod rewound;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::contracts::{Cause, Error, Event, Held, Result, Source, WAITS};
use millstream_core::data::{Partition, PartitionId, Position};
use millstream_net::kafka::{Answer, Meaning, Place, decode, failed, meaning, unanswered};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::time::{Instant, sleep_until, timeout};

use super::begin::{self, Begin};
use super::commit::Committed;
use super::config::{Expired, Topics, What};
use super::decide::Deciding;
use super::form::Form;
use super::inbox::Notice;
use super::known::Known;
use super::member::Member;
use super::opened::{Most, Reading};
use super::orphans::{self, Orphans};
use super::resting::Resting;
use parked::Parked;
use revoked::Revoking;
use rewound::Rewinding;

/// How long the first assignment is waited for when the source is opened; what comes later is told as it comes.
const FIRST: Duration = Duration::from_secs(3);

/// After how long it is told that the group has not said what is a new member's.
const LONG: Duration = Duration::from_secs(10);

/// How long the end waits until the brokers have taken the last commit.
const LAST: Duration = Duration::from_secs(30);

/// How long after a commit that failed the next one is tried.
const AGAIN: Duration = Duration::from_millis(500);

/// The source that [`Topics`] declares.
pub struct KafkaSource<T: Form> {
    topics: Topics<T>,
    held: Held,
    member: Option<Member>,
    known: Known,
    open: Vec<Reading>,
    /// What was being read by the source before, as long as it isn't read here.
    parked_with: Vec<Place>,
    /// What is to be told before anything else.
    ready: VecDeque<Event<T>>,
    next_id: PartitionId,
    /// Where to begin with the next look for messages.
    turn: usize,
    /// Partitions that were assigned and are not read yet.
    waiting: Vec<Place>,
    /// When it is asked again where they begin.
    begin_again: Option<Instant>,
    /// The answer to where they begin.
    beginning: Option<Answer<Result<Vec<Begin>>>>,
    /// A commit that is under way.
    committing: Option<Answer<Committed>>,
    /// What is being taken away, in the order in which that was said.
    revoking: VecDeque<Revoking>,
    /// Whether the group has said what is this member's, if only that nothing is, and has taken nothing away since.
    assigned: bool,
    /// When it is told that the group has not said that of a new member.
    tells: Option<Instant>,
    /// What is known of the group's being at rest, once the end may have come.
    resting: Resting,
    /// What the predecessor of a member with a static name may have left behind.
    orphans: Orphans,
    /// Whether transactions are open before the end.
    deciding: Deciding,
    /// Partitions that go on before what was read of them.
    rewinding: Rewinding,
    /// When a commit that failed is tried again.
    commit_again: Option<Instant>,
    /// An error that was found beside records: told after them.
    wrong: Option<Error>,
}

impl<T: Form> Source for KafkaSource<T> {
    type Out = T;

    async fn open(&mut self, held: &Held) -> Result<Vec<Partition>> {
        self.held = held.clone();
        for (_, position) in held.all() {
            decode(&position)?;
        }
        self.known = self.topics.known.take();
        match self.topics.shared.unpark().and_then(|parked| parked.downcast::<Parked>().ok()) {
            Some(parked) => self.take_up(*parked).await?,
            None => self.join().await?,
        }
        let mut opened = Vec::new();
        while let Some(Event::Opened(partition)) = self.ready.pop_front_if(|event| matches!(event, Event::Opened(_))) {
            opened.push(partition);
        }
        Ok(opened)
    }

    async fn next(&mut self) -> Result<Event<T>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            self.take_notices()?;
            self.give_back_what_has_settled()?;
            self.ask_for_commits()?;
            self.orphans.find(self.member.as_ref().ok_or_else(unopened)?, &self.topics.group, &self.known.counts);
            if !self.ready.is_empty() {
                continue;
            }
            if let Some(event) = self.take_records()? {
                return Ok(event);
            }
            self.rewind_what_has_settled()?;
            if !self.ready.is_empty() {
                continue;
            }
            if self.topics.until_end && self.is_at_end()? {
                return Ok(Event::End);
            }
            self.wait().await?;
        }
    }

    async fn commit(&mut self, positions: &[(PartitionId, Position)]) -> Result<()> {
        let stored = self.topics.shared.has_transactions();
        if !stored {
            // What has been given back meanwhile is others'.
            self.take_notices()?;
            self.give_back_what_has_settled()?;
        }
        for (id, position) in positions {
            let offset = decode(position)?;
            match self.open.iter_mut().find(|reading| reading.id == *id) {
                Some(reading) => {
                    reading.wanted = reading.wanted.max(offset);
                    if stored {
                        reading.stored = reading.wanted;
                    }
                }
                // What a transaction holds has been stored with it.
                None if stored => {}
                None => self.known.late(position.label()),
            }
        }
        self.ask_for_commits()
    }

    async fn close(&mut self) -> Result<()> {
        // Where the end is, is of no interest any more.
        (self.resting, self.deciding, self.rewinding) = (Resting::new(), Deciding::default(), Rewinding::default());
        let committed = match self.member {
            Some(_) => timeout(LAST, self.all_committed()).await,
            None => Ok(Ok(())),
        };
        self.open.clear();
        self.beginning = None;
        self.known = Known::default();
        if let Some(member) = self.member.take() {
            member.leave().await;
        }
        committed.unwrap_or_else(|_| {
            let message = format!(
                "the group's offsets could not be committed within {LAST:?}: the next run reads again what was not; see to \
                 the brokers and the way to them"
            );
            Err(Error::new(Cause::Outside, message))
        })
    }
}

impl<T: Form> KafkaSource<T> {
    pub(super) fn new(topics: Topics<T>) -> Self {
        Self {
            topics,
            held: Held::default(),
            member: None,
            known: Known::default(),
            open: Vec::new(),
            parked_with: Vec::new(),
            ready: VecDeque::new(),
            next_id: 0,
            turn: 0,
            waiting: Vec::new(),
            begin_again: None,
            beginning: None,
            committing: None,
            revoking: VecDeque::new(),
            assigned: false,
            tells: None,
            resting: Resting::new(),
            orphans: Orphans::default(),
            deciding: Deciding::default(),
            rewinding: Rewinding::default(),
            commit_again: None,
            wrong: None,
        }
    }

    fn member(&self) -> Result<&Member> {
        self.member.as_ref().ok_or_else(unopened)
    }

    /// Becomes a member of the group.
    async fn join(&mut self) -> Result<()> {
        if self.topics.shared.has_transactions() && self.topics.reads_uncommitted() {
            let message = "the property `isolation.level` of a source whose sink is declared `exactly_once`: expected \
                           read_committed, found read_uncommitted, with which the group's offsets are told before it is \
                           decided whether they are committed; leave it out";
            return Err(Error::new(Cause::User, message));
        }
        let (what, names) = (self.topics.what.clone(), self.topics.names());
        let Topics { revoke_wait, shared, .. } = &self.topics;
        let member = Member::new(&self.topics.client_config(), *revoke_wait, Arc::downgrade(shared))?;
        let now = rdkafka::message::Timestamp::now().to_millis();
        let looked = member.ask(move |consumer| begin::look(consumer, &what));
        let (counts, cluster) = member.inbox.said.hear("can't ask for the topics", looked).await??;
        match self.known.opened_at {
            None => {
                (self.known.opened_at, self.known.counts) = (now, counts);
                self.known.cluster = cluster.unwrap_or_default().into();
            }
            // A member of the same run, which was not kept for so long.
            Some(_) => self.known.give_all_back(),
        }
        // Only now: who doesn't know its topics yet is a member without partitions.
        member.join(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.joined(member);
        self.tells = Some(Instant::now() + LONG);
        if self.topics.instance.is_some() {
            self.orphans.may_be();
        }
        // Who doesn't know yet which partitions it has is told later.
        timeout(FIRST, self.first_assignment()).await.unwrap_or(Ok(()))
    }

    fn joined(&mut self, member: Member) {
        self.topics.shared.joined(Box::new(member.metadata()), member.inbox.wake.clone());
        self.member = Some(member);
    }

    async fn first_assignment(&mut self) -> Result<()> {
        self.take_notices()?;
        while !self.assigned || !self.waiting.is_empty() {
            self.wait().await?;
            self.take_notices()?;
        }
        Ok(())
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) -> Result<()> {
        let wake = self.member()?.inbox.wake.clone();
        let again = [self.resting.again(), self.deciding.again(), self.orphans.again(), self.rewinding.again];
        let until = again.into_iter().chain([self.commit_again, self.begin_again, self.tells]).flatten().min();
        let Self { beginning, committing, resting, deciding, orphans, rewinding, .. } = self;
        tokio::select! {
            () = wake.notified() => Ok(()),
            committed = answered(committing) => {
                self.committing = None;
                self.committed(committed?)
            }
            () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => Ok(()),
            begun = answered(beginning) => {
                self.beginning = None;
                self.begun(begun?)
            }
            () = resting.heard() => Ok(()),
            found = orphans.heard() => match found {
                true => orphans::share_out(self.topics.client_config(), &self.topics.group, self.topics.names()),
                false => Ok(()),
            },
            decided = deciding.heard() => {
                self.open.iter_mut().filter(|it| decided.contains(&it.place)).for_each(Reading::decided);
                Ok(())
            }
            sought = rewinding.heard() => {
                self.open.iter_mut().filter(|it| sought.contains(&it.place)).for_each(Reading::sought);
                Ok(())
            }
        }
    }

    fn take_notices(&mut self) -> Result<()> {
        if self.commit_again.is_some_and(|again| again <= Instant::now()) {
            self.commit_again = None;
        }
        if self.begin_again.is_some_and(|again| again <= Instant::now()) {
            self.find_beginnings()?;
        }
        while let Some(notice) = self.member()?.inbox.take(!self.revoking.is_empty()) {
            match notice {
                Notice::Assigned(places) => {
                    (self.assigned, self.tells, self.resting) = (true, None, Resting::new());
                    let asks = !places.is_empty();
                    self.is_given(places);
                    if asks {
                        self.find_beginnings()?;
                    }
                }
                Notice::Revoked { number, places, lost } => {
                    // What is this member's is said again behind it.
                    (self.assigned, self.resting) = (false, Resting::new());
                    tracing::info!(partitions = places.len(), lost, "revoked");
                    if self.waits_no_more_for(&places) {
                        self.find_beginnings()?;
                    }
                    self.revoking.push_back(Revoking { number, places, lost });
                    self.give_back_what_has_settled()?;
                }
                Notice::Failed(error) => self.judge("the consumer group", error)?,
            }
        }
        if self.tells.take_if(|tells| *tells <= Instant::now()).is_some() {
            let last = self.member()?.inbox.said.last_word();
            tracing::warn!(
                target: WAITS,
                group = self.topics.group,
                last,
                "the group has not said yet which partitions are this member's: it may wait for the session of one that was \
                 killed to be over (`session.timeout.ms`; `static_member` spares a restarted one that), for others to give \
                 theirs back, or for a topic"
            );
        }
        Ok(())
    }

    /// The records of the next partition that has any.
    fn take_records(&mut self) -> Result<Option<Event<T>>> {
        if let Some(wrong) = self.wrong.take() {
            return Err(wrong);
        }
        let most = Most { records: self.topics.batch_records, bytes: self.topics.batch_bytes };
        for _ in 0..self.open.len() {
            self.turn = (self.turn + 1) % self.open.len();
            let turn = self.turn;
            let is_sought = self.deciding.asks() && self.open[turn].undecided().is_some();
            if is_sought || self.is_revoked(&self.open[turn]) {
                continue;
            }
            let taken = self.open[turn].take::<T>(most);
            let judged = match taken.error {
                Some(error) => self.judge_partition(turn, error),
                None => Ok(()),
            };
            match (taken.chunk, judged) {
                (Some(chunk), judged) => {
                    self.wrong = judged.err();
                    return Ok(Some(Event::Records(chunk)));
                }
                (None, judged) => judged?,
            }
        }
        Ok(None)
    }

    /// Whether all that is this member's has been read to its end, and nothing more is on its way to it.
    fn is_at_end(&mut self) -> Result<bool> {
        let Self { open, deciding, resting, member, topics, known, .. } = self;
        let member = member.as_ref().ok_or_else(unopened)?;
        deciding.ask(member, open.iter().filter_map(Reading::undecided));
        let has_all = self.assigned && self.waiting.is_empty() && self.revoking.is_empty();
        let at_end = has_all && open.iter().all(|reading| reading.at_end);
        Ok(at_end && resting.find_out(member, &topics.group, &known.counts))
    }

    fn judge_partition(&self, turn: usize, error: KafkaError) -> Result<()> {
        let name = &self.open[turn].name;
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AutoOffsetReset) {
            return self.judge(name.name(), error);
        }
        debug_assert_eq!(self.topics.expired, Expired::Fail);
        let message = format!(
            "{name}: the records that are to be read next are gone: the topic doesn't keep them any more, or was made anew. \
             What was not read is lost to this group; to go on behind it, declare `on_expired`, or set the group's offsets \
             by Kafka's own tools"
        );
        Err(Error::new(Cause::State, message).because(error))
    }

    /// Whether an error is one to go on with: the library tries again by itself what may succeed later.
    fn judge(&self, what: &str, error: KafkaError) -> Result<()> {
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
        let known = error.rdkafka_error_code().map(meaning);
        match known {
            Some(Meaning { retry: true, .. }) if !fatal => {
                tracing::warn!(%error, "{what}: trying again");
                Ok(())
            }
            Some(_) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                match &self.topics.what {
                    What::Pattern(_) => Ok(()),
                    What::Topics(_) => Err(failed(format!("can't read on from {what}"), error)),
                }
            }
            _ => Err(failed(format!("can't read on from {what}"), error)),
        }
    }
}

fn unopened() -> Error {
    Error::new(Cause::Bug, "the Kafka source is used before it was opened")
}

/// The answer to a question that was asked; never, if none was.
async fn answered<T>(asked: &mut Option<Answer<T>>) -> Result<T> {
    match asked {
        Some(answer) => answer.await.map_err(unanswered),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::data::Bytes;
    use millstream_net::kafka::partition_name;
    use rdkafka::consumer::Consumer as _;

    use super::*;

    /// A source that reads these partitions of a broker that isn't there.
    fn reading(partitions: std::ops::Range<i32>) -> KafkaSource<Bytes> {
        let topics = Topics::new("127.0.0.1:9", ["orders"], "billing");
        let member = Member::new(&topics.client_config(), topics.revoke_wait, Arc::downgrade(&topics.shared));
        let mut source = KafkaSource::new(topics);
        source.joined(member.expect("a client can be made"));
        source.read_from(partitions.map(begin).collect()).expect("there are queues");
        source.ready.clear();
        source
    }

    fn begin(partition: i32) -> Begin {
        let from = begin::From::Offset(0);
        Begin { place: place(partition), from, offset: 0, end: None, stable: 0, committed: None }
    }

    fn place(partition: i32) -> Place {
        Place::new("orders", partition)
    }

    #[test]
    fn a_position_of_another_cluster_is_refused() {
        let mut source = reading(0..1);
        source.known.cluster = "here".into();
        let mut held = |cluster| {
            let position = millstream_net::kafka::encode("orders/0", 7, cluster).expect("it is short");
            source.held = Held::new([(partition_name("orders", 0), position)]);
            source.held_of(&place(0))
        };
        assert_eq!(held("here").ok(), Some(Some(begin::Held::At(7))));
        assert_eq!(held("").ok(), Some(Some(begin::Held::At(7))), "it isn't said");
        let error = held("elsewhere").expect_err("it is of another");
        assert!(error.message().contains("the Kafka cluster elsewhere"), "{error}");
    }

    #[test]
    fn what_is_taken_away_while_a_commit_is_waited_for_is_closed_with_what_was_before_it() {
        let mut source = reading(0..3);
        let committing = source.topics.shared.commit(&[place(0)]).expect("it is ours");
        for partition in 0..2 {
            let member = source.member().expect("it has joined");
            member.consumer().context().revoked(vec![place(partition)], false, None);
            // Its time is up: what is behind the source holds it up.
            assert!(member.give_back(partition as u64).expect("it can be given back"));
            source.take_notices().expect("it goes on");
        }
        assert_eq!(source.ready.len(), 0, "a transaction may hold some of it");
        // One of them comes back at once: it is not begun with before it has been closed.
        source.member().expect("it has joined").inbox.put(Notice::Assigned(vec![place(0)]));
        source.take_notices().expect("it goes on");
        assert!(source.waiting.is_empty());
        drop(committing);
        source.take_notices().and_then(|()| source.give_back_what_has_settled()).expect("it goes on");
        source.take_notices().expect("it goes on");
        assert_eq!(source.waiting, [place(0)]);
        let left: Vec<_> = source.open.iter().map(|reading| reading.place.partition).collect();
        assert_eq!((source.ready.len(), left), (2, vec![2]));
    }

    #[test]
    fn what_is_taken_away_before_it_is_begun_with_is_not_taken_over() {
        let mut source = reading(0..0);
        let (one, other) = (place(0), place(1));
        source.is_given(vec![one.clone(), other.clone()]);
        let member = source.member().expect("it has joined");
        member.consumer().context().revoked(vec![one], true, None);
        // The group's thread has given it back by now.
        assert!(member.give_back(0).expect("it can be given back"));
        source.begun(Ok(vec![begin(0), begin(1)])).expect("it goes on");
        let member = source.member().expect("it has joined");
        assert_eq!(member.consumer().assignment().expect("it is known").count(), 0);
        assert!(source.open.is_empty());
        source.take_notices().expect("it goes on");
        assert_eq!(source.waiting, [other]);
        assert!(source.beginning.is_some(), "where the other begins is asked anew");
    }
}
