//! Checks of what a crash or a gap leaves committed.

use super::*;

impl<F: SourceFactory> SourceUnderTest<F>
where
    Out<F>: Clone + PartialEq + Debug,
{
    /// While one record has not settled, however those behind it have, the commit goes up to it and no further; a crash
    /// then resumes at it.
    pub(super) fn no_commit_passes_a_gap(&self) -> Checked {
        if let Some(again) = &self.again {
            return self.no_acknowledgement_passes_a_gap(again);
        }
        if let Some(why) = self.no_resumption() {
            return not_applicable(why);
        }
        let all = self.expected.len() as u64;
        let (mut records, mut landed) = (0, 0);
        for shape in checked_shapes(&self.shapes) {
            for withheld in [0, 1, all / 2, all - 1] {
                for crashes in [true, false] {
                    self.withheld(withheld, crashes, shape)?;
                    (records, landed) = (records + all, landed + 1);
                }
            }
        }
        holds(records, Some(landed))
    }

    fn withheld(&self, withheld: u64, crashes: bool, shape: Shape) -> Result<(), Broken> {
        let all = self.expected.len() as u64;
        let (store, journal) = (MemoryStore::default(), Journal::default());
        let sink = Withholding::new(withheld);
        let taken = sink.taken.clone();
        let end = Gate::shut();
        let tap = Tap { end: Some(end.clone()), ..Tap::new(&journal) };
        let mut rig = Rig::new(Arc::new((self.declare)()), Arc::new(sink));
        (rig.store, rig.shape) = (self.store(&store), shape);
        let committed = || journal.records(&store.kept());
        let endless = self.traits().ends == Ends::Unbounded;
        let finished = rig.run(&tap, async |running| {
            until("all records", || tap.written.get() >= all).await?;
            until("the commit to come up to the gap", || committed() == Some(withheld)).await?;
            settle_down().await;
            let now = committed();
            ensure(now == Some(withheld), || format!("{now:?} is committed while record {withheld} has not settled"))?;
            let share = taken.lock().map_or(None, |mut taken| taken.share.take());
            if crashes {
                drop(share);
                running.abort();
            } else if let Some(share) = share {
                share.delivered();
                until("the commit to pass the gap", || committed() == Some(all)).await?;
            }
            end.open();
            if endless {
                running.drain();
            }
            Ok(())
        })?;
        if !crashes {
            finished.by(self.ends_by())?;
            return Ok(());
        }
        let records = taken.lock().map_or(Vec::new(), |taken| taken.records.clone());
        same("what came by a gap", &records, &self.expected)?;
        let now = committed();
        ensure(now == Some(withheld), || format!("{now:?} is committed after record {withheld} was lost"))?;
        self.goes_on(&store, &journal, &records, shape)
    }

    /// Whatever moment a run crashes at, the next one begins right behind what is committed, all that is committed is
    /// durable, and together they bring everything. A sink that keeps positions with its data ends up with the input,
    /// exactly.
    pub(super) fn nothing_is_lost_wherever_it_crashes(&self) -> Checked {
        if let Some(again) = &self.again {
            return self.all_is_given_again_wherever_it_crashes(again);
        }
        if let Some(why) = self.no_resumption() {
            return not_applicable(why);
        }
        let (mut records, mut landed, mut missed) = (0, 0, 0);
        for shape in checked_shapes(&self.shapes) {
            for transactional in [false, true] {
                for moment in moments(self.whole_run(transactional, shape)?) {
                    let crashes = self.crash(moment, transactional, shape)?;
                    records += self.expected.len() as u64;
                    landed += crashes;
                    missed += u64::from(crashes == 0);
                }
            }
        }
        ensure(landed >= missed, || format!("{landed} crashes landed, {missed} came too late"))?;
        holds(records, Some(landed))
    }

    fn sink(transactional: bool) -> MemorySink<Out<F>> {
        if transactional { MemorySink::transactional() } else { MemorySink::new() }
    }

    /// How many moments a whole run has.
    fn whole_run(&self, transactional: bool, shape: Shape) -> Result<u64, Broken> {
        let tap = Tap::new(&Journal::default());
        let store = MemoryStore::default();
        let rig = Rig { store: self.store(&store), ..self.rig(Self::sink(transactional), shape) };
        self.run_out(rig, &tap, self.expected.len() as u64)?.by(self.ends_by())?;
        Ok(tap.fuse.moments())
    }

    /// Crashes at this moment, and for every third one again in the next run, and then runs to the end; returns how
    /// many crashes landed.
    fn crash(&self, moment: u64, transactional: bool, shape: Shape) -> Result<u64, Broken> {
        let (sink, store, journal) = (Self::sink(transactional), MemoryStore::default(), Journal::default());
        let kept = sink.kept();
        let rig = Rig { store: self.store(&store), ..self.rig(sink, shape) };
        let second = moment.is_multiple_of(3).then(|| Fuse::at(moment / 2));
        let (mut landed, all) = (0, self.expected.len() as u64);
        for fuse in [Some(Fuse::at(moment)), second, Some(Fuse::never())].into_iter().flatten() {
            let held = if transactional { kept.positions() } else { store.kept() };
            let begins = journal.records(&held).ok_or_else(|| Broken("a position is held that no mark gave".into()))?;
            let before = kept.len();
            let rig = Rig { source: Arc::new((self.declare)()), ..rig.clone() };
            let tap = Tap::new(&journal).fused(fuse);
            let finished = self.run_out(rig, &tap, self.expected.len() as u64 - begins)?;
            let (place, least) = match finished {
                Finished::Crashed(place) => (place, begins),
                finished => finished.by(self.ends_by()).map(|_| ("at its end".to_owned(), all))?,
            };
            landed += u64::from(least < all);
            self.continues(&kept.records(), before, begins, transactional, &place)?;
            let held = if transactional { kept.positions() } else { store.kept() };
            let committed = journal.records(&held).unwrap_or(u64::MAX);
            let covered = begins + (kept.len() - before) as u64;
            ensure(least <= committed && committed <= covered, || {
                format!(
                    "crashed {place}: {committed} records are committed, {covered} are durable, it began at {begins}"
                )
            })?;
        }
        Ok(landed)
    }

    /// What a run made durable is what stands in the input right behind what was committed before it.
    fn continues(
        &self,
        records: &[Out<F>],
        before: usize,
        begins: u64,
        transactional: bool,
        place: &str,
    ) -> Result<(), Broken> {
        let new = &records[before..];
        let from = begins as usize;
        let to = (from + new.len()).min(self.expected.len());
        same(&format!("a run from record {from} that crashed {place}"), new, &self.expected[from..to])?;
        ensure(!transactional || before == from, || {
            format!("the sink held {before} records and positions behind {from} of them")
        })
    }
}

/// The moments of a run that are crashed at: the first ones all, of the later ones some, at random and the same each
/// time.
pub(in crate::testkit::conformance) fn moments(all: u64) -> impl Iterator<Item = u64> {
    let later = all.saturating_sub(ALL_UP_TO);
    let spread = LATER.min(later);
    let at = move |number: u64| {
        let (from, to) = (number * later / spread, (number + 1) * later / spread);
        ALL_UP_TO + from + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (to - from).max(1)
    };
    (0..ALL_UP_TO.min(all)).chain((0..spread).map(at))
}
