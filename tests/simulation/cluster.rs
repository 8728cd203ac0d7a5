//! [`run`]: runs a scenario to its end: starts the instances, lets go wrong what has to, and sees that it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use millstream::contracts::{Cause, Clock};
use millstream::runtime::{Ended, Summary};
use millstream::{Engine as _, Error};
use millstream_core::testkit::{Seeded, SimNetwork, SimulatedClock};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use crate::disk::Disks;
use crate::downstream::{Downstream, Mood};
use crate::engine;
use crate::faults::{Fault, What};
use crate::life::Life;
use crate::outside::{Outside, lock};
use crate::scenario::Scenario;
use crate::shape::Declared;
use crate::story::Watch;
use crate::tally::Tally;
use crate::upstream::Upstream;
use crate::verdict;

/// What came of a seed.
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    /// What was not as it has to be, a sentence each.
    pub(crate) wrong: Vec<String>,
    /// What happened, as a story.
    pub(crate) told: String,
    pub(crate) tally: Tally,
}

/// How often it is looked whether it comes further.
const LOOK: Duration = Duration::from_secs(1);

/// Nothing has come further for so long: it stands still.
const STALLED: Duration = Duration::from_secs(300);

/// Whatever comes further: it goes round in circles.
const LONGEST: Duration = Duration::from_secs(50_000);

/// More frames than it takes with the smallest windows: the same is said again and again.
const FRAMES: u64 = 5_000;
const FRAMES_A_RECORD: u64 = 40;

/// Those that have ended are started again when the others don't end without them.
const PATIENCE: Duration = Duration::from_secs(100);

/// How often those that have ended are started again, or those that wait are asked to end, in turn.
const MOST_RERUNS: u64 = 5;

/// How often instances of one seed may fail and be started again.
const MOST_FAILED: u64 = 100;

/// Runs a scenario to its end.
pub(crate) async fn run(scenario: Scenario) -> Outcome {
    let mut cluster = Cluster::new(scenario);
    let watch = Watch::over(cluster.scenario.seed, cluster.outside.story.clone());
    cluster.runs().await;
    drop(watch);
    cluster.ends()
}

struct Cluster {
    scenario: Arc<Scenario>,
    outside: Arc<Outside>,
    network: SimNetwork,
    slots: Vec<Slot>,
    starts: u64,
    told: mpsc::UnboundedSender<Told>,
    hears: mpsc::UnboundedReceiver<Told>,
    due: BTreeMap<(Duration, u64), Act>,
    acts: u64,
    tally: Tally,
    /// How often those that had ended were started again.
    reruns: u64,
    /// When that was last: it takes its time to come to something.
    rerun: Duration,
    /// How far it had come, and when it came there.
    progress: ([u64; 4], Duration),
}

/// An instance, as whoever starts it sees it.
enum Slot {
    Down,
    Runs(Run),
    Ended,
}

struct Run {
    life: Life,
    drain: Arc<Notify>,
    /// Whether it has joined the others.
    joined: Arc<AtomicBool>,
    /// Started again so long after it has ended, because it was asked to end.
    again: Option<Duration>,
}

/// How a start of an instance ended.
struct Told {
    life: Life,
    ended: Result<Ended, Error>,
}

enum Act {
    Fault(Fault),
    Start(usize),
    Heal(usize, usize),
    Calm,
}

