//! Checks of a source by itself: its declaration, its positions, its reads.

use super::super::rig::PATIENCE;
use super::*;

/// What has not come for so long after all that should come is taken not to come.
const SILENCE: Duration = Duration::from_millis(5);

/// How many positions, evenly spread, are resumed from when there are more.
const POSITIONS: usize = 400;

impl<F: SourceFactory> SourceUnderTest<F>
where
    Out<F>: Clone + PartialEq + Debug,
{
    /// Opens the source at this position, whatever it is, and reads the rest.
    pub fn open_at(&self, position: &[u8]) -> Result<Vec<Out<F>>, Error> {
        self.read_from(position, 0)
    }

    /// Reads from this position until the input ends, or nothing more comes after so many records.
    fn read_from(&self, position: &[u8], wanted: usize) -> Result<Vec<Out<F>>, Error> {
        let named = |error: crate::data::PositionTooLarge| Error::new(Cause::User, error.to_string());
        let position = Position::new(position.to_vec(), "a position under test").map_err(named)?;
        run(async {
            let partitions = self.partitions().await?;
            let held = Held::new(partitions.into_iter().map(|partition| (partition, position.clone())));
            let mut source = (self.declare)().make();
            source.open(&held).await?;
            Ok(read(&mut source, wanted).await?.0)
        })
    }

    async fn partitions(&self) -> Result<Vec<Partition>, Error> {
        (self.declare)().make().open(&Held::default()).await
    }

    /// Declaring, checking and asking for traits touches nothing outside; mistakes are found by `check`; what isn't
    /// there is an error when it is opened.
    pub(super) fn declaring_opens_nothing(&self) -> Checked {
        let wrong = (self.declare)().check();
        ensure(wrong.is_empty(), || format!("the declaration under test is said to be wrong: {wrong:?}"))?;
        for (mistake, declare) in &self.misdeclared {
            let found = declare().check();
            let told = !found.is_empty() && found.iter().all(|message| !message.trim().is_empty());
            ensure(told, || format!("{mistake}: expected a message of `check`, found {found:?}"))?;
        }
        if let Some(missing) = &self.missing {
            let (declared, sink) = (missing(), MemorySink::new());
            let _ = (declared.traits(), declared.check());
            drop(declared.make());
            let rig = Rig { source: Arc::new(declared), ..self.rig(sink, Shape::OneTask) };
            match rig.finish(&Tap::new(&Journal::default()))? {
                Finished::Failed(error) if error.stage().is_some() => {}
                Finished::Failed(error) => return Err(Broken(format!("the error names no stage: {error}"))),
                _ => return Err(Broken("an input that isn't there is read without an error".into())),
            }
        }
        let traits = self.traits();
        ensure(!traits.kind.is_empty() && !traits.input.is_empty(), || "its traits name no kind or no input".into())?;
        let faults = self.misdeclared.len() + usize::from(self.missing.is_some());
        Ok(Verdict::Holds(Seen { records: 0, faults: (faults > 0).then_some(faults as u64) }))
    }

    /// `next` may be made and dropped, polled and dropped, at random: nothing is lost or doubled by it.
    pub(super) fn next_may_be_dropped_at_any_time(&self) -> Checked {
        let mut dropped = 0;
        for seed in 1..=if self.once { 1 } else { 5 } {
            let (found, drops) = run(self.dropping(seed)).map_err(|error| Broken(error.chain()))?;
            same("reads of which some were dropped", &found, &self.expected)?;
            dropped += drops;
        }
        holds(self.expected.len() as u64, Some(dropped))
    }

    async fn dropping(&self, seed: u64) -> Result<(Vec<Out<F>>, u64), Error> {
        let mut source = (self.declare)().make();
        source.open(&Held::default()).await?;
        let (mut found, mut drops, mut random) = (Vec::new(), 0, Random(seed));
        let endless = self.traits().ends == Ends::Unbounded;
        while !endless || found.len() < self.expected.len() {
            let event = match random.below(3) {
                0 => {
                    drop(source.next());
                    drops += 1;
                    continue;
                }
                1 => {
                    let polled = {
                        let mut next = std::pin::pin!(source.next());
                        poll!(next.as_mut())
                    };
                    match polled {
                        std::task::Poll::Ready(event) => event?,
                        std::task::Poll::Pending => {
                            drops += 1;
                            tokio::task::yield_now().await;
                            continue;
                        }
                    }
                }
                _ => source.next().await?,
            };
            match event {
                Event::Records(chunk) => found.extend(values(&chunk)),
                Event::End => break,
                _ => {}
            }
        }
        Ok((found, drops))
    }

    /// From the position behind each record exactly the rest comes; no position is larger than 4 KiB (which
    /// [`Position::new`] sees to) or stands for two places.
    pub(super) fn every_position_resumes_behind_its_record(&self) -> Checked {
        if let Some(why) = self.no_resumption() {
            return not_applicable(why);
        }
        let positions = self.positions()?;
        let step = positions.len().div_ceil(POSITIONS).max(1);
        let mut resumed = 0;
        for (behind, position) in positions.iter().step_by(step).chain(positions.last()) {
            let rest = self.read_from(position.bytes(), self.expected.len() - behind).map_err(|error| {
                Broken(format!("the position behind {behind} records ({}): {}", position.label(), error.chain()))
            })?;
            let what = format!("from the position behind {behind} records ({})", position.label());
            same(&what, &rest, &self.expected[*behind..])?;
            resumed += 1;
        }
        holds(resumed, None)
    }

    /// All positions of a whole reading, each with the number of records that it stands behind: those at a batch's end
    /// twice, as the end of one and the beginning of the next.
    fn positions(&self) -> Result<Vec<(usize, Position)>, Broken> {
        let wanted = self.expected.len();
        let (records, chunks) = run(async {
            let mut source = (self.declare)().make();
            source.open(&Held::default()).await?;
            read(&mut source, wanted).await
        })
        .map_err(|error| Broken(error.chain()))?;
        same("a reading", &records, &self.expected)?;
        let (mut positions, mut before) = (Vec::new(), 0);
        for chunk in &chunks {
            for count in 0..=chunk.len() {
                let place = before + count;
                let position = chunk.marks.position(count as u32).map_err(Broken)?;
                let none = || Broken(format!("there is no position behind {place} records"));
                positions.push((place, position.ok_or_else(none)?));
            }
            before += chunk.len();
        }
        Ok(positions)
    }

    /// A position that is empty, cut, longer than it was, of another version or of random bytes is an error of the
    /// state, and one with a wrong bit is no panic, whatever it is. The first byte of a position is its version.
    pub(super) fn a_strange_position_is_an_error(&self) -> Checked {
        if let Some(why) = self.no_resumption() {
            return not_applicable(why);
        }
        let positions = self.positions()?;
        let Some((_, position)) = positions.get(positions.len() / 2) else {
            return Err(Broken("there is no position".into()));
        };
        let good = position.bytes();
        let strange = strange(good);
        for (what, bytes) in &strange {
            match self.open_at(bytes) {
                Ok(_) => return Err(Broken(format!("a position that is {what} is taken for one: {bytes:?}"))),
                Err(error) if error.cause() != Cause::State || error.message().is_empty() => {
                    return Err(Broken(format!("a position that is {what} is not an error of the state: {error:?}")));
                }
                Err(_) => {}
            }
        }
        let mut flipped = 0;
        for at in 0..good.len() * 8 {
            let mut bytes = good.to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            flipped += u64::from(self.open_at(&bytes).is_err());
        }
        holds(self.expected.len() as u64, Some(strange.len() as u64 + flipped))
    }
}

