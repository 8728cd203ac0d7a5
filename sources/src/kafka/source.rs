//! [`KafkaSource`]: reads the partitions that the group has assigned to this member, and commits what has arrived.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::contracts::{Cause, Error, Event, Held, Result, Source};
use millstream_core::data::{Partition, PartitionId, Position};
use millstream_net::kafka::{Answer, Meaning, Place, decode, failed, meaning, partition_name, unanswered};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::{Instant, sleep_until, timeout};

use super::begin::{self, Asked, Begin, list};
use super::commit::Committed;
use super::config::{Expired, Fallback, Start, Topics, What};
use super::form::Form;
use super::known::Known;
use super::member::{Context, Member, Notice};
use super::opened::{Most, Reading};
use super::rest::Resting;

/// How long the first assignment is waited for when the source is opened; what comes later is told as it comes.
const FIRST: Duration = Duration::from_secs(3);

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
    /// Partitions that were assigned and are not read yet, and whether the run begins with them.
    waiting: Option<(Vec<Place>, bool)>,
    /// When it is asked again where they begin.
    begin_again: Option<Instant>,
    /// The answer to where they begin.
    beginning: Option<Answer<Result<Vec<Begin>>>>,
    /// A commit that is under way.
    committing: Option<Answer<Committed>>,
    revoking: Option<Revoking>,
    /// Whether the group has said what is this member's, if only that nothing is, and has taken nothing away since.
    assigned: bool,
    /// What is known of the group's being at rest, once the end may have come.
    resting: Resting,
    /// When a commit that failed is tried again.
    commit_again: Option<Instant>,
    /// An error that was found beside records: told after them.
    wrong: Option<Error>,
}

/// Partitions that are being taken away.
struct Revoking {
    number: u64,
    places: Vec<Place>,
    /// Others may have them already.
    lost: bool,
}

