//! What the tasks of a graph do, step by step, in the notation of the phases: `[Bytes]:XML-DECODER:[Node]`.

use millstream_core::contracts::{Across, Kind, Where};
use millstream_core::data::Form;
use millstream_core::plan::{
    Action, Graph, Inlet, Mark, Net, Op, Outlet, Runs, Segment, StageId, StageKind, Step, Task,
};

/// One thing that a task does.
pub(super) struct Done {
    /// What kind of thing: `reads`, `decode`, `filter`, `limit`, …
    pub(super) verb: &'static str,
    /// What: `[Bytes]:XML-DECODER:[Node]`, or the setting of a step.
    pub(super) what: String,
    /// Whether a segment begins here.
    pub(super) begins_segment: bool,
    /// Whether it is in a segment.
    pub(super) in_segment: bool,
}

/// Everything that a task does, in order.
pub(super) fn steps(graph: &Graph, task: &Task) -> Vec<Done> {
    let mut done = Vec::new();
    if let Inlet::Source(id) = task.inlet {
        done.push(one("reads", format!("{}:[{}]", name(graph, id), graph.emits)));
    }
    for step in &task.steps {
        match step {
            Step::Segment(segment) => done.extend(operations(graph, segment)),
            Step::Limit { stage, records } => {
                done.push(one("limit", format!("{records} records of the run {}", whereabouts(graph, *stage))));
            }
            Step::Throttle { stage, rate } => {
                let what = format!("{} records in {:?} {}", rate.records, rate.period, whereabouts(graph, *stage));
                done.push(one("throttle", what));
            }
            Step::Fold { stage, each, every } => {
                done.push(one("fold", format!("{}{}", whole(graph, *stage), triggers(*each, *every))));
            }
            Step::MapAsync { stage, at_once } => {
                done.push(one("map", format!("{}, {at_once} at once", whole(graph, *stage))));
            }
        }
    }
    if let Outlet::Sink(id) = task.outlet {
        done.push(one("writes", whole(graph, id)));
    }
    done
}

fn one(verb: &'static str, what: String) -> Done {
    Done { verb, what, begins_segment: false, in_segment: false }
}

fn name(graph: &Graph, stage: StageId) -> &str {
    graph.stages.get(stage).map_or("?", |stage| stage.name.as_str())
}

/// Steps of a stage stand behind it, those of the sink before it.
fn whereabouts(graph: &Graph, id: StageId) -> String {
    let is_sink = matches!(graph.stages.get(id).map(|stage| &stage.kind), Some(StageKind::Sink(_)));
    format!("{} {}", if is_sink { "before" } else { "behind" }, name(graph, id))
}

/// A stage with what it takes and gives.
fn whole(graph: &Graph, id: StageId) -> String {
    let form = |form: Option<&Form>| form.map_or(String::new(), ToString::to_string);
    let stage = graph.stages.get(id);
    let (takes, gives) = (stage.and_then(|stage| stage.takes.as_ref()), stage.and_then(|stage| stage.gives.as_ref()));
    format!("[{}]:{}:[{}]", form(takes), name(graph, id), form(gives))
}

fn triggers(each: Option<u64>, every: Option<std::time::Duration>) -> String {
    let each = each.map(|each| format!(", each {each} records"));
    let every = every.map(|every| format!(", every {every:?}"));
    let both: String = each.into_iter().chain(every).collect();
    if both.is_empty() { ", at the end".to_owned() } else { both }
}

fn operations(graph: &Graph, segment: &Segment) -> Vec<Done> {
    let inside = |op| Done { in_segment: true, ..operation(graph, segment, op) };
    let mut done: Vec<Done> = segment.ops.iter().map(inside).collect();
    if let Some(first) = done.first_mut() {
        first.begins_segment = true;
    }
    done
}

fn operation(graph: &Graph, segment: &Segment, op: &Op) -> Done {
    let slot = |slot: usize| segment.slots.get(slot).map_or(String::new(), ToString::to_string);
    let stage = name(graph, op.stage);
    match op.action {
        Action::Code { coder, from, to } => {
            let coder = graph.coders.get(coder);
            let verb = coder.map_or("code", |coder| kind(coder.kind));
            let name = coder.map_or("?", |coder| coder.name.as_str());
            one(verb, format!("[{}]:{name}:[{}]", slot(from), slot(to)))
        }
        Action::Look { from } => one("looks", format!("[{}]:{stage}:[{}]", slot(from), slot(from))),
        Action::Make { from, to } => one("makes", format!("[{}]:{stage}:[{}]", slot(from), slot(to))),
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Decode | Kind::WireDecode => "decodes",
        Kind::Encode | Kind::WireEncode => "encodes",
        Kind::Recast => "recasts",
    }
}

/// The mark of a line of a phase.
pub(super) fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::Logical(_) => "logical",
        Mark::NetOut => "net-out",
        Mark::NetIn => "net-in",
        Mark::Decode => "decode",
        Mark::Encode => "encode",
        Mark::Recast => "recast",
        Mark::Kept => "kept",
    }
}

/// Where something runs, in words.
pub(super) fn place(place: &Where) -> String {
    match place {
        Where::Everywhere => "everywhere".to_owned(),
        Where::First => "on the first peer".to_owned(),
        Where::Last => "on the last peer".to_owned(),
        Where::LastJoined => "on the last to join".to_owned(),
        Where::Named(name) => format!("on {name}"),
    }
}

/// A network stage, in words.
pub(super) fn through(net: &Net) -> String {
    match net.across {
        Across::Any => net.name.clone(),
        Across::EventTime { idle } => {
            format!("{} by event time, an origin that has nothing is waited for {idle:?}", net.name)
        }
        Across::FirstRecord => format!("{} by first record, as one fold would emit them", net.name),
    }
}

/// What runs a task, in words.
pub(super) fn runs(task: &Task) -> String {
    match (task.runs, task.workers) {
        (Runs::Async, 1) => "a task".to_owned(),
        (Runs::Thread, 1) => "a thread".to_owned(),
        (Runs::Async, workers) => format!("{workers} tasks, order kept"),
        (Runs::Thread, workers) => format!("{workers} threads, order kept"),
    }
}
