//! Types of one's own, as the library writes and reads them too.

use std::collections::HashMap;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Uuid};
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
