//! The sixth pass: which delivery guarantee the pipeline has, and why.
//!
//! What stands in the way of exactly-once is gathered, each as half a sentence with a way out; if nothing does, it holds.
//! What a source can't read again is worse: then nothing is promised beyond the run.

use millstream_core::contracts::{Active, Commits, NetKind, Places, SinkTraits, SourceTraits, Where};
use millstream_core::plan::{Factory, Guarantee, Promise, Stage, StageKind};

use crate::draft::{Draft, Hop, What, net_name};

/// What stands in the way of a better guarantee.
pub(crate) struct Obstacle {
    /// What it is, as half a sentence.
    pub(crate) why: String,
    /// What to do about it.
    pub(crate) out: &'static str,
}

const STORE: &str = "keep positions by `.store(…)`";
const SAME: &str = "name the server in the same words for both, if it is the same";
const OTHER_SINK: &str = "write to a sink that stores positions with its data";
const OTHER_SOURCE: &str = "read from a source that can be resumed from a position";
const GATHER: &str = "place the sink on one instance, such as `.place(Where::Last)`, so that a merge stands before it";
const STAY: &str = "place the sink on the same instance every time, such as `.place(Where::Last)`";

pub(crate) fn run(draft: &mut Draft<'_>) {
    let (Some(first), Some(last)) = (draft.stages.first(), draft.stages.last()) else { return };
    let (StageKind::Source(source), StageKind::Sink(sink)) = (&first.kind, &last.kind) else { return };
    let (guarantee, obstacles) = if source.commits == Commits::None {
        (Guarantee::WhileRunning, vec![unreadable(first)])
    } else {
        let all = in_the_way(draft, source, sink);
        (if all.is_empty() { Guarantee::ExactlyOnce } else { Guarantee::AtLeastOnce }, all)
    };
    let reason = if obstacles.is_empty() { holds(draft, (first, source), (last, sink)) } else { reasons(&obstacles) };
    draft.promise = Some(Promise { guarantee, reason });
    draft.obstacles = obstacles;
}

fn reasons(obstacles: &[Obstacle]) -> String {
    obstacles.iter().map(|obstacle| obstacle.why.as_str()).collect::<Vec<_>>().join("; ")
}

/// Why nothing is lost and nothing comes twice.
fn holds(draft: &Draft<'_>, (first, source): (&Stage, &SourceTraits), (last, sink): (&Stage, &SinkTraits)) -> String {
    if sink.commits_for(source) {
        return format!("{} commits the positions of {} in one transaction with its data", last.name, first.name);
    }
    let shared = match source.places {
        Places::Everywhere(Active::Each) => format!(", as long as no other program gets a share of {}", first.name),
        _ => String::new(),
    };
    let stores = format!("{} stores the positions of {} together with its data", last.name, first.name);
    match last_net(draft) {
        Some(net @ (NetKind::MergeSort | NetKind::Merge)) => {
            format!("{stores}, and {} lets one copy of each record pass{shared}", net_name(net))
        }
        _ => format!("{stores}{shared}"),
    }
}

fn in_the_way(draft: &Draft<'_>, source: &SourceTraits, sink: &SinkTraits) -> Vec<Obstacle> {
    let all = [
        its_own_words(draft, sink),
        at_another_server(draft, source, sink),
        not_kept(draft, source, sink),
        one_by_one(draft, source),
        given_again(draft, source),
        state_lost(draft),
        moves(draft, sink),
        dealt_anew(draft),
    ];
    all.into_iter().flatten().collect()
}

fn unreadable(first: &Stage) -> Obstacle {
    Obstacle { why: format!("what {} has read can't be read again", first.name), out: OTHER_SOURCE }
}

fn its_own_words(draft: &Draft<'_>, sink: &SinkTraits) -> Option<Obstacle> {
    let would = match draft.declaration.factories.last() {
        Some(Factory::Sink(sink)) => sink.traits(true).transactional.is_ok(),
        _ => false,
    };
    let out = if would { STORE } else { OTHER_SINK };
    sink.transactional.clone().err().map(|why| Obstacle { why, out })
}

