//! What an instance keeps of the end of its input, and what it does when it is started again.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;
use crate::contracts::{Across, BoxFuture, Checkpoint, Key, Opened, PeerId, Result as Outcome, Store, StoreFactory};

/// The same pipeline over the same state, with a source of so many records.
struct State {
    ledger: Ledger,
    store: MemoryStore,
}

impl State {
    fn new() -> Self {
        let ledger = Ledger::new();
        let store = MemoryStore::new(&ledger);
        Self { ledger, store }
    }

    fn rig(&self, records: u64) -> Rig {
        Rig {
            source: Arc::new(Script::of(&self.ledger, 0..records).batch(100)),
            middle: all_fine(),
            sink: Arc::new(ScriptSink::<u64>::new(&self.ledger, "out")),
            store: Some(Arc::new(Exclusive { store: self.store.clone(), is_open: Arc::default() })),
            letters: Vec::new(),
            places: APART,
            workers: 1,
            across: Across::Any,
        }
    }

    async fn ended(&self) -> bool {
        self.store.clone().ended().await.expect("it can be read")
    }

    /// As if so many records had been read to the end by several instances.
    async fn has_ended(&self, records: u64) {
        all_arrives(self.rig(records)).await;
        assert!(self.ended().await);
    }
}

/// A store that is open once at a time.
struct Exclusive {
    store: MemoryStore,
    is_open: Arc<AtomicBool>,
}

struct Open(MemoryStore, Arc<AtomicBool>);

impl StoreFactory for Exclusive {
    fn name(&self) -> String {
        "a store for one".to_owned()
    }

    fn open(&self, _: &Opened) -> BoxFuture<'_, Outcome<Box<dyn Store>>> {
        assert!(!self.is_open.swap(true, Relaxed), "it is open already");
        Box::pin(async { Ok(Box::new(Open(self.store.clone(), self.is_open.clone())) as Box<dyn Store>) })
    }
}

impl Store for Open {
    fn load(&mut self) -> BoxFuture<'_, Outcome<Vec<Checkpoint>>> {
        self.0.load()
    }

    fn save<'a>(&'a mut self, checkpoints: &'a [Checkpoint]) -> BoxFuture<'a, Outcome<()>> {
        self.0.save(checkpoints)
    }

    fn ended(&mut self) -> BoxFuture<'_, Outcome<bool>> {
        self.0.ended()
    }

    fn set_ended(&mut self, ended: bool) -> BoxFuture<'_, Outcome<()>> {
        self.0.set_ended(ended)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.1.store(false, Relaxed);
    }
}

/// The source is open, and all that leaves has arrived.
async fn delivered(hand: &mut Hand) {
    hand.order(open(5));
    hears(hand, &["opened 1"]).await;
    while let Some(Left::Sent(_, ticket)) = hand.exits[0].recv().await {
        ticket.delivered();
    }
    hears(hand, &["committed"]).await;
}

/// Runs the first of two instances until all has arrived.
async fn all_arrives(rig: Rig) -> Summary {
    let (running, mut hand) = rig.start(0, 2).await;
    delivered(&mut hand).await;
    hand.order(Order::Over(Ok(())));
    ends(running).await.expect("it runs well")
}

/// Started without the others it waits for them.
async fn waits(rig: Rig, me: PeerId, of: usize) {
    let started = tokio::time::timeout(Duration::from_secs(3_600), rig.start_without_others(me, of)).await;
    assert!(started.is_err(), "it doesn't wait");
}

