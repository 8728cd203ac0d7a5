//! The fifth pass: tasks joined by bounded channels, the parts that network stages cut them into, and the coders that
//! dead letters need.

use std::collections::HashSet;

use millstream_core::contracts::Coder;
use millstream_core::data::{Bytes, Data};
use millstream_core::plan::{Channel, CoderId, Graph, Inlet, Outlet, Part, Policy, Runs, Stage, Task};

use crate::draft::{Draft, What};
use crate::fuse::{Fused, Fusing};
use crate::paths::At;

pub(crate) fn run(draft: &mut Draft<'_>) {
    let Some(fused) = draft.fused.take() else { return };
    let mut coders = fused.coders.clone();
    let keep_bytes = keep_bytes(draft, &mut coders);
    if let (Some(graph), parts) = (graph(draft, &fused, coders, keep_bytes), parts(&fused.tasks)) {
        draft.graph = Some((graph, parts));
    }
    draft.fused = Some(fused);
}

fn graph(draft: &Draft<'_>, fused: &Fused, coders: Vec<Coder>, keep_bytes: Option<Vec<CoderId>>) -> Option<Graph> {
    let emits = draft.stages[0].gives.clone()?;
    let nets = draft.hops.iter().filter(|hop| matches!(hop.what, What::Net(_)));
    let channels = fused.tasks.iter().skip(1);
    Some(Graph {
        stages: draft.stages.clone(),
        coders,
        tasks: fused.tasks.iter().enumerate().map(|(i, task)| joined(i, task)).collect(),
        channels: channels.map(|task| Channel { batches: task.batches, form: task.form.clone() }).collect(),
        network: nets.map(|hop| hop.name.clone()).collect(),
        keep_bytes,
        emits,
    })
}

/// Task `i` takes from channel `i - 1` and gives to channel `i`.
fn joined(i: usize, task: &Fusing) -> Task {
    Task {
        name: task.names.join(" > "),
        runs: task.runs.unwrap_or(Runs::Async),
        workers: task.workers,
        inlet: task.source.map_or_else(|| Inlet::Channel(i.saturating_sub(1)), Inlet::Source),
        steps: task.steps.clone(),
        outlet: task.sink.map_or(Outlet::Channel(i), Outlet::Sink),
    }
}

fn parts(tasks: &[Fusing]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (i, task) in tasks.iter().enumerate() {
        match parts.last_mut() {
            Some(part) if task.enters.is_none() => part.tasks.end = i + 1,
            _ => parts.push(Part {
                tasks: i..i + 1,
                place: task.place.clone(),
                enters: task.enters.map(|net| net.name().to_owned()),
            }),
        }
    }
    parts
}

/// Where a stage may write dead letters and the source emits no bytes: the chain that makes bytes of what it emits.
fn keep_bytes(draft: &mut Draft<'_>, coders: &mut Vec<Coder>) -> Option<Vec<CoderId>> {
    let emits = draft.stages[0].gives.clone().filter(|form| !form.is::<Bytes>())?;
    let letters: HashSet<usize> = draft.stages.iter().filter_map(|stage| letters_of(draft, stage)).collect();
    if letters.is_empty() {
        return None;
    }
    let bytes = Bytes::form();
    let Ok(chain) = draft.coders.cheapest(&[At::plain(emits.clone())], &bytes) else {
        let writes = draft.stages.iter().filter(|stage| letters_of(draft, stage).is_some());
        let stages: Vec<_> = writes.chain([&draft.stages[0]]).cloned().collect();
        let names: Vec<_> = stages.iter().collect();
        draft.mistakes.of(
            &names,
            format!("dead letters need the original bytes, and no one cheapest chain of coders makes [Bytes] of the source's [{emits}]"),
            format!("register a coder from [{emits}] to [Bytes] for this pipeline by `with`, or choose another error policy"),
        );
        return None;
    };
    Some(
        chain
            .steps
            .into_iter()
            .map(|(coder, _)| {
                coders.push(coder);
                coders.len() - 1
            })
            .collect(),
    )
}

/// The dead letters that a stage may write to.
fn letters_of(draft: &Draft<'_>, stage: &Stage) -> Option<usize> {
    match stage.options.policy.unwrap_or(draft.declaration.policy) {
        Policy::DeadLetter(number) => Some(number),
        Policy::Fail | Policy::Skip => None,
    }
}