/// Positions that are none.
fn strange(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut strange = vec![("empty", Vec::new()), ("longer by a byte", [good, &[0]].concat())];
    strange.extend((1..good.len()).map(|len| ("cut", good[..len].to_vec())));
    for version in [good[0].wrapping_add(1), good[0].wrapping_sub(1), 0xff] {
        strange.push(("of another version", [&[version], &good[1..]].concat()));
    }
    let mut random = Random(7);
    for len in [1, 9, 17, 100, 4_096] {
        let bytes: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
        if bytes[0] != good[0] {
            strange.push(("of random bytes", bytes));
        }
    }
    strange
}

/// Reads until the input ends, or nothing more comes for a while after so many records.
async fn read<S: Source>(source: &mut S, wanted: usize) -> Result<(Vec<S::Out>, Vec<Chunk<S::Out>>), Error>
where
    S::Out: Clone,
{
    let (mut records, mut chunks) = (Vec::new(), Vec::new());
    loop {
        let silence = if records.len() < wanted { PATIENCE } else { SILENCE };
        match tokio::time::timeout(silence, source.next()).await {
            Ok(Ok(Event::Records(chunk))) => {
                records.extend(values(&chunk));
                chunks.push(chunk);
            }
            Ok(Ok(Event::End)) | Err(_) => break,
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(error),
        }
    }
    Ok((records, chunks))
}

fn values<T: Data + Clone>(chunk: &Chunk<T>) -> Vec<T> {
    (0..chunk.len()).map(|row| chunk.column.with(row, T::clone)).collect()
}

fn run<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(Cause::Outside, "no runtime to read in").because(error))?;
    let done = runtime.block_on(future);
    runtime.shutdown_background();
    done
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
