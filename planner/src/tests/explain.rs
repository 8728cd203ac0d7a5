use std::fmt::Write as _;

use insta::assert_snapshot;
use millstream_core::declare::Pipeline;

use super::doubles::{Node, file, queue, stdout, to_file};
use super::planned;
use crate::explain::{dot, json, text};

/// The listings of the page that the project began with, as they stand there.
const DECLARED: &str = "
    :  AMQP-QUEUE:[Bytes]                                                   (1) logical
    >> [Node]:XML-FILTER:[Node]                                             (2) logical
    >> [Bytes]:STD-OUT:[]                                                   (3) logical
                                                                            
";
const NETWORK: &str = "
    :  AMQP-QUEUE:[Bytes]                                                   (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]                                             -  net-out
    >> [Node]:XML-FILTER:[Node]                                             (2) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]                                        -  net-in
    >> [Bytes]:STD-OUT:[]                                                   (3) logical
                                                                               
";
/// The encoder's name, a slip there, is mended.
const CODED: &str = "
    :  AMQP-QUEUE:[Bytes]                                                   (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]                                             -  net-out
    >> [Bytes]:XML-DECODER:[Node]                                            -  decode
    >> [Node]:XML-FILTER:[Node]                                             (2) logical
    >> [Node]:XML-ENCODER:[Bytes]                                            -  encode
    >> [Bytes]:NET-MERGE-SORT:[Bytes]                                        -  net-in
    >> [Bytes]:STD-OUT:[]                                                   (3) logical
    
";

fn amqp() -> Pipeline {
    Pipeline::called("orders").source(queue()).filter(|_: &Node| true).named("XML-FILTER").sink(stdout())
}

/// Without the common indent and trailing blanks.
fn dedented(text: &str) -> String {
    let lines = || text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let indent = lines().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    lines().fold(String::new(), |mut out, line| {
        writeln!(out, "{}", &line[indent..]).expect("a string takes everything");
        out
    })
}

#[test]
fn the_amqp_example_on_three_instances_prints_the_three_listings() {
    let text = text(&planned(3, &amqp()));
    for listing in [DECLARED, NETWORK, CODED] {
        let listing = dedented(listing);
        assert!(text.contains(&format!("\n\n{listing}\n")), "expected\n{listing}\nin\n{text}");
    }
}

#[test]
fn the_amqp_example_on_three_instances() {
    assert_snapshot!(text(&planned(3, &amqp())), @"");
}

#[test]
fn a_filter_from_file_to_file_on_one_instance() {
    let pipeline = Pipeline::source(file()).filter(|_: &Node| true).named("PAID").sink(to_file());
    assert_snapshot!(text(&planned(1, &pipeline)), @"");
}

#[test]
fn the_same_as_json() {
    let text = json(&planned(3, &amqp().coder_par(2)));
    serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON");
    assert_snapshot!(text, @"");
}

#[test]
fn the_same_for_graphviz() {
    assert_snapshot!(dot(&planned(3, &amqp())), @"");
}

#[test]
fn a_name_that_is_too_long_for_the_marks_stays_whole() {
    let name = "A-NAME-THAT-IS-LONGER-THAN-ANY-SCREEN-IS-WIDE-BY-SOME-CHARACTERS-OR-SO-AS-WE-SEE";
    let text = text(&planned(1, &Pipeline::source(file()).named(name).sink(stdout())));
    assert!(text.contains(&format!(":  {name}:[Bytes] (1) logical\n")), "{text}");
}

#[test]
fn fingerprints_differ_by_what_is_done_and_not_by_how_fast() {
    let fingerprint = |pipeline: &Pipeline| planned(1, pipeline).fingerprint;
    let one = Pipeline::source(file()).filter(|_: &Node| true).sink(stdout());
    let other_line = Pipeline::source(file()).filter(|_: &Node| true).par(4).limit(5).sink(stdout()).coder_par(2);
    assert_eq!(fingerprint(&one), fingerprint(&other_line));
    assert_snapshot!(fingerprint(&one), @"");
    let other_form = Pipeline::source(file()).filter(|_: &str| true).sink(stdout());
    assert_ne!(fingerprint(&one), fingerprint(&other_form));
    let other_name = Pipeline::source(file()).filter(|_: &Node| true).named("PAID").sink(stdout());
    assert_ne!(fingerprint(&one), fingerprint(&other_name));
    let other_place = Pipeline::source(file()).filter(|_: &Node| true).sink(stdout()).place(millstream_core::contracts::Where::Last);
    assert_ne!(fingerprint(&one), fingerprint(&other_place));
}
