//! Stages of one's own: a source, a transform, a coder and a sink, for the readings of a sensor.

mod support;

use std::error::Error as Failure;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use millstream::commit::Ticket;
use millstream::contracts::*;
use millstream::data::{Marks, Packed, Partition, Position, Records};
use millstream::prelude::*;

/// What travels, in degrees Celsius.
#[derive(serde::Serialize, serde::Deserialize)]
struct Reading(f64);
data!(Reading);

/// The source, with the numbers of the readings to come.
struct Sensor(std::ops::Range<u64>);

impl Source for Sensor {
    type Out = Reading;
    async fn open(&mut self, _: &Held) -> Result<Vec<Partition>> {
        Ok(vec![Partition::new("sensor")])
    }
    async fn next(&mut self) -> Result<Event<Reading>> {
        let Some(number) = self.0.next() else { return Ok(Event::End) };
        let (column, marks) = (vec![Reading(20.0 + (number % 4) as f64)].into(), Arc::new(Place(number)));
        Ok(Event::Records(Chunk { partition: 0, column, times: None, marks, refused: Vec::new() }))
    }
}

/// Where a reading stands. What a sensor has measured can't be measured again: there is no position to go on from.
struct Place(u64);

impl Marks for Place {
    fn position(&self, _: u32) -> Result<Option<Position>, String> {
        Ok(None)
    }
    fn place(&self, _: u32, _: &[u8], _: usize) -> String {
        format!("reading {}", self.0)
    }
}

/// The transform: the mean of a reading and the one before.
#[derive(Clone, Default)]
struct Smooth(Option<f64>);

impl Transform for Smooth {
    type In = Reading;
    type Out = Reading;
    fn name(&self) -> String {
        "SMOOTH".into()
    }
    fn apply(&mut self, now: Reading, emit: &mut Emit<'_, Reading>) -> Result<(), Box<dyn Failure + Send + Sync>> {
        let before = self.0.replace(now.0).unwrap_or(now.0);
        emit.push(Reading((before + now.0) / 2.0));
        Ok(())
    }
}

/// The coder. The planner puts it where readings meet a sink of bytes.
struct Celsius;

impl Encoder for Celsius {
    type In = Reading;
    fn name(&self) -> String {
        "CELSIUS-ENCODER".into()
    }
    fn encode(&self, reading: &Reading, out: &mut Vec<u8>) -> Result<(), CodeError> {
        writeln!(out, "{:.1} °C", reading.0).map_err(|error| CodeError::new(error.to_string()))
    }
}

/// The sink: prints records. Whoever reads them may go away.
struct Printer;

impl Sink for Printer {
    type In = Bytes;
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        Ok(None)
    }
    async fn write(&mut self, records: Records<'_, Packed<Bytes>>, _: &mut Option<Ticket>) -> Result<(), WriteError> {
        let print = |row| std::io::stdout().write_all(records.column().get(row));
        (0..records.len()).try_for_each(print).map_err(|_| WriteError::ReaderGone)
    }
    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    let sensor = source(SourceTraits::new("SENSOR", "a sensor"), || Sensor(0..12));
    let printer = sink(SinkTraits::new("PRINTER", "standard output", "print can't be taken back"), || Printer);
    let pipeline = Pipeline::source(sensor).apply(Smooth::default()).sink(printer).with_coder(encoder(Celsius));
    support::run(pipeline.with(wire::of::<Reading>())) // for readings that cross from one instance to another
}
