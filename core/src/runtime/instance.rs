//! One of several instances at work: the parts that run here, each in a task of its own that follows the orders of the
//! exchange and reports what it has done.

mod actor;
mod done;
mod places;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use self::actor::{Actor, Command, Opening, Told};
use super::arrivals::{Arrivals, Follows, Tells};
use super::backoff::Backoff;
use super::job::{Job, Settings};
use super::locator::Locator;
use super::resolve::Resolver;
use super::running::{Running, Shown, Wish, aborted, overdue, summary};
use super::setup::Setup;
use super::summary::{Ended, Summary};
use super::upstream::SharedStore;
use crate::commit::Note;
use crate::contracts::{
    About, Cause, Clock, Crossing, Entry, Error, Exchange, ExitFactory, Order, PeerId, Report, Result, Roll, Where,
};
use crate::data::Shared;
use crate::plan::Part;

/// How long an instance that has failed waits for the others to have heard of it.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long an instance that has nothing more to read waits for others who don't know.
const LINGER: Duration = Duration::from_secs(5);

/// Whether a plan without network stages, all of which is placed in one place, runs on this instance.
pub(super) fn is_here(job: &Job, exchange: &dyn Exchange) -> Result<bool> {
    let Some(part) = job.parts.first() else { return Ok(true) };
    let (me, peers) = (exchange.me(), exchange.peers());
    match &part.place {
        Where::Everywhere => Ok(true),
        Where::LastJoined if peers.len() > 1 => {
            let message = "all of this pipeline is placed where the last instance has joined, and it has no network stages \
                           that would tell which that is: place it on the first, the last or a named one";
            Err(Error::new(Cause::User, message))
        }
        _ => Ok(places::is_source_here(&job.parts, me, &peers)),
    }
}

/// A run of an instance that nothing is placed on.
pub(super) fn nothing(setup: &Arc<Setup>) -> Running {
    tracing::info!("nothing of this pipeline runs on this instance");
    done::over(setup, &setup.kept(Vec::new()))
}

/// Joins the other instances and begins the parts that run here. Where the source runs here and nowhere else, and its
/// input has ended and is committed, it doesn't need them, and waits a little for those that need to hear of it.
pub(super) async fn start(job: Job, settings: Settings, exchange: Arc<dyn Exchange>) -> Result<Running> {
    let (me, peers) = (exchange.me(), exchange.peers());
    let number = u16::try_from(me).map_err(|_| Error::new(Cause::User, "there are more than 65,535 instances"))?;
    let setup = Setup::new(job, settings, Some(number))?;
    let (mut store, mut done) = (None, None);
    if places::is_source_here(&setup.job.parts, me, &peers) {
        store = setup.open_store().await?;
        done = done::done(&setup, store.as_ref()).await?;
    }
    let clock = setup.settings.world.clock.clone();
    let about = About { pipeline: setup.job.name.clone(), plan: setup.job.agreement.clone(), clock: clock.clone() };
    let joined = match done {
        // Others who were started again, too, end with it.
        Some(done) => tokio::select! {
            biased;
            joined = exchange.join(about) => joined?,
            () = clock.sleep(LINGER) => return Ok(done),
        },
        None => exchange.join(about).await?,
    };
    let roll = joined.roll();
    setup.begin_epochs(roll.epoch);
    let parts = setup.job.parts.clone();
    let places = places::places(&parts, &roll)?;
    let hops = places::hops(&setup, &parts, &places)?;
    if places.first().is_some_and(|place| place.contains(&roll.me)) {
        if store.is_none() {
            store = setup.open_store().await?;
        }
        setup.open_letters().await?;
    }
    let crossing = joined.begin(hops, places::source_place(&setup, &places));
    Ok(Instance::begin(setup, &roll, (&parts, &places), store, crossing))
}

/// One of several instances.
struct Instance {
    setup: Arc<Setup>,
    shown: Arc<Shown>,
    resolver: Resolver,
    locator: Arc<Locator>,
    /// The parts, in order; `None` where one doesn't run here.
    parts: Vec<Option<mpsc::UnboundedSender<Command>>>,
    tasks: Vec<JoinHandle<()>>,
    told: mpsc::UnboundedReceiver<Told>,
    /// For letters that can't be written.
    tell: mpsc::UnboundedSender<Told>,
    orders: mpsc::UnboundedReceiver<Order>,
    reports: mpsc::UnboundedSender<Report>,
    wishes: mpsc::UnboundedReceiver<Wish>,
    began: Duration,
    /// When it has to have ended, once it was asked to.
    deadline: Option<Duration>,
    drained: bool,
    ended: Option<Ended>,
    /// Where the source is.
    store: Option<SharedStore>,
    /// Whether the source's part, as it was opened last, has ended because the input has, with all of it committed.
    input_ended: bool,
}