#[tokio::test(start_paused = true)]
async fn an_input_that_has_ended_needs_no_others_to_find_that_out() {
    let named = |name: &str| Where::Named(name.into());
    for (me, of, place) in
        [(0, 2, Where::First), (2, 3, Where::Last), (1, 3, named("peer-1")), (0, 1, Where::Everywhere)]
    {
        let state = State::new();
        assert!(!state.ended().await);
        state.has_ended(1_000).await;
        let emitted = state.ledger.emitted();
        for _ in 0..2 {
            let mut rig = state.rig(1_000);
            rig.places = [place.clone(), named("peer-0"), Where::LastJoined];
            let running = rig.start_without_others(me, of).await.expect("it starts");
            running.drain();
            assert_eq!(running.committed(), ["p0: 1000"]);
            let summary = ends(running).await.expect("it has ended well");
            assert_eq!((summary.ended, summary.records_in, summary.records_out), (Ended::Input, 0, 0));
            assert_eq!(summary.committed, ["p0: 1000"]);
            assert!(state.ended().await, "until there is more");
        }
        assert_eq!(state.ledger.emitted(), emitted);
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_without_records_ends_too() {
    let state = State::new();
    state.has_ended(0).await;
    let running = state.rig(0).start_without_others(0, 2).await.expect("it starts");
    assert_eq!(ends(running).await.expect("it has ended well").committed, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_has_come_since_is_read_by_all() {
    let state = State::new();
    state.has_ended(1_000).await;
    waits(state.rig(1_050), 0, 2).await;
    let (running, mut hand) = state.rig(1_050).start(0, 2).await;
    assert!(state.ended().await, "until the source opens");
    hand.order(open(6));
    hears(&mut hand, &["opened 1"]).await;
    let (batch, ticket) = hand.sent(0).await;
    assert_eq!((values(&batch), state.ended().await), ((1_000..1_050).collect(), false));
    ticket.delivered();
    hears(&mut hand, &["committed"]).await;
    assert!(!state.ended().await, "others may still fail");
    hand.order(Order::Over(Ok(())));
    let summary = ends(running).await.expect("it runs well");
    assert_eq!((summary.records_in, summary.committed), (50, vec!["p0: 1050".to_owned()]));
    assert!(state.ended().await);
}

#[tokio::test(start_paused = true)]
async fn where_it_can_not_be_told_the_others_are_waited_for() {
    for (me, place) in [(1, Where::First), (0, Where::Last), (1, Where::Everywhere), (1, Where::LastJoined)] {
        let state = State::new();
        state.has_ended(1_000).await;
        let mut rig = state.rig(1_000);
        rig.places[0] = place;
        rig.places[2] = Where::Named("peer-0".into());
        waits(rig, me, 2).await;
    }
    let sources = [|script: Script<u64>| script.waits(), |script: Script<u64>| script.pessimistic()];
    for change in sources {
        let state = State::new();
        state.has_ended(1_000).await;
        let source = change(Script::of(&state.ledger, 0..1_000));
        let before = state.ledger.entries().len();
        waits(Rig { source: Arc::new(source), ..state.rig(1_000) }, 0, 2).await;
        assert_eq!(state.ledger.entries().len(), before, "the source is not touched");
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_was_read_may_be_committed_before_the_end_is_known() {
    let state = State::new();
    state.has_ended(1_000).await;
    state.store.clone().set_ended(false).await.expect("it can be kept");
    waits(state.rig(1_000), 0, 2).await;
}

#[tokio::test(start_paused = true)]
async fn others_that_are_there_end_with_it() {
    let state = State::new();
    state.has_ended(1_000).await;
    let (running, mut hand) = state.rig(1_000).start(0, 2).await;
    delivered(&mut hand).await;
    hand.order(Order::Over(Ok(())));
    let summary = ends(running).await.expect("it runs well");
    assert_eq!((summary.ended, summary.records_in, state.ended().await), (Ended::Input, 0, true));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_is_an_error_before_the_others_are_joined() {
    let state = State::new();
    state.has_ended(1_000).await;
    let source = Script::of(&state.ledger, 0..1_100).fails_at(1_000);
    let rig = Rig { source: Arc::new(source), ..state.rig(1_000) };
    let error = rig.start_without_others(0, 2).await.err().expect("it can't be read");
    assert_eq!(error.chain(), "SCRIPT: the script says that record 1000 fails");
}

#[tokio::test(start_paused = true)]
async fn an_input_that_ends_as_its_source_is_told_to_finish_has_ended() {
    let state = State::new();
    let (running, mut hand) = state.rig(1_000).start(0, 2).await;
    hand.order(open(5));
    hears(&mut hand, &["opened 1"]).await;
    let mut tickets = Vec::new();
    while let Some(Left::Sent(_, ticket)) = hand.exits[0].recv().await {
        tickets.push(ticket);
    }
    // The sinks have closed, so that nothing more can come: the exchange doesn't wait for the source to say so itself.
    tickets.into_iter().for_each(|ticket| ticket.delivered());
    hand.order(Order::Finish);
    hears(&mut hand, &["committed"]).await;
    hand.order(Order::Over(Ok(())));
    assert_eq!(ends(running).await.expect("it runs well").committed, ["p0: 1000"]);
    assert!(state.ended().await);
}

/// Why a run has not seen its input to the end.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Drained,
    DrainedAtTheEnd,
    Sealed,
    Finished,
    OpenedAnew,
    FailedElsewhere,
    Aborted,
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_otherwise_has_not_seen_the_end_of_its_input() {
    use Cut::{Aborted, Drained, DrainedAtTheEnd, FailedElsewhere, Finished, OpenedAnew, Sealed};
    for cut in [Drained, DrainedAtTheEnd, Sealed, Finished, OpenedAnew, FailedElsewhere, Aborted] {
        let state = State::new();
        let (running, mut hand) = state.rig(1_000).start(0, 2).await;
        cut_off(cut, &running, &mut hand).await;
        let over = match cut {
            FailedElsewhere => Err(Error::new(Cause::Outside, "as said")),
            _ => Ok(()),
        };
        let _ = hand.orders.send(Order::Over(over));
        let ended = ends(running).await;
        assert_eq!(ended.is_ok(), !matches!(cut, FailedElsewhere | Aborted), "{cut:?}");
        assert!(!state.ended().await, "{cut:?}");
    }
}

async fn cut_off(cut: Cut, running: &Running, hand: &mut Hand) {
    match cut {
        Cut::Drained => {
            hand.room(2);
            hand.order(open(5));
            hears(hand, &["opened 1"]).await;
            hand.order(Order::Drain);
            settle_down().await;
            hand.room(100);
            while let Some(Left::Sent(_, ticket)) = hand.exits[0].recv().await {
                ticket.delivered();
            }
            hears(hand, &["committed"]).await;
        }
        Cut::Sealed => {
            hand.order(open(5));
            hears(hand, &["opened 1"]).await;
            let mut tickets = Vec::new();
            while let Some(Left::Sent(_, ticket)) = hand.exits[0].recv().await {
                tickets.push(ticket);
            }
            hand.order(Order::Seal { partition: Partition::new(P0), epoch: 5, sequence: 900 });
            settle_down().await;
            tickets.into_iter().take(9).for_each(|ticket| ticket.delivered());
            hears(hand, &["committed"]).await;
        }
        Cut::Finished => {
            hand.order(open(5));
            hears(hand, &["opened 1"]).await;
            let mut tickets = Vec::new();
            while let Some(Left::Sent(_, ticket)) = hand.exits[0].recv().await {
                tickets.push(ticket);
            }
            hand.order(Order::Finish);
            hears(hand, &["committed"]).await;
        }
        Cut::DrainedAtTheEnd | Cut::OpenedAnew | Cut::FailedElsewhere | Cut::Aborted => {
            delivered(hand).await;
            match cut {
                Cut::DrainedAtTheEnd => {
                    running.drain();
                    hears(hand, &["drain"]).await;
                }
                Cut::OpenedAnew => {
                    // The sink has lost something, and it doesn't get it again.
                    let key = Key { pipeline: "numbers".into(), stage: "SCRIPT".into(), partition: Partition::new(P0) };
                    let held = Some(vec![Checkpoint { key, position: number(950) }]);
                    hand.order(Order::Open { epoch: 6, held, claimed: Vec::new() });
                    hears(hand, &["opened 1"]).await;
                    assert_eq!(hand.sent(0).await.0.len(), 50);
                }
                Cut::Aborted => running.abort(),
                _ => {}
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_can_not_keep_the_end_changes_nothing_about_it() {
    let state = State::new();
    let (running, mut hand) = state.rig(1_000).start(0, 2).await;
    delivered(&mut hand).await;
    let _ = state.store.clone().fails_after(0);
    hand.order(Order::Over(Ok(())));
    assert_eq!(ends(running).await.expect("all is committed").committed, ["p0: 1000"]);
    assert!(!state.ended().await);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_one_instance_takes_back_what_several_have_kept() {
    let state = State::new();
    state.has_ended(1_000).await;
    let here = [Where::First, Where::First, Where::First];
    let running = Rig { places: here, ..state.rig(1_500) }.start_without_others(0, 1).await.expect("it starts");
    assert_eq!(ends(running).await.expect("it runs well").records_in, 500);
    assert!(!state.ended().await);
}
