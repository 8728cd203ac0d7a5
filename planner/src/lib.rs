//! The planner of Millstream: from what was declared to what runs.
//!
//! It imports `millstream-core` and no other package of the workspace. It knows components only by what their contracts
//! say of them: it names no connector and no coder, opens nothing and starts nothing. [`plan`] is data in, data out;
//! [`explain`] prints what came of it.

mod carry;
mod coders;
mod draft;
pub mod explain;
mod fingerprint;
mod fuse;
mod graph;
mod guarantee;
mod hand;
mod logical;
mod mistake;
mod network;
mod outside;
mod pair;
mod paths;
mod reject;
#[cfg(test)]
mod tests;

use millstream_core::contracts::Coder;
use millstream_core::plan::{Declaration, Mistakes, Plan};

use draft::Draft;

/// One pass: reads what the passes before it made of the declaration, and adds its own part.
type Pass = for<'a> fn(&mut Draft<'a>);

/// The passes, in the order in which they run. Each fills its own fields of the draft and changes no other's.
const PASSES: [Pass; 7] = [
    // First, because every other pass and every mistake speaks of stages by the names that it settles.
    logical::run,
    // Before the coders, because network stages carry bytes, which typed neighbours have to be coded for.
    network::run,
    // Behind the network, so that it sees every stage that takes a form; before fusing, because a coder that computes
    // much decides what runs a task.
    coders::run,
    // Behind the coders, because it leaves out those that the unchanged value makes needless.
    fuse::run,
    // Behind fusing: it only joins the tasks by channels.
    graph::run,
    // Behind the network, because a split without a merge weakens what is promised.
    guarantee::run,
    // Last, because it only rejects: it may look at everything and changes nothing.
    reject::run,
];

/// Plans `declaration` for this many `instances`. `defaults` are the coders that every pipeline may use; those that it
/// brings along win over them.
///
/// # Errors
/// All mistakes of the declaration at once, each naming its stages, the line of code, and what to do.
pub fn plan(declaration: &Declaration, defaults: &[Coder], instances: usize) -> Result<Plan, Mistakes> {
    let mut draft = Draft::new(declaration, defaults, instances);
    for pass in PASSES {
        pass(&mut draft);
        if draft.broken {
            break;
        }
    }
    draft.finish()
}
