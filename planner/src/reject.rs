//! The last pass: it only rejects. What the passes before it could not plan they have named themselves; here is what
//! could be planned and must not run.

use std::path::PathBuf;
use std::time::Duration;

use millstream_core::contracts::{Commits, DynSinkFactory, Ends, NetKind, Places, SourceTraits, Where};
use millstream_core::plan::{Declaration, Factory, Policy, Stage, StageKind};

use crate::draft::{Draft, What, net_name};
use crate::mistake::Gather;
use crate::network::must_be_one;

/// The most bytes of a stage's name that cross between instances.
const MAX_NAME: usize = 1024;

pub(crate) fn run(draft: &mut Draft<'_>) {
    let (declaration, stages) = (draft.declaration, &draft.stages);
    let mistakes = &mut draft.mistakes;
    if draft.instances == 0 {
        mistakes.general("it is planned for 0 instances", "plan it for 1 at least");
    }
    for stage in stages {
        if stage.options.backoff.is_some() && stage.options.retry.is_none() {
            mistakes.of(
                &[stage],
                "a backoff is the wait of retries, and it has none",
                "add `retry`, or leave `backoff` out",
            );
        }
        zeros(stage, mistakes);
        places(stage, mistakes);
        if draft.instances > 1 && stage.name.len() > MAX_NAME {
            let wrong = format!("its name has {} bytes, and at most {MAX_NAME} cross to others", stage.name.len());
            mistakes.of(&[stage], wrong, "give it a shorter one by `named`");
        }
    }
    settings(declaration, stages, mistakes);
    letters(declaration, stages, mistakes);
    if let Some(StageKind::Source(source)) = stages.first().map(|stage| &stage.kind) {
        endless(source, stages, mistakes);
        unreachable(source, stages, mistakes);
        lost_in_a_crash(draft.declaration, source, stages, mistakes);
    }
    read_and_written(declaration, stages, mistakes);
    if declaration.store.is_some() && declaration.name.is_empty() {
        let advice = "name it by `Pipeline::called`, and keep the name over restarts";
        mistakes.general("positions are kept under the pipeline's name, and it has none", advice);
    }
    one_transaction(draft);
    wanted(draft);
    merges(draft);
}

/// What commits a source's positions in one transaction with its data commits those of the member of the group that read
/// them, which is on its own instance.
fn one_transaction(draft: &mut Draft<'_>) {
    let (Some(first), Some(last)) = (draft.stages.first(), draft.stages.last()) else { return };
    let (StageKind::Source(source), StageKind::Sink(sink)) = (&first.kind, &last.kind) else { return };
    let net = draft.hops.iter().find_map(|hop| match hop.what {
        What::Net(net) => Some(net_name(net)),
        What::Declared(_) => None,
    });
    let Some(net) = net.filter(|_| sink.commits_for(source)) else { return };
    let wrong = format!(
        "{} commits the positions of {} in its own transactions, and {net} stands between them: records of one instance \
         would be committed by another",
        last.name, first.name
    );
    let advice =
        "leave out what needs all records in one place (a fold, a limit, a placement), or write without transactions";
    draft.mistakes.of(&[last, first], wrong, advice);
}

/// A file that is read and written in one run is lost. Paths are compared as they are given, made absolute: links to one
/// file are not seen through.
fn read_and_written(declaration: &Declaration, stages: &[Stage], mistakes: &mut Gather) {
    let (Some(Factory::Source(source)), Some(Factory::Sink(sink))) =
        (declaration.factories.first(), declaration.factories.last())
    else {
        return;
    };
    let whole = |path: &PathBuf| std::path::absolute(path).ok();
    let read: Vec<_> = source.reads().iter().filter_map(whole).collect();
    let writes = std::iter::once(sink).chain(&declaration.letters).filter_map(|sink| sink.writes());
    for path in writes.filter(|path| whole(path).is_some_and(|path| read.contains(&path))) {
        let ends: Vec<&Stage> = stages.first().into_iter().chain(stages.last()).collect();
        let wrong = format!("{} is read and written in the same run", path.display());
        mistakes.of(&ends, wrong, "write to another file");
    }
}

/// A source that acknowledges upstream forgets what a sink that is durable only in the end may still lose.
fn lost_in_a_crash(declaration: &Declaration, source: &SourceTraits, stages: &[Stage], mistakes: &mut Gather) {
    let acknowledges = source.keeps_positions || source.commits == Commits::Pessimistic;
    let (Some(first), Some(last), Some(Factory::Sink(sink))) =
        (stages.first(), stages.last(), declaration.factories.last())
    else {
        return;
    };
    if acknowledges && sink.traits(declaration.store.is_some()).durable_at_close {
        let wrong = format!(
            "{} is told that records have arrived while {} puts its output in place only at the end: a crash before that \
             loses them",
            first.name, last.name
        );
        mistakes.of(&[last, first], wrong, "keep positions with the output by `.store(…)`, or append to it");
    }
}

