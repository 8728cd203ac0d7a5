use insta::assert_snapshot;
use millstream_core::contracts::Where;
use millstream_core::data::{Bytes, Kv};
use millstream_core::declare::{Pipeline, Stream};

use super::doubles::{Node, database, file, queue, stdout, to_file, topic};
use super::{Show, check};

fn network(instances: usize, pipeline: &Pipeline) -> String {
    check(Show::Network, instances, pipeline)
}

#[test]
fn one_instance_needs_no_network() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("XML-FILTER").sink(stdout());
    assert_snapshot!(network(1, &pipeline), @"");
}

#[test]
fn what_one_active_instance_reads_is_dealt_to_all_and_brought_together_in_order() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("XML-FILTER").sink(stdout());
    assert_snapshot!(network(3, &pipeline), @"");
}

#[test]
fn what_each_instance_reads_for_itself_is_not_dealt() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("XML-FILTER").sink(stdout());
    assert_snapshot!(network(3, &pipeline), @"");
}

#[test]
fn a_pipeline_that_runs_everywhere_needs_no_network() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("XML-FILTER").sink(database());
    assert_snapshot!(network(3, &pipeline), @"");
}

#[test]
fn a_local_file_is_read_in_one_place_and_dealt_to_all() {
    let pipeline = Pipeline::source(file()).filter(|_: &Node| true).named("XML-FILTER").sink(database());
    assert_snapshot!(network(3, &pipeline), @"");
}

#[test]
fn a_sink_without_care_for_order_that_is_placed_gets_a_plain_merge() {
    let pipeline = Pipeline::source(topic()).sink(database()).place(Where::Named("db".to_owned()));
    assert_snapshot!(network(3, &pipeline), @"");
}

#[test]
fn nothing_is_dealt_that_would_be_brought_together_at_once() {
    assert_snapshot!(network(3, &Pipeline::source(queue()).sink(stdout())), @"");
}

#[test]
fn stages_that_are_all_in_one_place_need_no_network() {
    let first = Pipeline::source(file()).filter(|_: &Node| true).named("F").place(Where::First);
    assert_snapshot!(network(3, &first.sink(to_file()).place(Where::First)), @"");
}

#[test]
fn a_record_goes_from_one_place_to_another_through_a_merge() {
    assert_snapshot!(network(3, &Pipeline::source(file()).sink(to_file())), @"");
}

#[test]
fn a_fold_runs_where_the_sink_behind_it_does() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("F").count().named("COUNT").trigger_each(9);
    assert_snapshot!(network(3, &pipeline.map(|n: u64| n.to_string()).named("M").sink(stdout())), @"");
}

#[test]
fn a_fold_without_a_place_runs_on_the_first_and_all_behind_it_stays_there() {
    let pipeline = Pipeline::source(topic()).count().named("COUNT").trigger_each(9);
    assert_snapshot!(network(3, &pipeline.map(|n: u64| n.to_string()).named("M").sink(database())), @"");
}

#[test]
fn what_a_fold_made_is_dealt_again_if_the_next_stage_is_placed_everywhere() {
    let pipeline = Pipeline::source(topic()).count().named("COUNT").trigger_each(9);
    let spread = pipeline.map(|n: u64| n.to_string()).named("M").place(Where::Everywhere);
    assert_snapshot!(network(3, &spread.sink(database())), @"");
}

#[test]
fn a_limit_counts_on_one_instance_behind_an_ordered_merge() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("F").limit(5);
    assert_snapshot!(network(3, &pipeline.filter(|_: &Node| true).named("G").sink(database())), @"");
}

#[test]
fn a_limit_on_a_source_that_several_read_counts_behind_a_merge() {
    assert_snapshot!(network(3, &Pipeline::source(topic()).limit(5).sink(database())), @"");
}

#[test]
fn a_limit_on_a_source_that_one_reads_counts_there_before_the_records_are_dealt() {
    assert_snapshot!(network(3, &Pipeline::source(file()).limit(5).sink(database())), @"");
}

#[test]
fn a_placed_stage_in_the_middle_keeps_the_order_that_a_later_sink_cares_for() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("F").place(Where::LastJoined);
    assert_snapshot!(network(3, &pipeline.sink(stdout())), @"");
}

#[test]
fn a_source_that_is_placed_on_one_instance_is_dealt_to_all() {
    let pipeline = Pipeline::source(topic()).place(Where::Last).filter(|_: &Node| true).named("F");
    assert_snapshot!(network(2, &pipeline.sink(database())), @"");
}

fn counted<M>(stream: Stream<Bytes, M>) -> Pipeline {
    let keyed = stream.map(|line: String| line).named("LINE").key_by(String::clone).named("KEY");
    let counts = keyed.count().named("COUNT").trigger_each(9);
    counts.map(|count: Kv<String, u64>| count.key).named("SHOW").sink(database())
}

#[test]
fn a_keyed_fold_gets_all_records_of_a_key_by_a_split() {
    assert_snapshot!(network(3, &counted(Pipeline::source(topic()))), @"");
}

#[test]
fn a_keyed_fold_behind_a_merge_stays_there() {
    let limited = Pipeline::source(topic()).filter(|_: &Node| true).named("F").limit(5);
    assert_snapshot!(network(3, &counted(limited)), @"");
}
