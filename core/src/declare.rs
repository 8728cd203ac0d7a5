//! The typed builder: source, stages, sink. Declaring opens nothing, reads no environment and starts no task; it makes a
//! [`Declaration`](crate::plan::Declaration).
//!
//! **Annotate the arguments of closures.** A stage says by its argument what it takes, and that may differ from what the
//! stage before it gives: the planner puts the coders in between. So `|line: &str| …`, not `|line| …`.
//!
//! This module imports `data`, `contracts`, `transforms` and `plan`; it never meets `runtime`.

mod building;
mod keyed;
mod marker;
mod options;
mod pipeline;
mod policy;
mod stream;

pub use keyed::KeyedStream;
pub use marker::{Asynchronous, Coded, Coding, Folding, Looking, Parallel, Repeatable, Root, Taking, Triggered};
pub use pipeline::{Called, Pipeline};
pub use policy::OnError;
pub use stream::Stream;
