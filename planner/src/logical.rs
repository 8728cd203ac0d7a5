//! The first pass: what the builder can't know. Names become unique where the user gave none, because positions,
//! counters and mistakes are told apart by them, and the sink says what it can do in a run with or without a store.

use std::collections::HashSet;

use millstream_core::data::Form;
use millstream_core::plan::{Declaration, Factory, Phase, Stage, StageKind};

use crate::draft::{Draft, Hop, is_source};
use crate::mistake::Gather;

pub(crate) fn run(draft: &mut Draft<'_>) {
    if !is_whole(draft.declaration) {
        draft.mistakes.general(
            "a pipeline is a source, any number of stages that take and give something, and a sink, each with its factory",
            "declare it with the builder, which makes no other",
        );
        draft.broken = true;
        return;
    }
    draft.stages = draft.declaration.stages.clone();
    refresh(draft.declaration, &mut draft.stages);
    pass_forms_on(&mut draft.stages);
    name_apart(&mut draft.stages, &mut draft.mistakes);
    draft.hops = draft.stages.iter().enumerate().map(|(id, stage)| Hop::declared(id, stage)).collect();
    draft.phases.push(phase("Declared pipeline", &draft.hops));
}

/// A phase of these hops.
pub(crate) fn phase(title: &str, hops: &[Hop]) -> Phase {
    Phase { title: title.to_owned(), stages: hops.iter().map(Hop::line).collect() }
}

fn is_whole(declaration: &Declaration) -> bool {
    let (stages, factories) = (&declaration.stages, &declaration.factories);
    let last = stages.len().saturating_sub(1);
    let fits = |(id, (stage, factory)): (usize, (&Stage, &Factory))| {
        let place = match stage.kind {
            StageKind::Source(_) => id == 0,
            StageKind::Sink(_) => id == last,
            _ => id > 0 && id < last,
        };
        place
            && stage.takes.is_some() != is_source(stage)
            && (stage.gives.is_some() || id == last)
            && made(stage, factory)
    };
    stages.len() >= 2 && stages.len() == factories.len() && stages.iter().zip(factories).enumerate().all(fits)
}

/// Whether the factory makes what the stage is.
fn made(stage: &Stage, factory: &Factory) -> bool {
    match stage.kind {
        StageKind::Source(_) => matches!(factory, Factory::Source(_)),
        StageKind::Filter => matches!(factory, Factory::Look(_)),
        StageKind::Map { .. } | StageKind::FlatMap { .. } | StageKind::KeyBy => matches!(factory, Factory::Make(_)),
        StageKind::MapAsync { .. } => matches!(factory, Factory::MakeAsync(_)),
        StageKind::Fold { .. } => matches!(factory, Factory::Fold(_)),
        StageKind::Encode | StageKind::Decode => matches!(factory, Factory::Coder(_)),
        StageKind::Sink(_) => matches!(factory, Factory::Sink(_)),
    }
}

/// The store may have been given after the sink was declared.
fn refresh(declaration: &Declaration, stages: &mut [Stage]) {
    let Some(Factory::Source(source)) = declaration.factories.first() else { return };
    for (stage, factory) in stages.iter_mut().zip(&declaration.factories) {
        if let Factory::Sink(sink) = factory {
            stage.kind = StageKind::Sink(sink.traits(declaration.store.is_some()).behind(&source.traits()));
        }
    }
}

fn pass_forms_on(stages: &mut [Stage]) {
    let mut given: Option<Form> = None;
    for stage in stages {
        if stage.kind.passes_on() {
            stage.gives.clone_from(&given);
        }
        given.clone_from(&stage.gives);
    }
}

fn name_apart(stages: &mut [Stage], mistakes: &mut Gather) {
    let mut taken = HashSet::new();
    for (i, stage) in stages.iter().enumerate().filter(|(_, stage)| stage.options.named) {
        if taken.insert(stage.name.clone()) {
            continue;
        }
        let first = stages[..i].iter().find(|other| other.options.named && other.name == stage.name);
        let line = first.map(|first| first.line.to_string()).unwrap_or_default();
        mistakes.of(
            &[stage],
            format!("the stage declared at {line} has the same name"),
            "give one of them another: positions and counters are kept by name",
        );
    }
    for stage in stages.iter_mut().filter(|stage| !stage.options.named) {
        stage.name = free(&stage.name, &taken);
        taken.insert(stage.name.clone());
    }
}

/// The name, or the first of `name-2`, `name-3`, … that nobody has.
fn free(name: &str, taken: &HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or_default()
}
