use insta::assert_snapshot;
use millstream_core::contracts::Kind;
use millstream_core::data::Bytes;
use millstream_core::declare::Pipeline;

use super::doubles::{Alien, Gzip, Node, Order, Xml, coder, collect, database, list, stdout, topic};
use super::{Show, check};

fn coded(pipeline: &Pipeline) -> String {
    check(Show::Coders, 1, pipeline)
}

#[test]
fn a_form_at_hand_needs_no_coder() {
    let pipeline = Pipeline::source(topic()).filter(|_: &[u8]| true).named("F").sink(stdout());
    assert_snapshot!(coded(&pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:F:[Bytes]  (2) logical
    >> [Bytes]:STD-OUT:[]  (3) logical
    ");
}

#[test]
fn a_filter_passes_the_value_through_and_a_coder_leads_back() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("F").sink(stdout());
    assert_snapshot!(coded(&pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:F:[Node]  (2) logical
    >> [Node]:XML-ENCODER:[Bytes]  -  encode
    >> [Bytes]:STD-OUT:[]  (3) logical
    ");
}

#[test]
fn filters_of_the_same_form_share_a_decoder() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("F").filter(|_: &Node| true).named("G");
    assert_snapshot!(coded(&pipeline.sink(stdout())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:F:[Node]  (2) logical
    >> [Node]:G:[Node]  (3) logical
    >> [Node]:XML-ENCODER:[Bytes]  -  encode
    >> [Bytes]:STD-OUT:[]  (4) logical
    ");
}

#[test]
fn filters_of_several_forms_look_at_the_same_bytes() {
    let texts = Pipeline::source(topic()).filter(|_: &str| true).named("F").filter(|_: &Node| true).named("G");
    assert_snapshot!(coded(&texts.filter(|_: &Order| true).named("H").sink(stdout())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:TEXT-DECODER:[Text]  -  recast
    >> [Text]:F:[Text]  (2) logical
    >> [Text]:TEXT-ENCODER:[Bytes]  -  recast
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:G:[Node]  (3) logical
    >> [Node]:XML-ENCODER:[Bytes]  -  encode
    >> [Bytes]:JSON-DECODER:[Order]  -  decode
    >> [Order]:H:[Order]  (4) logical
    >> [Order]:JSON-ENCODER:[Bytes]  -  encode
    >> [Bytes]:STD-OUT:[]  (5) logical
    ");
}

#[test]
fn behind_a_stage_that_makes_rows_only_its_output_is_at_hand() {
    let made = Pipeline::source(topic()).map(|_: Node| Order).named("M").filter(|_: &Order| true).named("F");
    assert_snapshot!(coded(&made.sink(stdout())), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:M:[Order]  (2) logical
    >> [Order]:F:[Order]  (3) logical
    >> [Order]:JSON-ENCODER:[Bytes]  -  encode
    >> [Bytes]:STD-OUT:[]  (4) logical
    ");
}

#[test]
fn a_chain_may_have_several_coders() {
    let pipeline = Pipeline::source(topic()).map(|n: u64| n + 1).named("ADD").sink(stdout());
    assert_snapshot!(coded(&pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:TEXT-DECODER:[Text]  -  recast
    >> [Text]:NUMBER-DECODER:[U64]  -  decode
    >> [U64]:ADD:[U64]  (2) logical
    >> [U64]:NUMBER-ENCODER:[Text]  -  encode
    >> [Text]:TEXT-ENCODER:[Bytes]  -  recast
    >> [Bytes]:STD-OUT:[]  (3) logical
    ");
}

#[test]
fn a_form_that_nothing_encodes_shows_that_the_bytes_were_kept() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Alien| true).named("F").sink(stdout());
    assert_snapshot!(coded(&pipeline.with_coder(coder::<Bytes, Alien>("ALIEN-DECODER", Kind::Decode, 10))), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:ALIEN-DECODER:[Alien]  -  decode
    >> [Alien]:F:[Alien]  (2) logical
    >> [Alien]:UNCHANGED:[Bytes]  -  kept
    >> [Bytes]:STD-OUT:[]  (3) logical
    ");
}

#[test]
fn a_pipelines_own_coder_wins_over_a_cheaper_default() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("F").sink(stdout());
    assert_snapshot!(coded(&pipeline.with_coder(coder::<Bytes, Node>("HTML-DECODER", Kind::Decode, 50))), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:HTML-DECODER:[Node]  -  decode
    >> [Node]:F:[Node]  (2) logical
    >> [Node]:XML-ENCODER:[Bytes]  -  encode
    >> [Bytes]:STD-OUT:[]  (3) logical
    ");
}

#[test]
fn a_compression_is_never_used_by_itself() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Node| true).named("F").sink(stdout());
    assert_snapshot!(coded(&pipeline.with_coder(coder::<Bytes, Bytes>("GZIP", Kind::Decode, 1))), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:F:[Node]  (2) logical
    >> [Node]:XML-ENCODER:[Bytes]  -  encode
    >> [Bytes]:STD-OUT:[]  (3) logical
    ");
}

#[test]
fn a_named_format_replaces_the_value() {
    let pipeline = Pipeline::source(topic()).decode_as(Gzip).filter(|_: &Node| true).named("F").sink(stdout());
    assert_snapshot!(coded(&pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:GZIP-DECODER:[Bytes]  (2) logical
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:F:[Node]  (3) logical
    >> [Node]:XML-ENCODER:[Bytes]  -  encode
    >> [Bytes]:STD-OUT:[]  (4) logical
    ");
}

#[test]
fn a_named_format_is_used_and_what_it_made_is_encoded() {
    let pipeline = Pipeline::source(topic()).decode_as(Xml).filter(|_: &Node| true).named("F").sink(stdout());
    assert_snapshot!(coded(&pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:MY-XML-DECODER:[Node]  (2) logical
    >> [Node]:F:[Node]  (3) logical
    >> [Node]:XML-ENCODER:[Bytes]  -  encode
    >> [Bytes]:STD-OUT:[]  (4) logical
    ");
}

#[test]
fn what_crosses_the_network_is_decoded_to_what_it_was() {
    let pipeline =
        Pipeline::source(topic()).map(|_: Node| Order).named("M").fold(Order, |_, _: Order| ()).named("FOLD");
    let pipeline = pipeline.trigger_each(9).sink(collect::<Order>());
    assert_snapshot!(check(Show::Coders, 3, &pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:XML-DECODER:[Node]  -  decode
    >> [Node]:M:[Order]  (2) logical
    >> [Order]:JSON-ENCODER:[Bytes]  -  encode
    >> [Bytes]:NET-MERGE-SORT:[Bytes]  -  net-in
    >> [Bytes]:JSON-DECODER:[Order]  -  decode
    >> [Order]:FOLD:[Order]  (3) logical
    >> [Order]:COLLECT:[]  (4) logical
    ");
}

#[test]
fn what_crosses_the_network_is_decoded_to_nothing_else() {
    let pipeline = Pipeline::source(topic()).map(|_: Node| Order).named("M").fold(Node, |_, _: Node| ()).named("FOLD");
    assert_snapshot!(check(Show::Coders, 3, &pipeline.trigger_each(9).sink(collect::<Node>())), @"here: M, FOLD: [Node] could only be made of [Bytes] (encoded from [Order]) by decoding what was encoded (XML-DECODER); if that is meant, name the format between the two stages with `encode_as` or `decode_as`; if not, make the one of the other in a `map`");
}

#[test]
fn a_missing_coder_is_a_mistake_with_both_stages_and_types() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Alien| true).named("F").sink(stdout());
    assert_snapshot!(coded(&pipeline), @"here: KAFKA, F: no coder makes [Alien] of [Bytes]; register a coder from [Bytes] to [Alien] for this pipeline by `with`, or put a stage between them that makes the one of the other");
}

#[test]
fn a_missing_coder_before_a_network_stage_names_it() {
    let pipeline = Pipeline::source(topic()).map(|_: Node| Alien).named("M").sink(collect::<Alien>());
    assert_snapshot!(check(Show::Coders, 2, &pipeline), @"here: M, COLLECT: NET-MERGE-SORT between them carries bytes, and no coders make bytes of [Alien] and [Alien] of them again; register them for this pipeline: by `with(wire::of::<Alien>())` if serde knows the type, or by `with` and a format that reads what it writes");
}

#[test]
fn nothing_is_decoded_that_was_just_encoded() {
    let pipeline = Pipeline::source(list::<Order>()).filter(|_: &Node| true).named("F").sink(stdout());
    assert_snapshot!(coded(&pipeline), @"here: LIST, F: [Node] could only be made of [Order] by decoding what was encoded (JSON-ENCODER + XML-DECODER); if that is meant, name the format between the two stages with `encode_as` or `decode_as`; if not, make the one of the other in a `map`");
}

#[test]
fn bytes_that_an_earlier_stage_had_encoded_are_not_decoded_either() {
    let texts =
        Pipeline::source(list::<Order>()).filter(|_: &str| true).named("TEXT").filter(|_: &Node| true).named("F");
    assert_snapshot!(coded(&texts.sink(stdout())), @"here: TEXT, F: [Node] could only be made of [Order] or [Bytes] (encoded from [Order]) or [Text] (encoded from [Order]) by decoding what was encoded (XML-DECODER); if that is meant, name the format between the two stages with `encode_as` or `decode_as`; if not, make the one of the other in a `map`");
}

#[test]
fn an_encoding_that_is_asked_for_may_be_decoded_as_something_else() {
    let named = Pipeline::source(list::<Node>()).encode_as(Xml).filter(|_: &Order| true).named("F");
    assert_snapshot!(coded(&named.sink(database())), @"
    :  LIST:[Node]  (1) logical
    >> [Node]:MY-XML-ENCODER:[Bytes]  (2) logical
    >> [Bytes]:JSON-DECODER:[Order]  -  decode
    >> [Order]:F:[Order]  (3) logical
    >> [Order]:JSON-ENCODER:[Bytes]  -  encode
    >> [Bytes]:DATABASE:[]  (4) logical
    ");
}

#[test]
fn two_cheapest_chains_are_a_mistake_that_names_both() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Alien| true).named("F").sink(stdout());
    let one = pipeline.with_coder(coder::<Bytes, Alien>("ALIEN-DECODER", Kind::Decode, 11));
    assert_snapshot!(coded(&one.with_coder(coder::<String, Alien>("ALIEN-READER", Kind::Decode, 10))), @"here: KAFKA, F: two ways lead from [Bytes] to [Alien] at the same cost: ALIEN-DECODER, and TEXT-DECODER + ALIEN-READER; register the one that is meant for this pipeline by `with`, which wins over the defaults, or name it with `encode_as` or `decode_as`");
}

#[test]
fn every_stage_without_a_coder_is_reported_once_for_each_form() {
    let pipeline = Pipeline::source(topic()).filter(|_: &Alien| true).named("F").filter(|_: &Alien| true).named("G");
    assert_snapshot!(coded(&pipeline.filter(|_: &bool| true).named("H").sink(stdout())), @"
    here: KAFKA, F: no coder makes [Alien] of [Bytes]; register a coder from [Bytes] to [Alien] for this pipeline by `with`, or put a stage between them that makes the one of the other
    here: G, H: no coder makes [Bool] of [Bytes]; register a coder from [Bytes] to [Bool] for this pipeline by `with`, or put a stage between them that makes the one of the other
    ");
}
