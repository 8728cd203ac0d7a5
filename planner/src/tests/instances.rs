//! What may and may not be on several instances, what the plan says of it, and what the instances have to agree on.

use std::time::Duration;

use insta::assert_snapshot;
use millstream_core::contracts::{Across, Commits, NetKind, Where};
use millstream_core::data::Kv;
use millstream_core::declare::{OnError, Pipeline};
use millstream_core::plan::Guarantee;

use super::doubles::{
    Alien, Folder, Node, Order, Wire, collect, database, file, list, queue, stdout, to_file, topic, wire,
};
use super::{Show, check, planned};

const IDLE: Duration = Duration::from_secs(5);

fn promise(pipeline: &Pipeline) -> String {
    check(Show::Guarantee, 3, pipeline)
}

fn exactly(pipeline: Pipeline) -> String {
    promise(&pipeline.store(Folder).require(Guarantee::ExactlyOnce))
}

#[test]
fn a_merge_by_event_time_is_told_with_its_wait() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("F").merge_by_event_time(IDLE);
    let pipeline = pipeline.sink(stdout());
    assert_snapshot!(check(Show::Running, 3, &pipeline), @"
    1. KAFKA: a task, everywhere
         reads    KAFKA:[Bytes]
         gives    to 2
    2. F: a thread, everywhere
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:F:[Node]
         gives    to 3
    3. STD-OUT: a task, on the last to join
         takes    [Bytes], 4 batches waiting at most, through NET-MERGE-SORT by event time, an origin that has nothing is waited for 5s
         writes   [Bytes]:STD-OUT:[]
    XML-ENCODER before NET-MERGE-SORT is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
    let plan = planned(3, &pipeline);
    let net = plan.parts[1].enters.clone().expect("it stands behind a merge");
    assert_eq!((net.kind, net.across), (NetKind::MergeSort, Across::EventTime { idle: IDLE }));
}

#[test]
fn a_source_may_be_merged_by_event_time_itself() {
    let plan = planned(3, &Pipeline::source(topic()).merge_by_event_time(IDLE).sink(stdout()));
    assert_eq!(plan.parts[1].enters.as_ref().map(|net| net.across), Some(Across::EventTime { idle: IDLE }));
}

