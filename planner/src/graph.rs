//! The fifth pass: tasks joined by bounded channels, the parts that network stages cut them into, and the coders that
//! dead letters need.

use millstream_core::contracts::Coder;
use millstream_core::data::{Bytes, Data, Form};
use millstream_core::plan::{
    Channel, Graph, Inlet, KeepBytes, Net, Outlet, Part, Policy, Runs, Stage, StageKind, Task,
};

use crate::draft::{Draft, What, net_name};
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

fn graph(draft: &Draft<'_>, fused: &Fused, coders: Vec<Coder>, keep_bytes: Vec<KeepBytes>) -> Option<Graph> {
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
                enters: task.enters.map(|(kind, across)| Net { name: net_name(kind).to_owned(), kind, across }),
            }),
        }
    }
    parts
}

/// For each origin (the source, each fold) whose records a stage may write dead letters of: the chain that makes bytes
/// of what it emits. A source of bytes keeps those anyway.
fn keep_bytes(draft: &mut Draft<'_>, coders: &mut Vec<Coder>) -> Vec<KeepBytes> {
    let is_origin = |id: usize| matches!(draft.stages[id].kind, StageKind::Source(_) | StageKind::Fold { .. });
    let origins: Vec<usize> = (0..draft.stages.len()).filter(|&id| is_origin(id)).collect();
    let ends = origins.iter().skip(1).copied().chain([draft.stages.len() - 1]).collect::<Vec<_>>();
    let mut kept = Vec::new();
    for (&origin, end) in origins.iter().zip(ends) {
        // A fold's own failures are of what it takes in; a source's are of what it emits.
        let first = if origin == 0 { 0 } else { origin + 1 };
        let writes: Vec<Stage> =
            draft.stages[first..=end].iter().filter(|stage| letters_of(draft, stage).is_some()).cloned().collect();
        let Some(emits) = draft.stages[origin].gives.clone() else { continue };
        if writes.is_empty() || (origin == 0 && emits.is::<Bytes>()) {
            continue;
        }
        match chain_to_bytes(draft, origin, &emits, &writes) {
            Some(chain) => {
                let known = coders.len();
                coders.extend(chain);
                let originals = writes.iter().any(|stage| wants_originals(draft, stage));
                kept.push(KeepBytes { stage: origin, coders: (known..coders.len()).collect(), originals });
            }
            None => continue,
        }
    }
    kept
}

fn chain_to_bytes(draft: &mut Draft<'_>, origin: usize, emits: &Form, writes: &[Stage]) -> Option<Vec<Coder>> {
    if emits.is::<Bytes>() {
        return Some(Vec::new());
    }
    if let Ok(chain) = draft.coders.cheapest(&[At::plain(emits.clone())], &Bytes::form()) {
        return Some(chain.steps.into_iter().map(|(coder, _)| coder).collect());
    }
    let from = draft.stages[origin].clone();
    let stages: Vec<&Stage> = writes.iter().chain([&from]).collect();
    draft.mistakes.of(
        &stages,
        format!(
            "dead letters need bytes, and no one cheapest chain of coders makes [Bytes] of the [{emits}] of {}",
            from.name
        ),
        format!(
            "register a coder from [{emits}] to [Bytes] for this pipeline by `with`, or choose another error policy"
        ),
    );
    None
}

/// Whether the dead letters of a stage are more than bytes.
fn wants_originals(draft: &Draft<'_>, stage: &Stage) -> bool {
    let sink = letters_of(draft, stage).and_then(|number| draft.declaration.letters.get(number));
    sink.is_some_and(|sink| !sink.letters().form().is::<Bytes>())
}

/// The dead letters that a stage may write to.
fn letters_of(draft: &Draft<'_>, stage: &Stage) -> Option<usize> {
    match stage.options.policy.unwrap_or(draft.declaration.policy) {
        Policy::DeadLetter(number) => Some(number),
        Policy::Fail | Policy::Skip => None,
    }
}
