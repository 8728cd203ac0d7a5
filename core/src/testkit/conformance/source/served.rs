//! Checks of a source whose server gives again what was not acknowledged, from nobody's position.

use super::*;

impl<F: SourceFactory> SourceUnderTest<F>
where
    Out<F>: Clone + PartialEq + Debug,
{
    /// Whatever moment a run crashes at, the next one begins at or before what is durable, and goes on in order.
    pub(super) fn all_is_given_again_wherever_it_crashes(&self, again: &Again<F>) -> Checked {
        let (mut records, mut landed, mut missed) = (0, 0, 0);
        for shape in checked_shapes(&self.shapes) {
            let tap = Tap::new(&Journal::default());
            let rig = self.rig(MemorySink::new(), shape);
            self.run_out(rig, &tap, self.expected.len() as u64)?.by(self.ends_by())?;
            for moment in moments(tap.fuse.moments()) {
                let crashed = self.crash_at_server(moment, again, shape)?;
                records += self.expected.len() as u64;
                landed += u64::from(crashed);
                missed += u64::from(!crashed);
            }
        }
        ensure(landed >= missed, || format!("{landed} crashes landed, {missed} came too late"))?;
        holds(records, Some(landed))
    }

    /// Crashes at this moment, and reads what the server gives again. Returns whether the crash landed.
    fn crash_at_server(&self, moment: u64, again: &Again<F>, shape: Shape) -> Result<bool, Broken> {
        let declared = (self.declare)();
        let next = again(&declared);
        let (sink, tap) = (MemorySink::new(), Tap::new(&Journal::default()).fused(Fuse::at(moment)));
        let kept = sink.kept();
        let rig = Rig { source: Arc::new(declared), ..self.rig(sink, shape) };
        let place = match self.run_out(rig, &tap, self.expected.len() as u64)? {
            Finished::Crashed(place) => place,
            finished => finished.by(self.ends_by()).map(|_| String::new())?,
        };
        let before = kept.records();
        same(&format!("a run that crashed {place}"), &before, &self.expected[..before.len().min(self.expected.len())])?;
        if place.is_empty() {
            return Ok(false);
        }
        let rest = self.read_again(next, before.len(), shape)?;
        let begins = self.expected.len().saturating_sub(rest.len());
        same(&format!("the run after one that crashed {place}"), &rest, &self.expected[begins..])?;
        let durable = before.len();
        ensure(begins <= durable, || {
            format!("crashed {place}: {durable} were durable, the next run began at {begins}")
        })?;
        Ok(true)
    }

    /// Reads until all but so many records have come; those may come too.
    fn read_again(&self, declared: F, known: usize, shape: Shape) -> Result<Vec<Out<F>>, Broken> {
        let (sink, tap) = (MemorySink::new(), Tap::new(&Journal::default()));
        let kept = sink.kept();
        let rig = Rig { source: Arc::new(declared), ..self.rig(sink, shape) };
        let finished = rig.run(&tap, async |running| {
            if known < self.expected.len() {
                until("the last record", || kept.records().last() == self.expected.last()).await?;
            }
            running.drain();
            Ok(())
        })?;
        finished.by(Ended::Drained)?;
        Ok(kept.records())
    }

    /// While one record has not settled it is not acknowledged, however those behind it have: after a crash it comes again.
    pub(super) fn no_acknowledgement_passes_a_gap(&self, again: &Again<F>) -> Checked {
        let all = self.expected.len() as u64;
        let (mut records, mut landed) = (0, 0);
        for shape in checked_shapes(&self.shapes) {
            for withheld in [0, 1, all / 2, all - 1] {
                let declared = (self.declare)();
                let next = again(&declared);
                self.abort_with_a_gap(declared, withheld, shape)?;
                let expected = &self.expected[withheld as usize];
                let (sink, tap) = (MemorySink::new(), Tap::new(&Journal::default()));
                let kept = sink.kept();
                let rig = Rig { source: Arc::new(next), ..self.rig(sink, shape) };
                let finished = rig.run(&tap, async |running| {
                    until("the record that had not settled", || kept.records().contains(expected)).await?;
                    running.drain();
                    Ok(())
                })?;
                finished.by(Ended::Drained)?;
                (records, landed) = (records + all, landed + 1);
            }
        }
        holds(records, Some(landed))
    }

    /// A run in which all records but one settle, and which then is aborted.
    fn abort_with_a_gap(&self, declared: F, withheld: u64, shape: Shape) -> Result<(), Broken> {
        let all = self.expected.len() as u64;
        let sink = Withholding::<Out<F>>::new(withheld);
        let taken = sink.taken.clone();
        let tap = Tap::new(&Journal::default());
        let rig = Rig { shape, ..Rig::new(Arc::new(declared), Arc::new(sink)) };
        rig.run(&tap, async |running| {
            until("all records", || tap.written.get() >= all).await?;
            settle_down().await;
            drop(taken.lock().map_or(None, |mut taken| taken.share.take()));
            running.abort();
            Ok(())
        })
        .map(drop)
    }
}
