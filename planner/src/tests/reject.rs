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
    let twice = Pipeline::source(queue()).limit(0).filter(|_: &Alien| true).named("A").filter(|_: &Node| true).named("A");
    assert_snapshot!(rejected(&twice.par(0).sink(stdout()).require(millstream_core::plan::Guarantee::ExactlyOnce)), @"");
}

#[test]
fn numbers_that_mean_nothing_as_zero_are_mistakes() {
    let rows = Pipeline::source(list::<u64>()).buffer(0).map(|n: u64| n).named("MAP").par(0).coder_par(0).retry(0);
    let asked = rows.throttle(0, Duration::ZERO).map_async(0, |n: u64| async move { n }).named("ASK").limit(0);
    let folded = asked.count().named("COUNT").trigger_each(0).trigger_every(Duration::ZERO);
    assert_snapshot!(rejected(&folded.sink(collect::<u64>())), @"");
}

#[test]
fn a_keyed_fold_without_room_for_a_key_is_a_mistake() {
    let keyed = Pipeline::source(list::<u64>()).key_by(|n: &u64| *n).named("KEY").fold_up_to(0, 0u64, |_, _| ());
    assert_snapshot!(rejected(&keyed.named("FOLD").sink(collect::<millstream_core::data::Kv<u64, u64>>())), @"");
}

#[test]
fn a_fold_of_endless_input_needs_a_trigger() {
    assert_snapshot!(rejected(&Pipeline::source(queue()).count().named("COUNT").sink(collect::<u64>())), @"");
    let limited = Pipeline::source(queue()).count().named("COUNT").limit(1).sink(collect::<u64>());
    assert_snapshot!(rejected(&limited), @"");
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
    assert_snapshot!(rejected(&prefetch().count().named("C").trigger_each(101).sink(collect::<u64>())), @"");
    assert!(planned(&prefetch().count().named("C").trigger_each(100).sink(collect::<u64>())));
    let two = |each| prefetch().count().named("C").trigger_each(20).count().named("D").trigger_each(each);
    assert_snapshot!(rejected(&two(6).sink(collect::<u64>())), @"");
    assert!(planned(&two(5).sink(collect::<u64>())));
    let many = prefetch().flat_map(|_: &[u8], _: &mut millstream_core::contracts::Emit<'_, u64>| ()).named("SPLIT");
    assert!(planned(&many.count().named("C").trigger_each(1_000).sink(collect::<u64>())));
    assert!(planned(&prefetch().sink(stdout()).trigger_each(1_000)));
}

#[test]
fn two_stages_of_the_same_name_are_a_mistake() {
    let pipeline = Pipeline::source(queue()).named("A").filter(|_: &[u8]| true).named("B").sink(stdout()).named("A");
    let text = rejected(&pipeline);
    assert_snapshot!(without_lines(&text), @"");
}

fn without_lines(text: &str) -> String {
    text.split(' ').map(|word| if word.contains(".rs:") { "FILE:LINE" } else { word }).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_connectors_say_of_their_settings_is_passed_on() {
    let (mut input, mut output, mut letters) = (file(), stdout(), database());
    input.wrong = vec!["no file to read: give at least one path".to_owned(), "no framing: give one".to_owned()];
    output.wrong = vec!["an empty title: leave it out".to_owned()];
    letters.wrong = vec!["an empty path: give the path of a file".to_owned()];
    let pipeline = Pipeline::source(input).sink(output).on_error(OnError::dead_letter(letters));
    assert_snapshot!(rejected(&pipeline), @"");
}

#[test]
fn dead_letters_go_to_a_sink_of_bytes() {
    let policy = OnError::DeadLetter(std::sync::Arc::new(collect::<Node>()));
    let pipeline = Pipeline::source(file()).filter(|_: &[u8]| true).named("F").on_error(policy).sink(stdout());
    assert_snapshot!(rejected(&pipeline), @"");
}

#[test]
fn dead_letters_of_a_source_that_nothing_encodes_are_a_mistake() {
    let pipeline = Pipeline::source(list::<Alien>()).filter(|_: &Alien| true).named("F");
    let pipeline = pipeline.on_error(OnError::dead_letter(database())).sink(collect::<Alien>());
    assert_snapshot!(rejected(&pipeline), @"");
}

#[test]
fn positions_need_a_pipeline_with_a_name() {
    assert_snapshot!(rejected(&Pipeline::called("").source(file()).sink(stdout()).store(Folder)), @"");
}

#[test]
fn no_instances_are_a_mistake() {
    assert_snapshot!(check(Show::Network, 0, &Pipeline::source(file()).sink(stdout())), @"");
}

#[test]
fn places_that_cant_be_are_mistakes() {
    let pipeline = Pipeline::source(file()).place(Where::Everywhere).count().named("COUNT").place(Where::Everywhere);
    assert_snapshot!(rejected(&pipeline.sink(collect::<u64>()).place(Where::Named(String::new()))), @"");
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
    for (stages, factories) in [(&[][..], &[][..]), (&[0], &[0]), (&[0, 2], &[0]), (&[2, 0], &[2, 0]), (&[0, 2], &[0, 1])] {
        let mistakes = plan(&broken(stages, factories), &[], 1).expect_err("it is no pipeline");
        assert_eq!(mistakes.0.len(), 1, "{mistakes}");
    }
    let mistakes = plan(&broken(&[0, 2], &[0, 2]), &[], 1).expect_err("its letters go nowhere");
    assert!(mistakes.to_string().contains("no destination"), "{mistakes}");
}

#[test]
fn default_names_are_told_apart_and_names_that_were_given_stay() {
    let pipeline = Pipeline::source(file()).filter(|_: &[u8]| true).named("FILE").sink(collect::<Bytes>()).named("FILE-2");
    let plan = super::planned(1, &pipeline);
    let names: Vec<_> = plan.graph.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["FILE-3", "FILE", "FILE-2"]);
}
