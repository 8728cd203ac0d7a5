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
//!
//! Instances that run it together have to agree on more: on what crosses the network, and on where a run ends.
//!
//! ```text
//! []:LIST:[U64] source, limit 9, on First, fails >> [U64]:WIRE-ENCODER:[Bytes] >> [Bytes]:NET-SPLIT:[Bytes] on First >> …
//! ```
//!
//! These words go on through the coders and the network stages, and say of each stage its limit, the bound of its keys,
//! what becomes of its failed records, how its output is merged and where it runs. Each instance may still have its own
//! number of workers, buffers, throttles, retries, addresses and paths.

use std::fmt::Write as _;

use millstream_core::plan::{Policy, Stage, StageKind};

use crate::draft::{Draft, Hop, What};

/// The words for these stages.
pub(crate) fn fingerprint(stages: &[Stage]) -> String {
    let words: Vec<String> = stages.iter().map(words).collect();
    words.join(" >> ")
}

/// The words that instances of this plan have to agree on.
pub(crate) fn agreement(draft: &Draft<'_>) -> String {
    let mut all: Vec<String> = Vec::new();
    for (at, hop) in draft.hops.iter().enumerate() {
        let coders = draft.shown.get(at).into_iter().flatten();
        let form = |form: &Option<String>| form.clone().unwrap_or_default();
        all.extend(coders.map(|line| format!("[{}]:{}:[{}]", form(&line.takes), line.name, form(&line.gives))));
        all.push(agreed(draft, hop));
    }
    let state = if draft.declaration.store.is_some() { "with a state" } else { "without a state" };
    format!("{}; {state}", all.join(" >> "))
}

fn agreed(draft: &Draft<'_>, hop: &Hop) -> String {
    let id = match hop.what {
        What::Declared(id) => id,
        What::Net(_) => {
            let form = hop.takes.as_ref().map_or(String::new(), ToString::to_string);
            return format!("[{form}]:{}:[{form}] on {:?}", hop.name, hop.place);
        }
    };
    let stage = &draft.stages[id];
    let options = &stage.options;
    let limit = options.limit.map(|records| format!(", limit {records}"));
    let keys = options.max_keys.map(|keys| format!(", {keys} keys"));
    let idle = options.merge_by_time.map(|idle| format!(", idle {idle:?}"));
    let extra: String = [limit, keys, idle].into_iter().flatten().collect();
    format!("{}{extra}, on {:?}, {}", words(stage), hop.place, failed(draft, stage))
}

/// What becomes of a stage's failed records.
fn failed(draft: &Draft<'_>, stage: &Stage) -> String {
    match stage.options.policy.unwrap_or(draft.declaration.policy) {
        Policy::Fail => "fails".to_owned(),
        Policy::Skip => "skips".to_owned(),
        Policy::DeadLetter(number) => {
            let sink = draft.declaration.letters.get(number);
            format!("letters to {}", sink.map_or_else(String::new, |sink| sink.traits(false).kind))
        }
    }
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
    if stage.options.merge_by_time.is_some() {
        words += " merged by event time";
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
