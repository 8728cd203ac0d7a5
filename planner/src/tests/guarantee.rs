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
    assert_snapshot!(promise(1, &Pipeline::source(queue()).sink(stdout())), @"");
}

#[test]
fn without_a_state_folder_a_restart_begins_from_the_start() {
    assert_snapshot!(promise(1, &Pipeline::source(file()).sink(stdout())), @"");
}

#[test]
fn what_cant_be_read_again_is_promised_only_while_it_runs() {
    let mut input = file();
    input.traits.commits = Commits::None;
    assert_snapshot!(promise(1, &Pipeline::source(input).sink(to_file()).store(Folder)), @"");
}

#[test]
fn a_source_that_acknowledges_one_by_one_has_no_position_to_resume_from() {
    let mut input = queue();
    input.traits.commits = Commits::Pessimistic;
    assert_snapshot!(promise(1, &Pipeline::source(input).sink(to_file()).store(Folder)), @"");
}

#[test]
fn files_to_files_with_a_state_folder_are_exactly_once() {
    let pipeline = Pipeline::source(file()).filter(|_: &Node| true).named("F").sink(to_file()).store(Folder);
    assert_snapshot!(promise(1, &pipeline.require(Guarantee::ExactlyOnce)), @"");
}

#[test]
fn a_fold_with_a_trigger_loses_its_state() {
    let pipeline = Pipeline::source(list::<u64>()).count().named("C").trigger_each(5).sink(to_file()).store(Folder);
    assert_snapshot!(promise(1, &pipeline), @"");
}

#[test]
fn a_fold_without_a_trigger_reads_all_of_it_again() {
    let pipeline = Pipeline::source(list::<u64>()).count().named("C").sink(to_file()).store(Folder);
    assert_snapshot!(promise(1, &pipeline), @"");
}

#[test]
fn state_on_a_disk_needs_an_instance_that_stays_the_same() {
    let pipeline = || Pipeline::source(file()).sink(to_file()).store(Folder);
    assert_snapshot!(promise(2, &pipeline()), @"");
    assert_snapshot!(promise(2, &pipeline().place(Where::LastJoined)), @"");
    assert_snapshot!(promise(2, &pipeline().place(Where::LastJoined).require(Guarantee::ExactlyOnce)), @"");
}

#[test]
fn a_split_without_a_merge_may_double_what_is_dealt_anew() {
    let pipeline = || Pipeline::source(file()).sink(database()).store(Folder);
    assert_snapshot!(promise(1, &pipeline()), @"");
    assert_snapshot!(promise(2, &pipeline()), @"");
}

#[test]
fn positions_on_the_sources_server_are_not_with_the_data() {
    let mut sink = database();
    (sink.keeps, sink.traits.transactional) = (false, Ok(()));
    assert_snapshot!(promise(1, &Pipeline::source(topic()).sink(sink)), @"");
}

#[test]
fn a_guarantee_that_the_pair_cant_give_is_a_mistake() {
    let pipeline = Pipeline::source(queue()).sink(stdout()).require(Guarantee::ExactlyOnce);
    assert_snapshot!(promise(1, &pipeline), @"");
}
