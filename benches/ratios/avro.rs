//! Containers of records of ten fields, against `apache_avro` by itself.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::LazyLock;

use apache_avro::types::Value as Any;
use apache_avro::{Codec, Reader, Writer};
use millstream::prelude::*;
use serde::{Deserialize, Serialize};

use crate::measure::in_turn;
use crate::report::{Report, Target, Unit};
use crate::{Bench, Failure};

const RECORDS: u64 = 1_000_000;

const SCHEMA: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "long"}, {"name": "customer", "type": "string"}, {"name": "cents", "type": "long"},
    {"name": "paid", "type": "boolean"}, {"name": "weight", "type": "double"}, {"name": "note", "type": ["null", "string"]},
    {"name": "channel", "type": {"type": "enum", "name": "Channel", "symbols": ["Web", "Shop", "Phone"]}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "lines", "type": {"type": "array", "items": "int"}}, {"name": "key", "type": "bytes"}
]}"#;

static PARSED: LazyLock<apache_avro::Schema> =
    LazyLock::new(|| apache_avro::Schema::parse_str(SCHEMA).unwrap_or(apache_avro::Schema::Null));

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Channel {
    Web,
    Shop,
    Phone,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Order {
    id: i64,
    customer: String,
    cents: i64,
    paid: bool,
    weight: f64,
    note: Option<String>,
    channel: Channel,
    at: i64,
    lines: Vec<i32>,
    #[serde(with = "apache_avro::serde::bytes")]
    key: Vec<u8>,
}
data!(Order);

fn order(number: u64) -> Order {
    let id = number as i64;
    Order {
        id,
        customer: format!("customer {}", number % 10_007),
        cents: id * 7_919 % 100_000,
        paid: number.is_multiple_of(3),
        weight: number as f64 / 8.0,
        note: number.is_multiple_of(4).then(|| "leave it with the neighbours".to_owned()),
        channel: [Channel::Web, Channel::Shop, Channel::Phone][number as usize % 3].clone(),
        at: 1_700_000_000_000 + id,
        lines: vec![1, 2, id as i32 % 1_000],
        key: id.to_le_bytes().to_vec(),
    }
}

/// What every thousandth or so has.
fn is_kept(cents: i64) -> bool {
    cents % 1_000 == 7
}

fn schema() -> Result<avro::Schema, Failure> {
    Ok(avro::Schema::parse(SCHEMA)?)
}

fn written(bench: &Bench) -> Result<std::path::PathBuf, Failure> {
    let path = bench.path("orders.avro");
    if !path.exists() {
        write_by_hand(&path, bench.scaled(RECORDS))?;
    }
    Ok(path)
}

fn write_by_hand(path: &Path, records: u64) -> Result<(), Failure> {
    let mut writer = Writer::with_codec(&PARSED, BufWriter::new(File::create(path)?), Codec::Null)?;
    (0..records).try_for_each(|number| writer.append_ser(order(number)).map(drop))?;
    Ok(writer.into_inner()?.flush()?)
}

/// Container to generic values, of which few are kept.
pub(crate) fn decode(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let input = written(bench)?;
    let (ours, theirs) = (Cell::new(0), Cell::new(0));
    let engine = || {
        let container = avro::Container::new();
        let pipeline = Pipeline::source(Files::new([&input], container.clone()))
            .filter(|order: &avro::Value| matches!(order.get("cents"), Some(Any::Long(cents)) if is_kept(*cents)))
            .sink(Null::<Bytes>::new())
            .with(avro::values().container(&container));
        ours.set(bench.run(pipeline)?.records_out);
        Ok(())
    };
    let by_hand = || {
        let mut kept = 0;
        for value in Reader::new(BufReader::new(File::open(&input)?))? {
            let Any::Record(fields) = value? else { continue };
            kept += u64::from(matches!(fields[2].1, Any::Long(cents) if is_kept(cents)));
        }
        theirs.set(kept);
        Ok(())
    };
    let taken = in_turn(bench.runs, &[&engine, &by_hand], || same(ours.get(), theirs.get()))?;
    let against = "apache_avro's Reader and a look at a field";
    report.ratio(
        "avro-decode",
        against,
        &taken[0],
        &taken[1],
        Unit::NanosEach(bench.scaled(RECORDS)),
        Target::Cpu(0.9),
    );
    Ok(())
}

/// Container to a type that serde knows, of which few are kept.
pub(crate) fn decode_typed(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let input = written(bench)?;
    let (ours, theirs) = (Cell::new(0), Cell::new(0));
    let engine = || {
        let container = avro::Container::new();
        let pipeline = Pipeline::source(Files::new([&input], container.clone()))
            .filter(|order: &Order| is_kept(order.cents))
            .sink(Null::<Bytes>::new())
            .with(avro::of::<Order>().container(&container));
        ours.set(bench.run(pipeline)?.records_out);
        Ok(())
    };
    let by_hand = || {
        let mut kept = 0;
        for order in Reader::new(BufReader::new(File::open(&input)?))?.into_deser_iter::<Order>() {
            kept += u64::from(is_kept(order?.cents));
        }
        theirs.set(kept);
        Ok(())
    };
    let taken = in_turn(bench.runs, &[&engine, &by_hand], || same(ours.get(), theirs.get()))?;
    let against = "apache_avro's Reader into the same type";
    let unit = Unit::NanosEach(bench.scaled(RECORDS));
    report.ratio("avro-decode-typed", against, &taken[0], &taken[1], unit, Target::Cpu(0.9));
    Ok(())
}

/// A type that serde knows to a container.
pub(crate) fn encode_typed(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let records = bench.scaled(RECORDS);
    let [engine, hand] = ["engine", "hand"].map(|side| bench.path(&format!("encoded-{side}.avro")));
    let schema = schema()?;
    let ours = || {
        // The library's blocks have 16,000 bytes.
        let container = avro::Container::of(&schema).block_bytes(16_000);
        let pipeline = Pipeline::source(Generate::with(order).count(records))
            .encode_as(avro::of::<Order>().container(&container))
            .sink(Output::create(&engine, container));
        bench.run(pipeline).map(drop)
    };
    let taken = in_turn(bench.runs, &[&ours, &|| write_by_hand(&hand, records)], || {
        let count = |path: &Path| Ok::<_, Failure>(Reader::new(BufReader::new(File::open(path)?))?.count() as u64);
        same(count(&engine)?, count(&hand)?)
    })?;
    let against = "apache_avro's Writer of the same type";
    report.ratio("avro-encode-typed", against, &taken[0], &taken[1], Unit::NanosEach(records), Target::Cpu(0.9));
    Ok(())
}

/// Generic values to a container.
pub(crate) fn encode(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let records = bench.scaled(RECORDS);
    let [engine, hand] = ["engine", "hand"].map(|side| bench.path(&format!("generic-{side}.avro")));
    let schema = schema()?;
    let value = |number: u64| {
        let Order { id, customer, cents, paid, weight, note, at, lines, key, .. } = order(number);
        let channel = number as u32 % 3;
        let field = |name: &str, value| (name.to_owned(), value);
        let note = note.map_or(Any::Union(0, Box::new(Any::Null)), |note| Any::Union(1, Box::new(Any::String(note))));
        Any::Record(vec![
            field("id", Any::Long(id)),
            field("customer", Any::String(customer)),
            field("cents", Any::Long(cents)),
            field("paid", Any::Boolean(paid)),
            field("weight", Any::Double(weight)),
            field("note", note),
            field("channel", Any::Enum(channel, ["Web", "Shop", "Phone"][channel as usize].to_owned())),
            field("at", Any::TimestampMillis(at)),
            field("lines", Any::Array(lines.into_iter().map(Any::Int).collect())),
            field("key", Any::Bytes(key)),
        ])
    };
    let ours = || {
        let container = avro::Container::of(&schema).block_bytes(16_000);
        let known = schema.clone();
        let pipeline = Pipeline::source(Generate::with(|number| number).count(records))
            .map(move |number: u64| avro::Value::unchecked(&known, value(number)))
            .encode_as(avro::values().container(&container))
            .sink(Output::create(&engine, container));
        bench.run(pipeline).map(drop)
    };
    let by_hand = || {
        let mut writer = Writer::with_codec(&PARSED, BufWriter::new(File::create(&hand)?), Codec::Null)?;
        (0..records).try_for_each(|number| writer.append_value(value(number)).map(drop))?;
        Ok(writer.into_inner()?.flush()?)
    };
    let taken = in_turn(bench.runs, &[&ours, &by_hand], || {
        let count = |path: &Path| Ok::<_, Failure>(Reader::new(BufReader::new(File::open(path)?))?.count() as u64);
        same(count(&engine)?, count(&hand)?)
    })?;
    let against = "apache_avro's Writer of the same values";
    report.ratio("avro-encode", against, &taken[0], &taken[1], Unit::NanosEach(records), Target::Cpu(0.9));
    Ok(())
}

fn same(ours: u64, theirs: u64) -> Result<(), Failure> {
    match ours == theirs && ours > 0 {
        true => Ok(()),
        false => Err(format!("{ours} records came of ours and {theirs} of theirs").into()),
    }
}
