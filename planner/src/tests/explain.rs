use std::fmt::Write as _;

use insta::assert_snapshot;
use millstream_core::declare::{OnError, Pipeline};
use serde_json::Value;

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
    assert_snapshot!(text(&planned(3, &amqp())), @"
    Declared pipeline:

    :  AMQP-QUEUE:[Bytes]                                                   (1) logical
    >> [Node]:XML-FILTER:[Node]                                             (2) logical
    >> [Bytes]:STD-OUT:[]                                                   (3) logical

    Pipeline with injected network coders

    :  AMQP-QUEUE:[Bytes]                                                   (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]                                             -  net-out
    >> [Node]:XML-FILTER:[Node]                                             (2) logical
    >> [Bytes]:NET-MERGE-SORT:[Bytes]                                        -  net-in
    >> [Bytes]:STD-OUT:[]                                                   (3) logical

    Final Pipeline with injected type coders

    :  AMQP-QUEUE:[Bytes]                                                   (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]                                             -  net-out
    >> [Bytes]:XML-DECODER:[Node]                                            -  decode
    >> [Node]:XML-FILTER:[Node]                                             (2) logical
    >> [Node]:XML-ENCODER:[Bytes]                                            -  encode
    >> [Bytes]:NET-MERGE-SORT:[Bytes]                                        -  net-in
    >> [Bytes]:STD-OUT:[]                                                   (3) logical

    Running on 3 instances

        1. AMQP-QUEUE: a task, everywhere
             reads    AMQP-QUEUE:[Bytes]
             gives    to 2
        2. XML-FILTER: a thread, everywhere
             takes    [Bytes], 4 batches waiting at most, through NET-SPLIT
             decodes  [Bytes]:XML-DECODER:[Node]
             looks    [Node]:XML-FILTER:[Node]
             gives    to 3
        3. STD-OUT: a task, on the last to join
             takes    [Bytes], 4 batches waiting at most, through NET-MERGE-SORT
             writes   [Bytes]:STD-OUT:[]

    Left out

        XML-ENCODER before NET-MERGE-SORT is left out: nobody changed the value, and its [Bytes] is still at hand

    Where

        AMQP-QUEUE      everywhere, 1 worker: its broker lets one instance be active
        NET-SPLIT       everywhere, 1 worker: it deals what is read there to all instances
        XML-FILTER      everywhere, 1 worker: nothing holds it to one place
        NET-MERGE-SORT  on the last to join, 1 worker: that is where the user looks
        STD-OUT         on the last to join, 1 worker: that is where the user looks

    Reads and writes

        AMQP-QUEUE  reads from AMQP-QUEUE: somewhere
        STD-OUT     writes to STD-OUT: somewhere

    Guarantee

        at-least-once: standard output can't take back what it printed
        If the instance that reads AMQP-QUEUE is lost, its broker lets another one read: reading begins anew at the last commit, and what had passed since passes again.
        What an instance that is lost had in work behind NET-SPLIT is dealt anew, and NET-MERGE-SORT lets one copy of each record pass.
        While the instance of NET-MERGE-SORT is lost all wait for it.
    ");
}

