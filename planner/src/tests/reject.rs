use std::time::Duration;

use insta::assert_snapshot;
use millstream_core::contracts::Where;
use millstream_core::data::Bytes;
use millstream_core::declare::{OnError, Pipeline};
use millstream_core::plan::{Declaration, Policy};

use super::doubles::{Alien, Folder, Node, collect, database, file, list, queue, stdout};
use super::{Show, check};
use crate::plan;

fn rejected(pipeline: &Pipeline) -> String {
    assert!(plan(pipeline.declaration(), &super::coders(), 1).is_err());
    check(Show::Guarantee, 1, pipeline)
}

#[test]
fn all_mistakes_of_all_passes_are_reported_together() {
    let twice =
        Pipeline::source(queue()).limit(0).filter(|_: &Alien| true).named("A").filter(|_: &Node| true).named("A");
    assert_snapshot!(rejected(&twice.par(0).sink(stdout()).require(millstream_core::plan::Guarantee::ExactlyOnce)), @"
    here: A: the stage declared at THERE has the same name; give one of them another: positions and counters are kept by name
    here: AMQP-QUEUE, A: no coder makes [Alien] of [Bytes]; register a coder from [Bytes] to [Alien] for this pipeline by `with`, or put a stage between them that makes the one of the other
    here: AMQP-QUEUE: a limit of 0 records lets nothing pass; leave it out, or let 1 record pass at least
    here: A: 0 workers run nothing; say `par(1)` or more
    here: AMQP-QUEUE, STD-OUT: exactly-once is asked for, and what this pipeline has is at-least-once: standard output can't take back what it printed; write to a sink that stores positions with its data, or ask for no more than at-least-once
    ");
}

#[test]
fn numbers_that_mean_nothing_as_zero_are_mistakes() {
    let rows = Pipeline::source(list::<u64>()).buffer(0).map(|n: u64| n).named("MAP").par(0).coder_par(0).retry(0);
    let asked = rows.throttle(0, Duration::ZERO).map_async(0, |n: u64| async move { n }).named("ASK").limit(0);
    let folded = asked.count().named("COUNT").trigger_each(0).trigger_every(Duration::ZERO);
    assert_snapshot!(rejected(&folded.sink(collect::<u64>())), @"
    here: LIST: a buffer for 0 records holds nothing up, it stops; leave it out, or let 1 record wait at least
    here: MAP: 0 workers run nothing; say `par(1)` or more
    here: MAP: 0 workers run no coders; say `coder_par(1)` or more
    here: MAP: a throttle of 0 records lets nothing pass; let 1 record pass in each period at least
    here: MAP: a throttle's period of no time is no rate; give a period above zero
    here: MAP: 0 retries are none; leave `retry` out, or say `retry(1)` or more
    here: ASK: a limit of 0 records lets nothing pass; leave it out, or let 1 record pass at least
    here: ASK: 0 at once begins nothing; let 1 record be in work at least
    here: COUNT: a trigger after each 0 records never comes to an end; say `trigger_each(1)` or more
    here: COUNT: a trigger after no time never comes to an end; give a period above zero
    ");
}

#[test]
fn a_keyed_fold_without_room_for_a_key_is_a_mistake() {
    let keyed = Pipeline::source(list::<u64>()).key_by(|n: &u64| *n).named("KEY").fold_up_to(0, 0u64, |_, _| ());
    assert_snapshot!(rejected(&keyed.named("FOLD").sink(collect::<millstream_core::data::Kv<u64, u64>>())), @"here: FOLD: 0 keys leave nothing to fold; allow 1 key at least");
}

#[test]
fn a_fold_of_endless_input_needs_a_trigger() {
    assert_snapshot!(rejected(&Pipeline::source(queue()).count().named("COUNT").sink(collect::<u64>())), @"here: AMQP-QUEUE, COUNT: it emits at the end, and its input never ends; say when it emits by `trigger_each` or `trigger_every`, or limit what comes before it");
    let limited = Pipeline::source(queue()).count().named("COUNT").limit(1).sink(collect::<u64>());
    assert_snapshot!(rejected(&limited), @"here: AMQP-QUEUE, COUNT: it emits at the end, and its input never ends; say when it emits by `trigger_each` or `trigger_every`, or limit what comes before it");
}

#[test]
fn a_limit_before_it_ends_the_input_of_a_fold() {
    let pipeline = Pipeline::source(queue()).limit(5).count().named("COUNT").sink(collect::<u64>());
    assert!(plan(pipeline.declaration(), &super::coders(), 1).is_ok());
}

#[test]
fn a_trigger_above_what_the_source_may_have_unacknowledged_is_a_mistake() {
    let prefetch = || {
        let mut queue = queue();
        queue.traits.unacknowledged = Some(100);
        Pipeline::source(queue).buffer(10)
    };
    let planned = |pipeline: &Pipeline| plan(pipeline.declaration(), &super::coders(), 1).is_ok();
    assert_snapshot!(rejected(&prefetch().count().named("C").trigger_each(101).sink(collect::<u64>())), @"here: AMQP-QUEUE, C: its trigger waits for 101 records, and the source may have 100 unacknowledged; trigger after 100 records at most, or let the source have more unacknowledged");
    assert!(planned(&prefetch().count().named("C").trigger_each(100).sink(collect::<u64>())));
    let two = |each| prefetch().count().named("C").trigger_each(20).count().named("D").trigger_each(each);
    assert_snapshot!(rejected(&two(6).sink(collect::<u64>())), @"here: AMQP-QUEUE, D: its trigger waits for 120 records, and the source may have 100 unacknowledged; trigger after 5 records at most, or let the source have more unacknowledged");
    assert!(planned(&two(5).sink(collect::<u64>())));
    let many = prefetch().flat_map(|_: &[u8], _: &mut millstream_core::contracts::Emit<'_, u64>| ()).named("SPLIT");
    assert!(planned(&many.count().named("C").trigger_each(1_000).sink(collect::<u64>())));
    assert!(planned(&prefetch().sink(stdout()).trigger_each(1_000)));
}

#[test]
fn two_stages_of_the_same_name_are_a_mistake() {
    let pipeline = Pipeline::source(queue()).named("A").filter(|_: &[u8]| true).named("B").sink(stdout()).named("A");
    assert_snapshot!(rejected(&pipeline), @"here: A: the stage declared at THERE has the same name; give one of them another: positions and counters are kept by name");
}

#[test]
fn what_connectors_say_of_their_settings_is_passed_on() {
    let (mut input, mut output, mut letters) = (file(), stdout(), database());
    input.wrong = vec!["no file to read: give at least one path".to_owned(), "no framing: give one".to_owned()];
    output.wrong = vec!["an empty title: leave it out".to_owned()];
    letters.wrong = vec!["an empty path: give the path of a file".to_owned()];
    let pipeline = Pipeline::source(input).sink(output).on_error(OnError::dead_letter(letters));
    assert_snapshot!(rejected(&pipeline), @"
    here: FILE: no file to read: give at least one path
    here: FILE: no framing: give one
    here: STD-OUT: an empty title: leave it out
    here: STD-OUT: dead letters to DATABASE: an empty path: give the path of a file
    ");
}

#[test]
fn dead_letters_go_to_a_sink_of_bytes() {
    let policy = OnError::DeadLetter(std::sync::Arc::new(collect::<Node>()));
    let pipeline = Pipeline::source(file()).filter(|_: &[u8]| true).named("F").on_error(policy).sink(stdout());
    assert_snapshot!(rejected(&pipeline), @"here: F: dead letters are [Bytes], and COLLECT takes [Node]; declare them by `OnError::dead_letter`, which takes what dead letters can become");
}

#[test]
fn dead_letters_of_a_source_that_nothing_encodes_are_a_mistake() {
    let pipeline = Pipeline::source(list::<Alien>()).filter(|_: &Alien| true).named("F");
    let pipeline = pipeline.on_error(OnError::dead_letter(database())).sink(collect::<Alien>());
    assert_snapshot!(rejected(&pipeline), @"here: F, LIST: dead letters need bytes, and no one cheapest chain of coders makes [Bytes] of the [Alien] of LIST; register a coder from [Alien] to [Bytes] for this pipeline by `with`, or choose another error policy");
}

#[test]
fn positions_need_a_pipeline_with_a_name() {
    assert_snapshot!(rejected(&Pipeline::called("").source(file()).sink(stdout()).store(Folder)), @"positions are kept under the pipeline's name, and it has none; name it by `Pipeline::called`, and keep the name over restarts");
}

#[test]
fn no_instances_are_a_mistake() {
    assert_snapshot!(check(Show::Network, 0, &Pipeline::source(file()).sink(stdout())), @"it is planned for 0 instances; plan it for 1 at least");
}

#[test]
fn places_that_cant_be_are_mistakes() {
    let pipeline = Pipeline::source(file()).place(Where::Everywhere).count().named("COUNT").place(Where::Everywhere);
    assert_snapshot!(rejected(&pipeline.sink(collect::<u64>()).place(Where::Named(String::new()))), @"
    here: FILE: it is placed everywhere, and reads input that belongs to one instance: each would read its own; leave the placement out, or name the instance
    here: COUNT: it is placed everywhere, and has to run on one instance: it folds all records into one state; leave the placement out, or name an instance
    here: COLLECT: it is placed on a peer without a name; give the peer's name
    ");
}

#[test]
fn a_declaration_that_is_no_pipeline_is_a_mistake_and_no_panic() {
    let pipeline = Pipeline::source(file()).filter(|_: &Node| true).named("F").sink(stdout());
    let declared = pipeline.declaration();
    let broken = |stages: &[usize], factories: &[usize]| Declaration {
        name: String::new(),
        stages: stages.iter().map(|&i| declared.stages[i].clone()).collect(),
        factories: factories.iter().map(|&i| declared.factories[i].clone()).collect(),
        coders: Vec::new(),
        letters: Vec::new(),
        policy: Policy::DeadLetter(7),
        store: None,
        wants: None,
        mistakes: Vec::new(),
    };
    for (stages, factories) in
        [(&[][..], &[][..]), (&[0], &[0]), (&[0, 2], &[0]), (&[2, 0], &[2, 0]), (&[0, 2], &[0, 1])]
    {
        let mistakes = plan(&broken(stages, factories), &[], 1).expect_err("it is no pipeline");
        assert_eq!(mistakes.0.len(), 1, "{mistakes}");
    }
    let mistakes = plan(&broken(&[0, 2], &[0, 2]), &[], 1).expect_err("its letters go nowhere");
    assert!(mistakes.to_string().contains("no destination"), "{mistakes}");
}

#[test]
fn default_names_are_told_apart_and_names_that_were_given_stay() {
    let pipeline =
        Pipeline::source(file()).filter(|_: &[u8]| true).named("FILE").sink(collect::<Bytes>()).named("FILE-2");
    let plan = super::planned(1, &pipeline);
    let names: Vec<_> = plan.graph.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["FILE-3", "FILE", "FILE-2"]);
}

#[test]
fn a_source_that_acknowledges_upstream_needs_a_sink_that_is_durable_before_the_end() {
    let mut output = stdout();
    output.traits.durable_at_close = true;
    assert_snapshot!(rejected(&Pipeline::source(queue()).sink(output)), @"here: STD-OUT, AMQP-QUEUE: AMQP-QUEUE is told that records have arrived while STD-OUT puts its output in place only at the end: a crash before that loses them; keep positions with the output by `.store(…)`, or append to it");
    let mut output = stdout();
    output.traits.durable_at_close = true;
    assert!(plan(Pipeline::source(file()).sink(output).declaration(), &super::coders(), 1).is_ok());
}

#[test]
fn dead_letters_need_a_sink_that_appends() {
    let mut output = stdout();
    output.traits.durable_at_close = true;
    let letters = Pipeline::source(file()).filter(|_: &Node| true).named("F").on_error(OnError::dead_letter(output));
    assert_snapshot!(rejected(&letters.sink(stdout())), @"here: F: dead letters have to be there before their records settle, and STD-OUT puts its output in place only at the end, in place of what was there; give `dead_letter` a sink that appends");
}

#[test]
fn a_backoff_without_retries_is_a_mistake() {
    let waits = Pipeline::source(file()).filter(|_: &Node| true).named("F").backoff(Duration::ZERO, Duration::ZERO);
    assert_snapshot!(rejected(&waits.sink(stdout())), @"here: F: a backoff is the wait of retries, and it has none; add `retry`, or leave `backoff` out");
}

#[test]
fn a_name_that_can_not_cross_to_others_is_a_mistake_where_there_are_others() {
    let pipeline = Pipeline::source(file()).filter(|_: &Node| true).named(&"N".repeat(1_025)).sink(stdout());
    assert!(check(Show::Network, 2, &pipeline).contains("its name has 1025 bytes, and at most 1024 cross to others"));
    assert!(!check(Show::Network, 1, &pipeline).contains("at most 1024"), "alone it may be of any length");
}
