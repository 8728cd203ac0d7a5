//! A pipeline as plain data: what was declared, what the passes made of it, and the graph that runs. Factories stand in a
//! table beside it and are named by number.
//!
//! This module imports `data` and `contracts`.

mod declaration;
mod graph;
mod guarantee;
mod mistake;
mod option;
mod phases;
mod stage;

pub use declaration::{Declaration, Factory, Letters};
pub use graph::{
    Action, Channel, ChannelId, CoderId, Graph, Inlet, KeepBytes, Op, Outlet, Runs, Segment, Slot, Step, Task,
};
pub use guarantee::{Guarantee, Promise};
pub use mistake::{Mistake, Mistakes};
pub use option::{Options, Policy, Retry, Throttle, Trigger};
pub use phases::{Does, Located, Mark, Net, Outside, Part, Phase, PhaseStage, Plan};
pub use stage::{Line, Stage, StageId, StageKind};
