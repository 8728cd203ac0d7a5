//! Checks of a sink's flow: its declaration, order, end, drain, positions, refusals, faults.

use super::*;

impl<F: SinkFactory> SinkUnderTest<F>
where
    In<F>: Clone + PartialEq + Debug,
{
    /// Declaring, checking and asking for traits touches nothing outside; mistakes are found by `check`; what can't be
    /// opened is an error when it is.
    pub(super) fn declaring_opens_nothing(&self) -> Checked {
        let specimen = (self.specimen)();
        let declared = (specimen.declare)();
        let wrong = declared.check();
        ensure(wrong.is_empty(), || format!("the declaration under test is said to be wrong: {wrong:?}"))?;
        let traits = declared.traits(self.keeps_positions);
        drop(declared.make());
        ensure(!traits.kind.is_empty() && !traits.output.is_empty(), || "its traits name no kind or no output".into())?;
        let untouched = specimen.untouched.as_ref().is_none_or(|untouched| untouched());
        ensure(untouched, || "making it, checking it or asking for its traits left something behind".into())?;
        for (mistake, declare) in &self.misdeclared {
            let found = declare().check();
            let told = !found.is_empty() && found.iter().all(|message| !message.trim().is_empty());
            ensure(told, || format!("{mistake}: expected a message of `check`, found {found:?}"))?;
        }
        if let Some(unopenable) = &self.unopenable {
            let bench = self.bench();
            let rig = Rig { sink: Arc::new(unopenable()), ..bench.rig(1, Shape::OneTask) };
            match rig.finish(&bench.tap())? {
                Finished::Failed(error) if error.stage().is_some() => {}
                Finished::Failed(error) => return Err(Broken(format!("the error names no stage: {error}"))),
                _ => return Err(Broken("a sink that can't be opened takes records".into())),
            }
        }
        let faults = self.misdeclared.len() + usize::from(self.unopenable.is_some());
        Ok(Verdict::Holds(Seen { records: 0, faults: (faults > 0).then_some(faults as u64) }))
    }

    /// All records arrive, once, in their order, in a pipeline of every shape, and all are committed.
    pub(super) fn delivers_everything_in_order(&self) -> Checked {
        for &shape in &self.shapes {
            let bench = self.bench();
            let tap = bench.tap();
            let summary = bench.rig(RECORDS, shape).finish(&tap)?.by(Ended::Input)?;
            let (found, written) = (summary.records_out, tap.written.get());
            let counted = found == RECORDS && written == RECORDS;
            ensure(counted, || format!("of {RECORDS} records {written} were written and {found} are counted"))?;
            if let Some(held) = bench.held() {
                same(&format!("{shape:?}"), &held, &self.records(0..RECORDS))?;
            }
            if self.keeps_positions {
                let committed = bench.committed()?;
                ensure(committed == RECORDS, || format!("at the end {committed} of {RECORDS} are committed"))?;
            }
        }
        holds(RECORDS * self.shapes.len() as u64, None)
    }

    /// A run without records ends well, and leaves an output that can be read and is empty.
    pub(super) fn an_empty_input_ends(&self) -> Checked {
        for &shape in &self.shapes {
            let bench = self.bench();
            bench.rig(0, shape).finish(&bench.tap())?.by(Ended::Input)?;
            same("nothing", &bench.held().unwrap_or_default(), &[])?;
        }
        Ok(Verdict::Holds(Seen::default()))
    }

    /// A sink that says that it keeps positions with its data says on opening which, and they win over a store that has
    /// lost its own; a sink that says that it doesn't says none.
    pub(super) fn it_keeps_positions_as_it_says(&self) -> Checked {
        let transactional = self.traits().transactional.is_ok();
        if transactional && !self.keeps_positions {
            return Err(Broken("it is transactional in a run that keeps no positions".into()));
        }
        let bench = self.bench();
        bench.rig(RECORDS / 2, Shape::OneTask).finish(&bench.tap())?.by(Ended::Input)?;
        let held = self.open(&bench)?;
        match (transactional, held) {
            (false, None) => return holds(RECORDS / 2, None),
            (false, Some(held)) => {
                return Err(Broken(format!("it is not transactional and says that it holds {held:?}")));
            }
            (true, None) => return Err(Broken("it is transactional and says nothing of what it holds".into())),
            (true, Some(held)) => {
                let records = bench.journal.records(&held);
                let right = records == Some(RECORDS / 2);
                ensure(right, || format!("it holds {} records and says {records:?}", RECORDS / 2))?;
            }
        }
        let forgetful = Rig { store: Some(Arc::new(MemoryStore::default())), ..bench.rig(RECORDS, Shape::OneTask) };
        forgetful.finish(&bench.tap())?.by(Ended::Input)?;
        if let Some(held) = bench.held() {
            same("with a store that has lost its positions", &held, &self.records(0..RECORDS))?;
        }
        holds(RECORDS, Some(1))
    }

    /// Opens it by itself; returns the positions that it says it holds.
    fn open(&self, bench: &Bench<F>) -> Result<Option<Vec<Checkpoint>>, Broken> {
        let context = crate::contracts::SinkContext {
            pipeline: "conformance".into(),
            keeps_positions: self.keeps_positions,
            committed: bench.store.kept(),
            ..crate::contracts::SinkContext::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Broken(format!("no runtime to open in: {error}")))?;
        let mut sink = (bench.specimen.declare)().make();
        let opened = runtime.block_on(sink.open(&context));
        opened.map_err(|error| Broken(format!("it can't be opened again: {}", error.chain())))
    }

    /// A drain in mid-run: the sink holds exactly what was read and is committed, and the next run brings the rest.
    pub(super) fn a_drain_is_exact(&self) -> Checked {
        if (self.specimen)().read.is_none() {
            return not_applicable(UNREADABLE);
        }
        let (mut records, mut landed) = (0, 0);
        for shape in self.shapes.iter().copied().filter(|shape| *shape != Shape::Threads) {
            for point in [0, 1, RECORDS / 3, RECORDS - 10] {
                let got = self.drained_after(point, shape)?;
                landed += u64::from(got < RECORDS);
                records += RECORDS;
            }
        }
        holds(records, Some(landed))
    }

    fn drained_after(&self, point: u64, shape: Shape) -> Result<u64, Broken> {
        let (bench, replaces) = (self.bench(), self.traits().durable_at_close);
        let tap = bench.tap();
        let finished = bench.rig(RECORDS, shape).run(&tap, async |running| {
            until("the first records", || tap.written.get() >= point).await?;
            running.drain();
            Ok(())
        })?;
        finished.summary()?;
        let got = tap.emitted.get();
        let before = bench.held().unwrap_or_default();
        same("after a drain", &before, &self.records(0..got))?;
        let committed = bench.committed()?;
        let exact = !self.keeps_positions || committed == got;
        ensure(exact, || format!("after a drain it holds {got} records and {committed} are committed"))?;
        bench.rig(RECORDS, shape).finish(&bench.tap())?.by(Ended::Input)?;
        let expected = if replaces { Vec::new() } else { before };
        let rest = self.records(if self.keeps_positions { got } else { 0 }..RECORDS);
        same("after a drain and another run", &bench.held().unwrap_or_default(), &[expected, rest].concat())?;
        Ok(got)
    }

    /// A record that it can't take stops the run before it, is left out, or becomes a dead letter, as the policy says.
    pub(super) fn poison_records_follow_the_policy(&self) -> Checked {
        let Some(poison) = &self.poison else { return not_applicable("no record that it can't take was given") };
        for policy in [Policy::Fail, Policy::Skip, Policy::DeadLetter(0)] {
            let (mut bench, letters) = (self.bench(), MemorySink::<Bytes>::new());
            let (good, poison, buried) = (self.record.clone(), poison.clone(), letters.kept());
            bench.record = Arc::new(move |number| if number == POISONED { poison() } else { good(number) });
            let rig = Rig { policy, letters: vec![Arc::new(letters)], ..bench.rig(RECORDS, Shape::OneTask) };
            let finished = rig.finish(&bench.tap())?;
            let expected = match (policy, finished) {
                (Policy::Fail, Finished::Failed(error)) if error.cause() == Cause::Record => self.records(0..POISONED),
                (Policy::Fail, Finished::Failed(error)) => {
                    return Err(Broken(format!("a record that it can't take should fail as a record: {error:?}")));
                }
                (Policy::Fail, _) => return Err(Broken("it takes the record that it can't take".into())),
                (_, finished) => {
                    finished.by(Ended::Input)?;
                    [self.records(0..POISONED), self.records(POISONED + 1..RECORDS)].concat()
                }
            };
            if let Some(held) = bench.held().filter(|_| policy != Policy::Fail || !self.traits().durable_at_close) {
                let behind = self.hears_late && policy == Policy::Fail;
                let upto = if behind { held.len().min(expected.len()) } else { held.len() };
                same(&format!("{policy:?}"), &held[..upto], &expected)?;
            }
            let expected = usize::from(policy == Policy::DeadLetter(0));
            ensure(buried.len() == expected, || format!("{policy:?}: {} dead letters", buried.len()))?;
        }
        holds(RECORDS * 3, Some(3))
    }

    /// While its source is silent a run that is asked to end does at once, with all that it was given committed.
    pub(super) fn it_ends_within_the_grace_period(&self) -> Checked {
        let mut landed = 0;
        for shape in self.shapes.iter().copied().filter(|shape| *shape != Shape::Threads) {
            let bench = self.bench();
            let tap = Tap { end: Some(super::super::doubles::Gate::shut()), ..bench.tap() };
            let grace = std::time::Duration::from_secs(60);
            let finished = Rig { grace, ..bench.rig(RECORDS, shape) }.run(&tap, async |running| {
                until("all records", || tap.written.get() >= RECORDS).await?;
                running.drain();
                Ok(())
            })?;
            finished.by(Ended::Drained)?;
            landed += 1;
            if let Some(held) = bench.held() {
                same("after the end", &held, &self.records(0..RECORDS))?;
            }
        }
        holds(RECORDS * landed, Some(landed))
    }

    /// After a fault of its server it goes on: nothing is lost, and the order is kept.
    pub(super) fn it_reconnects_after_a_fault(&self) -> Checked {
        let Some(fault) = &self.fault else { return not_applicable("it is connected to nothing that could restart") };
        let bench = self.bench();
        let tap = bench.tap();
        let finished = bench.rig(RECORDS, Shape::OneTask).run(&tap, async |_| {
            until("the first records", || tap.written.get() >= RECORDS / 3).await?;
            fault();
            Ok(())
        })?;
        finished.by(Ended::Input)?;
        let held = bench.held().unwrap_or_default();
        let lost = self.records(0..RECORDS).into_iter().find(|record| !held.contains(record));
        ensure(lost.is_none() || bench.specimen.read.is_none(), || format!("{lost:?} was lost in the fault"))?;
        holds(RECORDS, Some(1))
    }
}
