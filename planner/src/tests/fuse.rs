use std::time::Duration;

use insta::assert_snapshot;
use millstream_core::contracts::{Coder, Kind};
use millstream_core::data::Bytes;
use millstream_core::declare::{OnError, Pipeline, Root, Stream};

use super::doubles::{Coded, Node, Order, coder, collect, database, file, list, queue, stdout, to_file, topic};
use super::{Show, check, planned};

fn running(pipeline: &Pipeline) -> String {
    check(Show::Running, 1, pipeline)
}

fn from_file() -> Stream<Bytes, Root> {
    Pipeline::source(file())
}

#[test]
fn a_file_copied_to_a_file_is_one_task() {
    assert_snapshot!(running(&from_file().sink(to_file())), @"
    1. FILE > TO-FILE: a thread
         reads    FILE:[Bytes]
         writes   [Bytes]:TO-FILE:[]
    ");
}

#[test]
fn reading_decoding_filtering_and_writing_files_is_one_task_on_one_thread() {
    let pipeline = from_file().filter(|_: &Node| true).named("PAID").filter(|_: &str| true).named("LONG");
    assert_snapshot!(running(&pipeline.sink(to_file())), @"
    1. FILE > PAID > LONG > TO-FILE: a thread
         reads    FILE:[Bytes]
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:PAID:[Node]
         recasts  [Bytes]:TEXT-DECODER:[Text]
         looks    [Text]:LONG:[Text]
         writes   [Bytes]:TO-FILE:[]
    XML-ENCODER before LONG is left out: nobody changed the value, and its [Bytes] is still at hand
    TEXT-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

/// A decoder that may have to ask a server first.
fn asking() -> Coder {
    Coder { waits: true, ..coder::<Bytes, Node>("ASKING-DECODER", Kind::Decode, 10) }
}

#[test]
fn a_coder_that_waits_holds_up_neither_source_nor_sink() {
    let pipeline = from_file().filter(|_: &Node| true).named("PAID").sink(to_file()).with(Coded(asking()));
    assert_snapshot!(running(&pipeline), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         gives    to 2
    2. PAID: a thread
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:ASKING-DECODER:[Node]
         looks    [Node]:PAID:[Node]
         gives    to 3
    3. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    XML-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn an_encoder_that_waits_gets_a_thread_between_tasks_that_do_io() {
    let encoder = Coder { waits: true, ..coder::<Node, Bytes>("ASKING-ENCODER", Kind::Encode, 10) };
    let pipeline = Pipeline::source(queue()).map(|_: Node| Node).named("MEND").sink(stdout()).with(Coded(encoder));
    assert_snapshot!(running(&pipeline), @"
    1. AMQP-QUEUE: a task
         reads    AMQP-QUEUE:[Bytes]
         gives    to 2
    2. MEND: a thread
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         makes    [Node]:MEND:[Node]
         encodes  [Node]:ASKING-ENCODER:[Bytes]
         gives    to 3
    3. STD-OUT: a task
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:STD-OUT:[]
    ");
}

#[test]
fn decoding_is_kept_off_the_tasks_that_do_io() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("PAID").sink(stdout());
    assert_snapshot!(running(&pipeline), @"
    1. KAFKA: a task
         reads    KAFKA:[Bytes]
         gives    to 2
    2. PAID: a thread
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:PAID:[Node]
         gives    to 3
    3. STD-OUT: a task
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:STD-OUT:[]
    XML-ENCODER before STD-OUT is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn a_light_stage_joins_the_task_before_it() {
    let pipeline = Pipeline::source(topic()).filter(|_: &str| true).named("LONG").sink(to_file());
    assert_snapshot!(running(&pipeline), @"
    1. KAFKA > LONG: a task
         reads    KAFKA:[Bytes]
         recasts  [Bytes]:TEXT-DECODER:[Text]
         looks    [Text]:LONG:[Text]
         gives    to 2
    2. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    TEXT-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn stages_with_the_same_number_of_workers_share_them() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").par(4).map(|_: Node| Order).named("B").par(4);
    assert_snapshot!(running(&pipeline.sink(to_file())), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         gives    to 2
    2. A > B: 4 threads, order kept
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:A:[Node]
         makes    [Node]:B:[Order]
         gives    to 3
    3. JSON-ENCODER > TO-FILE: a thread
         takes    [Order], 4 batches waiting at most
         encodes  [Order]:JSON-ENCODER:[Bytes]
         writes   [Bytes]:TO-FILE:[]
    ");
}

#[test]
fn a_view_that_is_needed_behind_a_cut_is_decoded_again_so_that_the_bytes_go_on() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").par(4).filter(|_: &Node| true).named("B").par(2);
    assert_snapshot!(running(&pipeline.sink(to_file())), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         gives    to 2
    2. A: 4 threads, order kept
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:A:[Node]
         gives    to 3
    3. in turn: a task
         takes    [Bytes], 4 batches waiting at most
         gives    to 4
    4. B: 2 threads, order kept
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:B:[Node]
         gives    to 5
    5. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    XML-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn a_view_goes_on_if_it_is_all_that_is_needed() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").par(4).map(|_: Node| Order).named("B").par(2);
    assert_snapshot!(running(&pipeline.sink(to_file())), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         gives    to 2
    2. A: 4 threads, order kept
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:A:[Node]
         gives    to 3
    3. in turn: a task
         takes    [Node], 4 batches waiting at most
         gives    to 4
    4. B: 2 threads, order kept
         takes    [Node], 4 batches waiting at most
         makes    [Node]:B:[Order]
         gives    to 5
    5. JSON-ENCODER > TO-FILE: a thread
         takes    [Order], 4 batches waiting at most
         encodes  [Order]:JSON-ENCODER:[Bytes]
         writes   [Bytes]:TO-FILE:[]
    ");
}

#[test]
fn workers_for_coders_run_the_stage_too() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").coder_par(3).sink(to_file());
    assert_snapshot!(running(&pipeline), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         gives    to 2
    2. A: 3 threads, order kept
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:A:[Node]
         gives    to 3
    3. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    XML-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn workers_for_coders_share_a_form_that_is_at_hand() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").coder_par(3);
    assert_snapshot!(running(&pipeline.filter(|_: &Node| true).named("B").coder_par(3).sink(to_file())), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         gives    to 2
    2. A > B: 3 threads, order kept
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:A:[Node]
         looks    [Node]:B:[Node]
         gives    to 3
    3. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    XML-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn workers_for_the_coders_of_a_sink_have_a_task_of_their_own() {
    let pipeline = from_file().map(|_: Bytes| Order).named("A").sink(to_file()).coder_par(3);
    assert_snapshot!(running(&pipeline), @"
    1. FILE > A: a thread
         reads    FILE:[Bytes]
         makes    [Bytes]:A:[Order]
         gives    to 2
    2. JSON-ENCODER: 3 threads, order kept
         takes    [Order], 4 batches waiting at most
         encodes  [Order]:JSON-ENCODER:[Bytes]
         gives    to 3
    3. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    ");
}

#[test]
fn a_fold_begins_a_task_and_its_coders_stand_before_it() {
    let pipeline = from_file().fold(0u64, |_, _: Node| ()).named("FOLD").trigger_each(5);
    assert_snapshot!(running(&pipeline.trigger_every(Duration::from_secs(1)).sink(to_file())), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         decodes  [Bytes]:XML-DECODER:[Node]
         gives    to 2
    2. FOLD > TO-FILE: a thread
         takes    [Node], 4 batches waiting at most
         fold     [Node]:FOLD:[U64], each 5 records, every 1s
         encodes  [U64]:NUMBER-ENCODER:[Text]
         recasts  [Text]:TEXT-ENCODER:[Bytes]
         writes   [Bytes]:TO-FILE:[]
    ");
}

#[test]
fn an_asynchronous_stage_begins_a_task_that_does_io() {
    let pipeline = from_file().map_async(8, |line: String| async move { line }).named("ASK").sink(to_file());
    assert_snapshot!(running(&pipeline), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         recasts  [Bytes]:TEXT-DECODER:[Text]
         gives    to 2
    2. ASK: a task
         takes    [Text], 4 batches waiting at most
         map      [Text]:ASK:[Text], 8 at once
         recasts  [Text]:TEXT-ENCODER:[Bytes]
         gives    to 3
    3. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    ");
}

#[test]
fn limit_and_throttle_follow_their_stage_in_a_task_of_one_worker() {
    let filtered = from_file().throttle(10, Duration::from_secs(1)).filter(|_: &Node| true).named("A").par(4).limit(7);
    assert_snapshot!(running(&filtered.throttle(5, Duration::from_millis(500)).sink(to_file())), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         throttle 10 records in 1s behind FILE
         gives    to 2
    2. A: 4 threads, order kept
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:A:[Node]
         gives    to 3
    3. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         limit    7 records of the run behind A
         throttle 5 records in 500ms behind A
         writes   [Bytes]:TO-FILE:[]
    XML-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn a_limit_on_a_sink_counts_before_it() {
    assert_snapshot!(running(&from_file().map(|_: Node| Order).named("A").sink(to_file()).limit(5)), @"
    1. FILE > A > TO-FILE: a thread
         reads    FILE:[Bytes]
         decodes  [Bytes]:XML-DECODER:[Node]
         makes    [Node]:A:[Order]
         encodes  [Order]:JSON-ENCODER:[Bytes]
         limit    5 records of the run before TO-FILE
         writes   [Bytes]:TO-FILE:[]
    ");
}

#[test]
fn a_limit_on_a_source_that_several_read_counts_behind_the_merge() {
    let pipeline = Pipeline::source(topic()).limit(5).filter(|_: &Node| true).named("F").sink(database());
    assert_snapshot!(check(Show::Running, 2, &pipeline), @"
    1. KAFKA: a task, everywhere
         reads    KAFKA:[Bytes]
         gives    to 2
    2. F: a thread, on the first peer
         takes    [Bytes], 4 batches waiting at most, through NET-MERGE-SORT
         limit    5 records of the run behind KAFKA
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:F:[Node]
         gives    to 3
    3. DATABASE: a task, on the first peer
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:DATABASE:[]
    XML-ENCODER before DATABASE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn a_retry_begins_a_segment_of_its_own_that_decodes_again() {
    let pipeline = from_file().filter(|_: &Node| true).named("A").filter(|_: &Node| true).named("B").retry(3);
    assert_snapshot!(running(&pipeline.sink(to_file())), @"
    1. FILE > A > B > TO-FILE: a thread
         reads    FILE:[Bytes]
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:A:[Node]
         decodes  [Bytes]:XML-DECODER:[Node]  (a segment of its own)
         looks    [Node]:B:[Node]
         writes   [Bytes]:TO-FILE:[]
    XML-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn a_buffer_is_a_channel_behind_its_stage() {
    let pipeline = from_file().buffer(9).filter(|_: &str| true).named("A").buffer(2_000).sink(to_file());
    assert_snapshot!(running(&pipeline), @"
    1. FILE > A: a thread
         reads    FILE:[Bytes]
         recasts  [Bytes]:TEXT-DECODER:[Text]
         looks    [Text]:A:[Text]
         gives    to 2
    2. TO-FILE: a thread
         takes    [Bytes], 8 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    TEXT-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn a_format_that_is_named_runs_as_a_coder() {
    let pipeline = from_file().decode_as(super::doubles::Gzip).filter(|_: &Node| true).named("A").sink(to_file());
    assert_snapshot!(running(&pipeline), @"
    1. FILE > GZIP-DECODER > A > TO-FILE: a thread
         reads    FILE:[Bytes]
         decodes  [Bytes]:GZIP-DECODER:[Bytes]
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:A:[Node]
         writes   [Bytes]:TO-FILE:[]
    XML-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn a_plan_with_network_stages_is_cut_into_parts() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("F").par(2).buffer(2_000).sink(stdout());
    assert_snapshot!(check(Show::Running, 3, &pipeline), @"
    1. AMQP-QUEUE: a task, everywhere
         reads    AMQP-QUEUE:[Bytes]
         gives    to 2
    2. F: 2 threads, order kept, everywhere
         takes    [Bytes], 4 batches waiting at most, through NET-SPLIT
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:F:[Node]
         gives    to 3
    3. STD-OUT: a task, on the last to join
         takes    [Bytes], 8 batches waiting at most, through NET-MERGE-SORT
         writes   [Bytes]:STD-OUT:[]
    XML-ENCODER before NET-MERGE-SORT is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
    let plan = planned(3, &pipeline);
    assert_eq!(plan.graph.network, ["NET-SPLIT", "NET-MERGE-SORT"]);
    let parts: Vec<_> =
        plan.parts.iter().map(|part| (part.tasks.clone(), part.enters.as_ref().map(|net| net.name.as_str()))).collect();
    assert_eq!(parts, [(0..1, None), (1..2, Some("NET-SPLIT")), (2..3, Some("NET-MERGE-SORT"))]);
}

#[test]
fn dead_letters_of_a_typed_source_need_a_chain_to_bytes() {
    let policy = OnError::dead_letter(database());
    let pipeline = Pipeline::source(list::<u64>()).sink(collect::<u64>()).on_any_error(policy);
    let graph = planned(1, &pipeline).graph;
    let [kept] = &graph.keep_bytes[..] else { panic!("letters may be written: {:?}", graph.keep_bytes) };
    let names = kept.coders.iter().map(|&coder| &*graph.coders[coder].name);
    assert_eq!((kept.stage, names.collect::<Vec<_>>()), (0, vec!["NUMBER-ENCODER", "TEXT-ENCODER"]));
    assert!(planned(1, &Pipeline::source(list::<u64>()).sink(collect::<u64>())).graph.keep_bytes.is_empty());
}

#[test]
fn dead_letters_behind_a_fold_need_a_chain_from_what_it_emits() {
    let behind = |policy| {
        let counted = Pipeline::source(file()).count().named("COUNT").map(|n: u64| n).named("MAP").on_error(policy);
        planned(1, &counted.sink(collect::<u64>())).graph.keep_bytes
    };
    assert_eq!(behind(OnError::dead_letter(database())).iter().map(|kept| kept.stage).collect::<Vec<_>>(), [1]);
    assert!(behind(OnError::Skip).is_empty());
}

#[test]
fn one_task_stands_between_two_with_workers_of_their_own() {
    let both = from_file().filter(|_: &Node| true).named("A").par(2).filter(|_: &Node| true).named("B").par(3);
    assert_snapshot!(running(&both.sink(to_file())), @"
    1. FILE: a thread
         reads    FILE:[Bytes]
         gives    to 2
    2. A: 2 threads, order kept
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:A:[Node]
         gives    to 3
    3. in turn: a task
         takes    [Bytes], 4 batches waiting at most
         gives    to 4
    4. B: 3 threads, order kept
         takes    [Bytes], 4 batches waiting at most
         decodes  [Bytes]:XML-DECODER:[Node]
         looks    [Node]:B:[Node]
         gives    to 5
    5. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    XML-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn what_a_retried_stage_takes_by_value_is_coded_before_its_segment() {
    let pipeline =
        Pipeline::source(list::<Node>()).filter(|_: &Node| true).named("A").map(|b: Bytes| b).named("B").retry(3);
    assert_snapshot!(running(&pipeline.sink(to_file())), @"
    1. LIST > A > B: a task
         reads    LIST:[Node]
         looks    [Node]:A:[Node]
         encodes  [Node]:XML-ENCODER:[Bytes]
         makes    [Bytes]:B:[Bytes]  (a segment of its own)
         gives    to 2
    2. TO-FILE: a thread
         takes    [Bytes], 4 batches waiting at most
         writes   [Bytes]:TO-FILE:[]
    ");
}
