use std::time::Duration;

use insta::assert_snapshot;
use millstream_core::data::Bytes;
use millstream_core::declare::{OnError, Pipeline, Root, Stream};

use super::doubles::{Node, Order, collect, database, file, list, queue, stdout, to_file, topic};
use super::{Show, check, planned};

fn running(pipeline: &Pipeline) -> String {
    check(Show::Running, 1, pipeline)
}

fn from_file() -> Stream<Bytes, Root> {
    Pipeline::source(file())
}

#[test]
fn a_file_copied_to_a_file_is_one_task() {
    assert_snapshot!(running(&from_file().sink(to_file())), @"");
}

#[test]
fn reading_decoding_filtering_and_writing_files_is_one_task_on_one_thread() {
    let pipeline = from_file().filter(|_: &Node| true).named("PAID").filter(|_: &str| true).named("LONG");
    assert_snapshot!(running(&pipeline.sink(to_file())), @"");
}

#[test]
fn decoding_is_kept_off_the_tasks_that_do_io() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("PAID").sink(stdout());
    assert_snapshot!(running(&pipeline), @"");
}

#[test]
fn a_light_stage_joins_the_task_before_it() {
    let pipeline = Pipeline::source(topic()).filter(|_: &str| true).named("LONG").sink(to_file());
    assert_snapshot!(running(&pipeline), @"");
}

#[test]
fn stages_with_the_same_number_of_workers_share_them() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").par(4).map(|_: Node| Order).named("B").par(4);
    assert_snapshot!(running(&pipeline.sink(to_file())), @"");
}

#[test]
fn a_view_that_is_needed_behind_a_cut_is_decoded_again_so_that_the_bytes_go_on() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").par(4).filter(|_: &Node| true).named("B").par(2);
    assert_snapshot!(running(&pipeline.sink(to_file())), @"");
}

#[test]
fn a_view_goes_on_if_it_is_all_that_is_needed() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").par(4).map(|_: Node| Order).named("B").par(2);
    assert_snapshot!(running(&pipeline.sink(to_file())), @"");
}

#[test]
fn workers_for_coders_run_the_stage_too() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").coder_par(3).sink(to_file());
    assert_snapshot!(running(&pipeline), @"");
}

#[test]
fn workers_for_coders_share_a_form_that_is_at_hand() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").coder_par(3);
    assert_snapshot!(running(&pipeline.filter(|_: &Node| true).named("B").coder_par(3).sink(to_file())), @"");
}

#[test]
fn workers_for_the_coders_of_a_sink_have_a_task_of_their_own() {
    let pipeline = from_file().map(|_: Bytes| Order).named("A").sink(to_file()).coder_par(3);
    assert_snapshot!(running(&pipeline), @"");
}

#[test]
fn a_fold_begins_a_task_and_its_coders_stand_before_it() {
    let pipeline = from_file().fold(0u64, |_, _: Node| ()).named("FOLD").trigger_each(5);
    assert_snapshot!(running(&pipeline.trigger_every(Duration::from_secs(1)).sink(to_file())), @"");
}

#[test]
fn an_asynchronous_stage_begins_a_task_that_does_io() {
    let pipeline = from_file().map_async(8, |line: String| async move { line }).named("ASK").sink(to_file());
    assert_snapshot!(running(&pipeline), @"");
}

#[test]
fn limit_and_throttle_follow_their_stage_in_a_task_of_one_worker() {
    let filtered = from_file().throttle(10, Duration::from_secs(1)).filter(|_: &Node| true).named("A").par(4).limit(7);
    assert_snapshot!(running(&filtered.throttle(5, Duration::from_millis(500)).sink(to_file())), @"");
}

#[test]
fn a_limit_on_a_sink_counts_before_it() {
    assert_snapshot!(running(&from_file().map(|_: Node| Order).named("A").sink(to_file()).limit(5)), @"");
}

#[test]
fn a_limit_on_a_source_that_several_read_counts_behind_the_merge() {
    let pipeline = Pipeline::source(topic()).limit(5).filter(|_: &Node| true).named("F").sink(database());
    assert_snapshot!(check(Show::Running, 2, &pipeline), @"");
}

#[test]
fn a_retry_begins_a_segment_of_its_own_that_decodes_again() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").filter(|_: &Node| true).named("B").retry(3);
    assert_snapshot!(running(&pipeline.sink(to_file())), @"");
}

#[test]
fn a_buffer_is_a_channel_behind_its_stage() {
    let pipeline = from_file().buffer(9).filter(|_: &str| true).named("A").buffer(1_000).sink(to_file());
    assert_snapshot!(running(&pipeline), @"");
}

#[test]
fn a_format_that_is_named_runs_as_a_coder() {
    let pipeline = from_file().decode_as(super::doubles::Gzip).filter(|_: &Node| true).named("A").sink(to_file());
    assert_snapshot!(running(&pipeline), @"");
}

#[test]
fn a_plan_with_network_stages_is_cut_into_parts() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("F").par(2).buffer(2_000).sink(stdout());
    assert_snapshot!(check(Show::Running, 3, &pipeline), @"");
    let plan = planned(3, &pipeline);
    assert_eq!(plan.graph.network, ["NET-SPLIT", "NET-MERGE-SORT"]);
    let parts: Vec<_> = plan.parts.iter().map(|part| (part.tasks.clone(), part.enters.as_deref())).collect();
    assert_eq!(parts, [(0..1, None), (1..2, Some("NET-SPLIT")), (2..3, Some("NET-MERGE-SORT"))]);
}

#[test]
fn dead_letters_of_a_typed_source_need_a_chain_to_bytes() {
    let policy = OnError::dead_letter(database());
    let pipeline = Pipeline::source(list::<u64>()).sink(collect::<u64>()).on_any_error(policy);
    let graph = planned(1, &pipeline).graph;
    let names = graph.keep_bytes.expect("letters may be written").into_iter().map(|coder| &*graph.coders[coder].name);
    assert_eq!(names.collect::<Vec<_>>(), ["NUMBER-ENCODER", "TEXT-ENCODER"]);
    assert!(planned(1, &Pipeline::source(list::<u64>()).sink(collect::<u64>())).graph.keep_bytes.is_none());
}
