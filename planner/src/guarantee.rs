//! The sixth pass: which delivery guarantee the pipeline has, and why.
//!
//! What stands in the way of exactly-once is gathered, each as half a sentence; if nothing does, it holds. What a source
//! can't read again is worse: then nothing is promised beyond the run.

use millstream_core::contracts::{Commits, SinkTraits, SourceTraits, Where};
use millstream_core::plan::{Guarantee, Promise, Stage, StageKind};

use crate::draft::{Draft, Net, What};

pub(crate) fn run(draft: &mut Draft<'_>) {
    let (Some(first), Some(last)) = (draft.stages.first(), draft.stages.last()) else { return };
    let (StageKind::Source(source), StageKind::Sink(sink)) = (&first.kind, &last.kind) else { return };
    draft.promise = Some(if source.commits == Commits::None {
        let reason = format!("what {} has read can't be read again", first.name);
        Promise { guarantee: Guarantee::WhileRunning, reason }
    } else {
        promise(draft, source, sink)
    });
}

fn promise(draft: &Draft<'_>, source: &SourceTraits, sink: &SinkTraits) -> Promise {
    let in_the_way: Vec<String> = [
        its_own_words(sink),
        not_kept(draft, source),
        one_by_one(draft, source),
        state_lost(&draft.stages),
        moves(draft, sink),
        dealt_anew(draft),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (&in_the_way[..], &draft.stages[..]) {
        ([], [first, .., last]) => Promise {
            guarantee: Guarantee::ExactlyOnce,
            reason: format!("{} stores the positions of {} together with its data", last.name, first.name),
        },
        (reasons, _) => Promise { guarantee: Guarantee::AtLeastOnce, reason: reasons.join("; ") },
    }
}

fn its_own_words(sink: &SinkTraits) -> Option<String> {
    sink.transactional.clone().err()
}

/// Positions are kept by the source's server or by the store; the sink can keep them only if there is a store.
fn not_kept(draft: &Draft<'_>, source: &SourceTraits) -> Option<String> {
    match (&draft.declaration.store, source.keeps_positions) {
        (Some(_), _) => None,
        (None, false) => Some("no state folder: a restart begins from the start".to_owned()),
        (None, true) => {
            let sink = draft.stages.last()?;
            let StageKind::Sink(traits) = &sink.kind else { return None };
            let words = "positions are kept by the source's server and not with the data: there is no state folder";
            traits.transactional.is_ok().then(|| words.to_owned())
        }
    }
}

fn one_by_one(draft: &Draft<'_>, source: &SourceTraits) -> Option<String> {
    let name = &draft.stages.first()?.name;
    (source.commits == Commits::Pessimistic)
        .then(|| format!("{name} acknowledges each record by itself, so it can't be resumed from a position"))
}

/// Without a trigger nothing is committed before the end, so that a restart reads all of it again.
fn state_lost(stages: &[Stage]) -> Option<String> {
    let loses = |stage: &Stage| matches!(stage.kind, StageKind::Fold { .. }) && stage.options.trigger.is_set();
    stages.iter().any(loses).then(|| "a fold's state starts afresh after a restart".to_owned())
}

/// A sink whose state is on its instance's disk has to run there every time.
fn moves(draft: &Draft<'_>, sink: &SinkTraits) -> Option<String> {
    let hop = draft.hops.last()?;
    let stable = matches!(hop.place, Where::First | Where::Last | Where::Named(_));
    let moves = draft.instances > 1 && sink.local_state && !stable;
    moves
        .then(|| format!("{} keeps its state on one instance's disk, and may run on another after a restart", hop.name))
}

/// With no merge behind a split nobody sees that a batch that was dealt anew has arrived before.
fn dealt_anew(draft: &Draft<'_>) -> Option<String> {
    let mut nets = draft.hops.iter().rev().filter_map(|hop| match hop.what {
        What::Net(net) => Some(net),
        What::Declared(_) => None,
    });
    let last = nets.next()?;
    matches!(last, Net::Split | Net::SplitByKey)
        .then(|| "what a lost instance had in work is dealt anew, and no merge sees what of it had arrived".to_owned())
}