/// The sink could commit the positions that the source's server keeps, if it were the same.
fn at_another_server(draft: &Draft<'_>, source: &SourceTraits, sink: &SinkTraits) -> Option<Obstacle> {
    let (Some(kept), Some(at)) = (&source.server, &sink.commits_at) else { return None };
    let [first, last] = [&draft.stages.first()?.name, &draft.stages.last()?.name];
    let why = format!("the positions of {first} are kept by `{kept}`, and {last} commits at `{at}`");
    (sink.transactional.is_err() && kept != at).then_some(Obstacle { why, out: SAME })
}

/// Positions are kept by the source's server or by the store; the sink can keep them only if there is a store.
fn not_kept(draft: &Draft<'_>, source: &SourceTraits, sink: &SinkTraits) -> Option<Obstacle> {
    let why = match (&draft.declaration.store, source.keeps_positions) {
        (Some(_), _) => None,
        (None, false) => Some("no state folder: a restart begins from the start"),
        (None, true) => (sink.transactional.is_ok() && !sink.commits_for(source))
            .then_some("positions are kept by the source's server and not with the data: there is no state folder"),
    };
    why.map(|why| Obstacle { why: why.to_owned(), out: STORE })
}

fn one_by_one(draft: &Draft<'_>, source: &SourceTraits) -> Option<Obstacle> {
    let name = &draft.stages.first()?.name;
    let why = format!("{name} acknowledges each record by itself, so it can't be resumed from a position");
    (source.commits == Commits::Pessimistic).then_some(Obstacle { why, out: OTHER_SOURCE })
}

/// What is in the sink and was not acknowledged comes again as a new record.
fn given_again(draft: &Draft<'_>, source: &SourceTraits) -> Option<Obstacle> {
    let name = &draft.stages.first()?.name;
    let why = format!(
        "what {name} has not acknowledged when it ends is given to it again, and can't be told from what is new"
    );
    (!source.resumable && source.commits == Commits::Optimistic).then_some(Obstacle { why, out: OTHER_SOURCE })
}

/// On one instance a fold without a trigger takes everything in again after a restart, because nothing is committed before
/// the end. Among several it is lost with its instance while the others, and the sink, go on.
fn state_lost(draft: &Draft<'_>) -> Option<Obstacle> {
    let is_fold = |stage: &&Stage| matches!(stage.kind, StageKind::Fold { .. });
    let mut folds = draft.stages.iter().filter(is_fold).peekable();
    folds.peek()?;
    if folds.any(|fold| fold.options.trigger.is_set()) {
        let why = "a fold's state starts afresh after a restart".to_owned();
        return Some(Obstacle { why, out: "leave the fold or its trigger out" });
    }
    let why = "a fold's state is lost with its instance, and what others had passed on by then stays".to_owned();
    (draft.instances > 1).then_some(Obstacle { why, out: "leave the fold out, or run the pipeline on one instance" })
}

/// A sink whose state is on its instance's disk has to run there every time.
fn moves(draft: &Draft<'_>, sink: &SinkTraits) -> Option<Obstacle> {
    let Hop { name, place, .. } = draft.hops.last()?;
    if draft.instances < 2 || !sink.local_state {
        return None;
    }
    let why = match place {
        Where::First | Where::Last | Where::Named(_) => return None,
        Where::LastJoined => {
            format!("{name} keeps its state on one instance's disk, and may run on another after a restart")
        }
        Where::Everywhere => {
            format!("{name} keeps its state on each instance's disk, and a record may reach another after a restart")
        }
    };
    Some(Obstacle { why, out: STAY })
}

/// With no merge behind a split nobody sees that a record has arrived before.
fn dealt_anew(draft: &Draft<'_>) -> Option<Obstacle> {
    let why = match last_net(draft)? {
        NetKind::Split => "what a lost instance had in work is dealt anew, and no merge sees what of it had arrived",
        NetKind::SplitByKey => {
            "what a lost instance had taken in is read again, and no merge sees what of it had arrived"
        }
        NetKind::MergeSort | NetKind::Merge => return None,
    };
    Some(Obstacle { why: why.to_owned(), out: GATHER })
}

/// The last network stage.
fn last_net(draft: &Draft<'_>) -> Option<NetKind> {
    draft.hops.iter().rev().find_map(|hop| match hop.what {
        What::Net(net) => Some(net),
        What::Declared(_) => None,
    })
}
