//! Checks of a source's flow: order, end, drain, backpressure, refusals, faults.

use super::*;

impl<F: SourceFactory> SourceUnderTest<F>
where
    Out<F>: Clone + PartialEq + Debug,
{
    /// All records arrive, once, in their order, in a pipeline of every shape, in batches as they come and in small
    /// ones; the input ends by itself, and all of it is committed.
    pub(super) fn delivers_everything_in_order(&self) -> Checked {
        let mut records = 0;
        for &shape in &self.shapes {
            for cuts in [false, true].into_iter().take(if self.once { 1 } else { 2 }) {
                let (sink, store, journal) = (MemorySink::new(), MemoryStore::default(), Journal::default());
                let tap = Tap { cuts, ..Tap::new(&journal) };
                let kept = sink.kept();
                let rig = Rig { store: self.store(&store), ..self.rig(sink, shape) };
                let summary = self.run_out(rig, &tap, self.expected.len() as u64)?.by(self.ends_by())?;
                same(&format!("{shape:?}"), &kept.records(), &self.expected)?;
                let all = self.expected.len() as u64;
                ensure(summary.records_in == all, || format!("{} records are counted of {all}", summary.records_in))?;
                if self.no_resumption().is_none() {
                    let committed = journal.records(&store.kept());
                    ensure(committed == Some(all), || format!("at the end {committed:?} of {all} are committed"))?;
                }
                records += all;
            }
        }
        holds(records, None)
    }

    /// An input without records ends, and brings none.
    pub(super) fn an_empty_input_ends(&self) -> Checked {
        let Some(empty) = &self.empty else { return not_applicable("no empty input was given") };
        for &shape in &self.shapes {
            let (sink, tap) = (MemorySink::new(), Tap::new(&Journal::default()));
            let kept = sink.kept();
            let rig = Rig { source: Arc::new(empty()), ..self.rig(sink, shape) };
            self.run_out(rig, &tap, 0)?.by(self.ends_by())?;
            same("an empty input", &kept.records(), &[])?;
        }
        Ok(Verdict::Holds(Seen::default()))
    }

    /// A drain in mid-run lets through what was read and reads no more: what is committed is what the sink holds, and
    /// the next run brings the rest.
    pub(super) fn a_drain_is_exact(&self) -> Checked {
        let all = self.expected.len() as u64;
        let (mut landed, mut records) = (0, 0);
        let points = [all / 2, 0, 1, all / 3, all.saturating_sub(1)];
        for shape in checked_shapes(&self.shapes) {
            for &point in &points[..if self.once { 1 } else { points.len() }] {
                let got = self.drained_after(point, shape)?;
                landed += u64::from(got < all);
                records += got;
            }
        }
        holds(records, Some(landed))
    }

    /// Drains a run after so many records; returns how many it brought.
    fn drained_after(&self, point: u64, shape: Shape) -> Result<u64, Broken> {
        let (sink, store, journal) = (MemorySink::new(), MemoryStore::default(), Journal::default());
        let kept = sink.kept();
        let tap = Tap::new(&journal);
        let rig = Rig { store: self.store(&store), ..self.rig(sink, shape) };
        let again = rig.clone();
        let finished = rig.run(&tap, async |running| {
            until("the first records", || tap.written.get() >= point).await?;
            running.drain();
            Ok(())
        })?;
        finished.summary()?;
        let got = kept.records().len();
        let emitted = tap.emitted.get();
        ensure(got as u64 == emitted, || format!("{emitted} records were read before a drain, {got} arrived"))?;
        same("what a drained run brought", &kept.records(), &self.expected[..got.min(self.expected.len())])?;
        if self.no_resumption().is_none() {
            let committed = journal.records(&store.kept());
            let exact = committed == Some(got as u64);
            ensure(exact, || format!("after a drain {got} records are in the sink and {committed:?} are committed"))?;
            let again = Rig { source: Arc::new((self.declare)()), ..again };
            let rest = self.expected.len() - got;
            self.run_out(again, &Tap::new(&journal), rest as u64)?.by(self.ends_by())?;
            same("a drained run and the next", &kept.records(), &self.expected)?;
        }
        Ok(got as u64)
    }

    /// While the sink stalls, no more is read than may be in flight, and a batch.
    pub(super) fn backpressure_bounds_what_is_read(&self) -> Checked {
        let all = self.expected.len() as u64;
        let (mut landed, mut records) = (0, 0);
        let bounds = [(all / 8 + 1, u64::MAX), (u64::MAX, 1), (1, u64::MAX)];
        for shape in checked_shapes(&self.shapes) {
            for &bounds in &bounds[..if self.once { 1 } else { bounds.len() }] {
                landed += u64::from(self.stalled(bounds, shape)?);
                records += all;
            }
        }
        holds(records, Some(landed))
    }

    /// Stalls the sink at a third; returns whether anything was left to be read meanwhile.
    fn stalled(&self, bounds: (u64, u64), shape: Shape) -> Result<bool, Broken> {
        let all = self.expected.len() as u64;
        let gate = Gate::shut();
        let sink = MemorySink::stalling(all / 3, gate.clone());
        let kept = sink.kept();
        let tap = Tap::new(&Journal::default());
        let endless = self.traits().ends == Ends::Unbounded;
        let mut held_back = false;
        let finished = Rig { bounds, ..self.rig(sink, shape) }.run(&tap, async |running| {
            until("the sink to stall", || tap.written.get() >= all / 3).await?;
            settle_down().await;
            let (emitted, written, batch) = (tap.emitted.get(), tap.written.get(), tap.largest.get());
            let most = written.saturating_add(bounds.0).saturating_add(batch);
            let most = if bounds.1 == 1 { written + batch } else { most };
            ensure(emitted <= most, || format!("{emitted} records were read while the sink stalled: expected {most} at most ({written} were written, a batch is {batch})"))?;
            held_back = emitted < all;
            gate.open();
            if endless {
                until("all records", || tap.written.get() >= all).await?;
                running.drain();
            }
            Ok(())
        })?;
        finished.by(self.ends_by())?;
        same("after a stall", &kept.records(), &self.expected)?;
        Ok(held_back)
    }

    /// A record that can't be given stops the run before it, is left out, or becomes a dead letter, as the policy says.
    pub(super) fn poison_records_follow_the_policy(&self) -> Checked {
        let Some(poisoned) = &self.poisoned else { return not_applicable("no input with bad records was given") };
        for shape in checked_shapes(&self.shapes) {
            self.skips(poisoned, shape)?;
            if !self.once {
                self.buries(poisoned, shape)?;
                self.stops(poisoned, shape)?;
            }
        }
        holds(poisoned.good.len() as u64, Some(poisoned.refused))
    }

    fn skips(&self, poisoned: &Poisoned<F>, shape: Shape) -> Result<(), Broken> {
        let (sink, tap) = (MemorySink::new(), Tap::new(&Journal::default()));
        let kept = sink.kept();
        let rig = Rig { policy: Policy::Skip, source: Arc::new((poisoned.declare)()), ..self.rig(sink, shape) };
        let summary = self.run_out(rig, &tap, poisoned.good.len() as u64)?.summary()?;
        same("bad records skipped", &kept.records(), &poisoned.good)?;
        let (found, expected) = (summary.skipped, poisoned.refused);
        ensure(found == expected, || format!("{found} records are counted as skipped: expected {expected}"))
    }

    fn buries(&self, poisoned: &Poisoned<F>, shape: Shape) -> Result<(), Broken> {
        let (sink, letters) = (MemorySink::new(), MemorySink::<Bytes>::new());
        let (kept, written) = (sink.kept(), letters.kept());
        let rig =
            Rig { policy: Policy::DeadLetter(0), source: Arc::new((poisoned.declare)()), ..self.rig(sink, shape) };
        let rig = Rig { letters: vec![Arc::new(letters)], ..rig };
        self.run_out(rig, &Tap::new(&Journal::default()), poisoned.good.len() as u64)?.summary()?;
        same("bad records buried", &kept.records(), &poisoned.good)?;
        let (found, expected) = (written.len() as u64, poisoned.refused);
        ensure(found == expected, || format!("{found} dead letters are durable: expected {expected}"))
    }

    fn stops(&self, poisoned: &Poisoned<F>, shape: Shape) -> Result<(), Broken> {
        let (sink, store, journal) = (MemorySink::new(), MemoryStore::default(), Journal::default());
        let kept = sink.kept();
        let rig = Rig { store: self.store(&store), source: Arc::new((poisoned.declare)()), ..self.rig(sink, shape) };
        let mut again = rig.clone();
        // It ends by that record, whether or not the source ever does.
        match rig.run(&Tap::new(&journal), async |_| Ok(()))? {
            Finished::Failed(error) => ensure(error.cause() == Cause::Record && error.place().is_some(), || {
                format!("a bad record should fail the run as a record at a place, and fails it like this: {error:?}")
            })?,
            _ => return Err(Broken("a run over bad records ends well although its policy is to fail".into())),
        }
        let got = kept.records().len();
        same("what came before a bad record", &kept.records(), &poisoned.good[..got.min(poisoned.good.len())])?;
        if self.no_resumption().is_some() {
            return Ok(());
        }
        (again.policy, again.source) = (Policy::Skip, Arc::new((poisoned.declare)()));
        self.run_out(again, &Tap::new(&journal), (poisoned.good.len() - got) as u64)?.summary()?;
        same("a run that stops at a bad record, and one that goes on there", &kept.records(), &poisoned.good)
    }

    /// However the sink hangs, a run that is asked to end does, and loses nothing by it.
    pub(super) fn it_ends_within_the_grace_period(&self) -> Checked {
        let all = self.expected.len() as u64;
        let mut landed = 0;
        for shape in checked_shapes(&self.shapes) {
            let (store, journal) = (MemoryStore::default(), Journal::default());
            let sink = MemorySink::stalling(all / 2, Gate::shut());
            let kept = sink.kept();
            let tap = Tap::new(&journal);
            let grace = Duration::from_millis(500);
            let rig = Rig { grace, store: self.store(&store), ..self.rig(sink, shape) };
            let finished = rig.run(&tap, async |running| {
                until("the sink to hang", || tap.written.get() >= all / 2).await?;
                settle_down().await;
                running.drain();
                Ok(())
            })?;
            let Finished::Failed(error) = finished else {
                return Err(Broken("a run whose sink hangs ends well".into()));
            };
            let told = error.message().contains("grace period");
            ensure(told, || format!("a run whose sink hangs should name the grace period, and fails by {error}"))?;
            landed += 1;
            if self.no_resumption().is_none() {
                self.goes_on(&store, &journal, &kept.records(), shape)?;
            }
        }
        holds(all, Some(landed))
    }

    /// A run from what is committed brings all that is not, after what is durable.
    pub(super) fn goes_on(
        &self,
        store: &MemoryStore,
        journal: &Journal,
        durable: &[Out<F>],
        shape: Shape,
    ) -> Result<(), Broken> {
        let committed =
            journal.records(&store.kept()).ok_or_else(|| Broken("what is committed is no position".into()))?;
        let fine = committed <= durable.len() as u64;
        ensure(fine, || format!("{committed} records are committed, {} are durable", durable.len()))?;
        let rest = MemorySink::new();
        let kept = rest.kept();
        let rig = Rig { store: self.store(store), ..self.rig(rest, shape) };
        let left = &self.expected[committed as usize..];
        self.run_out(rig, &Tap::new(journal), left.len() as u64)?.by(self.ends_by())?;
        same("the next run", &kept.records(), left)
    }

    /// After a fault of its server it goes on: nothing is lost, and the order is kept.
    pub(super) fn it_reconnects_after_a_fault(&self) -> Checked {
        let Some(fault) = &self.fault else { return not_applicable("it is connected to nothing that could restart") };
        let all = self.expected.len() as u64;
        let (sink, tap) = (MemorySink::new(), Tap::new(&Journal::default()));
        let (kept, endless) = (sink.kept(), self.traits().ends == Ends::Unbounded);
        let finished = self.rig(sink, self.shapes[0]).run(&tap, async |running| {
            until("the first records", || tap.written.get() >= all / 3).await?;
            fault();
            if endless {
                until("the last record", || kept.records().last() == self.expected.last()).await?;
                running.drain();
            }
            Ok(())
        })?;
        finished.by(self.ends_by())?;
        // What was not acknowledged before the fault may come again.
        let mut missing = self.expected.iter().filter(|record| !kept.records().contains(record));
        let lost = missing.next();
        ensure(lost.is_none(), || format!("{lost:?} was lost in the fault"))?;
        holds(all, Some(1))
    }
}
