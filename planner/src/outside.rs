//! What a pipeline meets outside of it: what it reads, what it writes, and where dead letters go.

use millstream_core::plan::{Does, Outside, Policy, Stage, StageKind};

use crate::draft::Draft;

/// What the source reads, what the sink writes, and where whose dead letters go.
pub(crate) fn outside(draft: &Draft<'_>) -> Vec<Outside> {
    let letters = 0..draft.declaration.letters.len();
    let letters = letters.map(|number| letters_to(draft, number)).filter(|letters| !letters.stages.is_empty());
    draft.stages.iter().filter_map(end).chain(letters).collect()
}

/// What a source or a sink does.
fn end(stage: &Stage) -> Option<Outside> {
    let (does, kind, what) = match &stage.kind {
        StageKind::Source(traits) => (Does::Reads, &traits.kind, &traits.input),
        StageKind::Sink(traits) => (Does::Writes, &traits.kind, &traits.output),
        _ => return None,
    };
    Some(Outside { does, stages: vec![stage.name.clone()], kind: kind.clone(), what: what.clone() })
}

/// Where the dead letters of this number go, and whose they are.
fn letters_to(draft: &Draft<'_>, number: usize) -> Outside {
    let policy = |stage: &&Stage| stage.options.policy.unwrap_or(draft.declaration.policy);
    let theirs = draft.stages.iter().filter(|stage| policy(stage) == Policy::DeadLetter(number));
    let traits = draft.declaration.letters[number].traits(false);
    Outside {
        does: Does::DeadLetters,
        stages: theirs.map(|stage| stage.name.clone()).collect(),
        kind: traits.kind,
        what: traits.output,
    }
}
