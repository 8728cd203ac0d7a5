use std::time::Duration;

use insta::assert_snapshot;
use millstream_core::contracts::{Across, Kind, NetKind, Where};
use millstream_core::data::{Bytes, Kv};
use millstream_core::declare::{OnError, Pipeline};

use super::doubles::{Alien, Node, Order, coder, collect, database, file, list, stdout, topic, wire};
use super::{Show, check, planned};

fn coded(pipeline: &Pipeline) -> String {
    check(Show::Coders, 3, pipeline)
}

fn running(pipeline: &Pipeline) -> String {
    check(Show::Running, 3, pipeline)
}

#[test]
fn typed_neighbours_of_a_network_stage_are_coded_to_the_wire_and_back() {
    let pipeline = Pipeline::source(list::<u64>()).map(|n: u64| n + 1).named("ADD").sink(database());
    assert_snapshot!(coded(&pipeline), @"
    :  LIST:[U64]  (1) logical
    >> [U64]:WIRE-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Bytes]:WIRE-DECODER:[U64]  -  decode
    >> [U64]:ADD:[U64]  (2) logical
    >> [U64]:NUMBER-ENCODER:[Text]  -  encode
    >> [Text]:TEXT-ENCODER:[Bytes]  -  recast
    >> [Bytes]:DATABASE:[]  (3) logical
    ");
}

