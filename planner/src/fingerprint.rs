//! What a pipeline does, in words that change when it becomes another: two pipelines with the same words may run over the
//! same state.
//!
//! ```text
//! []:FILE:[Bytes] source >> [Node]:PAID:[Bytes] filter >> [Bytes]:STD-OUT:[] sink at LastJoined
//! ```
//!
//! Names, types, kinds, triggers and placement are in it. Addresses and paths are not, nor is what changes only how fast
//! it goes, where a run ends, or what becomes of failed records: whoever mends a policy or adds a worker after a failure
//! goes on over the same state. Of functions that the user gave no name the kind counts and not the line.

use std::fmt::Write as _;

use millstream_core::plan::{Stage, StageKind};

/// The words for these stages.
pub(crate) fn fingerprint(stages: &[Stage]) -> String {
    let words: Vec<String> = stages.iter().map(words).collect();
    words.join(" >> ")
}

fn words(stage: &Stage) -> String {
    let name = if stage.options.named || !is_function(&stage.kind) { stage.name.as_str() } else { "-" };
    let form = |form: &Option<_>| form.as_ref().map_or(String::new(), ToString::to_string);
    let mut words = format!("[{}]:{name}:[{}] {}", form(&stage.takes), form(&stage.gives), kind(&stage.kind));
    let trigger = stage.options.trigger;
    // Writing to a string can't fail.
    if let Some(each) = trigger.each {
        let _ = write!(words, " each {each}");
    }
    if let Some(every) = trigger.every {
        let _ = write!(words, " every {every:?}");
    }
    if let Some(place) = &stage.options.place {
        let _ = write!(words, " at {place:?}");
    }
    words
}

fn is_function(kind: &StageKind) -> bool {
    // A transform of the user's own has a name of its own, and so have connectors and coders.
    let named = matches!(kind, StageKind::FlatMap { looks: false });
    let connects = matches!(kind, StageKind::Source(_) | StageKind::Sink(_) | StageKind::Encode | StageKind::Decode);
    !named && !connects
}

fn kind(kind: &StageKind) -> &'static str {
    match kind {
        StageKind::Source(_) => "source",
        StageKind::Filter => "filter",
        StageKind::Map { .. } => "map",
        StageKind::FlatMap { .. } => "flat map",
        StageKind::MapAsync { .. } => "asynchronous map",
        StageKind::Fold { keyed: false } => "fold",
        StageKind::Fold { keyed: true } => "fold by key",
        StageKind::KeyBy => "key",
        StageKind::Encode => "encode",
        StageKind::Decode => "decode",
        StageKind::Sink(_) => "sink",
    }
}