impl Cluster {
    fn new(scenario: Scenario) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new());
        let mut random = Seeded::new(scenario.outside);
        let outside = Outside::new(
            clock.clone(),
            scenario.truth.clone(),
            Upstream::new(scenario.feed, &scenario.truth.records, scenario.taking.is_some(), random.fork()),
            Downstream::new(random.fork()),
            Disks::new(scenario.instances),
        );
        let story = outside.story.clone();
        story.tell(scenario.to_string());
        let network = SimNetwork::new(scenario.instances, scenario.network, clock).delays(scenario.delays);
        let network = network.tells(move |what| story.tell(what));
        let (told, hears) = mpsc::unbounded_channel();
        let mut cluster = Self {
            slots: (0..scenario.instances).map(|_| Slot::Down).collect(),
            outside,
            network,
            starts: 0,
            told,
            hears,
            due: BTreeMap::new(),
            acts: 0,
            tally: Tally::default(),
            reruns: 0,
            rerun: Duration::ZERO,
            progress: ([0; 4], Duration::ZERO),
            scenario: Arc::new(scenario),
        };
        (0..cluster.slots.len()).for_each(|instance| {
            let late = random.one_in(3).then(|| random.time(Duration::from_secs(5)));
            cluster.plan(late.unwrap_or_default(), Act::Start(instance));
        });
        for fault in cluster.scenario.faults.clone() {
            cluster.plan(fault.at, Act::Fault(fault));
        }
        cluster
    }

    async fn runs(&mut self) {
        while !self.has_ended() {
            let next = self.due.first_key_value().map(|((at, _), _)| at.saturating_sub(self.now()));
            let wait = next.map_or(LOOK, |next| next.min(LOOK));
            tokio::select! {
                biased;
                Some(told) = self.hears.recv() => self.hear(told),
                () = sleep(wait) => {}
            }
            while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= self.outside.clock.elapsed())
            {
                let act = first.remove();
                self.act(act);
            }
            if let Some(stalled) = self.stands_still() {
                self.outside.wrong(stalled);
            }
            if !self.outside.all_wrong().is_empty() {
                break;
            }
        }
    }

    fn now(&self) -> Duration {
        self.outside.clock.elapsed()
    }

    fn tell(&self, what: impl Into<String>) {
        self.outside.story.tell(what);
    }

    fn plan(&mut self, at: Duration, act: Act) {
        self.acts += 1;
        self.due.insert((at, self.acts), act);
    }

    fn after(&mut self, time: Duration, act: Act) {
        let at = self.now() + time;
        self.plan(at, act);
    }

    fn has_ended(&self) -> bool {
        let starts = self.due.values().any(|act| matches!(act, Act::Start(_)));
        !starts && self.slots.iter().all(|slot| matches!(slot, Slot::Ended))
    }

    /// Says so if nothing has come further for a long time.
    fn stands_still(&mut self) -> Option<String> {
        let now = self.now();
        let (read, again) = self.outside.upstream.read();
        let landed = self.outside.downstream.count() as u64;
        let progress = [self.committed(), read + again, landed, self.starts];
        if progress != self.progress.0 {
            self.progress = (progress, now);
        }
        let waits = now - self.progress.1;
        let frames = self.network.traffic().frames;
        if frames > FRAMES + FRAMES_A_RECORD * (read + again) {
            return Some(format!("{frames} frames were sent, as if nobody waited for anything: {}", self.place()));
        }
        if now > LONGEST {
            return Some(format!("after {LONGEST:?} it has not ended: {}", self.place()));
        }
        if !self.due.is_empty() || waits.min(now - self.rerun) < PATIENCE {
            return None;
        }
        if waits > STALLED {
            return Some(format!("it stands still: {}", self.place()));
        }
        self.starts_all_again();
        None
    }

    /// Those that have ended know that all is done; one that was started again may have come too late to hear it. It may
    /// wait for ever, because the others find at once that there is nothing left to do: then it is asked to end.
    fn starts_all_again(&mut self) {
        let ended = |slot: &Slot| matches!(slot, Slot::Ended);
        if self.reruns >= MOST_RERUNS || !self.slots.iter().any(ended) {
            return;
        }
        (self.reruns, self.rerun) = (self.reruns + 1, self.now());
        if self.reruns.is_multiple_of(2) {
            return self.dismisses();
        }
        self.tell("those that have ended are started again, because the others wait");
        self.starts_ended();
    }

    fn starts_ended(&mut self) {
        for instance in 0..self.slots.len() {
            if matches!(self.slots[instance], Slot::Ended) {
                self.slots[instance] = Slot::Down;
                self.after(Duration::ZERO, Act::Start(instance));
            }
        }
    }

    fn dismisses(&mut self) {
        self.tell("those that still wait are asked to end, because the others have nothing left to do");
        let all = self.committed() == self.scenario.truth.records.iter().sum::<u64>();
        for slot in &self.slots {
            if let Slot::Runs(run) = slot
                && (all || !run.joined.load(Relaxed))
            {
                run.drain.notify_one();
            }
        }
    }

    fn committed(&self) -> u64 {
        (0..self.scenario.truth.records.len()).map(|partition| self.outside.upstream.committed(partition)).sum()
    }

    /// How far it has come, for people.
    fn place(&self) -> String {
        let (read, _) = self.outside.upstream.read();
        let all: u64 = self.scenario.truth.records.iter().sum();
        let landed = self.outside.downstream.count();
        format!("{read} of {all} records read, {landed} rows durable, {} records committed", self.committed())
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Start(instance) => self.starts(instance),
            Act::Heal(a, b) => {
                if self.network.is_cut(a, b) {
                    self.tell(format!("link {}–{} healed", a + 1, b + 1));
                    self.network.heal(a, b);
                }
            }
            Act::Calm => {
                self.tell("the sinks are well again");
                self.outside.downstream.is(Mood::default());
            }
            Act::Fault(Fault { lasts, what, .. }) => self.goes_wrong(what, lasts),
        }
    }

    fn goes_wrong(&mut self, what: What, lasts: Duration) {
        match what {
            What::Kill(instance) => self.kill(instance, lasts),
            What::KillAll => (0..self.slots.len()).for_each(|instance| self.kill(instance, lasts)),
            What::Drain(instance) => self.drain(instance, lasts),
            What::DrainAll => (0..self.slots.len()).for_each(|instance| self.drain(instance, lasts)),
            What::Cut(a, b) => self.cut(a, b, lasts),
            What::Isolate(one) => {
                (0..self.slots.len()).filter(|&other| other != one).for_each(|other| self.cut(one, other, lasts));
            }
            What::Mood(mood) => {
                self.tally.moods += 1;
                self.tell(format!("the sinks are now like this: {mood:?}"));
                self.outside.downstream.is(mood);
                self.after(lasts, Act::Calm);
            }
            What::Move => {
                if let Some(instance) = self.outside.upstream.moves() {
                    self.tally.moves += 1;
                    self.tell(format!("the broker chooses instance {}", instance + 1));
                }
            }
            What::Twice(instance) => self.starts_twice(instance),
            What::Hang => {
                self.tell("the next sink that has something to do hangs");
                self.outside.downstream.hangs();
            }
        }
    }

    fn cut(&mut self, a: usize, b: usize, lasts: Duration) {
        if !self.network.is_cut(a, b) {
            self.tally.cuts += 1;
            self.tell(format!("link {}–{} cut", a + 1, b + 1));
            self.network.cut(a, b);
            self.after(lasts, Act::Heal(a, b));
        }
    }

    fn kill(&mut self, instance: usize, lasts: Duration) {
        let Slot::Runs(Run { life, .. }) = std::mem::replace(&mut self.slots[instance], Slot::Down) else {
            // It is down already and will be started, or it has ended.
            if !self.due.values().any(|act| matches!(act, Act::Start(starts) if *starts == instance)) {
                self.slots[instance] = Slot::Ended;
            }
            return;
        };
        self.tally.kills += 1;
        let all: u64 = self.scenario.truth.records.iter().sum();
        self.tally.mid_run += u64::from(self.committed() < all);
        self.tell(format!("instance {} killed ({})", instance + 1, self.place()));
        life.kill();
        self.network.kill(instance);
        self.outside.upstream.gone(&life);
        self.after(lasts, Act::Start(instance));
    }

    fn drain(&mut self, instance: usize, lasts: Duration) {
        let Slot::Runs(Run { drain, again, .. }) = &mut self.slots[instance] else { return };
        if again.replace(lasts).is_none() {
            drain.notify_one();
            self.tally.drains += 1;
            self.tell(format!("instance {} asked to end ({})", instance + 1, self.place()));
        }
    }

    fn starts(&mut self, instance: usize) {
        if !matches!(self.slots[instance], Slot::Down) {
            return;
        }
        let (life, drain) = (self.life(instance), Arc::new(Notify::new()));
        self.tell(format!("instance {} started", instance + 1));
        let joined = Arc::default();
        tokio::spawn(self.process(life.clone(), drain.clone(), Arc::clone(&joined)));
        self.slots[instance] = Slot::Runs(Run { life, drain, joined, again: None });
    }

    /// A second process of an instance that is there must be refused.
    fn starts_twice(&mut self, instance: usize) {
        if !self.network.is_open(instance) {
            return;
        }
        let life = self.life(instance);
        self.tell(format!("instance {} started a second time", instance + 1));
        let second = self.process(life.clone(), Arc::default(), Arc::default());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = second => {}
                // It has been refused by then; or it never will be, and is not to go on.
                () = sleep(Duration::from_millis(1)) => life.kill(),
            }
        });
    }

    fn life(&mut self, instance: usize) -> Life {
        self.starts += 1;
        Life::new(instance, self.starts)
    }

    /// One start of an instance.
    fn process(
        &self,
        life: Life,
        drain: Arc<Notify>,
        joined: Arc<AtomicBool>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (scenario, outside, told) = (self.scenario.clone(), self.outside.clone(), self.told.clone());
        let network = self.network.instance(life.instance);
        async move {
            let pipeline = Declared { scenario: &scenario, outside: &outside, life: &life }.pipeline();
            let started = engine::start(pipeline, &scenario, &outside, network);
            let mut running = tokio::select! {
                biased;
                () = life.ends() => return,
                () = drain.notified() => return tells(&told, life, Ok(Ended::Drained)),
                started = started => match started {
                    Ok(running) => running,
                    Err(error) => return tells(&told, life, Err(error)),
                },
            };
            joined.store(true, Relaxed);
            loop {
                tokio::select! {
                    biased;
                    () = life.ends() => {
                        outside.has_met(running.metrics().traffic);
                        return running.abort();
                    }
                    () = drain.notified() => running.drain(),
                    ended = running.ended() => {
                        outside.has_met(running.metrics().traffic);
                        let ended = ended.map(|summary: Summary| summary.ended).map_err(Error::from);
                        return tells(&told, life, ended);
                    }
                }
            }
        }
    }

    fn hear(&mut self, Told { life, ended }: Told) {
        let instance = life.instance;
        if life.is_killed() {
            return;
        }
        let Slot::Runs(run) = &self.slots[instance] else { return self.second(life, ended) };
        if run.life.start != life.start {
            return self.second(life, ended);
        }
        let again = run.again;
        // The process is over, whatever is left in it.
        self.outside.upstream.gone(&life);
        self.network.kill(instance);
        life.kill();
        self.slots[instance] = Slot::Down;
        match (ended, again) {
            (Ok(ended), Some(again)) => {
                self.tell(format!("instance {} ended, as it was asked to: {ended:?}", instance + 1));
                self.after(again, Act::Start(instance));
            }
            (Ok(ended), None) => {
                self.tell(format!("instance {} ended: {ended:?}", instance + 1));
                self.slots[instance] = Slot::Ended;
            }
            (Err(error), _) => {
                self.tally.failed += 1;
                let is_bug = matches!(&error, Error::Run(error) if error.cause() == Cause::Bug);
                let error = format!("instance {} failed: {}", instance + 1, chain(&error));
                if is_bug || self.tally.failed > MOST_FAILED {
                    return self.outside.wrong(error);
                }
                // Started again is the whole pipeline.
                self.tell(error);
                self.starts_ended();
                self.after(Duration::from_secs(1), Act::Start(instance));
            }
        }
    }

    /// How a second process of an instance that was there ended.
    fn second(&mut self, life: Life, ended: Result<Ended, Error>) {
        match ended {
            Err(error) => {
                self.tally.refused += 1;
                self.tell(format!("the second instance {} was refused: {}", life.instance + 1, chain(&error)));
            }
            Ok(ended) => self.outside.wrong(format!("a second instance {} ran: {ended:?}", life.instance + 1)),
        }
    }

    fn ends(mut self) -> Outcome {
        self.tell(self.place());
        let traffic = self.network.traffic();
        self.tell(format!("{traffic:?}"));
        self.tally.saw(traffic);
        let met = *lock(&self.outside.met);
        self.tell(format!("{met:?}"));
        self.tally.met(met);
        (self.tally.hung, self.tally.tried_again) = (self.outside.downstream.hung(), self.outside.tried_again());
        if self.scenario.only_hangs() && self.starts > self.slots.len() as u64 {
            self.outside.wrong("a sink hung, and an instance had to be started again".to_owned());
        }
        let promise = self.promise();
        verdict::check(&self.scenario, &self.outside, promise, &mut self.tally);
        let (wrong, told) = (self.outside.all_wrong(), self.outside.story.told());
        Outcome { seed: self.scenario.seed, wrong, told, tally: self.tally }
    }

    /// What the plan promises.
    fn promise(&mut self) -> Option<millstream::plan::Guarantee> {
        let life = self.life(0);
        let pipeline = Declared { scenario: &self.scenario, outside: &self.outside, life: &life }.pipeline();
        match pipeline.plan_for(self.scenario.instances) {
            Ok(plan) => Some(plan.promise.guarantee),
            Err(mistakes) => {
                self.outside.wrong(format!("it can't be planned: {mistakes}"));
                None
            }
        }
    }
}

fn tells(told: &mpsc::UnboundedSender<Told>, life: Life, ended: Result<Ended, Error>) {
    // Nobody listens any more once all is over.
    let _ = told.send(Told { life, ended });
}

fn chain(error: &Error) -> String {
    match error {
        Error::Run(error) => error.chain(),
        error => error.to_string(),
    }
}