#[test]
fn what_nobody_changed_crosses_in_the_same_bytes_again() {
    let pipeline = Pipeline::source(list::<u64>()).filter(|_: &u64| true).named("ODD").sink(collect::<u64>());
    let pipeline = pipeline.place(Where::Last);
    assert_snapshot!(coded(&pipeline), @"
    :  LIST:[U64]  (1) logical
    >> [U64]:WIRE-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Bytes]:WIRE-DECODER:[U64]  -  decode
    >> [U64]:ODD:[U64]  (2) logical
    >> [U64]:WIRE-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:WIRE-DECODER:[U64]  -  decode
    >> [U64]:COLLECT:[]  (3) logical
    ");
    assert_snapshot!(running(&pipeline), @"
    1. LIST: a task, on the first peer
         reads    LIST:[U64]
         encodes  [U64]:WIRE-ENCODER:[Bytes]
         gives    to 2
    2. ODD: a task, everywhere
         takes    [Bytes], 4 batches waiting at most, through NET-SPLIT
         decodes  [Bytes]:WIRE-DECODER:[U64]
         looks    [U64]:ODD:[U64]
         gives    to 3
    3. WIRE-DECODER > COLLECT: a task, on the last peer
         takes    [Bytes], 4 batches waiting at most, through NET-MERGE-SORT
         decodes  [Bytes]:WIRE-DECODER:[U64]
         writes   [U64]:COLLECT:[]
    WIRE-ENCODER before NET-MERGE-SORT is left out: nobody changed the value, and its [Bytes] is still at hand
    ");
}

#[test]
fn bytes_travel_as_they_are_and_text_as_its_bytes() {
    let pipeline = Pipeline::source(file()).map(|line: String| line).named("TRIM").filter(|_: &str| true).named("LONG");
    assert_snapshot!(coded(&pipeline.sink(collect::<String>()).place(Where::Last)), @"
    :  FILE:[Bytes]  (1) logical
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Bytes]:TEXT-DECODER:[Text]  -  recast
    >> [Text]:TRIM:[Text]  (2) logical
    >> [Text]:LONG:[Text]  (3) logical
    >> [Text]:TEXT-ENCODER:[Bytes]  -  recast
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:TEXT-DECODER:[Text]  -  recast
    >> [Text]:COLLECT:[]  (4) logical
    ");
}

#[test]
fn the_bytes_that_a_view_was_decoded_from_travel_though_its_type_could() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Order| true).named("PAID").fold(0u64, |_, _: Order| ());
    let pipeline = pipeline.named("SUM").trigger_each(9).sink(collect::<u64>()).with(wire::<Order>());
    assert_snapshot!(coded(&pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:JSON-DECODER:[Order]  -  decode
    >> [Order]:PAID:[Order]  (2) logical
    >> [Order]:JSON-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:JSON-DECODER:[Order]  -  decode
    >> [Order]:SUM:[U64]  (3) logical
    >> [U64]:COLLECT:[]  (4) logical
    ");
}

#[test]
fn a_type_with_a_format_and_a_coder_to_the_wire_takes_the_wire() {
    let made = Pipeline::source(topic()).map(|_: Node| Order).named("M").fold(Order, |_, _: Order| ()).named("FOLD");
    assert_snapshot!(coded(&made.trigger_each(9).sink(collect::<Order>()).with(wire::<Order>())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:M:[Order]  (2) logical
    >> [Order]:WIRE-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:WIRE-DECODER:[Order]  -  decode
    >> [Order]:FOLD:[Order]  (3) logical
    >> [Order]:COLLECT:[]  (4) logical
    ");
}

#[test]
fn what_the_sink_takes_as_bytes_is_encoded_before_the_merge_and_not_to_the_wire() {
    let made = Pipeline::source(topic()).map(|_: Node| 1u64).named("M");
    assert_snapshot!(coded(&made.sink(stdout())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:M:[U64]  (2) logical
    >> [U64]:NUMBER-ENCODER:[Text]  -  encode
    >> [Text]:TEXT-ENCODER:[Bytes]  -  recast
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:STD-OUT:[]  (3) logical
    ");
}

#[test]
fn a_sink_of_bytes_behind_a_typed_stage_gets_the_formats_bytes() {
    let made = Pipeline::source(topic()).map(|_: Node| 1u64).named("M").filter(|_: &u64| true).named("F");
    assert_snapshot!(coded(&made.place(Where::First).sink(stdout()).place(Where::First)), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:M:[U64]  (2) logical
    >> [U64]:WIRE-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:WIRE-DECODER:[U64]  -  decode
    >> [U64]:F:[U64]  (3) logical
    >> [U64]:NUMBER-ENCODER:[Text]  -  encode
    >> [Text]:TEXT-ENCODER:[Bytes]  -  recast
    >> [Bytes]:STD-OUT:[]  (4) logical
    ");
}

#[test]
fn bytes_for_the_wire_reach_no_sink_on_any_number_of_instances() {
    let pipeline = || Pipeline::source(list::<bool>()).sink(stdout());
    assert_snapshot!(check(Show::Coders, 1, &pipeline()), @"here: LIST, STD-OUT: no coder makes [Bytes] of [Bool]; register a coder from [Bool] to [Bytes] for this pipeline by `with`, or put a stage between them that makes the one of the other");
    assert_snapshot!(check(Show::Coders, 3, &pipeline()), @"here: LIST, STD-OUT: no coder makes [Bytes] of [Bool]; register a coder from [Bool] to [Bytes] for this pipeline by `with`, or put a stage between them that makes the one of the other");
    let filtered = Pipeline::source(list::<bool>()).filter(|_: &bool| true).named("F").sink(database());
    assert_snapshot!(check(Show::Coders, 3, &filtered), @"here: F, DATABASE: no coder makes [Bytes] of [Bool]; register a coder from [Bool] to [Bytes] for this pipeline by `with`, or put a stage between them that makes the one of the other");
}

#[test]
fn bytes_for_the_wire_are_looked_at_by_no_stage() {
    let pipeline = Pipeline::source(list::<bool>()).map(|b: bool| b).named("M").filter(|_: &[u8]| true).named("RAW");
    assert_snapshot!(check(Show::Coders, 3, &pipeline.sink(collect::<bool>())), @"here: M, RAW: no coder makes [Bytes] of [Bool]; register a coder from [Bool] to [Bytes] for this pipeline by `with`, or put a stage between them that makes the one of the other");
    let sides = Pipeline::source(topic()).key_by(|_| 1u64).named("KEY").pairs().filter(|_: &Kv<Bytes, Bytes>| true);
    assert_snapshot!(check(Show::Coders, 3, &sides.named("RAW").sink(collect::<Kv<u64, Bytes>>())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:KEY:[Kv<U64, Bytes>]  (2) logical
    >> [Kv<U64, Bytes>]:KV(NUMBER-ENCODER + TEXT-ENCODER, -):[Kv<Bytes, Bytes>]  -  encode
    >> [Kv<Bytes, Bytes>]:RAW:[Kv<Bytes, Bytes>]  (3) logical
    >> [Kv<Bytes, Bytes>]:KV(TEXT-DECODER + NUMBER-DECODER, -):[Kv<U64, Bytes>]  -  decode
    >> [Kv<U64, Bytes>]:KV(WIRE-ENCODER, -):[Kv<Bytes, Bytes>]  -  encode
    >> [Kv<Bytes, Bytes>]:NET-MERGE-SORT:[Kv<Bytes, Bytes>]  -  net-in
    >> [Kv<Bytes, Bytes>]:KV(WIRE-DECODER, -):[Kv<U64, Bytes>]  -  decode
    >> [Kv<U64, Bytes>]:COLLECT:[]  (4) logical
    ");
    let sides = Pipeline::source(topic()).key_by(|_| true).named("KEY").pairs().filter(|_: &Kv<Bytes, Bytes>| true);
    let sides = sides.named("RAW").place(Where::First).sink(collect::<Kv<bool, Bytes>>());
    assert_snapshot!(check(Show::Coders, 3, &sides), @"here: KEY, RAW: no coder makes [Bytes], a side of [Kv<Bytes, Bytes>] of [Bool]; register a coder from [Bool] to [Bytes] for this pipeline by `with`, or put a stage between them that makes the one of the other");
}

#[test]
fn bytes_for_the_wire_are_no_dead_letter() {
    let pipeline = Pipeline::source(list::<bool>()).map(|b: bool| b).named("M");
    let letters = pipeline.on_error(OnError::dead_letter(database())).sink(collect::<bool>()).place(Where::First);
    assert_snapshot!(check(Show::Coders, 3, &letters), @"here: M, LIST: dead letters need bytes, and no one cheapest chain of coders makes [Bytes] of the [Bool] of LIST; register a coder from [Bool] to [Bytes] for this pipeline by `with`, or choose another error policy");
}

#[test]
fn of_a_pair_each_side_crosses_by_itself() {
    let keyed = Pipeline::source(topic()).map(|line: String| line).named("WORDS").key_by(String::clone).named("KEY");
    let counts = keyed.count().named("COUNT").trigger_every(Duration::from_secs(9));
    let tabbed = coder::<Kv<String, u64>, Bytes>("TABBED-ENCODER", Kind::Encode, 10);
    let pipeline = counts.sink(stdout()).with_coder(tabbed);
    assert_snapshot!(coded(&pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:TEXT-DECODER:[Text]  -  recast
    >> [Text]:WORDS:[Text]  (2) logical
    >> [Text]:KEY:[Kv<Text, Text>]  (3) logical
    >> [Kv<Text, Text>]:KV(TEXT-ENCODER, TEXT-ENCODER):[Kv<Bytes, Bytes>]    -  recast
    >> [Kv<Bytes, Bytes>]:NET-SPLIT:[Kv<Bytes, Bytes>]  -  net-out
    >> [Kv<Bytes, Bytes>]:KV(TEXT-DECODER, TEXT-DECODER):[Kv<Text, Text>]    -  recast
    >> [Kv<Text, Text>]:COUNT:[Kv<Text, U64>]  (4) logical
    >> [Kv<Text, U64>]:TABBED-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:STD-OUT:[]  (5) logical
    ");
    let typed = || {
        let keyed = Pipeline::source(topic()).key_by(|_| 1u64).named("KEY");
        keyed.count().named("COUNT").trigger_every(Duration::from_secs(9)).filter(|_: &Kv<u64, u64>| true).named("F")
    };
    assert_snapshot!(coded(&typed().sink(collect::<Kv<u64, u64>>())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:KEY:[Kv<U64, Bytes>]  (2) logical
    >> [Kv<U64, Bytes>]:KV(WIRE-ENCODER, -):[Kv<Bytes, Bytes>]  -  encode
    >> [Kv<Bytes, Bytes>]:NET-SPLIT:[Kv<Bytes, Bytes>]  -  net-out
    >> [Kv<Bytes, Bytes>]:KV(WIRE-DECODER, -):[Kv<U64, Bytes>]  -  decode
    >> [Kv<U64, Bytes>]:COUNT:[Kv<U64, U64>]  (3) logical
    >> [Kv<U64, U64>]:F:[Kv<U64, U64>]  (4) logical
    >> [Kv<U64, U64>]:KV(WIRE-ENCODER, WIRE-ENCODER):[Kv<Bytes, Bytes>]      -  encode
    >> [Kv<Bytes, Bytes>]:NET-MERGE-SORT:[Kv<Bytes, Bytes>]  -  net-in
    >> [Kv<Bytes, Bytes>]:KV(WIRE-DECODER, WIRE-DECODER):[Kv<U64, U64>]      -  decode
    >> [Kv<U64, U64>]:COLLECT:[]  (5) logical
    ");
    assert_snapshot!(running(&pipeline), @"
    1. KAFKA > WORDS > KEY: a task, everywhere
         reads    KAFKA:[Bytes]
         recasts  [Bytes]:TEXT-DECODER:[Text]
         makes    [Text]:WORDS:[Text]
         makes    [Text]:KEY:[Kv<Text, Text>]
         recasts  [Kv<Text, Text>]:KV(TEXT-ENCODER, TEXT-ENCODER):[Kv<Bytes, Bytes>]
         gives    to 2
    2. KV(TEXT-DECODER, TEXT-DECODER): a task, everywhere
         takes    [Kv<Bytes, Bytes>], 4 batches waiting at most, through NET-SPLIT by key
         recasts  [Kv<Bytes, Bytes>]:KV(TEXT-DECODER, TEXT-DECODER):[Kv<Text, Text>]
         gives    to 3
    3. COUNT: a task, everywhere
         takes    [Kv<Text, Text>], 4 batches waiting at most
         fold     [Kv<Text, Text>]:COUNT:[Kv<Text, U64>], every 9s
         encodes  [Kv<Text, U64>]:TABBED-ENCODER:[Bytes]
         gives    to 4
    4. STD-OUT: a task, on the last to join
         takes    [Bytes], 4 batches waiting at most, through NET-MERGE-SORT
         writes   [Bytes]:STD-OUT:[]
    ");
}

#[test]
fn a_pair_that_crossed_is_made_again_for_a_coder_that_takes_it() {
    let keyed = Pipeline::source(topic()).map(|line: String| line).named("WORDS").key_by(String::clone).named("KEY");
    let order = coder::<Kv<String, String>, Order>("ORDERED", Kind::Recast, 10);
    let pipeline = keyed.pairs().filter(|_: &Order| true).named("F").place(Where::First);
    assert_snapshot!(coded(&pipeline.sink(collect::<Kv<String, String>>()).with_coder(order)), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:TEXT-DECODER:[Text]  -  recast
    >> [Text]:WORDS:[Text]  (2) logical
    >> [Text]:KEY:[Kv<Text, Text>]  (3) logical
    >> [Kv<Text, Text>]:KV(TEXT-ENCODER, TEXT-ENCODER):[Kv<Bytes, Bytes>]    -  recast
    >> [Kv<Bytes, Bytes>]:NET-MERGE-SORT:[Kv<Bytes, Bytes>]  -  net-in
    >> [Kv<Bytes, Bytes>]:KV(TEXT-DECODER, TEXT-DECODER):[Kv<Text, Text>]    -  recast
    >> [Kv<Text, Text>]:ORDERED:[Order]  -  recast
    >> [Order]:F:[Order]  (4) logical
    >> [Order]:UNCHANGED:[Kv<Text, Text>]  -  kept
    >> [Kv<Text, Text>]:COLLECT:[]  (5) logical
    ");
}

#[test]
fn a_type_without_a_way_back_says_how_to_get_one() {
    let smooth = || Pipeline::source(list::<Alien>()).map(|a: Alien| a).named("SMOOTH").sink(stdout());
    let encoder = || coder::<Alien, Bytes>("ALIEN-ENCODER", Kind::Encode, 10);
    assert_snapshot!(coded(&smooth().with_coder(encoder())), @"here: LIST, SMOOTH: NET-SPLIT between them carries bytes, and no coders make bytes of [Alien] and [Alien] of them again; register them for this pipeline: by `with(wire::of::<Alien>())` if serde knows the type, or by `with` and a format that reads what it writes");
    assert_snapshot!(coded(&smooth().with_coder(encoder()).with(wire::<Alien>())), @"
    :  LIST:[Alien]  (1) logical
    >> [Alien]:WIRE-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Bytes]:WIRE-DECODER:[Alien]  -  decode
    >> [Alien]:SMOOTH:[Alien]  (2) logical
    >> [Alien]:ALIEN-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:STD-OUT:[]  (3) logical
    ");
    assert!(crate::plan(smooth().with_coder(encoder()).declaration(), &super::coders(), 1).is_ok());
}

#[test]
fn a_side_without_a_way_back_says_which() {
    let keyed = Pipeline::source(list::<Alien>()).key_by(|_| 1u64).named("KEY").count().named("COUNT");
    assert_snapshot!(coded(&keyed.sink(collect::<Kv<u64, u64>>())), @"
    here: LIST, KEY: NET-SPLIT between them carries bytes, and no coders make bytes of [Alien] and [Alien] of them again; register them for this pipeline: by `with(wire::of::<Alien>())` if serde knows the type, or by `with` and a format that reads what it writes
    here: KEY, COUNT: NET-SPLIT by key between them carries bytes, and no coders make bytes of [Alien], a side of [Kv<U64, Alien>], and [Alien] of them again; register them for this pipeline: by `with(wire::of::<Alien>())` if serde knows the type, or by `with` and a format that reads what it writes
    ");
    let twice = Pipeline::source(topic()).key_by(|_| 1u64).named("KEY").pairs().key_by(|_| 2u64).named("AGAIN");
    assert_snapshot!(coded(&twice.count().named("COUNT").trigger_every(Duration::from_secs(9)).sink(collect::<Kv<u64, u64>>())), @"here: AGAIN, COUNT: NET-SPLIT by key between them carries bytes, and no coders make bytes of [Kv<U64, Bytes>], a side of [Kv<U64, Kv<U64, Bytes>>], and [Kv<U64, Bytes>] of them again; put a `map` before it that makes a type of your own of that pair, and register coders for that");
}

#[test]
fn a_pipelines_own_encoder_does_not_stand_in_for_the_one_to_the_wire() {
    let pipeline = Pipeline::source(list::<u64>()).map(|n: u64| n).named("M").sink(database());
    assert_snapshot!(coded(&pipeline.with_coder(coder::<u64, Bytes>("DECIMAL", Kind::Encode, 5))), @"
    :  LIST:[U64]  (1) logical
    >> [U64]:WIRE-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-SPLIT:[Bytes]  -  net-out
    >> [Bytes]:WIRE-DECODER:[U64]  -  decode
    >> [U64]:M:[U64]  (2) logical
    >> [U64]:DECIMAL:[Bytes]  -  encode
    >> [Bytes]:DATABASE:[]  (3) logical
    ");
}

#[test]
fn parts_name_the_network_stage_that_they_stand_behind() {
    let pipeline = Pipeline::source(file()).filter(|_: &Node| true).named("F").sink(stdout());
    let plan = planned(3, &pipeline);
    let nets: Vec<_> = plan.parts.iter().map(|part| part.enters.clone()).collect();
    assert_eq!(nets[0], None);
    let kinds: Vec<_> = nets.iter().flatten().map(|net| (net.name.as_str(), net.kind, net.across)).collect();
    assert_eq!(
        kinds,
        [("NET-SPLIT", NetKind::Split, Across::Any), ("NET-MERGE-SORT", NetKind::MergeSort, Across::Any)]
    );
}
