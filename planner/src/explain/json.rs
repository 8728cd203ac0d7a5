//! A plan as JSON. The schema, where `T?` may be null and `[T]` is an array:
//!
//! ```text
//! plan    { version: 1, name, instances, fingerprint, agreement, phases: [phase], running: [part], dropped: [string],
//!           located: [located], outside: [outside], guarantee: { guarantee, reason, sentence, losses: [string] } }
//! phase   { title, stages: [{ name, takes?, gives?, mark, number? }] }
//! part    { place, enters?, net: { kind, by_event_time: { idle_ms }? }?, tasks: [task] }
//! task    { number, name, runs: "async" | "thread", workers, takes: { form, batches }?, steps: [step], gives_to? }
//! step    { verb, what, segment }
//! located { stage, place, why, workers }
//! outside { does, stages: [string], kind, what }
//! ```
//!
//! Types are names. `mark` is one of `logical`, `net-out`, `net-in`, `decode`, `encode`, `recast`, `kept`; `number` is
//! the stage's, from 1, if it was declared. `place` is `everywhere`, `first`, `last`, `last-joined` or `named:NAME`.
//! A net's `kind` is `split`, `split-by-key`, `merge-sort` or `merge`. `does` is `reads`, `writes` or `dead-letters`.
//! `guarantee` is `while-running`, `at-least-once` or `exactly-once`. Tasks are numbered from 1; `segment` counts the
//! segments of a task from 1 and is null for steps that are in none. Fields may be added within a version.

use millstream_core::contracts::{Across, NetKind, Where};
use millstream_core::plan::{
    Does, Guarantee, Inlet, Mark, Net, Outlet, Outside, Part, Phase, PhaseStage, Plan, Runs, Task,
};
use serde_json::{Value, json};

use super::losses::losses;
use super::steps::{Done, mark, steps};

/// The plan as JSON, indented, without a line end. `docs/plan-json.md` explains every field.
pub fn json(plan: &Plan) -> String {
    format!("{:#}", value(plan))
}

fn value(plan: &Plan) -> Value {
    json!({
        "version": 1,
        "name": plan.name,
        "instances": plan.instances,
        "fingerprint": plan.fingerprint,
        "agreement": plan.agreement,
        "phases": plan.phases.iter().map(phase).collect::<Vec<_>>(),
        "running": plan.parts.iter().map(|one| part(plan, one)).collect::<Vec<_>>(),
        "dropped": plan.dropped,
        "located": plan.located.iter().map(|located| json!({
            "stage": located.stage,
            "place": place(&located.place),
            "why": located.why,
            "workers": located.workers,
        })).collect::<Vec<_>>(),
        "outside": plan.outside.iter().map(outside).collect::<Vec<_>>(),
        "guarantee": {
            "guarantee": guarantee(plan.promise.guarantee),
            "reason": plan.promise.reason,
            "sentence": plan.promise.to_string(),
            "losses": losses(plan),
        },
    })
}

fn phase(phase: &Phase) -> Value {
    json!({ "title": phase.title, "stages": phase.stages.iter().map(stage).collect::<Vec<_>>() })
}

fn stage(stage: &PhaseStage) -> Value {
    let number = match stage.mark {
        Mark::Logical(number) => Some(number),
        _ => None,
    };
    json!({
        "name": stage.name,
        "takes": stage.takes,
        "gives": stage.gives,
        "mark": mark(stage.mark),
        "number": number,
    })
}

fn part(plan: &Plan, part: &Part) -> Value {
    let tasks = plan.graph.tasks.iter().enumerate().filter(|(i, _)| part.tasks.contains(i));
    json!({
        "place": place(&part.place),
        "enters": part.enters.as_ref().map(|net| net.name.as_str()),
        "net": part.enters.as_ref().map(net),
        "tasks": tasks.map(|(i, one)| task(plan, i, one)).collect::<Vec<_>>(),
    })
}

fn net(net: &Net) -> Value {
    json!({
        "kind": match net.kind {
            NetKind::Split => "split",
            NetKind::SplitByKey => "split-by-key",
            NetKind::MergeSort => "merge-sort",
            NetKind::Merge => "merge",
        },
        "by_event_time": match net.across {
            Across::EventTime { idle } => json!({ "idle_ms": idle.as_millis() as u64 }),
            Across::Any | Across::FirstRecord => Value::Null,
        },
        "by_first_record": net.across == Across::FirstRecord,
    })
}

fn task(plan: &Plan, number: usize, task: &Task) -> Value {
    let channel = match task.inlet {
        Inlet::Channel(channel) => plan.graph.channels.get(channel),
        Inlet::Source(_) => None,
    };
    let gives_to = match task.outlet {
        Outlet::Channel(_) => Some(number + 2),
        Outlet::Sink(_) => None,
    };
    json!({
        "number": number + 1,
        "name": task.name,
        "runs": match task.runs { Runs::Async => "async", Runs::Thread => "thread" },
        "workers": task.workers,
        "takes": channel.map(|channel| json!({ "form": channel.form.name(), "batches": channel.batches })),
        "steps": numbered(&steps(&plan.graph, task)),
        "gives_to": gives_to,
    })
}

fn numbered(steps: &[Done]) -> Vec<Value> {
    let mut segments = 0;
    let number = |step: &Done| {
        segments += usize::from(step.begins_segment);
        let segment = step.in_segment.then_some(segments);
        json!({ "verb": step.verb, "what": step.what, "segment": segment })
    };
    steps.iter().map(number).collect()
}

fn outside(outside: &Outside) -> Value {
    json!({
        "does": match outside.does {
            Does::Reads => "reads",
            Does::Writes => "writes",
            Does::DeadLetters => "dead-letters",
        },
        "stages": outside.stages,
        "kind": outside.kind,
        "what": outside.what,
    })
}

fn place(place: &Where) -> String {
    match place {
        Where::Everywhere => "everywhere".to_owned(),
        Where::First => "first".to_owned(),
        Where::Last => "last".to_owned(),
        Where::LastJoined => "last-joined".to_owned(),
        Where::Named(name) => format!("named:{name}"),
    }
}

fn guarantee(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::WhileRunning => "while-running",
        Guarantee::AtLeastOnce => "at-least-once",
        Guarantee::ExactlyOnce => "exactly-once",
    }
}