/// Numbers that mean nothing as 0.
fn zeros(stage: &Stage, mistakes: &mut Gather) {
    let options = &stage.options;
    let at_once = match stage.kind {
        StageKind::MapAsync { at_once } => Some(at_once as u64),
        _ => None,
    };
    let throttle = options.throttle;
    let numbers = [
        ("a limit of 0 records lets nothing pass", options.limit, "leave it out, or let 1 record pass at least"),
        ("0 workers run nothing", Some(options.par as u64), "say `par(1)` or more"),
        ("0 workers run no coders", Some(options.coder_par as u64), "say `coder_par(1)` or more"),
        (
            "a buffer for 0 records holds nothing up, it stops",
            options.buffer,
            "leave it out, or let 1 record wait at least",
        ),
        (
            "a throttle of 0 records lets nothing pass",
            throttle.map(|rate| rate.records),
            "let 1 record pass in each period at least",
        ),
        (
            "a throttle's period of no time is no rate",
            throttle.map(|rate| nanos(rate.period)),
            "give a period above zero",
        ),
        ("a trigger after each 0 records never comes to an end", options.trigger.each, "say `trigger_each(1)` or more"),
        ("a trigger after no time never comes to an end", options.trigger.every.map(nanos), "give a period above zero"),
        ("0 at once begins nothing", at_once, "let 1 record be in work at least"),
        ("0 keys leave nothing to fold", options.max_keys.map(|keys| keys as u64), "allow 1 key at least"),
        (
            "0 retries are none",
            options.retry.map(|retry| u64::from(retry.times)),
            "leave `retry` out, or say `retry(1)` or more",
        ),
    ];
    for (wrong, _, advice) in numbers.into_iter().filter(|(_, number, _)| *number == Some(0)) {
        mistakes.of(&[stage], wrong, advice);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Places that can't be.
fn places(stage: &Stage, mistakes: &mut Gather) {
    match (&stage.options.place, &stage.kind) {
        (Some(Where::Everywhere), StageKind::Source(SourceTraits { places: Places::Exclusive(_), .. })) => mistakes.of(
            &[stage],
            "it is placed everywhere, and reads input that belongs to one instance: each would read its own",
            "leave the placement out, or name the instance",
        ),
        (Some(Where::Everywhere), kind) if !matches!(kind, StageKind::Source(_)) => {
            if let Some(why) = must_be_one(stage) {
                let wrong = format!("it is placed everywhere, and has to run on one instance: {why}");
                mistakes.of(&[stage], wrong, "leave the placement out, or name an instance");
            }
        }
        (Some(Where::Named(name)), _) if name.is_empty() => {
            mistakes.of(&[stage], "it is placed on a peer without a name", "give the peer's name");
        }
        _ => {}
    }
}

/// What connectors say of their own settings, and what was found while declaring.
fn settings(declaration: &Declaration, stages: &[Stage], mistakes: &mut Gather) {
    for (stage, factory) in stages.iter().zip(&declaration.factories) {
        let wrong = match factory {
            Factory::Source(source) => source.check(),
            Factory::Sink(sink) => sink.check(),
            _ => Vec::new(),
        };
        wrong.into_iter().for_each(|wrong| mistakes.setting(&[stage], wrong));
    }
    declaration.mistakes.iter().for_each(|mistake| mistakes.put(mistake.clone()));
}

fn letters(declaration: &Declaration, stages: &[Stage], mistakes: &mut Gather) {
    let writes = |number| {
        let policy =
            move |stage: &&Stage| stage.options.policy.unwrap_or(declaration.policy) == Policy::DeadLetter(number);
        stages.iter().filter(policy).collect::<Vec<_>>()
    };
    for (number, sink) in declaration.letters.iter().enumerate() {
        letter(&**sink, &writes(number), mistakes);
    }
    for stage in stages {
        if let Policy::DeadLetter(number) = stage.options.policy.unwrap_or(declaration.policy)
            && number >= declaration.letters.len()
        {
            mistakes.of(&[stage], "its dead letters have no destination", "declare the policy by the builder");
        }
    }
}

fn letter(sink: &dyn DynSinkFactory, writers: &[&Stage], mistakes: &mut Gather) {
    let kind = sink.traits(false).kind;
    let letters = sink.letters();
    if sink.form() != *letters.form() {
        mistakes.of(
            writers,
            format!("dead letters are [{}], and {kind} takes [{}]", letters.form(), sink.form()),
            "declare them by `OnError::dead_letter`, which takes what dead letters can become",
        );
    }
    if sink.traits(false).durable_at_close {
        mistakes.of(
            writers,
            format!("dead letters have to be there before their records settle, and {kind} puts its output in place only at the end, in place of what was there"),
            "give `dead_letter` a sink that appends",
        );
    }
    for wrong in sink.check() {
        mistakes.setting(writers, format!("dead letters to {kind}: {wrong}"));
    }
}

/// A fold without a trigger emits at the end, which has to come: by itself, or by a limit before it. Its own limit
/// counts what it emits.
fn endless(source: &SourceTraits, stages: &[Stage], mistakes: &mut Gather) {
    let ends = stages.iter().position(|stage| stage.options.limit.is_some()).unwrap_or(stages.len());
    let waits = |stage: &&Stage| matches!(stage.kind, StageKind::Fold { .. }) && !stage.options.trigger.is_set();
    if source.ends == Ends::Bounded {
        return;
    }
    for fold in stages.iter().take(ends.saturating_add(1)).filter(waits) {
        mistakes.of(
            &[&stages[0], fold],
            "it emits at the end, and its input never ends",
            "say when it emits by `trigger_each` or `trigger_every`, or limit what comes before it",
        );
    }
}

/// A count that a fold's trigger waits for must be able to come together. What a fold has taken in is absorbed, which
/// frees the bound on records in flight, so only what the server lets be unacknowledged counts. A sink is flushed at
/// commits too, so its trigger never waits.
fn unreachable(source: &SourceTraits, stages: &[Stage], mistakes: &mut Gather) {
    let Some(most) = source.unacknowledged else { return };
    // How many records of the source a row stands for, at least, as far as that can be known.
    let mut each_row = 1u64;
    for stage in stages {
        let keyed = match stage.kind {
            StageKind::FlatMap { .. } => return,
            StageKind::Fold { keyed } => keyed,
            _ => continue,
        };
        let Some(each) = stage.options.trigger.each else { return };
        let needed = each.saturating_mul(each_row);
        if needed > most {
            return never_comes(&stages[0], stage, (needed, most, most / each_row), mistakes);
        }
        if keyed || stage.options.trigger.every.is_some() {
            return;
        }
        each_row = needed.max(1);
    }
}

fn never_comes(source: &Stage, fold: &Stage, (needed, most, each): (u64, u64, u64), mistakes: &mut Gather) {
    mistakes.of(
        &[source, fold],
        format!("its trigger waits for {needed} records, and the source may have {most} unacknowledged"),
        format!("trigger after {each} records at most, or let the source have more unacknowledged"),
    );
}

/// A guarantee that the pipeline can't give: a mistake for each way out.
fn wanted(draft: &mut Draft<'_>) {
    let (Some(wants), Some(promise)) = (draft.declaration.wants, &draft.promise) else { return };
    let [first, .., last] = &draft.stages[..] else { return };
    if wants <= promise.guarantee {
        return;
    }
    let has = promise.guarantee;
    let mut outs: Vec<&str> = Vec::new();
    for out in draft.obstacles.iter().map(|obstacle| obstacle.out) {
        if !outs.contains(&out) {
            outs.push(out);
        }
    }
    for out in outs {
        let those = draft.obstacles.iter().filter(|obstacle| obstacle.out == out);
        let whys: Vec<&str> = those.map(|obstacle| obstacle.why.as_str()).collect();
        draft.mistakes.of(
            &[first, last],
            format!("{wants} is asked for, and what this pipeline has is {has}: {}", whys.join("; ")),
            format!("{out}, or ask for no more than {has}"),
        );
    }
}

/// A merge by event time where nothing is merged, or that waits for nobody.
fn merges(draft: &mut Draft<'_>) {
    for hop in 0..draft.hops.len() {
        let What::Declared(id) = draft.hops[hop].what else { continue };
        let stage = &draft.stages[id];
        let Some(idle) = stage.options.merge_by_time else { continue };
        if idle.is_zero() {
            draft.mistakes.of(
                &[stage],
                "a merge by event time that waits for no time has nothing to compare",
                "say how long it waits for an origin that has nothing, such as `Duration::from_secs(5)`",
            );
        }
        let (wrong, advice) = match draft.hops.get(hop + 1).map(|next| next.what) {
            Some(What::Net(NetKind::MergeSort)) => continue,
            _ if draft.instances < 2 => continue,
            Some(What::Net(NetKind::Merge)) => (
                "its output is to be merged by event time, and comes together in any order: no stage behind it cares",
                "leave `merge_by_event_time` out, or write to a sink that cares for order",
            ),
            _ => (
                "its output is to be merged by event time, and nothing is merged behind it",
                "say `merge_by_event_time` behind the stage before the merge, or leave it out",
            ),
        };
        draft.mistakes.of(&[stage], wrong, advice);
    }
}