/// How the run ends on this instance.
enum Over {
    /// All parts of all instances have ended.
    Well,
    /// It has failed on another.
    Elsewhere(Error),
    /// It has failed here, which the others have to hear.
    Here(Error),
    /// This instance ends at once, whatever the others do.
    AtOnce(Error),
}

impl Instance {
    fn begin(
        setup: Arc<Setup>,
        roll: &Roll,
        (parts, places): (&[Part], &[Vec<PeerId>]),
        store: Option<SharedStore>,
        crossing: Crossing,
    ) -> Running {
        let Crossing { entries, exits, orders, reports, traffic } = crossing;
        let (wishes, wished) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::unbounded_channel();
        let (shown, locator) = (Arc::new(Shown::default()), Arc::new(Locator::new(reports.clone())));
        shown.crosses(traffic);
        let control = Arc::new(super::control::Control::new());
        let mut instance = Self {
            resolver: setup.resolver(&control),
            shown: shown.clone(),
            locator,
            parts: Vec::new(),
            tasks: Vec::new(),
            told,
            tell,
            orders,
            reports,
            wishes: wished,
            began: setup.settings.world.clock.elapsed(),
            deadline: None,
            drained: false,
            ended: None,
            store,
            input_ended: false,
            setup,
        };
        let entries = std::iter::once(None).chain(entries);
        let exits = exits.into_iter().chain(std::iter::once(None));
        for ((number, part), (entry, exit)) in parts.iter().enumerate().zip(entries.zip(exits)) {
            let is_here = places[number].contains(&roll.me);
            let commands = is_here.then(|| instance.begin_part(number, (part, places), entry, exit));
            instance.parts.push(commands);
        }
        tracing::debug!(instance = roll.me, "the parts of this instance have begun");
        let meters = instance.setup.meters.clone();
        let joined = tokio::spawn(instance.run());
        Running { wishes, meters, shown, joined: Some(joined) }
    }

    /// Begins a part that runs here; it is told what to do by what comes back.
    fn begin_part(
        &mut self,
        number: usize,
        (part, places): (&Part, &[Vec<PeerId>]),
        entry: Option<Box<dyn Entry>>,
        exit: Option<Box<dyn ExitFactory>>,
    ) -> mpsc::UnboundedSender<Command> {
        let (commands, commanded) = mpsc::unbounded_channel();
        let positions = places::sink_keeps_positions(&self.setup, places);
        let actor = Actor {
            tasks: part.tasks.clone(),
            hop: number.checked_sub(1),
            has_sink: part.tasks.end == self.setup.job.graph.tasks.len(),
            arrivals: entry.as_ref().and_then(|_| arrivals(&self.setup, part, places[number].len(), positions)),
            entry: entry.map(|entry| Arc::new(Mutex::new(entry))),
            exit,
            positions,
            claims_first: places::source_place(&self.setup, places).claims_first,
            keeps: false,
            store: self.store.clone(),
            partitions: None,
            setup: self.setup.clone(),
            locator: self.locator.clone(),
            shown: self.shown.clone(),
            reports: self.reports.clone(),
            tell: self.tell.clone(),
            commands: commands.downgrade(),
            backoff: Backoff::new(),
            has_lived: false,
        };
        self.tasks.push(tokio::spawn(actor.run(commanded)));
        commands
    }

    async fn run(mut self) -> Result<Summary> {
        let over = loop {
            if let Some(over) = self.turn().await {
                break over;
            }
        };
        let at_once = matches!(over, Over::AtOnce(_));
        let mut ended = self.end(over).await;
        ended = ended.and(self.setup.close_letters().await);
        if ended.is_ok() {
            self.keep_end().await;
        }
        if !at_once {
            self.see_out().await;
        }
        ended?;
        let time = self.setup.settings.world.clock.elapsed() - self.began;
        Ok(summary(&self.setup, &self.shown, self.how_it_ended(), time))
    }

