use std::time::Duration;

use insta::assert_snapshot;
use millstream_core::contracts::{Across, Where};
use millstream_core::data::{Bytes, Kv};
use millstream_core::declare::{Pipeline, Stream};

use super::doubles::{Node, database, file, queue, stdout, to_file, topic};
use super::{Show, check, planned};

fn network(instances: usize, pipeline: &Pipeline) -> String {
    check(Show::Network, instances, pipeline)
}

#[test]
fn one_instance_needs_no_network() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("XML-FILTER").sink(stdout());
    assert_snapshot!(network(1, &pipeline), @"
    :  AMQP-QUEUE:[Bytes]  (1) logical
    >> [Node]:XML-FILTER:[Node]  (2) logical
    >> [Bytes]:STD-OUT:[]  (3) logical
    AMQP-QUEUE  everywhere, 1 worker: there is only one instance
    XML-FILTER  everywhere, 1 worker: there is only one instance
    STD-OUT     everywhere, 1 worker: there is only one instance
    ");
}

#[test]
fn what_one_active_instance_reads_is_dealt_to_all_and_brought_together_in_order() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("XML-FILTER").sink(stdout());
    assert_snapshot!(network(3, &pipeline), @"
    :  AMQP-QUEUE:[Bytes]  (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Node]:XML-FILTER:[Node]  (2) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:STD-OUT:[]  (3) logical
    AMQP-QUEUE      everywhere, 1 worker: its broker lets one instance be active
    NET-SPLIT       everywhere, 1 worker: it deals what is read there to all instances
    XML-FILTER      everywhere, 1 worker: nothing holds it to one place
    NET-MERGE-SORT  on the last to join, 1 worker: that is where the user looks
    STD-OUT         on the last to join, 1 worker: that is where the user looks
    ");
}

#[test]
fn what_each_instance_reads_for_itself_is_not_dealt() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("XML-FILTER").sink(stdout());
    assert_snapshot!(network(3, &pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Node]:XML-FILTER:[Node]  (2) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:STD-OUT:[]  (3) logical
    KAFKA           everywhere, 1 worker: each instance reads its own part
    XML-FILTER      everywhere, 1 worker: nothing holds it to one place
    NET-MERGE-SORT  on the last to join, 1 worker: that is where the user looks
    STD-OUT         on the last to join, 1 worker: that is where the user looks
    ");
}

#[test]
fn a_pipeline_that_runs_everywhere_needs_no_network() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("XML-FILTER").sink(database());
    assert_snapshot!(network(3, &pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Node]:XML-FILTER:[Node]  (2) logical
    >> [Bytes]:DATABASE:[]  (3) logical
    KAFKA       everywhere, 1 worker: each instance reads its own part
    XML-FILTER  everywhere, 1 worker: nothing holds it to one place
    DATABASE    everywhere, 1 worker: nothing holds it to one place
    ");
}