/// What the next source of the same declaration takes up, when one was dropped and not closed.
struct Parked {
    member: Member,
    assigned: bool,
    /// What was being read.
    reading: Vec<Place>,
    waiting: Option<(Vec<Place>, bool)>,
    revoking: Option<Revoking>,
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
            if !self.ready.is_empty() {
                continue;
            }
            if let Some(event) = self.take_records()? {
                return Ok(event);
            }
            if self.is_at_end() {
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
                        self.known.moved(&reading.place);
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
            waiting: None,
            begin_again: None,
            beginning: None,
            committing: None,
            revoking: None,
            assigned: false,
            resting: Resting::new(),
            commit_again: None,
            wrong: None,
        }
    }

    fn member(&self) -> Result<&Member> {
        self.member.as_ref().ok_or_else(|| Error::new(Cause::Bug, "the Kafka source is used before it was opened"))
    }

    /// Becomes a member of the group.
    async fn join(&mut self) -> Result<()> {
        let what = self.topics.what.clone();
        let names = match &what {
            What::Topics(topics) => topics.iter().map(String::as_str).collect(),
            What::Pattern(pattern) => vec![pattern.as_str()],
        };
        let Topics { revoke_wait, shared, .. } = &self.topics;
        let member = Member::new(&self.topics.client_config(), *revoke_wait, Arc::downgrade(shared))?;
        let now = rdkafka::message::Timestamp::now().to_millis();
        let looked = member.ask({
            let what = what.clone();
            move |consumer| begin::look(consumer, &what)
        });
        let counts = looked.await.map_err(unanswered)??;
        match self.known.opened_at {
            None => (self.known.opened_at, self.known.counts) = (now, counts),
            // A member of the same run, which was not kept for so long.
            Some(_) => self.known.give_all_back(),
        }
        // Only now: who doesn't know its topics yet is a member without partitions.
        member.join(&names)?;
        self.joined(member);
        // Who doesn't know yet which partitions it has is told later.
        timeout(FIRST, self.first_assignment()).await.unwrap_or(Ok(()))
    }

    fn joined(&mut self, member: Member) {
        self.topics.shared.joined(Box::new(member.metadata()), member.inbox.wake.clone());
        self.member = Some(member);
    }

    /// Takes up the membership of a source that was dropped: what it was reading is read again from where it is committed.
    async fn take_up(&mut self, parked: Parked) -> Result<()> {
        let Parked { member, assigned, reading, waiting, revoking } = parked;
        (self.assigned, self.waiting) = (assigned, waiting);
        self.joined(member);
        let mut kept = reading;
        if let Some(Revoking { number, places, .. }) = revoking {
            self.give_back_unread(&mut kept, number, &places)?;
        }
        self.take_up_notices(&mut kept)?;
        let asked = self.asked(&kept, false)?;
        let until_end = self.topics.until_end;
        let begun = self.member()?.ask(move |consumer| {
            let begins = begin::begin(consumer, asked, until_end)?;
            begin::go_back(consumer, &begins)?;
            Ok(begins)
        });
        // Where that fails, it is parked again with all that it had.
        self.parked_with = kept;
        let begins = begun.await.map_err(unanswered)??;
        self.parked_with.clear();
        self.read_from(begins)?;
        if let Some((places, first)) = self.waiting.take() {
            self.find_beginnings(places, first)?;
        }
        Ok(())
    }

    /// What the group has said while there was no source.
    fn take_up_notices(&mut self, kept: &mut Vec<Place>) -> Result<()> {
        while let Some(notice) = self.member()?.inbox.take() {
            match notice {
                Notice::Assigned(places) => {
                    self.assigned = true;
                    let first = !std::mem::replace(&mut self.known.begun, true);
                    if !places.is_empty() {
                        self.waiting = Some((places, first));
                    }
                }
                Notice::Revoked { number, places, .. } => {
                    self.assigned = false;
                    self.give_back_unread(kept, number, &places)?;
                }
                Notice::Failed(error) => self.judge("the consumer group", error)?,
            }
        }
        Ok(())
    }

    /// Gives back what nobody has read on meanwhile.
    fn give_back_unread(&mut self, kept: &mut Vec<Place>, number: u64, places: &[Place]) -> Result<()> {
        kept.retain(|place| !places.contains(place));
        places.iter().for_each(|place| self.known.give_back(place, -1));
        if !self.member()?.give_back(number)? {
            // A commit of the source before is under way. The group's thread gives them back behind it.
            self.member()?.hasten(number);
        }
        Ok(())
    }

    async fn first_assignment(&mut self) -> Result<()> {
        self.take_notices()?;
        while !self.assigned || self.waiting.is_some() {
            self.wait().await?;
            self.take_notices()?;
        }
        Ok(())
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) -> Result<()> {
        let wake = self.member()?.inbox.wake.clone();
        let until = [self.commit_again, self.begin_again, self.resting.again()];
        let until = until.into_iter().flatten().min();
        let Self { beginning, committing, resting, .. } = self;
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
        }
    }

    fn take_notices(&mut self) -> Result<()> {
        if self.commit_again.is_some_and(|again| again <= Instant::now()) {
            self.commit_again = None;
        }
        if self.begin_again.is_some_and(|again| again <= Instant::now())
            && let Some((places, first)) = self.waiting.take()
        {
            self.find_beginnings(places, first)?;
        }
        while let Some(notice) = self.member()?.inbox.take() {
            match notice {
                Notice::Assigned(places) => {
                    (self.assigned, self.resting) = (true, Resting::new());
                    let first = !std::mem::replace(&mut self.known.begun, true);
                    if !places.is_empty() {
                        self.find_beginnings(places, first)?;
                    }
                }
                Notice::Revoked { number, places, lost } => {
                    // What is this member's is said again behind it.
                    (self.assigned, self.resting) = (false, Resting::new());
                    tracing::info!(partitions = places.len(), lost, "revoked");
                    self.revoking = Some(Revoking { number, places, lost });
                    self.give_back_what_has_settled()?;
                }
                Notice::Failed(error) => self.judge("the consumer group", error)?,
            }
        }
        Ok(())
    }

    /// Finds out where partitions begin that were assigned.
    fn find_beginnings(&mut self, places: Vec<Place>, first: bool) -> Result<()> {
        let (asked, until_end) = (self.asked(&places, first)?, self.topics.until_end);
        self.begin_again = None;
        self.waiting = Some((places, first));
        self.beginning = Some(self.member()?.ask(move |consumer| begin::begin(consumer, asked, until_end)));
        Ok(())
    }

    fn asked(&self, places: &[Place], first: bool) -> Result<Vec<Asked>> {
        let asked = places.iter().map(|place| {
            let start = if first { self.topics.start } else { Start::Committed(self.later(place)) };
            let floor = self.known.floors.get(place).cloned();
            Ok(Asked { place: place.clone(), held: self.held_of(place)?, floor, start })
        });
        asked.collect()
    }

    /// What is held of a partition outside of the group. Once it was given back others may have read on; where the sink
    /// commits the group's offsets, nothing is.
    fn held_of(&self, place: &Place) -> Result<Option<begin::Held>> {
        if self.topics.shared.has_transactions() {
            return Ok(None);
        }
        let held = self.held.position(&partition_name(&place.topic, place.partition));
        let held = held.as_ref().map(decode).transpose()?;
        Ok(match self.known.floors.get(place).and_then(|floor| floor.given_back) {
            None => held.map(begin::Held::At),
            Some(before) => held.max(Some(before).filter(|offset| *offset >= 0)).map(begin::Held::AtLeast),
        })
    }

    /// It is known where partitions begin, or it is asked again.
    fn begun(&mut self, begun: Result<Vec<Begin>>) -> Result<()> {
        match begun {
            Ok(begins) => {
                self.waiting = None;
                let partitions = list(begins.iter().map(|begin| (&begin.place, begin.told())));
                let queues = self.queues(&begins)?;
                // Messages come into these queues from then on, and into no other.
                self.member()?.assign(begins.iter().map(|begin| begin.place.clone()), &partitions)?;
                self.read(begins, queues);
                Ok(())
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(error = error.chain(), "it isn't known where partitions begin: asking again");
                self.begin_again = Some(Instant::now() + AGAIN);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Where a partition begins that comes later and of which the group has committed nothing: what is *latest* was said
    /// when the run began, and one that was made since has nothing older.
    fn later(&self, place: &Place) -> Fallback {
        let is_new = self.known.counts.get(&place.topic).is_none_or(|&count| place.partition >= count);
        match self.topics.start {
            Start::Timestamp(millis) => Fallback::Timestamp(millis),
            Start::Latest | Start::Committed(Fallback::Latest) if !is_new => {
                Fallback::Timestamp(self.known.opened_at.unwrap_or_default())
            }
            Start::Committed(Fallback::Fail) if !is_new => Fallback::Fail,
            Start::Committed(Fallback::Timestamp(millis)) => Fallback::Timestamp(millis),
            _ => Fallback::Earliest,
        }
    }

    /// Reads partitions that are assigned already.
    fn read_from(&mut self, begins: Vec<Begin>) -> Result<()> {
        let queues = self.queues(&begins)?;
        self.read(begins, queues);
        Ok(())
    }

    fn queues(&self, begins: &[Begin]) -> Result<Vec<PartitionQueue<Context>>> {
        let member = self.member()?;
        let queues = begins.iter().map(|begin| {
            let Place { topic, partition } = &begin.place;
            let Some(mut queue) = member.consumer().split_partition_queue(topic, *partition) else {
                return Err(Error::new(Cause::Bug, format!("{topic}/{partition} has no queue")));
            };
            let wake = member.inbox.wake.clone();
            queue.set_nonempty_callback(move || wake.notify_one());
            Ok(queue)
        });
        queues.collect()
    }

    fn read(&mut self, begins: Vec<Begin>, queues: Vec<PartitionQueue<Context>>) {
        self.topics.shared.takes(begins.iter().map(|begin| begin.place.clone()));
        for (mut begin, queue) in begins.into_iter().zip(queues) {
            tracing::info!(topic = begin.place.topic, partition = begin.place.partition, begin = ?begin.from, "reads");
            begin.end = self.known.floors.entry(begin.place.clone()).or_insert_with(|| begin.floor()).end;
            let reading = Reading::new(self.next_id, begin, queue);
            self.next_id += 1;
            self.ready.push_back(Event::Opened(reading.name.clone()));
            self.open.push(reading);
        }
        // There may be messages already.
        if let Some(member) = &self.member {
            member.inbox.wake.notify_one();
        }
    }

    fn is_revoked(&self, reading: &Reading) -> bool {
        self.revoking.as_ref().is_some_and(|revoking| revoking.places.contains(&reading.place))
    }

    /// Closes partitions that are being taken away, once everything that was emitted of them is committed, or their time
    /// was up; and gives all of them back when none is left.
    fn give_back_what_has_settled(&mut self) -> Result<()> {
        let Some(Revoking { number, lost, .. }) = self.revoking else { return Ok(()) };
        self.hear_of_commit()?;
        let given_up = self.member()?.has_given_back(number);
        let goes = |reading: &Reading| self.is_revoked(reading) && (given_up || reading.is_settled());
        let going: Vec<_> = self.open.iter().filter(|reading| goes(reading)).map(|it| it.place.clone()).collect();
        if !self.topics.shared.lets_go(&going) {
            // A transaction is being committed that may hold some of it: it is told when that has ended.
            return Ok(());
        }
        let (gone, kept) = std::mem::take(&mut self.open).into_iter().partition(|it| going.contains(&it.place));
        self.open = kept;
        for reading in Vec::from_iter(gone) {
            self.close_reading(reading, lost);
        }
        // While something is being committed it is not given back; the answer to that wakes.
        if !self.open.iter().any(|reading| self.is_revoked(reading)) && self.member()?.give_back(number)? {
            self.revoking = None;
        }
        Ok(())
    }

    fn close_reading(&mut self, reading: Reading, lost: bool) {
        if !reading.is_settled() {
            let stored = reading.stored;
            tracing::warn!(partition = %reading.name, stored, lost, "given up before all that was read had arrived");
        }
        if reading.wanted > reading.stored {
            self.known.late(&reading.name);
        }
        self.ready.push_back(Event::Closed(reading.id));
        self.known.give_back(&reading.place, reading.stored);
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
            if self.is_revoked(&self.open[turn]) {
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
    fn is_at_end(&mut self) -> bool {
        let has_all = self.assigned && self.waiting.is_none() && self.revoking.is_none();
        if !self.topics.until_end || !has_all || !self.open.iter().all(|reading| reading.at_end) {
            return false;
        }
        let Self { resting, member, topics, known, .. } = self;
        member.as_ref().is_some_and(|member| resting.find_out(member, &topics.group, &known.counts))
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

    /// Hears what became of the commit that is under way, if that is known by now.
    fn hear_of_commit(&mut self) -> Result<()> {
        match self.committing.as_mut().map(Answer::try_recv) {
            Some(Ok(committed)) => {
                self.committing = None;
                self.committed(committed)
            }
            Some(Err(TryRecvError::Closed)) => {
                self.committing = None;
                Ok(())
            }
            Some(Err(TryRecvError::Empty)) | None => Ok(()),
        }
    }

    /// Asks the group to store what the engine wants to be committed, one commit at a time.
    fn ask_for_commits(&mut self) -> Result<()> {
        self.hear_of_commit()?;
        let moved = self.open.iter().filter(|reading| reading.wanted > reading.stored);
        let offsets: Vec<_> = moved.map(|reading| (reading.place.clone(), reading.wanted)).collect();
        if !offsets.is_empty() && self.committing.is_none() && self.commit_again.is_none() {
            self.committing = Some(self.member()?.commit(offsets));
        }
        Ok(())
    }

    /// Takes note of what became of a commit. What was not stored is tried again for as long as the partition is ours; that
    /// it isn't is told by the group.
    fn committed(&mut self, committed: Committed) -> Result<()> {
        for (place, offset) in committed.stored {
            if let Some(reading) = self.open.iter_mut().find(|reading| reading.place == place) {
                reading.stored = reading.stored.max(offset);
            }
            self.known.moved(&place);
        }
        if let Err(error) = committed.result {
            self.judge("the consumer group", error)?;
            self.commit_again = Some(Instant::now() + AGAIN);
        }
        Ok(())
    }

    /// Waits until the group has stored all that the engine wants to be committed.
    async fn all_committed(&mut self) -> Result<()> {
        loop {
            self.take_notices()?;
            self.give_back_what_has_settled()?;
            self.ask_for_commits()?;
            if self.open.iter().all(|reading| reading.stored >= reading.wanted) {
                return Ok(());
            }
            self.wait().await?;
        }
    }
}

/// The answer to a question that was asked; never, if none was.
async fn answered<T>(asked: &mut Option<Answer<T>>) -> Result<T> {
    match asked {
        Some(answer) => answer.await.map_err(unanswered),
        None => std::future::pending().await,
    }
}

/// The next source of the same declaration goes on as the same member of the group, unless this one was closed.
impl<T: Form> Drop for KafkaSource<T> {
    fn drop(&mut self) {
        let reading = self.open.drain(..).map(|reading| reading.place);
        let reading = reading.chain(self.parked_with.drain(..)).collect();
        if self.known.opened_at.is_some() {
            self.topics.known.keep(std::mem::take(&mut self.known));
        }
        if let Some(member) = self.member.take() {
            self.topics.shared.park(Box::new(Parked {
                member,
                assigned: self.assigned,
                reading,
                waiting: self.waiting.take(),
                revoking: self.revoking.take(),
            }));
        }
    }
}
