//! Types of one's own, as the library writes and reads them too.

use std::collections::HashMap;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Uuid};
use millstream_core::contracts::Format as _;
use millstream_core::data::{Bytes, Data, Packed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::of;
use super::{decode, encode, schema};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Suit {
    Spades,
    Hearts,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    sku: String,
    count: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Contact {
    Mail(String),
    Line(Line),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: i64,
    paid: bool,
    total: f64,
    weight: f32,
    suit: Suit,
    note: Option<String>,
    lines: Vec<Line>,
    tags: HashMap<String, i32>,
    contact: Contact,
    day: i32,
    #[serde(with = "serde_bytes_shim")]
    raw: Vec<u8>,
    price: Decimal,
}
millstream_core::data!(Order);

/// Bytes as serde has them, which a `Vec<u8>` isn't by itself.
mod serde_bytes_shim {
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

const ORDER: &str = r#"{"type":"record","name":"Order","fields":[
    {"name":"id","type":"long"},{"name":"paid","type":"boolean"},{"name":"total","type":"double"},
    {"name":"weight","type":"float"},
    {"name":"suit","type":{"type":"enum","name":"Suit","symbols":["Spades","Hearts"]}},
    {"name":"note","type":["null","string"]},
    {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
        {"name":"sku","type":"string"},{"name":"count","type":"int"}]}}},
    {"name":"tags","type":{"type":"map","values":"int"}},
    {"name":"contact","type":["string","Line"]},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"raw","type":"bytes"},
    {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}"#;

fn orders() -> [Order; 2] {
    let line = |sku: &str, count| Line { sku: sku.to_owned(), count };
    let full = Order {
        id: -5,
        paid: true,
        total: 1.25,
        weight: 0.1,
        suit: Suit::Hearts,
        note: Some("ä".to_owned()),
        lines: vec![line("a", 1), line("", -1)],
        tags: HashMap::from([("x".to_owned(), 1), ("y".to_owned(), -300)]),
        contact: Contact::Line(line("c", 9)),
        day: 19_000,
        raw: vec![0, 255],
        price: Decimal::from([1_u8, 200]),
    };
    let bare = Order {
        note: None,
        lines: Vec::new(),
        tags: HashMap::new(),
        contact: Contact::Mail("m".to_owned()),
        ..full.clone()
    };
    [full, bare]
}

#[test]
fn ours_and_the_librarys_read_each_others() {
    let schema = schema(ORDER);
    let format = of::<Order>().datum(&schema);
    for order in orders() {
        let theirs = GenericDatumWriter::builder(schema.parsed()).build().unwrap().write_ser_to_vec(&order).unwrap();
        assert_eq!(decode(&format, &theirs).unwrap(), order);
        let ours = encode(&format, order.clone()).unwrap();
        let read: Order =
            GenericDatumReader::builder(schema.parsed()).build().unwrap().read_deser(&mut &ours[..]).unwrap();
        assert_eq!(read, order);
    }
}

#[test]
fn a_type_takes_part_of_a_record_and_has_defaults_of_the_reader() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Part {
        lines: Vec<Line>,
        channel: String,
        id: f64,
        suit: String,
    }
    millstream_core::data!(Part);
    let reader = schema(
        r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"double"},
            {"name":"channel","type":"string","default":"web"},
            {"name":"suit","type":{"type":"enum","name":"Suit","symbols":["Hearts"]}},
            {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
                {"name":"count","type":"int"},{"name":"sku","type":"string"}]}}}]}"#,
    );
    let [full, _] = orders();
    let datum = encode(&of::<Order>().datum(&schema(ORDER)), full.clone()).unwrap();
    let part = decode(&of::<Part>().datum(&schema(ORDER)).reader(&reader), &datum).unwrap();
    let wanted = Part { lines: full.lines, channel: "web".to_owned(), id: -5.0, suit: "Hearts".to_owned() };
    assert_eq!(part, wanted);
}

fn both<T: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug + millstream_core::data::Data>(
    text: &str,
    value: T,
) {
    let schema = schema(text);
    let theirs = GenericDatumWriter::builder(schema.parsed()).build().unwrap().write_ser_to_vec(&value).unwrap();
    let format = of::<T>().datum(&schema);
    assert_eq!(decode(&format, &theirs).unwrap(), value, "{text}");
    assert_eq!(encode(&format, value).unwrap(), theirs, "{text}");
}

