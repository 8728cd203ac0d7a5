//! For tests, and for authors of connectors: ends of a pipeline that do what a script says, the ledger in which they
//! write down what happened in which order, and a clock of simulated time.
//!
//! A scripted source and a scripted sink share one [`Ledger`]. After a run it answers what was read, written, made
//! durable and committed, and [`Ledger::violations`] says where the order of acts was not kept.
//!
//! This module sees all others; none of them sees it.

mod clock;
pub mod conformance;
mod ledger;
mod network;
mod script;
mod seeded;
mod sink;
mod store;

pub use clock::SimulatedClock;
pub use ledger::{Act, Entry, Ledger};
pub use network::{Delays, SimNetwork, Traffic};
pub use script::{Script, ScriptSource, number_of};
pub use seeded::Seeded;
pub use sink::{ScriptSink, ScriptedSink, Written};
pub use store::MemoryStore;
