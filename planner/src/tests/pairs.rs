use std::time::Duration;

use insta::assert_snapshot;
use millstream_core::contracts::{CodeError, Coder, Decoder, Encoder, Faults, decoder, encoder};
use millstream_core::data::{Bytes, Column, Data, Kv, KvColumn};
use millstream_core::declare::Pipeline;

use super::doubles::{Node, Order, collect, database, list, topic};
use super::{Show, check};
use crate::pair::pair_coder;

type Raw = Kv<Bytes, Bytes>;

#[test]
fn each_side_of_a_pair_is_coded_by_itself() {
    let pipeline = Pipeline::source(list::<Raw>()).map(|pair: Kv<String, Node>| pair).named("M");
    assert_snapshot!(check(Show::Coders, 1, &pipeline.sink(collect::<Kv<Bytes, Node>>())), @"
    :  LIST:[Kv<Bytes, Bytes>]  (1) logical
    >> [Kv<Bytes, Bytes>]:KV(TEXT-DECODER, XML-DECODER):[Kv<Text, Node>]     -  decode
    >> [Kv<Text, Node>]:M:[Kv<Text, Node>]  (2) logical
    >> [Kv<Text, Node>]:KV(TEXT-ENCODER, -):[Kv<Bytes, Node>]  -  recast
    >> [Kv<Bytes, Node>]:COLLECT:[]  (3) logical
    ");
}

#[test]
fn a_side_that_can_be_coded_by_nothing_is_a_mistake() {
    let pipeline = Pipeline::source(list::<Raw>()).map(|pair: Kv<String, bool>| pair).named("M");
    assert_snapshot!(check(Show::Coders, 1, &pipeline.sink(collect::<Kv<String, bool>>())), @"here: LIST, M: no coder makes [Bool], a side of [Kv<Text, Bool>] of [Bytes]; register a coder from [Bytes] to [Bool] for this pipeline by `with`, or put a stage between them that makes the one of the other");
}

#[test]
fn a_side_is_not_decoded_after_it_was_encoded() {
    let pipeline = Pipeline::source(list::<Kv<String, Order>>()).filter(|_: &Raw| true).named("RAW");
    let pipeline = pipeline.filter(|_: &Kv<String, Node>| true).named("NODES").sink(collect::<Raw>());
    assert_snapshot!(check(Show::Coders, 1, &pipeline), @"here: RAW, NODES: [Kv<Text, Node>] could only be made of [Kv<Text, Order>] or [Kv<Bytes, Bytes>] by decoding what was encoded (KV(TEXT-DECODER, XML-DECODER)); if that is meant, name the format between the two stages with `encode_as` or `decode_as`; if not, make the one of the other in a `map`");
}

#[test]
fn pairs_cross_the_network_as_bytes_and_bytes_and_are_decoded_to_what_they_were() {
    let keyed = Pipeline::source(topic()).map(|_: Order| Order).named("READ").key_by(|_| String::new()).named("KEY");
    let folded = keyed.fold(0u64, |_, _| ()).named("FOLD").trigger_every(Duration::from_secs(9));
    let pipeline = folded.map(|sum: Kv<String, u64>| sum.key).named("SHOW").sink(database());
    assert_snapshot!(check(Show::Coders, 3, &pipeline), @"
    :  KAFKA:[Bytes]  (1) logical
    >> [Bytes]:JSON-DECODER:[Order]  -  decode
    >> [Order]:READ:[Order]  (2) logical
    >> [Order]:KEY:[Kv<Text, Order>]  (3) logical
    >> [Kv<Text, Order>]:KV(TEXT-ENCODER, JSON-ENCODER):[Kv<Bytes, Bytes>]   -  encode
    >> [Kv<Bytes, Bytes>]:NET-SPLIT:[Kv<Bytes, Bytes>]  -  net-out
    >> [Kv<Bytes, Bytes>]:KV(TEXT-DECODER, JSON-DECODER):[Kv<Text, Order>]   -  decode
    >> [Kv<Text, Order>]:FOLD:[Kv<Text, U64>]  (4) logical
    >> [Kv<Text, U64>]:SHOW:[Text]  (5) logical
    >> [Text]:TEXT-ENCODER:[Bytes]  -  recast
    >> [Bytes]:DATABASE:[]  (6) logical
    ");
}

/// Numbers, as text; zero can't be written.
struct Number;

impl Decoder for Number {
    type Out = u64;

    fn name(&self) -> String {
        "NUMBER-DECODER".to_owned()
    }

    fn decode(&self, bytes: Bytes, column: &mut <u64 as Data>::Column) -> Result<(), CodeError> {
        let text = std::str::from_utf8(&bytes).map_err(|_| CodeError::new("no text"))?;
        column.push(text.parse().map_err(|_| CodeError::new(format!("no number: {text}")))?);
        Ok(())
    }
}

impl Encoder for Number {
    type In = u64;

    fn name(&self) -> String {
        "NUMBER-ENCODER".to_owned()
    }

    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<(), CodeError> {
        if *value == 0 {
            return Err(CodeError::new("zero"));
        }
        out.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }
}

fn run<A: Data, B: Data>(keys: &[Coder], values: &[Coder], rows: Vec<A>, column: &mut B::Column) -> Vec<(u32, String)> {
    let mut from = A::Column::default();
    rows.into_iter().for_each(|row| from.push(row));
    let mut faults = Faults::new();
    let coder = pair_coder(&A::form(), &B::form(), keys, values);
    (coder.make)().code(&from, column, &mut faults);
    faults.into_iter().map(|(row, error)| (row, error.to_string())).collect()
}

fn raw(key: &'static str, value: &'static str) -> Raw {
    Kv::new(Bytes::from(key), Bytes::from(value))
}

#[test]
fn a_fault_of_either_side_takes_the_row_out_of_both() {
    let rows = vec![raw("1", "a"), raw("x", "b"), raw("3", "c"), raw("4", "0"), raw("y", "0"), raw("6", "6")];
    let (mut column, number) = (KvColumn::<u64, u64>::default(), [decoder(Number)]);
    column.push(Kv::new(9, 9));
    let faults = run::<Raw, Kv<u64, u64>>(&number, &number, rows, &mut column);
    let at: Vec<_> = faults.iter().map(|(row, error)| (*row, error.as_str())).collect();
    let expected = [(0, "no number: a"), (1, "no number: x"), (2, "no number: c"), (4, "no number: y")];
    assert_eq!(at, expected);
    let left: Vec<_> = column.drain().map(|pair| (pair.key, pair.value)).collect();
    assert_eq!(left, [(9, 9), (4, 0), (6, 6)]);
}

#[test]
fn faults_of_later_coders_of_a_chain_name_the_row_that_came_in() {
    let rows = vec![raw("a", "x"), raw("b", "0"), raw("c", "5"), raw("d", "0")];
    let there_and_back = [decoder(Number), encoder(Number)];
    let mut column = KvColumn::<Bytes, Bytes>::default();
    let faults = run::<Raw, Raw>(&[], &there_and_back, rows, &mut column);
    let at: Vec<_> = faults.iter().map(|(row, error)| (*row, error.as_str())).collect();
    assert_eq!(at, [(0, "no number: x"), (1, "zero"), (3, "zero")]);
    assert_eq!(column.drain().map(|pair| (pair.key, pair.value)).collect::<Vec<_>>(), [("c".into(), "5".into())]);
}