#[test]
fn a_filter_from_file_to_file_on_one_instance() {
    let pipeline = Pipeline::source(file()).filter(|_: &Node| true).named("PAID").sink(to_file());
    assert_snapshot!(text(&planned(1, &pipeline)), @"
    Declared pipeline:

    :  FILE:[Bytes]                                                         (1) logical
    >> [Node]:PAID:[Node]                                                   (2) logical
    >> [Bytes]:TO-FILE:[]                                                   (3) logical

    Pipeline with injected network coders

    :  FILE:[Bytes]                                                         (1) logical
    >> [Node]:PAID:[Node]                                                   (2) logical
    >> [Bytes]:TO-FILE:[]                                                   (3) logical

    Final Pipeline with injected type coders

    :  FILE:[Bytes]                                                         (1) logical
    >> [Bytes]:XML-DECODER:[Node]                                            -  decode
    >> [Node]:PAID:[Node]                                                   (2) logical
    >> [Node]:XML-ENCODER:[Bytes]                                            -  encode
    >> [Bytes]:TO-FILE:[]                                                   (3) logical

    Running on 1 instance

        1. FILE > PAID > TO-FILE: a thread
             reads    FILE:[Bytes]
             decodes  [Bytes]:XML-DECODER:[Node]
             looks    [Node]:PAID:[Node]
             writes   [Bytes]:TO-FILE:[]

    Left out

        XML-ENCODER before TO-FILE is left out: nobody changed the value, and its [Bytes] is still at hand

    Where

        FILE     everywhere, 1 worker: there is only one instance
        PAID     everywhere, 1 worker: there is only one instance
        TO-FILE  everywhere, 1 worker: there is only one instance

    Reads and writes

        FILE     reads from FILE: somewhere
        TO-FILE  writes to TO-FILE: somewhere

    Guarantee

        at-least-once: a file is written anew by each run; no state folder: a restart begins from the start
    ");
}

/// The plan of the example as JSON, and the parts of it that have tests of their own.
fn as_json() -> (Value, [Value; 3]) {
    let text = json(&planned(3, &amqp().coder_par(2)));
    let mut whole: Value = serde_json::from_str(&text).expect("it is JSON");
    let parts = ["phases", "located", "running"].map(|field| whole[field].take());
    (whole, parts)
}

/// One line for each of these.
fn lines(all: &Value) -> String {
    let all = all.as_array().expect("it is a list");
    all.iter().fold(String::new(), |lines, one| lines + &one.to_string() + "\n")
}

#[test]
fn the_same_as_json() {
    let (whole, _) = as_json();
    assert_snapshot!(format!("{whole:#}"), @r#"
    {
      "agreement": "[]:AMQP-QUEUE:[Bytes] source, on Everywhere, fails >> [Bytes]:NET-SPLIT:[Bytes] on Everywhere >> [Bytes]:XML-DECODER:[Node] >> [Node]:XML-FILTER:[Bytes] filter, on Everywhere, fails >> [Node]:XML-ENCODER:[Bytes] >> [Bytes]:NET-MERGE-SORT:[Bytes] on LastJoined >> [Bytes]:STD-OUT:[] sink, on LastJoined, fails; without a state",
      "dropped": [
        "XML-ENCODER before NET-MERGE-SORT is left out: nobody changed the value, and its [Bytes] is still at hand"
      ],
      "fingerprint": "[]:AMQP-QUEUE:[Bytes] source >> [Node]:XML-FILTER:[Bytes] filter >> [Bytes]:STD-OUT:[] sink",
      "guarantee": {
        "guarantee": "at-least-once",
        "losses": [
          "If the instance that reads AMQP-QUEUE is lost, its broker lets another one read: reading begins anew at the last commit, and what had passed since passes again.",
          "What an instance that is lost had in work behind NET-SPLIT is dealt anew, and NET-MERGE-SORT lets one copy of each record pass.",
          "While the instance of NET-MERGE-SORT is lost all wait for it."
        ],
        "reason": "standard output can't take back what it printed",
        "sentence": "at-least-once: standard output can't take back what it printed"
      },
      "instances": 3,
      "located": null,
      "name": "orders",
      "outside": [
        {
          "does": "reads",
          "kind": "AMQP-QUEUE",
          "stages": [
            "AMQP-QUEUE"
          ],
          "what": "somewhere"
        },
        {
          "does": "writes",
          "kind": "STD-OUT",
          "stages": [
            "STD-OUT"
          ],
          "what": "somewhere"
        }
      ],
      "phases": null,
      "running": null,
      "version": 1
    }
    "#);
}

#[test]
fn its_phases_as_json() {
    let (_, [phases, ..]) = as_json();
    let phases = phases.as_array().expect("it is a list");
    let phase = |phase: &Value| format!("{}\n{}", phase["title"], lines(&phase["stages"]));
    assert_snapshot!(phases.iter().map(phase).collect::<String>(), @r#"
    "Declared pipeline"
    {"gives":"Bytes","mark":"logical","name":"AMQP-QUEUE","number":1,"takes":null}
    {"gives":"Node","mark":"logical","name":"XML-FILTER","number":2,"takes":"Node"}
    {"gives":null,"mark":"logical","name":"STD-OUT","number":3,"takes":"Bytes"}
    "Pipeline with injected network coders"
    {"gives":"Bytes","mark":"logical","name":"AMQP-QUEUE","number":1,"takes":null}
    {"gives":"Bytes","mark":"net-out","name":"NET-SPLIT","number":null,"takes":"Bytes"}
    {"gives":"Node","mark":"logical","name":"XML-FILTER","number":2,"takes":"Node"}
    {"gives":"Bytes","mark":"net-in","name":"NET-MERGE-SORT","number":null,"takes":"Bytes"}
    {"gives":null,"mark":"logical","name":"STD-OUT","number":3,"takes":"Bytes"}
    "Final Pipeline with injected type coders"
    {"gives":"Bytes","mark":"logical","name":"AMQP-QUEUE","number":1,"takes":null}
    {"gives":"Bytes","mark":"net-out","name":"NET-SPLIT","number":null,"takes":"Bytes"}
    {"gives":"Node","mark":"decode","name":"XML-DECODER","number":null,"takes":"Bytes"}
    {"gives":"Node","mark":"logical","name":"XML-FILTER","number":2,"takes":"Node"}
    {"gives":"Bytes","mark":"encode","name":"XML-ENCODER","number":null,"takes":"Node"}
    {"gives":"Bytes","mark":"net-in","name":"NET-MERGE-SORT","number":null,"takes":"Bytes"}
    {"gives":null,"mark":"logical","name":"STD-OUT","number":3,"takes":"Bytes"}
    "#);
}

#[test]
fn where_its_stages_run_as_json() {
    let (_, [_, located, _]) = as_json();
    assert_snapshot!(lines(&located), @r#"
    {"place":"everywhere","stage":"AMQP-QUEUE","why":"its broker lets one instance be active","workers":1}
    {"place":"everywhere","stage":"NET-SPLIT","why":"it deals what is read there to all instances","workers":1}
    {"place":"everywhere","stage":"XML-FILTER","why":"nothing holds it to one place","workers":1}
    {"place":"last-joined","stage":"NET-MERGE-SORT","why":"that is where the user looks","workers":1}
    {"place":"last-joined","stage":"STD-OUT","why":"that is where the user looks","workers":1}
    "#);
}

#[test]
fn its_tasks_as_json() {
    let (_, [.., running]) = as_json();
    assert_snapshot!(lines(&running), @r#"
    {"enters":null,"net":null,"place":"everywhere","tasks":[{"gives_to":2,"name":"AMQP-QUEUE","number":1,"runs":"async","steps":[{"segment":null,"verb":"reads","what":"AMQP-QUEUE:[Bytes]"}],"takes":null,"workers":1}]}
    {"enters":"NET-SPLIT","net":{"by_event_time":null,"by_first_record":false,"kind":"split"},"place":"everywhere","tasks":[{"gives_to":3,"name":"XML-FILTER","number":2,"runs":"thread","steps":[{"segment":1,"verb":"decodes","what":"[Bytes]:XML-DECODER:[Node]"},{"segment":1,"verb":"looks","what":"[Node]:XML-FILTER:[Node]"}],"takes":{"batches":4,"form":"Bytes"},"workers":1}]}
    {"enters":"NET-MERGE-SORT","net":{"by_event_time":null,"by_first_record":false,"kind":"merge-sort"},"place":"last-joined","tasks":[{"gives_to":null,"name":"STD-OUT","number":3,"runs":"async","steps":[{"segment":null,"verb":"writes","what":"[Bytes]:STD-OUT:[]"}],"takes":{"batches":4,"form":"Bytes"},"workers":1}]}
    "#);
}

#[test]
fn dead_letters_say_whose_they_are_and_where_they_go() {
    let letters = |policy| Pipeline::source(queue()).filter(|_: &Node| true).named("PAID").on_error(policy);
    let outside = |pipeline: &Pipeline| {
        let text = text(&planned(1, pipeline));
        let (_, behind) = text.split_once("Reads and writes\n\n").expect("it has the heading");
        behind.split("\n\n").next().map(dedented).expect("it has lines")
    };
    let to_file = || OnError::dead_letter(to_file());
    assert_snapshot!(outside(&letters(to_file()).sink(stdout()).on_error(OnError::Skip)), @"
    AMQP-QUEUE  reads from AMQP-QUEUE: somewhere
    STD-OUT     writes to STD-OUT: somewhere
    PAID        dead letters to TO-FILE: somewhere
    ");
    let shared = to_file();
    assert_snapshot!(outside(&letters(shared.clone()).sink(stdout()).on_error(shared)), @"
    AMQP-QUEUE     reads from AMQP-QUEUE: somewhere
    STD-OUT        writes to STD-OUT: somewhere
    PAID, STD-OUT  dead letters to TO-FILE: somewhere
    ");
    let pipeline = Pipeline::source(queue()).filter(|_: &Node| true).named("PAID").sink(stdout());
    assert_snapshot!(outside(&pipeline.on_any_error(to_file())), @"
    AMQP-QUEUE  reads from AMQP-QUEUE: somewhere
    STD-OUT     writes to STD-OUT: somewhere
    all stages  dead letters to TO-FILE: somewhere
    ");
}

#[test]
fn the_same_for_graphviz() {
    assert_snapshot!(dot(&planned(3, &amqp())), @r#"
    digraph "orders" {
        rankdir=LR;
        node [shape=box, fontname=monospace];
        subgraph cluster_0 {
            label="everywhere";
            task_0 [label="AMQP-QUEUE (a task)\lreads AMQP-QUEUE:[Bytes]\l"];
        }
        subgraph cluster_1 {
            label="everywhere";
            task_1 [label="XML-FILTER (a thread)\ldecodes [Bytes]:XML-DECODER:[Node]\llooks [Node]:XML-FILTER:[Node]\l"];
        }
        subgraph cluster_2 {
            label="on the last to join";
            task_2 [label="STD-OUT (a task)\lwrites [Bytes]:STD-OUT:[]\l"];
        }
        task_0 -> task_1 [label="NET-SPLIT [Bytes]", style=dashed];
        task_1 -> task_2 [label="NET-MERGE-SORT [Bytes]", style=dashed];
    }
    "#);
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
    assert_snapshot!(fingerprint(&one), @"[]:FILE:[Bytes] source >> [Node]:-:[Bytes] filter >> [Bytes]:STD-OUT:[] sink");
    let other_form = Pipeline::source(file()).filter(|_: &str| true).sink(stdout());
    assert_ne!(fingerprint(&one), fingerprint(&other_form));
    let other_name = Pipeline::source(file()).filter(|_: &Node| true).named("PAID").sink(stdout());
    assert_ne!(fingerprint(&one), fingerprint(&other_name));
    let other_place =
        Pipeline::source(file()).filter(|_: &Node| true).sink(stdout()).place(millstream_core::contracts::Where::Last);
    assert_ne!(fingerprint(&one), fingerprint(&other_place));
}