    /// Sees to the next thing that happens. `Some`: the run is over.
    async fn turn(&mut self) -> Option<Over> {
        let clock = self.setup.settings.world.clock.clone();
        tokio::select! {
            biased;
            // Whoever started the run may let go of it: it goes on.
            Some(wish) = self.wishes.recv() => self.wish(wish),
            Some(told) = self.told.recv() => self.hear(told),
            order = self.orders.recv() => match order {
                Some(order) => self.order(order),
                None => Some(Over::AtOnce(exchange_gone())),
            },
            () = until(&clock, self.deadline) => Some(Over::AtOnce(overdue(self.setup.settings.grace))),
        }
    }

    fn wish(&mut self, wish: Wish) -> Option<Over> {
        match wish {
            Wish::Drain => {
                self.drained = true;
                let grace = self.setup.settings.world.clock.elapsed() + self.setup.settings.grace;
                self.deadline.get_or_insert(grace);
                self.report(Report::Drain);
                None
            }
            Wish::Abort => Some(Over::AtOnce(aborted())),
        }
    }

    fn hear(&mut self, told: Told) -> Option<Over> {
        match told {
            Told::Ended { ended, source } => {
                if source {
                    // Told to finish it ends without what it waits for, if there is any.
                    self.input_ended = ended == Ended::Input && self.shown.is_all_committed();
                }
                // What the sink met says more than that the source has ended.
                let cut = matches!(ended, Ended::Limit | Ended::ReaderGone);
                if cut || (source && self.ended.is_none()) {
                    self.ended = Some(ended);
                }
                None
            }
            Told::Failed(error) => Some(Over::Here(error)),
        }
    }

    /// Does what the exchange says.
    fn order(&mut self, order: Order) -> Option<Over> {
        match order {
            Order::Open { epoch, held, claimed } => {
                self.input_ended = false;
                // It was only drained until then.
                self.ended.take_if(|ended| !matches!(ended, Ended::Limit | Ended::ReaderGone));
                self.tell_source(Command::Open(Opening { epoch, held, claimed }));
            }
            Order::Close { gives_up } => {
                if !self.command(0, Command::Close { gives_up }) {
                    self.report(Report::Closed);
                }
            }
            Order::Drain => {
                self.drained = true;
                self.tell_source(Command::Drain);
            }
            Order::Finish => self.tell_source(Command::Finish),
            // Of the source, or of a fold in any part.
            Order::Seal { partition, epoch, sequence } => {
                for part in 0..self.parts.len() {
                    self.command(part, Command::Seal { partition: partition.clone(), epoch, sequence });
                }
            }
            Order::Anew { hop } => drop(self.command(hop + 1, Command::Anew)),
            Order::Settle { id } => {
                if !self.command(self.parts.len() - 1, Command::Settle { id }) {
                    self.report(Report::Settled { id, held: None });
                }
            }
            Order::Locate { id, partition, epoch, sequence } => {
                if !self.command(0, Command::Locate { id, partition, epoch, sequence }) {
                    self.report(Report::Located { id, position: None });
                }
            }
            Order::Bury { id, shared, record, note } => self.bury(id, shared, record, note),
            Order::Placed { id, position } => self.locator.answer(id, position),
            Order::Over(Ok(())) => return Some(Over::Well),
            Order::Over(Err(error)) => return Some(Over::Elsewhere(error)),
        }
        None
    }

    /// Writes a dead letter, beside everything else. One that can't be written ends the run, as it does where there is
    /// one instance.
    fn bury(&self, id: u64, shared: Arc<Shared>, record: u32, note: Note) {
        let (resolver, reports, tell) = (self.resolver.clone(), self.reports.clone(), self.tell.clone());
        tokio::spawn(async move {
            let buried = resolver.bury_for(&shared, record, &note).await;
            let _ = reports.send(Report::Buried { id, buried: buried.as_ref().map(drop).map_err(Error::chain) });
            if let Err(error) = buried {
                let _ = tell.send(Told::Failed(error));
            }
        });
    }

    fn tell_source(&self, command: Command) {
        self.command(0, command);
    }

    /// Tells a part; `false`: it doesn't run here, or not any more.
    fn command(&self, part: usize, command: Command) -> bool {
        let part = self.parts.get(part).and_then(Option::as_ref);
        part.is_some_and(|part| part.send(command).is_ok())
    }

    /// An exchange that is gone needs no word.
    fn report(&self, report: Report) {
        let _ = self.reports.send(report);
    }