#[test]
fn single_values_are_as_the_library_has_them() {
    macro_rules! of_one {
        ($($text:expr => $type:ty = $value:expr;)+) => {$({
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            struct Of { v: $type }
            millstream_core::data!(Of);
            both(&format!(r#"{{"type":"record","name":"Of","fields":[{{"name":"v","type":{}}}]}}"#, $text), Of { v: $value });
        })+};
    }
    of_one! {
        "\"int\"" => i8 = -3;
        "\"int\"" => u16 = 9;
        "\"long\"" => u32 = 5;
        "\"null\"" => () = ();
        "\"string\"" => char = 'ä';
        r#"["null","long"]"# => Option<i64> = None;
        r#"["long","null"]"# => Option<i64> = Some(3);
        r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"# => Uuid = Uuid::from_u128(77);
        r#"{"type":"array","items":"long"}"# => Vec<i64> = vec![1, 2];
        r#"{"type":"array","items":{"type":"array","items":"long"}}"# => Vec<Vec<i64>> = vec![vec![], vec![1]];
        r#"{"type":"record","name":"T","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"}]}"# => (i32, String) = (1, "x".to_owned());
    }
}

#[test]
fn what_a_type_can_t_hold_is_an_error_with_its_way() {
    let text = ORDER.replace(r#""sku","type":"string""#, r#""sku","type":"long""#);
    let datum = encode(&of::<Order>().datum(&schema(ORDER)), orders()[0].clone()).unwrap();
    let error = decode(&of::<Order>().datum(&schema(&text)), &datum).unwrap_err();
    assert!(error.contains("lines[0].sku"), "{error}");
}

#[test]
fn types_that_can_only_take_fields_by_name_are_given_names() {
    #[derive(Debug, Clone, PartialEq)]
    struct Named(HashMap<String, i64>);
    millstream_core::data!(Named);
    impl Serialize for Named {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Named {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct ByName;
            impl<'de> serde::de::Visitor<'de> for ByName {
                type Value = Named;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("fields with names")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
                    let mut named = HashMap::new();
                    while let Some((name, value)) = map.next_entry()? {
                        named.insert(name, value);
                    }
                    Ok(Named(named))
                }
            }
            deserializer.deserialize_struct("Named", &["a", "b"], ByName)
        }
    }
    let text = r#"{"type":"record","name":"N","fields":[{"name":"a","type":"long"},{"name":"b","type":"long"}]}"#;
    let mut column = Packed::<Bytes>::default();
    // What is wrong is wrong in both ways, and changes nothing for the others.
    [&[2, 4][..], &[2], &[6, 8]].iter().for_each(|datum| column.append_bytes(datum));
    column.freeze();
    let (mut made, mut faults) = (<Named as Data>::Column::default(), Vec::new());
    let coder = of::<Named>().datum(&schema(text)).decoder().unwrap();
    (coder.make)().code(&column, &mut made, &mut faults);
    let named = |a, b| Named(HashMap::from([("a".to_owned(), a), ("b".to_owned(), b)]));
    assert_eq!(made.as_slice(), [named(1, 2), named(3, 4)]);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].1.to_string().contains("in `b`"), "{}", faults[0].1);
}

#[test]
fn fields_are_given_in_order_only_to_a_type_that_has_the_same() {
    macro_rules! reads {
        ($($name:ident { $($fields:tt)* } = $value:expr;)+) => {$({
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            struct $name { $($fields)* }
            millstream_core::data!($name);
            let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":"long"}]}"#;
            assert_eq!(decode(&of::<$name>().datum(&schema(text)), &[2, 4]).unwrap(), $value);
        })+};
    }
    reads! {
        Same { a: i64, b: i64 } = Same { a: 1, b: 2 };
        Turned { b: i64, a: i64 } = Turned { b: 2, a: 1 };
        Fewer { b: i64 } = Fewer { b: 2 };
        More { a: i64, b: i64, c: Option<i64> } = More { a: 1, b: 2, c: None };
        Renamed { #[serde(rename = "b")] a: i64, #[serde(rename = "a")] b: i64 } = Renamed { a: 2, b: 1 };
        Skipping { a: i64, #[serde(skip)] between: i64, b: i64 } = Skipping { a: 1, between: 0, b: 2 };
        Aliased { a: i64, #[serde(alias = "b")] other: i64 } = Aliased { a: 1, other: 2 };
        Defaulted { a: i64, #[serde(default)] b: i64 } = Defaulted { a: 1, b: 2 };
    }
}

#[test]
fn types_within_types_of_one_field_are_no_deeper_than_is_allowed() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct L(Option<Box<L>>);
    millstream_core::data!(L);
    let text = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
    let format = of::<L>().datum(&schema(text));
    assert_eq!(decode(&format, &[2, 0]).unwrap(), L(Some(Box::new(L(None)))));
    let error = decode(&format, &vec![2; 1 << 20]).map(drop).unwrap_err();
    assert!(error.contains("nested deeper than 128"), "{error}");
}

#[test]
fn a_type_that_has_other_items_than_it_says_is_an_error() {
    use serde::ser::{SerializeMap as _, SerializeSeq as _};
    /// Says that there are so many items, and has two.
    #[derive(Debug, Clone, PartialEq, Deserialize)]
    struct Says(usize, bool);
    millstream_core::data!(Says);
    impl Serialize for Says {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.1 {
                let mut map = serializer.serialize_map(Some(self.0))?;
                map.serialize_entry("a", &1)?;
                map.serialize_entry("b", &2)?;
                map.end()
            } else {
                let mut items = serializer.serialize_seq(Some(self.0))?;
                items.serialize_element(&1)?;
                items.serialize_element(&2)?;
                items.end()
            }
        }
    }
    for (map, of_all) in [(false, r#"{"type":"array","items":"int"}"#), (true, r#"{"type":"map","values":"int"}"#)] {
        let format = of::<Says>().datum(&schema(of_all));
        assert!(encode(&format, Says(2, map)).is_ok());
        assert!(encode(&format, Says(3, map)).unwrap_err().contains("1 items fewer than it says"));
        assert!(encode(&format, Says(1, map)).unwrap_err().contains("more items than it says"));
    }
}
