use insta::assert_snapshot;
use millstream_core::contracts::{Commits, Where};
use millstream_core::declare::Pipeline;
use millstream_core::plan::Guarantee;

use super::doubles::{Folder, Node, database, file, list, queue, stdout, to_file, topic};
use super::{Show, check};

fn promise(instances: usize, pipeline: &Pipeline) -> String {
    check(Show::Guarantee, instances, pipeline)
}

#[test]
fn a_sink_that_takes_nothing_back_says_so() {
    assert_snapshot!(promise(1, &Pipeline::source(queue()).sink(stdout())), @"at-least-once: standard output can't take back what it printed");
}

#[test]
fn without_a_state_folder_a_restart_begins_from_the_start() {
    assert_snapshot!(promise(1, &Pipeline::source(file()).sink(stdout())), @"at-least-once: standard output can't take back what it printed; no state folder: a restart begins from the start");
}

#[test]
fn what_cant_be_read_again_is_promised_only_while_it_runs() {
    let mut input = file();
    input.traits.commits = Commits::None;
    assert_snapshot!(promise(1, &Pipeline::source(input).sink(to_file()).store(Folder)), @"at-least-once while it runs: what FILE has read can't be read again");
}

#[test]
fn a_source_that_acknowledges_one_by_one_has_no_position_to_resume_from() {
    let mut input = queue();
    input.traits.commits = Commits::Pessimistic;
    assert_snapshot!(promise(1, &Pipeline::source(input).sink(to_file()).store(Folder)), @"at-least-once: AMQP-QUEUE acknowledges each record by itself, so it can't be resumed from a position");
}

#[test]
fn files_to_files_with_a_state_folder_are_exactly_once() {
    let pipeline = Pipeline::source(file()).filter(|_: &Node| true).named("F").sink(to_file()).store(Folder);
    assert_snapshot!(promise(1, &pipeline.require(Guarantee::ExactlyOnce)), @"exactly-once: TO-FILE stores the positions of FILE together with its data");
}

#[test]
fn a_fold_with_a_trigger_loses_its_state() {
    let pipeline = Pipeline::source(list::<u64>()).count().named("C").trigger_each(5).sink(to_file()).store(Folder);
    assert_snapshot!(promise(1, &pipeline), @"at-least-once: a fold's state starts afresh after a restart");
}

#[test]
fn a_fold_without_a_trigger_reads_all_of_it_again() {
    let pipeline = Pipeline::source(list::<u64>()).count().named("C").sink(to_file()).store(Folder);
    assert_snapshot!(promise(1, &pipeline), @"exactly-once: TO-FILE stores the positions of LIST together with its data");
}

#[test]
fn state_on_a_disk_needs_an_instance_that_stays_the_same() {
    let pipeline = || Pipeline::source(file()).sink(to_file()).store(Folder);
    assert_snapshot!(promise(2, &pipeline()), @"
    exactly-once: TO-FILE stores the positions of FILE together with its data, and NET-MERGE-SORT lets one copy of each record pass
    While the instance of FILE is lost nothing is read: reading goes on behind what TO-FILE holds.
    While the instance of NET-MERGE-SORT is lost all wait for it.
    ");
    assert_snapshot!(promise(2, &pipeline().place(Where::LastJoined)), @"
    at-least-once: TO-FILE keeps its state on one instance's disk, and may run on another after a restart
    While the instance of FILE is lost nothing is read: reading begins anew at the last commit, and what had passed since passes again.
    While the instance of NET-MERGE-SORT is lost all wait for it.
    ");
    assert_snapshot!(promise(2, &pipeline().place(Where::LastJoined).require(Guarantee::ExactlyOnce)), @"here: FILE, TO-FILE: exactly-once is asked for, and what this pipeline has is at-least-once: TO-FILE keeps its state on one instance's disk, and may run on another after a restart; place the sink on the same instance every time, such as `.place(Where::Last)`, or ask for no more than at-least-once");
}

#[test]
fn a_split_without_a_merge_may_double_what_is_dealt_anew() {
    let pipeline = || Pipeline::source(file()).sink(database()).store(Folder);
    assert_snapshot!(promise(1, &pipeline()), @"exactly-once: DATABASE stores the positions of FILE together with its data");
    assert_snapshot!(promise(2, &pipeline()), @"
    at-least-once: what a lost instance had in work is dealt anew, and no merge sees what of it had arrived
    While the instance of FILE is lost nothing is read: reading begins anew at the last commit, and what had passed since passes again.
    What an instance that is lost had in work behind NET-SPLIT is dealt anew: what of it had arrived arrives twice.
    ");
}

#[test]
fn positions_on_the_sources_server_are_not_with_the_data() {
    let mut sink = database();
    (sink.keeps, sink.traits.transactional) = (false, Ok(()));
    assert_snapshot!(promise(1, &Pipeline::source(topic()).sink(sink)), @"at-least-once: positions are kept by the source's server and not with the data: there is no state folder");
}

#[test]
fn a_guarantee_that_the_pair_cant_give_is_a_mistake() {
    let pipeline = Pipeline::source(queue()).sink(stdout()).require(Guarantee::ExactlyOnce);
    assert_snapshot!(promise(1, &pipeline), @"here: AMQP-QUEUE, STD-OUT: exactly-once is asked for, and what this pipeline has is at-least-once: standard output can't take back what it printed; write to a sink that stores positions with its data, or ask for no more than at-least-once");
}

#[test]
fn a_sink_at_the_sources_own_server_commits_its_positions() {
    let pipeline = |at: &str| {
        let (mut source, mut sink) = (topic(), database());
        source.traits.server = Some("one".to_owned());
        (sink.keeps, sink.traits.commits_at) = (false, Some(at.to_owned()));
        Pipeline::source(source).sink(sink)
    };
    assert_snapshot!(promise(3, &pipeline("one")), @"
    exactly-once: DATABASE commits the positions of KAFKA in one transaction with its data
    No instance needs another: the others go on without one that is lost.
    ");
    assert_snapshot!(promise(3, &pipeline("another")), @"
    at-least-once: standard output can't take back what it printed; the positions of KAFKA are kept by `one`, and DATABASE commits at `another`
    No instance needs another: the others go on without one that is lost.
    ");
    assert_snapshot!(promise(3, &pipeline("one").limit(10)), @"here: DATABASE, KAFKA: DATABASE commits the positions of KAFKA in its own transactions, and NET-MERGE-SORT stands between them: records of one instance would be committed by another; leave out what needs all records in one place (a fold, a limit, a placement), or write without transactions");
}
