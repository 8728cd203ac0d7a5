use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;

use millstream_core::contracts::{Coder, Faults, Format, Kind};
use millstream_core::data::{Bytes, Column, Data, Packed};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{bounded, coders, of};
use crate::limits::Limits;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: Option<String>,
    lines: Vec<Line>,
    notes: BTreeMap<String, i32>,
    from: IpAddr,
    paid: Paid,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line(String, f64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Paid {
    No,
    At(u64),
    Twice { first: i64, second: i64 },
    Parts(u8, char),
    Like(Box<Paid>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Units(Vec<()>);

millstream_core::data!(Order, Paid, Units);

fn coded<A: Data, B: Data>(coder: &Coder, rows: impl IntoIterator<Item = A>) -> (B::Column, Vec<(u32, String)>) {
    let (mut from, mut to, mut faults) = (A::Column::default(), B::Column::default(), Faults::new());
    rows.into_iter().for_each(|row| from.push(row));
    (coder.make)().code(&from, &mut to, &mut faults);
    (to, faults.into_iter().map(|(row, error)| (row, error.to_string())).collect())
}

/// The default coders of a type: to the wire and back.
fn both<T: Data>() -> [Coder; 2] {
    let all = coders();
    let find = |is: &dyn Fn(&Coder) -> bool| all.iter().find(|coder| is(coder)).expect("it has one").clone();
    [find(&|coder| coder.from.is::<T>()), find(&|coder| coder.to.is::<T>())]
}

fn there_and_back<T: Data + Clone + PartialEq + Debug>([to, back]: [Coder; 2], rows: &[T]) -> Packed<Bytes> {
    let (bytes, faults) = coded::<T, Bytes>(&to, rows.iter().cloned());
    assert_eq!(faults, []);
    let (mut values, faults) = coded::<Bytes, T>(&back, (0..bytes.len()).map(|row| bytes.share(row)));
    assert_eq!(faults, []);
    assert_eq!(values.drain().collect::<Vec<_>>(), rows);
    bytes
}

fn fixed<T: Data + Clone + PartialEq + Debug>(rows: &[T]) -> Packed<Bytes> {
    there_and_back(both::<T>(), rows)
}

fn refusal<T: Data>(decoder: &Coder, bytes: &[u8]) -> String {
    let (column, faults) = coded::<Bytes, T>(decoder, [Bytes::copy_from_slice(bytes)]);
    assert_eq!(column.len(), 0, "what is refused adds nothing");
    faults[0].1.clone()
}

fn order() -> Order {
    Order {
        id: 7,
        customer: Some("Ann".to_owned()),
        lines: vec![Line("A-1".to_owned(), 0.5), Line(String::new(), f64::MAX)],
        notes: BTreeMap::from([("a".to_owned(), -1), (String::new(), 300)]),
        from: "127.0.0.1".parse().expect("it is one"),
        paid: Paid::Like(Box::new(Paid::Twice { first: -1, second: 1 })),
    }
}

#[test]
fn numbers_are_little_endian_and_of_fixed_size() {
    assert_eq!(fixed(&[1u64, u64::MAX]).get(0), [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(fixed(&[-2i16]).get(0), [0xfe, 0xff]);
    assert_eq!(fixed(&[3usize]).get(0).len(), 8);
    assert_eq!(fixed(&[true, false]).get(0), [1]);
    assert_eq!(fixed(&['ä']).get(0), [0xe4, 0, 0, 0]);
    assert_eq!(fixed(&[(), ()]).get(1), [0u8; 0]);
    assert_eq!(fixed(&[0.5f64, f64::NEG_INFINITY]).len(), 2);
}

#[test]
fn every_plain_type_of_the_core_has_coders_and_none_leads_to_a_format() {
    let all = coders();
    assert_eq!(all.len(), 2 * 15);
    assert!(all.iter().all(|coder| coder.kind.is_wire() && coder.cost == 2 && !coder.heavy));
    assert!(all.iter().all(|coder| (coder.kind == Kind::WireEncode) == coder.to.is::<Bytes>()));
}

#[test]
fn bytes_of_another_size_or_of_no_value_are_refused_and_their_neighbours_pass() {
    let [_, decoder] = both::<u32>();
    let rows: [&[u8]; 4] = [&[1, 0, 0, 0], &[1, 2], &[], &[2, 0, 0, 0]];
    let (column, faults) = coded::<Bytes, u32>(&decoder, rows.map(Bytes::from_static));
    assert_eq!(column.as_slice(), [1, 2]);
    assert_eq!(
        faults[0].1,
        "expected the 4 bytes of a [U32] from another instance, found 2; run the same program everywhere"
    );
    assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 2]);
    assert!(refusal::<bool>(&both::<bool>()[1], &[2]).contains("found [02], which none has"));
    assert!(refusal::<char>(&both::<char>()[1], &[0, 0xd8, 0, 0]).contains("which none has"));
}

#[test]
fn what_is_encoded_behind_others_comes_behind_them() {
    let [encoder, _] = both::<u16>();
    let (mut from, mut to) = (<u16 as Data>::Column::default(), Packed::<Bytes>::default());
    from.extend([1, 2].into_iter());
    let mut code = (encoder.make)();
    (0..2).for_each(|_| code.code(&from, &mut to, &mut Faults::new()));
    let rows: Vec<_> = (0..to.len()).map(|row| to.get(row).to_vec()).collect();
    assert_eq!(rows, [[1, 0], [2, 0], [1, 0], [2, 0]]);
}

#[test]
fn a_column_of_another_type_is_refused_row_by_row() {
    let [encoder, decoder] = both::<u64>();
    assert_eq!(coded::<bool, Bytes>(&encoder, [true, true]).1.len(), 2);
    assert_eq!(coded::<Bytes, bool>(&decoder, [Bytes::from_static(&[1])]).1.len(), 1);
}

fn typed<T: Serialize + DeserializeOwned + Data>(format: super::Typed<T>) -> [Coder; 2] {
    [format.encoder(), format.decoder()].map(|coder| coder.expect("it goes both ways"))
}

#[test]
fn a_type_that_serde_knows_travels_as_postcard() {
    let bytes = there_and_back(typed(of::<Order>()), &[order()]);
    assert_eq!(bytes.get(0), postcard::to_stdvec(&order()).expect("it can be written"));
    let names = typed(of::<Order>()).map(|coder| coder.name);
    assert_eq!(names, ["WIRE-ENCODER(postcard)", "WIRE-DECODER(postcard)"]);
    let names = typed(of::<Order>().version(2)).map(|coder| coder.name);
    assert_eq!(names, ["WIRE-ENCODER(postcard, version 2)", "WIRE-DECODER(postcard, version 2)"]);
}

#[test]
fn what_is_left_over_or_breaks_off_is_refused() {
    let [_, decoder] = typed(of::<Order>());
    let whole = postcard::to_stdvec(&order()).expect("it can be written");
    for cut in 0..whole.len() {
        assert!(refusal::<Order>(&decoder, &whole[..cut]).ends_with("run the same program everywhere"));
    }
    let longer = [&whole[..], &[0, 0]].concat();
    assert!(refusal::<Order>(&decoder, &longer).contains("2 of them are left over"));
}

#[test]
fn depth_is_bounded() {
    let nested = |deep: usize| [vec![4u8; deep], vec![0]].concat();
    let [_, decoder] = typed(of::<Paid>());
    assert_eq!(coded::<Bytes, Paid>(&decoder, [Bytes::from(nested(127))]).1, []);
    assert!(refusal::<Paid>(&decoder, &nested(128)).contains("nested deeper than 128"));
    assert!(refusal::<Paid>(&decoder, &nested(10_000_000)).contains("nested deeper than 128"));
    let [_, flat] = typed(of::<Paid>().limits(Limits { depth: 3, ..Limits::default() }));
    assert!(refusal::<Paid>(&flat, &nested(3)).contains("nested deeper than 3; raise `Limits::depth`"));
}

#[test]
fn values_without_bytes_are_bounded() {
    assert_eq!(bounded::read::<Vec<()>>(&[3], 9).map(|units| units.len()), Ok(3));
    let endless = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(bounded::read::<Vec<()>>(&endless, 9), Err(bounded::Unreadable::TooMany));
    assert!(refusal::<Units>(&typed(of::<Units>())[1], &endless).contains("more than 65536 values that have no bytes"));
}

#[test]
fn size_is_bounded_on_both_ways() {
    let [encoder, decoder] = typed(of::<Order>().limits(Limits { record: 8, ..Limits::default() }));
    let (bytes, faults) = coded::<Order, Bytes>(&encoder, [order()]);
    assert_eq!(bytes.len(), 0);
    assert!(faults[0].1.contains("is larger than the 8 that cross"), "{faults:?}");
    assert!(refusal::<Order>(&decoder, &[0; 9]).contains("a record of 9 bytes is larger"));
}

/// A shape that asks what comes, which postcard can't tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(u64),
    Text(String),
}
millstream_core::data!(Either);

#[test]
fn a_type_that_asks_what_comes_is_refused_record_by_record() {
    let [encoder, decoder] = typed(of::<Either>());
    let (bytes, _) = coded::<Either, Bytes>(&encoder, [Either::Number(1)]);
    assert!(refusal::<Either>(&decoder, bytes.get(0)).contains("the type asks what comes"));
}

fn paid() -> impl Strategy<Value = Paid> {
    let leaf = prop_oneof![
        Just(Paid::No),
        any::<u64>().prop_map(Paid::At),
        any::<(i64, i64)>().prop_map(|(first, second)| Paid::Twice { first, second }),
        any::<(u8, char)>().prop_map(|(part, unit)| Paid::Parts(part, unit)),
    ];
    leaf.prop_recursive(4, 8, 1, |inner| inner.prop_map(|paid| Paid::Like(Box::new(paid))))
}

fn any_order() -> impl Strategy<Value = Order> {
    let line = ("\\PC{0,4}", -1e9..1e9).prop_map(|(name, price)| Line(name, price));
    let notes = prop::collection::btree_map("\\PC{0,3}", any::<i32>(), 0..4);
    (any::<u64>(), prop::option::of("\\PC{0,4}"), prop::collection::vec(line, 0..4), notes, any::<IpAddr>(), paid())
        .prop_map(|(id, customer, lines, notes, from, paid)| Order { id, customer, lines, notes, from, paid })
}

proptest! {
    #[test]
    fn what_crosses_is_what_it_was(orders in prop::collection::vec(any_order(), 0..4), numbers: Vec<i64>, chars: Vec<char>) {
        there_and_back(typed(of::<Order>()), &orders);
        fixed(&numbers);
        fixed(&chars);
    }

    /// Any bytes: what is read is what postcard itself reads, and nothing panics.
    #[test]
    fn any_bytes_are_read_as_postcard_reads_them(
        order in any_order(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        noise: Vec<u8>,
    ) {
        let mut bytes = postcard::to_stdvec(&order).expect("it can be written");
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes, &noise] {
            let plain = postcard::take_from_bytes::<Order>(bytes).ok().filter(|(_, rest)| rest.is_empty());
            prop_assert_eq!(bounded::read::<Order>(bytes, 128).ok(), plain.map(|(order, _)| order));
        }
    }
}
