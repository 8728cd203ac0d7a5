//! The conformance suite: what every source and every sink has to hold, checked by running it.
//!
//! A connector's author gives the suite a declaration of the connector and what it should bring or hold; the suite builds
//! small pipelines around it by hand, runs them, and breaks them in every way it can. No planner takes part.
//!
//! ```text
//! source under test -> filter that lets all pass -> sink of the suite's own, in memory
//! source of the suite's own, in memory -> filter that lets all pass -> sink under test
//! ```
//!
//! in one task, in two tasks over a channel, and on threads.
//!
//! # For a source
//!
//! ```
//! # use std::sync::Arc;
//! # use millstream_core::contracts::{*, Result};
//! # use millstream_core::data::{Marks, Partition, Position, Typed};
//! # use millstream_core::testkit::conformance::SourceUnderTest;
//! # fn countdown(from: u64) -> impl SourceFactory<Source = Counting> {
//! #     let traits = SourceTraits { commits: Commits::Optimistic, ..SourceTraits::new("COUNTDOWN", "numbers") };
//! #     source(traits, move || Counting { left: from, from })
//! # }
//! # struct Counting { left: u64, from: u64 }
//! # impl Source for Counting {
//! #     type Out = u64;
//! #     async fn open(&mut self, held: &Held) -> Result<Vec<Partition>> {
//! #         let partition = Partition::new("numbers");
//! #         if let Some(position) = held.position(&partition) {
//! #             let wrong = || Error::new(Cause::State, format!("can't go on from {}", position.label()));
//! #             let bytes: [u8; 9] = position.bytes()[..].try_into().map_err(|_| wrong())?;
//! #             let left = u64::from_le_bytes(bytes[1..].try_into().map_err(|_| wrong())?);
//! #             if bytes[0] != 1 || left > self.from { return Err(wrong()); }
//! #             self.left = left;
//! #         }
//! #         Ok(vec![partition])
//! #     }
//! #     async fn next(&mut self) -> Result<Event<u64>> {
//! #         if self.left == 0 { return Ok(Event::End); }
//! #         let first = self.left;
//! #         self.left = first.saturating_sub(5);
//! #         let column = Typed::from((self.left + 1..=first).rev().collect::<Vec<_>>());
//! #         Ok(Event::Records(Chunk { partition: 0, column, times: None, marks: Arc::new(At(first)), refused: vec![] }))
//! #     }
//! # }
//! # struct At(u64);
//! # impl Marks for At {
//! #     fn position(&self, count: u32) -> Result<Option<Position>, String> {
//! #         let left = self.0 - u64::from(count);
//! #         let bytes = [&[1][..], &left.to_le_bytes()].concat();
//! #         Position::new(bytes, format!("{left} left")).map(Some).map_err(|error| error.to_string())
//! #     }
//! #     fn place(&self, index: u32, _: &[u8], _: usize) -> String { format!("number {}", self.0 - u64::from(index)) }
//! # }
//! let expected = (1..=40).rev().collect();
//! SourceUnderTest::new("a countdown", || countdown(40), expected)
//!     .empty(|| countdown(0))
//!     .run()
//!     .assert_holds();
//! ```
//!
//! [`SourceUnderTest`] lists what else a source can be given: an input with records that can't be read, declarations that
//! are wrong, a fault of its server. What a check needs and is not given, or what the source's own traits exclude, is
//! *not applicable*, and the [`Report`] says so. Give all that the connector can do.
//!
//! # For a sink
//!
//! A sink is given as a function that makes a [`Specimen`]: a fresh place to write to, a declaration of the sink that
//! writes there, and a way to read back what it holds. See [`SinkUnderTest`].
//!
//! # What is checked
//!
//! | of a source | of a sink |
//! |---|---|
//! | `delivers_everything_in_order` | the same |
//! | `an_empty_input_ends` | the same |
//! | `nothing_is_lost_wherever_it_crashes` | the same; a transactional sink holds the input exactly |
//! | `no_commit_passes_a_gap` | `nothing_is_committed_that_it_does_not_hold` |
//! | `a_drain_is_exact` | the same |
//! | `backpressure_bounds_what_is_read` | `it_keeps_positions_as_it_says` |
//! | `poison_records_follow_the_policy` | the same |
//! | `it_ends_within_the_grace_period` | the same |
//! | `next_may_be_dropped_at_any_time` | |
//! | `every_position_resumes_behind_its_record` | |
//! | `a_strange_position_is_an_error` | |
//! | `declaring_opens_nothing` | the same |
//! | `it_reconnects_after_a_fault` | the same |
//!
//! Each is a method of that name, for a check alone; [`run`](SourceUnderTest::run) makes them all. A check counts the
//! records that passed and the faults that landed (crashes, stalls, drains, refusals), and is broken when none did: a run
//! in which nothing happened shows nothing.
//!
//! **Crashes** are put wherever the engine and the outside meet: before and after every call of the sink and the store,
//! after every read of the source, at each wait within a call. There everything stops and is dropped, as if the process
//! had ended; what only memory held is gone. What a killed process leaves in half a `write` of the operating system can't
//! be made this way: test that of your connector with real processes.
//!
//! **Time** is the suite's own except on threads: a millisecond passes at each turn of the runtime. Nothing is measured.
//!
//! A source with several partitions is given an input of one; a source that acknowledges each record by itself is checked
//! for all that doesn't take a resumption.

mod doubles;
mod fuse;
mod report;
mod rig;
mod sink;
mod source;
mod tap;

pub use report::{Check, Report, Seen, Verdict};
pub use rig::Shape;
pub use sink::{SinkUnderTest, Specimen};
pub use source::SourceUnderTest;

#[cfg(test)]
mod tests;