#[test]
fn on_one_instance_there_is_nothing_to_merge_and_the_plan_says_so() {
    let pipeline = Pipeline::source(topic()).filter(|_: &[u8]| true).named("F").merge_by_event_time(IDLE);
    assert_snapshot!(check(Show::Running, 1, &pipeline.sink(stdout())), @"
    1. KAFKA > F > STD-OUT: a task
         reads    KAFKA:[Bytes]
         looks    [Bytes]:F:[Bytes]
         writes   [Bytes]:STD-OUT:[]
    the merge by event time behind F is left out: one instance, nothing to merge
    ");
}

#[test]
fn a_merge_by_event_time_where_nothing_is_merged_is_a_mistake() {
    let two = Pipeline::source(topic()).merge_by_event_time(IDLE).filter(|_: &Node| true).named("F");
    assert_snapshot!(promise(&two.sink(stdout())), @"here: KAFKA: its output is to be merged by event time, and nothing is merged behind it; say `merge_by_event_time` behind the stage before the merge, or leave it out");
    let none = Pipeline::source(topic()).filter(|_: &Node| true).named("F").merge_by_event_time(IDLE);
    assert_snapshot!(promise(&none.sink(database())), @"here: F: its output is to be merged by event time, and nothing is merged behind it; say `merge_by_event_time` behind the stage before the merge, or leave it out");
    let split = Pipeline::source(file()).merge_by_event_time(IDLE).sink(database());
    assert_snapshot!(promise(&split), @"here: FILE: its output is to be merged by event time, and nothing is merged behind it; say `merge_by_event_time` behind the stage before the merge, or leave it out");
    let any_order = Pipeline::source(topic()).merge_by_event_time(IDLE).sink(database()).place(Where::First);
    assert_snapshot!(promise(&any_order), @"here: KAFKA: its output is to be merged by event time, and comes together in any order: no stage behind it cares; leave `merge_by_event_time` out, or write to a sink that cares for order");
}

#[test]
fn a_merge_by_event_time_that_waits_for_no_time_is_a_mistake() {
    let pipeline = || Pipeline::source(topic()).merge_by_event_time(Duration::ZERO).sink(stdout());
    assert_snapshot!(promise(&pipeline()), @"here: KAFKA: a merge by event time that waits for no time has nothing to compare; say how long it waits for an origin that has nothing, such as `Duration::from_secs(5)`");
    assert_snapshot!(check(Show::Guarantee, 1, &pipeline()), @"here: KAFKA: a merge by event time that waits for no time has nothing to compare; say how long it waits for an origin that has nothing, such as `Duration::from_secs(5)`");
}

#[test]
fn a_merge_into_a_sink_that_keeps_positions_on_a_stable_instance_is_exactly_once() {
    assert_snapshot!(exactly(Pipeline::source(file()).filter(|_: &Node| true).named("F").sink(to_file())), @"
    exactly-once: TO-FILE stores the positions of FILE together with its data, and NET-MERGE-SORT lets one copy of each record pass
    While the instance of FILE is lost nothing is read: reading goes on behind what TO-FILE holds.
    What an instance that is lost had in work behind NET-SPLIT is dealt anew, and NET-MERGE-SORT lets one copy of each record pass.
    While the instance of NET-MERGE-SORT is lost all wait for it.
    ");
    assert_snapshot!(exactly(Pipeline::source(topic()).sink(to_file()).place(Where::Named("disk".to_owned()))), @"
    exactly-once: TO-FILE stores the positions of KAFKA together with its data, and NET-MERGE-SORT lets one copy of each record pass, as long as no other program gets a share of KAFKA
    If an instance is lost, its part of KAFKA waits for it, or for whom the broker gives it to: reading goes on behind what TO-FILE holds.
    While the instance of NET-MERGE-SORT is lost all wait for it.
    ");
}

#[test]
fn a_sink_with_local_state_that_may_move_is_not_exactly_once() {
    let copy = || Pipeline::source(file()).sink(to_file());
    assert_snapshot!(exactly(copy().place(Where::LastJoined)), @"here: FILE, TO-FILE: exactly-once is asked for, and what this pipeline has is at-least-once: TO-FILE keeps its state on one instance's disk, and may run on another after a restart; place the sink on the same instance every time, such as `.place(Where::Last)`, or ask for no more than at-least-once");
    assert_snapshot!(exactly(copy().place(Where::Everywhere)), @"
    here: FILE, TO-FILE: exactly-once is asked for, and what this pipeline has is at-least-once: TO-FILE keeps its state on each instance's disk, and a record may reach another after a restart; place the sink on the same instance every time, such as `.place(Where::Last)`, or ask for no more than at-least-once
    here: FILE, TO-FILE: exactly-once is asked for, and what this pipeline has is at-least-once: what a lost instance had in work is dealt anew, and no merge sees what of it had arrived; place the sink on one instance, such as `.place(Where::Last)`, so that a merge stands before it, or ask for no more than at-least-once
    ");
}

#[test]
fn a_fold_on_the_way_is_not_exactly_once_on_several_instances() {
    let folded = || Pipeline::source(list::<u64>()).count().named("C").sink(to_file());
    assert_snapshot!(exactly(folded()), @"here: LIST, TO-FILE: exactly-once is asked for, and what this pipeline has is at-least-once: a fold's state is lost with its instance, and what others had passed on by then stays; leave the fold out, or run the pipeline on one instance, or ask for no more than at-least-once");
    let alone = folded().store(Folder).require(Guarantee::ExactlyOnce);
    assert_snapshot!(check(Show::Guarantee, 1, &alone), @"exactly-once: TO-FILE stores the positions of LIST together with its data");
}

#[test]
fn a_split_before_a_sink_on_every_instance_is_not_exactly_once() {
    assert_snapshot!(exactly(Pipeline::source(queue()).filter(|_: &Node| true).named("F").sink(database())), @"here: AMQP-QUEUE, DATABASE: exactly-once is asked for, and what this pipeline has is at-least-once: what a lost instance had in work is dealt anew, and no merge sees what of it had arrived; place the sink on one instance, such as `.place(Where::Last)`, so that a merge stands before it, or ask for no more than at-least-once");
    let keyed = Pipeline::source(topic()).map(|line: String| line).named("LINE").key_by(String::clone).named("KEY");
    let sums = keyed.count().named("COUNT").trigger_every(Duration::from_secs(9)).map(|sum: Kv<String, u64>| sum.key);
    assert_snapshot!(exactly(sums.named("SHOW").sink(database())), @"
    here: KAFKA, DATABASE: exactly-once is asked for, and what this pipeline has is at-least-once: a fold's state starts afresh after a restart; leave the fold or its trigger out, or ask for no more than at-least-once
    here: KAFKA, DATABASE: exactly-once is asked for, and what this pipeline has is at-least-once: what a lost instance had taken in is read again, and no merge sees what of it had arrived; place the sink on one instance, such as `.place(Where::Last)`, so that a merge stands before it, or ask for no more than at-least-once
    ");
}

#[test]
fn all_that_stands_in_the_way_is_told_at_once_with_each_way_out() {
    let mut output = stdout();
    output.traits.local_state = true;
    let folded = Pipeline::source(file()).count().named("C").trigger_each(9).map(|n: u64| n.to_string()).named("M");
    assert_snapshot!(promise(&folded.sink(output).require(Guarantee::ExactlyOnce)), @"
    here: FILE, STD-OUT: exactly-once is asked for, and what this pipeline has is at-least-once: standard output can't take back what it printed; write to a sink that stores positions with its data, or ask for no more than at-least-once
    here: FILE, STD-OUT: exactly-once is asked for, and what this pipeline has is at-least-once: no state folder: a restart begins from the start; keep positions by `.store(…)`, or ask for no more than at-least-once
    here: FILE, STD-OUT: exactly-once is asked for, and what this pipeline has is at-least-once: a fold's state starts afresh after a restart; leave the fold or its trigger out, or ask for no more than at-least-once
    here: FILE, STD-OUT: exactly-once is asked for, and what this pipeline has is at-least-once: STD-OUT keeps its state on one instance's disk, and may run on another after a restart; place the sink on the same instance every time, such as `.place(Where::Last)`, or ask for no more than at-least-once
    ");
}

#[test]
fn what_each_loss_means_is_told() {
    let mut input = file();
    input.traits.commits = Commits::None;
    assert_snapshot!(promise(&Pipeline::source(input).sink(stdout())), @"
    at-least-once while it runs: what FILE has read can't be read again
    While the instance of FILE is lost nothing is read: what it had read and not passed on is gone.
    While the instance of NET-MERGE-SORT is lost all wait for it.
    ");
    assert_snapshot!(promise(&Pipeline::source(topic()).sink(stdout())), @"
    at-least-once: standard output can't take back what it printed
    If an instance is lost, its part of KAFKA waits for it, or for whom the broker gives it to: reading begins anew at the last commit, and what had passed since passes again.
    While the instance of NET-MERGE-SORT is lost all wait for it.
    ");
    assert_snapshot!(promise(&Pipeline::source(topic()).sink(database())), @"
    at-least-once: a file is written anew by each run
    No instance needs another: the others go on without one that is lost.
    ");
    assert_snapshot!(promise(&Pipeline::source(file()).sink(to_file()).place(Where::First)), @"
    at-least-once: a file is written anew by each run; no state folder: a restart begins from the start
    All of it runs on one instance: while that is lost nothing runs.
    ");
    let keyed = Pipeline::source(queue()).map(|line: String| line).named("LINE").key_by(String::clone).named("KEY");
    assert_snapshot!(promise(&keyed.count().named("COUNT").trigger_every(Duration::from_secs(9)).sink(collect::<Kv<String, u64>>())), @"
    at-least-once: standard output can't take back what it printed; a fold's state starts afresh after a restart
    If the instance that reads AMQP-QUEUE is lost, its broker lets another one read: reading begins anew at the last commit, and what had passed since passes again.
    What an instance that is lost had in work behind NET-SPLIT is dealt anew, and NET-SPLIT by key lets one copy of each record pass.
    While an instance behind NET-SPLIT by key is lost all wait for it: its keys are nobody else's; its fold begins afresh, and reading at the last commit.
    While the instance of NET-MERGE-SORT is lost all wait for it.
    ");
}

fn agreement(pipeline: &Pipeline) -> String {
    planned(3, pipeline).agreement
}

#[test]
fn instances_agree_on_what_is_done_and_on_what_crosses_between_them() {
    let pipeline = Pipeline::source(list::<u64>()).limit(9).map(|n: u64| n).named("M").on_error(OnError::Skip);
    let pipeline = pipeline.sink(collect::<u64>()).place(Where::Last).store(Folder);
    assert_snapshot!(agreement(&pipeline).replace(" >> ", "\n>> "), @"
    []:LIST:[U64] source, limit 9, on First, fails
    >> [U64]:WIRE-ENCODER:[Bytes]
    >> [Bytes]:NET-SPLIT:[Bytes] on First
    >> [Bytes]:WIRE-DECODER:[U64]
    >> [U64]:M:[U64] map, on Everywhere, skips
    >> [U64]:WIRE-ENCODER:[Bytes]
    >> [Bytes]:NET-MERGE-SORT:[Bytes] on Last
    >> [Bytes]:WIRE-DECODER:[U64]
    >> [U64]:COLLECT:[] sink at Last, on Last, fails; with a state
    ");
}

#[test]
fn instances_may_differ_in_how_fast_they_go_and_in_nothing_that_crosses() {
    let filter = || Pipeline::source(file()).filter(|_: &Node| true).named("F");
    let plain = || agreement(&filter().sink(to_file()));
    let same = filter().par(4).coder_par(4).throttle(9, IDLE).buffer(9).retry(2).sink(to_file()).coder_par(2);
    assert_eq!(plain(), agreement(&same));
    assert_eq!(plain(), planned(5, &filter().sink(to_file())).agreement);
    let others = [
        filter().limit(9).sink(to_file()),
        filter().on_error(OnError::Skip).sink(to_file()),
        filter().on_error(OnError::dead_letter(database())).sink(to_file()),
        filter().sink(to_file()).on_any_error(OnError::Skip),
        filter().merge_by_event_time(IDLE).sink(to_file()),
        filter().sink(to_file()).store(Folder),
        filter().sink(to_file()).place(Where::First),
        Pipeline::source(file()).filter(|_: &Order| true).named("F").sink(to_file()),
    ];
    for other in others {
        assert_ne!(plain(), agreement(&other));
    }
    let idle = |idle| agreement(&filter().merge_by_event_time(idle).sink(to_file()));
    assert_ne!(idle(IDLE), idle(2 * IDLE));
    let bounded = |keys| {
        let keyed = Pipeline::source(topic()).map(|line: String| line).named("LINE").key_by(String::clone).named("KEY");
        let folded = keyed.fold_up_to(keys, 0u64, |_, _| ()).named("FOLD").trigger_every(Duration::from_secs(9));
        agreement(&folded.sink(collect::<Kv<String, u64>>()))
    };
    assert_ne!(bounded(9), bounded(10));
}

#[test]
fn another_layout_on_the_wire_is_another_agreement_and_the_same_state() {
    let made = || Pipeline::source(list::<Alien>()).map(|a: Alien| a).named("M").sink(collect::<Alien>());
    let plan = |wire: Wire<Alien>| planned(3, &made().with(wire).place(Where::Last));
    let (one, other) = (plan(wire()), plan(Wire("(version 2)", std::marker::PhantomData)));
    assert_ne!(one.agreement, other.agreement);
    assert_eq!(one.fingerprint, other.fingerprint);
}

#[test]
fn the_words_for_a_state_are_those_of_one_instance_and_change_by_the_merge_alone() {
    let filter = || Pipeline::source(topic()).filter(|_: &Node| true).named("F");
    let (one, three) = (planned(1, &filter().sink(stdout())), planned(3, &filter().limit(9).sink(stdout())));
    assert_eq!(one.fingerprint, three.fingerprint);
    assert_snapshot!(planned(3, &filter().merge_by_event_time(IDLE).sink(stdout())).fingerprint, @"[]:KAFKA:[Bytes] source >> [Node]:F:[Bytes] filter merged by event time >> [Bytes]:STD-OUT:[] sink");
}