    /// Ends the parts that run here.
    async fn end(&mut self, over: Over) -> Result<()> {
        let grace = self.setup.settings.grace;
        match over {
            Over::Well => {
                self.stop(&Command::Over, grace).await;
                Ok(())
            }
            Over::Elsewhere(error) => {
                self.stop(&Command::Fail(error.chain()), grace).await;
                Err(error)
            }
            Over::Here(error) => {
                self.report(Report::Failed { why: error.chain() });
                if !self.stop(&Command::Fail(error.chain()), grace).await {
                    self.farewell().await;
                }
                Err(error)
            }
            Over::AtOnce(error) => {
                self.stop(&Command::Over, Duration::from_secs(1)).await;
                Err(error)
            }
        }
    }

    /// Keeps in the store that the input has ended and all of it is committed, if that is so: started again, this
    /// instance needs no others to know. One that was asked to end is waited for by the others, whatever it has read.
    async fn keep_end(&self) {
        let ended = self.input_ended && !self.drained;
        let Some(store) = self.store.as_ref().filter(|_| ended) else { return };
        let settings = &self.setup.settings;
        let kept = tokio::select! {
            biased;
            kept = async { store.lock().await.set_ended(true).await } => kept,
            () = settings.world.clock.sleep(settings.grace) => Err(overdue(settings.grace)),
        };
        // The run has ended well all the same.
        if let Err(error) = kept {
            let error = error.chain();
            tracing::warn!(error, "the end can't be kept: started again, this instance will wait for the others");
        }
    }

    /// Waits until the exchange is gone: what was told the other instances last has arrived then.
    async fn see_out(&mut self) {
        let clock = self.setup.settings.world.clock.clone();
        let gone = async { while self.orders.recv().await.is_some() {} };
        tokio::select! {
            biased;
            () = gone => {}
            () = clock.sleep(FAREWELL) => {}
        }
    }

    /// Tells all parts to end, and waits for them: they are dropped if they don't within `grace`. What the other
    /// instances ask for is answered meanwhile. Returns whether these have ended.
    async fn stop(&mut self, command: &Command, grace: Duration) -> bool {
        for part in self.parts.iter().flatten() {
            let _ = part.send(command.clone());
        }
        let clock = self.setup.settings.world.clock.clone();
        let mut deadline = Some(clock.elapsed() + grace);
        let mut over = false;
        let mut done = Box::pin(join_all(std::mem::take(&mut self.tasks)).map(drop));
        loop {
            tokio::select! {
                biased;
                () = &mut done => return over,
                Some(order) = self.orders.recv() => over |= self.order(order).is_some(),
                () = until(&clock, deadline) => {
                    if self.parts.is_empty() {
                        return over;
                    }
                    // Without commands they drop what they have; a second later nobody waits for what hangs.
                    self.parts.clear();
                    deadline = Some(clock.elapsed() + Duration::from_secs(1));
                }
            }
        }
    }

    /// Gives the exchange time to tell the others that the run has failed.
    async fn farewell(&mut self) {
        let clock = self.setup.settings.world.clock.clone();
        let deadline = Some(clock.elapsed() + FAREWELL);
        loop {
            tokio::select! {
                biased;
                order = self.orders.recv() => {
                    let over = order.is_none_or(|order| self.order(order).is_some());
                    if over {
                        return;
                    }
                }
                () = until(&clock, deadline) => return,
            }
        }
    }

    fn how_it_ended(&self) -> Ended {
        self.ended.unwrap_or(if self.drained { Ended::Drained } else { Ended::Input })
    }
}

/// What hears of outcomes on their way back from a part that begins by a network stage and runs on so many instances;
/// `None`: nothing has to.
fn arrivals(setup: &Setup, part: &Part, instances: usize, positions: bool) -> Option<Arc<Arrivals>> {
    let has_sink = part.tasks.end == setup.job.graph.tasks.len();
    if !has_sink && !places::has_fold(setup, part) && !places::has_limit(setup, part) {
        return None;
    }
    let tells = if has_sink { Tells::OnceDurable } else { Tells::AtOnce };
    let follows = match instances {
        1 if has_sink && positions => Follows::Positions,
        1 => Follows::Records,
        _ => Follows::Nothing,
    };
    Some(Arrivals::new(setup.kept(Vec::new()), tells, follows, setup.tallies(&part.tasks)))
}

fn exchange_gone() -> Error {
    Error::new(Cause::Outside, "the exchange with the other instances ended before the run did")
}

async fn until(clock: &Arc<dyn Clock>, time: Option<Duration>) {
    match time {
        Some(time) => clock.sleep(time.saturating_sub(clock.elapsed())).await,
        None => std::future::pending().await,
    }
}
