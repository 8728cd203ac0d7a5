//! Checks of what a sink holds when something is committed, and after a crash.

use std::sync::Mutex;

use super::*;

impl<F: SinkFactory> SinkUnderTest<F>
where
    In<F>: Clone + PartialEq + Debug,
{
    /// Whenever a position is saved, everything before it can be read back from the sink.
    pub(super) fn nothing_is_committed_that_it_does_not_hold(&self) -> Checked {
        let traits = self.traits();
        let Some(read) = (self.specimen)().read else { return not_applicable(UNREADABLE) };
        drop(read);
        if !self.keeps_positions {
            return not_applicable("nothing is committed in a run that keeps no positions");
        }
        if traits.durable_at_close {
            return not_applicable("what it holds can be read only once it is closed");
        }
        let mut looks = 0;
        for shape in self.shapes.iter().copied().filter(|shape| *shape != Shape::Threads) {
            looks += self.watched(shape)?;
        }
        holds(RECORDS, Some(looks))
    }

    /// Looks at each save; returns how often that was in mid-run.
    fn watched(&self, shape: Shape) -> Result<u64, Broken> {
        let bench = self.bench();
        let expected = self.records(0..RECORDS);
        let seen: Arc<Mutex<(u64, Option<String>)>> = Arc::default();
        let (read, store, journal, note) =
            (bench.specimen.read.clone(), bench.store.clone(), bench.journal.clone(), seen.clone());
        let look = move || {
            let held = read.as_ref().map(|read| read()).unwrap_or_default();
            let committed = journal.records(&store.kept()).unwrap_or(u64::MAX);
            let holds = expected.get(..committed as usize).is_some_and(|committed| held.starts_with(committed));
            let Ok(mut note) = note.lock() else { return };
            note.0 += u64::from(committed < RECORDS);
            if !holds {
                note.1.get_or_insert_with(|| format!("{committed} records are committed, it holds {}", held.len()));
            }
        };
        let tap = Tap { saved: Some(Arc::new(look)), ..bench.tap() };
        bench.rig(RECORDS, shape).finish(&tap)?.by(Ended::Input)?;
        let seen = seen.lock().map_err(|_| Broken("reading it back panicked".into()))?;
        seen.1.clone().map_or(Ok(seen.0), |wrong| Err(Broken(wrong)))
    }

    /// Whatever moment a run crashes at, all that is committed is there, and after a run to the end everything is: see
    /// [`SinkUnderTest`].
    pub(super) fn nothing_is_lost_wherever_it_crashes(&self) -> Checked {
        if (self.specimen)().read.is_none() {
            return not_applicable(UNREADABLE);
        }
        let (mut records, mut landed, mut missed) = (0, 0, 0);
        for shape in self.shapes.iter().copied().filter(|shape| *shape != Shape::Threads) {
            let bench = self.bench();
            let tap = bench.tap();
            bench.rig(RECORDS, shape).finish(&tap)?.by(Ended::Input)?;
            for moment in moments(tap.fuse.moments()) {
                let crashes = self.crash(moment, shape)?;
                records += RECORDS;
                landed += crashes;
                missed += u64::from(crashes == 0);
            }
        }
        ensure(landed >= missed, || format!("{landed} crashes landed, {missed} came too late"))?;
        holds(records, Some(landed))
    }

    /// Crashes at this moment, and for every third one again in the next run, and then runs to the end; returns how
    /// many crashes landed.
    fn crash(&self, moment: u64, shape: Shape) -> Result<u64, Broken> {
        let (bench, traits) = (self.bench(), self.traits());
        let second = moment.is_multiple_of(3).then(|| Fuse::at(moment / 2));
        let mut landed = 0;
        let mut held = Vec::new();
        for fuse in [Some(Fuse::at(moment)), second, Some(Fuse::never())].into_iter().flatten() {
            let begins = bench.committed()?;
            let finished = bench.rig(RECORDS, shape).finish(&bench.tap().fused(fuse))?;
            let after = bench.held().unwrap_or_default();
            let (place, ended) = match finished {
                Finished::Crashed(place) => (place, false),
                finished => finished.by(Ended::Input).map(|_| ("at its end".to_owned(), true))?,
            };
            landed += u64::from(!ended);
            let what = format!("a run from record {begins} that crashed {place}");
            let new = match (traits.transactional.is_ok(), traits.durable_at_close) {
                (true, _) => self.exact(&what, &after, ended)?,
                (false, true) => self.replaced(&what, &held, &after, begins, ended)?,
                (false, false) => self.appended(&what, &held, &after, begins, ended)?,
            };
            let committed = bench.committed()?;
            ensure(committed <= new, || format!("{what}: {committed} records are committed, it holds {new}"))?;
            held = after;
        }
        Ok(landed)
    }

    /// It holds the beginning of the input, and all of it once a run has ended. Returns how much it holds.
    fn exact(&self, what: &str, after: &[In<F>], ended: bool) -> Result<u64, Broken> {
        let least = if ended { RECORDS as usize } else { after.len().min(RECORDS as usize) };
        same(what, after, &self.records(0..least as u64))?;
        Ok(least as u64)
    }

    /// It holds what it held until a run has ended, and then what that run brought.
    fn replaced(&self, what: &str, held: &[In<F>], after: &[In<F>], begins: u64, ended: bool) -> Result<u64, Broken> {
        let all = self.records(begins..RECORDS);
        // In the moments after the output was put in its place the run has all but ended.
        let expected = if ended || after == all { &all } else { held };
        same(what, after, expected)?;
        Ok(RECORDS)
    }

    /// It holds what it held, and behind it what the run brought, or the beginning of that. Returns how far that goes.
    fn appended(&self, what: &str, held: &[In<F>], after: &[In<F>], begins: u64, ended: bool) -> Result<u64, Broken> {
        let new = after.len().saturating_sub(held.len()) as u64;
        let upto = if ended { RECORDS } else { RECORDS.min(begins + new) };
        same(what, after, &[held, &self.records(begins..upto)].concat())?;
        Ok(upto)
    }
}