#[test]
fn a_local_file_is_read_in_one_place_and_dealt_to_all() {
    let pipeline = Pipeline::source(file()).filter(|_: &Node| true).named("XML-FILTER").sink(database());
    assert_snapshot!(network(3, &pipeline), @"
    :  FILE:[Bytes]  (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Node]:XML-FILTER:[Node]  (2) logical
    >> [Bytes]:DATABASE:[]  (3) logical
    FILE        on the first peer, 1 worker: it reads that instance's own input
    NET-SPLIT   on the first peer, 1 worker: it deals what is read there to all instances
    XML-FILTER  everywhere, 1 worker: nothing holds it to one place
    DATABASE    everywhere, 1 worker: nothing holds it to one place
    ");
}

#[test]
fn a_sink_without_care_for_order_that_is_placed_gets_a_plain_merge() {
    let pipeline = Pipeline::source(topic()).sink(database()).place(Where::Named("db".to_owned()));
    assert_snapshot!(network(3, &pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:NET-MERGE:[Bytes]  -  net-in
    >> [Bytes]:DATABASE:[]  (2) logical
    KAFKA      everywhere, 1 worker: each instance reads its own part
    NET-MERGE  on db, 1 worker: its declaration places it there
    DATABASE   on db, 1 worker: its declaration places it there
    ");
}

#[test]
fn nothing_is_dealt_that_would_be_brought_together_at_once() {
    assert_snapshot!(network(3, &Pipeline::source(queue()).sink(stdout())), @"
    :  AMQP-QUEUE:[Bytes]  (1) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:STD-OUT:[]  (2) logical
    AMQP-QUEUE      everywhere, 1 worker: its broker lets one instance be active
    NET-MERGE-SORT  on the last to join, 1 worker: that is where the user looks
    STD-OUT         on the last to join, 1 worker: that is where the user looks
    ");
}

#[test]
fn stages_that_are_all_in_one_place_need_no_network() {
    let first = Pipeline::source(file()).filter(|_: &Node| true).named("F").place(Where::First);
    assert_snapshot!(network(3, &first.sink(to_file()).place(Where::First)), @"
    :  FILE:[Bytes]  (1) logical
    >> [Node]:F:[Node]  (2) logical
    >> [Bytes]:TO-FILE:[]  (3) logical
    FILE     on the first peer, 1 worker: it reads that instance's own input
    F        on the first peer, 1 worker: its declaration places it there
    TO-FILE  on the first peer, 1 worker: its declaration places it there
    ");
}

#[test]
fn a_record_goes_from_one_place_to_another_through_a_merge() {
    assert_snapshot!(network(3, &Pipeline::source(file()).sink(to_file())), @"
    :  FILE:[Bytes]  (1) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:TO-FILE:[]  (2) logical
    FILE            on the first peer, 1 worker: it reads that instance's own input
    NET-MERGE-SORT  on the last peer, 1 worker: its state is on that instance's disk
    TO-FILE         on the last peer, 1 worker: its state is on that instance's disk
    ");
}

#[test]
fn a_fold_runs_where_the_sink_behind_it_does() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("F").count().named("COUNT").trigger_each(9);
    assert_snapshot!(network(3, &pipeline.map(|n: u64| n.to_string()).named("M").sink(stdout())), @"
    :  AMQP-QUEUE:[Bytes]  (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Node]:F:[Node]  (2) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:COUNT:[U64]  (3) logical
    >> [U64]:M:[Text]  (4) logical
    >> [Bytes]:STD-OUT:[]  (5) logical
    AMQP-QUEUE      everywhere, 1 worker: its broker lets one instance be active
    NET-SPLIT       everywhere, 1 worker: it deals what is read there to all instances
    F               everywhere, 1 worker: nothing holds it to one place
    NET-MERGE-SORT  on the last to join, 1 worker: it folds all records into one state
    COUNT           on the last to join, 1 worker: it folds all records into one state
    M               on the last to join, 1 worker: the records before it are brought together there
    STD-OUT         on the last to join, 1 worker: that is where the user looks
    ");
}

#[test]
fn a_fold_without_a_place_runs_on_the_first_and_all_behind_it_stays_there() {
    let pipeline = Pipeline::source(topic()).count().named("COUNT").trigger_each(9);
    assert_snapshot!(network(3, &pipeline.map(|n: u64| n.to_string()).named("M").sink(database())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:COUNT:[U64]  (2) logical
    >> [U64]:M:[Text]  (3) logical
    >> [Bytes]:DATABASE:[]  (4) logical
    KAFKA           everywhere, 1 worker: each instance reads its own part
    NET-MERGE-SORT  on the first peer, 1 worker: it folds all records into one state
    COUNT           on the first peer, 1 worker: it folds all records into one state
    M               on the first peer, 1 worker: the records before it are brought together there
    DATABASE        on the first peer, 1 worker: the records before it are brought together there
    ");
}

#[test]
fn what_a_fold_made_is_dealt_again_if_the_next_stage_is_placed_everywhere() {
    let pipeline = Pipeline::source(topic()).count().named("COUNT").trigger_each(9);
    let spread = pipeline.map(|n: u64| n.to_string()).named("M").place(Where::Everywhere);
    assert_snapshot!(network(3, &spread.sink(database())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:COUNT:[U64]  (2) logical
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [U64]:M:[Text]  (3) logical
    >> [Bytes]:DATABASE:[]  (4) logical
    KAFKA           everywhere, 1 worker: each instance reads its own part
    NET-MERGE-SORT  on the first peer, 1 worker: it folds all records into one state
    COUNT           on the first peer, 1 worker: it folds all records into one state
    NET-SPLIT       on the first peer, 1 worker: it deals what is read there to all instances
    M               everywhere, 1 worker: its declaration places it there
    DATABASE        everywhere, 1 worker: nothing holds it to one place
    ");
}

#[test]
fn a_limit_counts_on_one_instance_behind_an_ordered_merge() {
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("F").limit(5);
    assert_snapshot!(network(3, &pipeline.filter(|_: &Node| true).named("G").sink(database())), @"
    :  AMQP-QUEUE:[Bytes]  (1) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Node]:F:[Node]  (2) logical
    >> [Node]:G:[Node]  (3) logical
    >> [Bytes]:DATABASE:[]  (4) logical
    AMQP-QUEUE      everywhere, 1 worker: its broker lets one instance be active
    NET-MERGE-SORT  on the first peer, 1 worker: its limit counts the whole pipeline's records
    F               on the first peer, 1 worker: its limit counts the whole pipeline's records
    G               on the first peer, 1 worker: the records before it are brought together there
    DATABASE        on the first peer, 1 worker: the records before it are brought together there
    ");
}

#[test]
fn a_limit_on_a_source_that_several_read_counts_behind_a_merge() {
    assert_snapshot!(network(3, &Pipeline::source(topic()).limit(5).sink(database())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:DATABASE:[]  (2) logical
    KAFKA           everywhere, 1 worker: each instance reads its own part
    NET-MERGE-SORT  on the first peer, 1 worker: the source's limit counts the whole pipeline's records
    DATABASE        on the first peer, 1 worker: the records before it are brought together there
    ");
}

#[test]
fn a_limit_on_a_source_that_one_reads_counts_there_before_the_records_are_dealt() {
    assert_snapshot!(network(3, &Pipeline::source(file()).limit(5).sink(database())), @"
    :  FILE:[Bytes]  (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Bytes]:DATABASE:[]  (2) logical
    FILE       on the first peer, 1 worker: it reads that instance's own input
    NET-SPLIT  on the first peer, 1 worker: it deals what is read there to all instances
    DATABASE   everywhere, 1 worker: nothing holds it to one place
    ");
}

#[test]
fn a_placed_stage_in_the_middle_keeps_the_order_that_a_later_sink_cares_for() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("F").place(Where::LastJoined);
    assert_snapshot!(network(3, &pipeline.sink(stdout())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Node]:F:[Node]  (2) logical
    >> [Bytes]:STD-OUT:[]  (3) logical
    KAFKA           everywhere, 1 worker: each instance reads its own part
    NET-MERGE-SORT  on the last to join, 1 worker: its declaration places it there
    F               on the last to join, 1 worker: its declaration places it there
    STD-OUT         on the last to join, 1 worker: that is where the user looks
    ");
}

#[test]
fn a_source_that_is_placed_on_one_instance_is_dealt_to_all() {
    let pipeline = Pipeline::source(topic()).place(Where::Last).filter(|_: &Node| true).named("F");
    assert_snapshot!(network(2, &pipeline.sink(database())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Node]:F:[Node]  (2) logical
    >> [Bytes]:DATABASE:[]  (3) logical
    KAFKA      on the last peer, 1 worker: its declaration places it there
    NET-SPLIT  on the last peer, 1 worker: it deals what is read there to all instances
    F          everywhere, 1 worker: nothing holds it to one place
    DATABASE   everywhere, 1 worker: nothing holds it to one place
    ");
}

fn counted<M>(stream: Stream<Bytes, M>) -> Pipeline {
    let keyed = stream.map(|line: String| line).named("LINE").key_by(String::clone).named("KEY");
    let counts = keyed.count().named("COUNT").trigger_every(Duration::from_secs(9));
    counts.map(|count: Kv<String, u64>| count.key).named("SHOW").sink(database())
}

#[test]
fn a_keyed_fold_gets_all_records_of_a_key_by_a_split() {
    assert_snapshot!(network(3, &counted(Pipeline::source(topic()))), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Text]:LINE:[Text]  (2) logical
    >> [Text]:KEY:[Kv<Text, Text>]  (3) logical
    >> [Kv<Bytes, Bytes>]:NET-SPLIT:[Kv<Bytes, Bytes>]  -  net-out
    >> [Kv<Text, Text>]:COUNT:[Kv<Text, U64>]  (4) logical
    >> [Kv<Text, U64>]:SHOW:[Text]  (5) logical
    >> [Bytes]:DATABASE:[]  (6) logical
    KAFKA             everywhere, 1 worker: each instance reads its own part
    LINE              everywhere, 1 worker: nothing holds it to one place
    KEY               everywhere, 1 worker: nothing holds it to one place
    NET-SPLIT by key  everywhere, 1 worker: it deals each key to its instance
    COUNT             everywhere, 1 worker: each instance has the keys that are dealt to it
    SHOW              everywhere, 1 worker: nothing holds it to one place
    DATABASE          everywhere, 1 worker: nothing holds it to one place
    ");
}

#[test]
fn a_keyed_fold_that_counts_rows_counts_those_of_the_whole_pipeline() {
    let keyed = Pipeline::source(file()).map(|line: String| line).named("LINE").key_by(String::clone).named("KEY");
    let counts = keyed.count().named("COUNT").trigger_each(9).map(|count: Kv<String, u64>| count.key).named("SHOW");
    assert_snapshot!(network(3, &counts.sink(to_file())), @"
    :  FILE:[Bytes]  (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Text]:LINE:[Text]  (2) logical
    >> [Text]:KEY:[Kv<Text, Text>]  (3) logical
    >> [Kv<Bytes, Bytes>]:NET-MERGE-SORT:[Kv<Bytes, Bytes>]  -  net-in
    >> [Kv<Text, Text>]:COUNT:[Kv<Text, U64>]  (4) logical
    >> [Kv<Text, U64>]:SHOW:[Text]  (5) logical
    >> [Bytes]:TO-FILE:[]  (6) logical
    FILE            on the first peer, 1 worker: it reads that instance's own input
    NET-SPLIT       on the first peer, 1 worker: it deals what is read there to all instances
    LINE            everywhere, 1 worker: nothing holds it to one place
    KEY             everywhere, 1 worker: nothing holds it to one place
    NET-MERGE-SORT  on the last peer, 1 worker: its trigger counts the whole pipeline's rows
    COUNT           on the last peer, 1 worker: its trigger counts the whole pipeline's rows
    SHOW            on the last peer, 1 worker: the records before it are brought together there
    TO-FILE         on the last peer, 1 worker: its state is on that instance's disk
    ");
}

#[test]
fn what_keyed_folds_emit_at_the_end_comes_together_as_one_would_emit_it() {
    let across = |timed: bool| {
        let keyed = Pipeline::source(file()).map(|line: String| line).named("LINE").key_by(String::clone).named("KEY");
        let counts = keyed.count().named("COUNT");
        let counts = if timed { counts.trigger_every(Duration::from_secs(9)) } else { counts };
        let again = counts.map(|count: Kv<String, u64>| count.key).named("SHOW").key_by(String::clone).named("AGAIN");
        let sums = again.fold(0_u64, |sum, _: String| *sum += 1).named("FOLD").map(|sum: Kv<String, u64>| sum.key);
        let plan = planned(3, &sums.named("PRINT").sink(to_file()));
        plan.parts.iter().filter_map(|part| part.enters.as_ref()).map(|net| net.across).collect::<Vec<_>>()
    };
    assert_eq!(across(false), [Across::Any, Across::Any, Across::FirstRecord, Across::FirstRecord]);
    assert_eq!(across(true), [Across::Any, Across::Any, Across::Any, Across::FirstRecord]);
}

#[test]
fn a_keyed_fold_behind_a_merge_stays_there() {
    let limited = Pipeline::source(topic()).filter(|_: &Node| true).named("F").limit(5);
    assert_snapshot!(network(3, &counted(limited)), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Node]:F:[Node]  (2) logical
    >> [Text]:LINE:[Text]  (3) logical
    >> [Text]:KEY:[Kv<Text, Text>]  (4) logical
    >> [Kv<Text, Text>]:COUNT:[Kv<Text, U64>]  (5) logical
    >> [Kv<Text, U64>]:SHOW:[Text]  (6) logical
    >> [Bytes]:DATABASE:[]  (7) logical
    KAFKA           everywhere, 1 worker: each instance reads its own part
    NET-MERGE-SORT  on the first peer, 1 worker: its limit counts the whole pipeline's records
    F               on the first peer, 1 worker: its limit counts the whole pipeline's records
    LINE            on the first peer, 1 worker: the records before it are brought together there
    KEY             on the first peer, 1 worker: the records before it are brought together there
    COUNT           on the first peer, 1 worker: the records before it are brought together there
    SHOW            on the first peer, 1 worker: the records before it are brought together there
    DATABASE        on the first peer, 1 worker: the records before it are brought together there
    ");
}
