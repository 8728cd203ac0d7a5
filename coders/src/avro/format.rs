//! [`Avro`]: how records are coded: as what (generic values or a type of one's own), in which form, by which schemas.

use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::contracts::{CodeError, Coder, Decoder, Encoder, Format, Halt};
use millstream_core::data::{Bytes, Data};

use super::container::{self, Container};
use super::cursor::Flaw;
use super::json::{self, Style};
use super::kept::{Found, Kept};
use super::model::{Generic, Model, Specific};
use super::plan::Plan;
#[cfg(feature = "registry")]
use super::registry::{self, Registered};
use super::{Schema, read, single};
use crate::limits::Limits;

/// Avro as generic [`Value`](super::Value)s; what it stands in is said next, such as by [`Choice::container`].
pub fn values() -> Choice<Generic> {
    Choice { model: Generic }
}

/// Avro as `T`, a type that serde knows; what it stands in is said next, such as by [`Choice::container`].
///
/// Fields are found by their names, those that the type doesn't have are passed over. `Option` is a union with null;
/// an enum is one of Avro's, or a union whose branches are its variants, in order. Dates and times are their numbers,
/// decimals and durations are bytes (`apache_avro::Decimal`, `apache_avro::Duration`), a UUID is a string, or `Uuid`.
///
/// ```
/// use millstream_coders::avro::{self, Schema};
/// use millstream_core::contracts::Format;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Order { id: i64 }
/// millstream_core::data!(Order);
///
/// let order: Schema = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}"#.parse()?;
/// assert_eq!(avro::of::<Order>().datum(&order).decoder().unwrap().to.name(), "Order");
/// # Ok::<(), millstream_core::contracts::CodeError>(())
/// ```
pub fn of<T>() -> Choice<Specific<T>>
where
    Specific<T>: Model,
{
    Choice { model: Specific::new() }
}

/// Avro as something, in a form that is still to be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Choice<M> {
    model: M,
}

impl<M: Model> Choice<M> {
    /// Bare binary encoding: the bytes of the value and nothing else, written by this schema.
    pub fn datum(self, schema: &Schema) -> Avro<M> {
        self.wrapped(Wrapping::Datum(schema.clone()))
    }

    /// Single-object encoding: C3 01, the fingerprint of the schema, the bytes of the value. It is written by this
    /// schema; what was written by others is read if they are made [known](Avro::knowing).
    pub fn single_object(self, schema: &Schema) -> Avro<M> {
        self.wrapped(Wrapping::Single(vec![schema.clone()]))
    }

    /// The records of object container files: the container is also what the source or the sink is given.
    pub fn container(self, container: &Container) -> Avro<M> {
        self.wrapped(Wrapping::Container(container.clone()))
    }

    /// Avro's JSON encoding, one value a record, of this schema. A field that is not there is read as its default.
    pub fn json(self, schema: &Schema) -> Avro<M> {
        self.wrapped(Wrapping::Json(schema.clone()))
    }

    /// Records that say by an id which of a registry's schemas they were written by: see
    /// [`Registry`](super::Registry).
    #[cfg(feature = "registry")]
    pub fn registered(self, registered: &Registered) -> Avro<M> {
        self.wrapped(Wrapping::Registered(Box::new(registered.clone())))
    }

    fn wrapped(self, wrapping: Wrapping) -> Avro<M> {
        Avro { model: self.model, wrapping, reader: None, limits: Limits::default() }
    }
}

impl Choice<Generic> {
    /// Avro's JSON encoding, written of each value by the schema that it has with it. It is not read: nothing says of
    /// JSON which schema it is of.
    pub fn own_json(self) -> Avro<Generic> {
        self.wrapped(Wrapping::OwnJson(Style::Avro))
    }

    /// JSON as programs expect it that know nothing of Avro, written of each value by the schema that it has with it.
    /// Avro's JSON encoding, but a value of a union stands without the name of its branch, and a decimal is a string of
    /// its digits: `{"note":"a","price":"12.50"}` for `{"note":{"string":"a"},"price":"\u0004\u00E2"}`. Dates and times are
    /// their numbers, bytes are strings of the characters U+0000 to U+00FF. It is not read.
    pub fn plain_json(self) -> Avro<Generic> {
        self.wrapped(Wrapping::OwnJson(Style::Plain))
    }
}

/// Avro as something, in a form: a format for `with`, `decode_as` and `encode_as`.
#[derive(Clone)]
pub struct Avro<M> {
    model: M,
    wrapping: Wrapping,
    reader: Option<Schema>,
    limits: Limits,
}

/// What a value stands in.
#[derive(Clone)]
enum Wrapping {
    Datum(Schema),
    /// The first is what is written by.
    Single(Vec<Schema>),
    Container(Container),
    Json(Schema),
    /// By each value's own schema.
    OwnJson(Style),
    #[cfg(feature = "registry")]
    Registered(Box<Registered>),
}

impl<M: Model> Avro<M> {
    /// Reads what was written as this schema says (projection): fields that it doesn't have are passed over, those that
    /// the bytes don't have are its defaults, names are found by its aliases, numbers are widened. What can't be read
    /// so is a failure that says where the two schemas differ.
    #[must_use]
    pub fn reader(self, schema: &Schema) -> Self {
        Self { reader: Some(schema.clone()), ..self }
    }

    /// Reads single objects that were written by this schema too. Nothing to other forms, which have the schema with
    /// them; a container knows schemas by [`Container::knowing`].
    #[must_use]
    pub fn knowing(mut self, schema: &Schema) -> Self {
        if let Wrapping::Single(known) = &mut self.wrapping {
            known.push(schema.clone());
        }
        self
    }

    /// With other limits than the default ones: [`Limits::record`] and [`Limits::depth`] act here.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    fn name(&self, what: &str) -> String {
        let form = match &self.wrapping {
            Wrapping::Datum(_) | Wrapping::Container(_) => "AVRO",
            Wrapping::Single(_) => "AVRO-SINGLE-OBJECT",
            Wrapping::Json(_) | Wrapping::OwnJson(Style::Avro) => "AVRO-JSON",
            Wrapping::OwnJson(Style::Plain) => "AVRO-PLAIN-JSON",
            #[cfg(feature = "registry")]
            Wrapping::Registered(_) => "AVRO-REGISTRY",
        };
        format!("{form}-{what}")
    }

    /// Whether a server may have to be asked first.
    fn waits(&self) -> bool {
        #[cfg(feature = "registry")]
        return matches!(self.wrapping, Wrapping::Registered(_));
        #[cfg(not(feature = "registry"))]
        false
    }

    fn writes(&self) -> bool {
        match &self.wrapping {
            Wrapping::Container(container) => container.written().is_some(),
            #[cfg(feature = "registry")]
            Wrapping::Registered(registered) => registered.writes(),
            _ => true,
        }
    }
}

impl<M: Model> Format for Avro<M> {
    type Value = M::Out;

    fn decoder(&self) -> Option<Coder> {
        if matches!(self.wrapping, Wrapping::OwnJson(_)) {
            return None;
        }
        let shared = Arc::new(self.clone());
        let first = millstream_core::contracts::decoder(Decode::new(shared.clone()));
        // Each worker has plans of its own.
        let make = move || (millstream_core::contracts::decoder(Decode::new(shared.clone())).make)();
        Some(Coder { make: Arc::new(make), ..first })
    }

    fn encoder(&self) -> Option<Coder> {
        if !self.writes() {
            return None;
        }
        let shared = Arc::new(self.clone());
        let first = millstream_core::contracts::encoder(Encode::new(shared.clone()));
        let make = move || (millstream_core::contracts::encoder(Encode::new(shared.clone())).make)();
        Some(Coder { make: Arc::new(make), ..first })
    }
}

/// The same format for writing alone: where a pipeline reads Avro in one form and writes it in another, and both are
/// given by `with`, the way to read is that of the other.
#[derive(Clone)]
pub struct Writes<M>(pub Avro<M>);

impl<M: Model> Format for Writes<M> {
    type Value = M::Out;

    fn decoder(&self) -> Option<Coder> {
        None
    }

    fn encoder(&self) -> Option<Coder> {
        self.0.encoder()
    }
}

/// A decoder at work.
struct Decode<M> {
    avro: Arc<Avro<M>>,
    /// Those of the schemas that have been met.
    plans: Kept<Planned>,
    #[cfg_attr(not(feature = "registry"), allow(dead_code, reason = "nothing else waits"))]
    halt: Mutex<Halt>,
}

/// How the bytes of a schema are read, by what records call it.
struct Planned {
    key: u64,
    /// What is read.
    schema: Schema,
    plan: Result<Plan, Box<Flaw>>,
}

impl<M: Model> Decode<M> {
    fn new(avro: Arc<Avro<M>>) -> Self {
        Self { avro, plans: Kept::default(), halt: Mutex::default() }
    }

    /// The plan for what records call by `key`, of what `writer` wrote.
    #[inline]
    fn plan(
        &self,
        key: u64,
        writer: impl FnOnce() -> Result<Schema, CodeError>,
    ) -> Result<Found<'_, Planned>, CodeError> {
        self.plans.find(
            |known| known.key == key,
            || {
                let writer = writer()?;
                let schema = self.avro.reader.as_ref().unwrap_or(&writer).clone();
                let plan = Plan::of(writer.graph(), schema.graph()).map_err(Into::into);
                Ok(Planned { key, schema, plan })
            },
        )
    }

    /// How the bytes behind a record's beginning are read, and how long that is.
    #[inline]
    fn planned(&self, record: &[u8]) -> Result<(Found<'_, Planned>, usize), CodeError> {
        let (planned, before) = match &self.avro.wrapping {
            Wrapping::Datum(schema) | Wrapping::Json(schema) => (self.plan(0, || Ok(schema.clone())), 0),
            Wrapping::Single(known) => {
                let fingerprint = single::fingerprint(record)?;
                let writer = || {
                    let schema = known.iter().find(|schema| schema.fingerprint() == fingerprint);
                    schema.cloned().ok_or_else(|| single::unknown(fingerprint))
                };
                (self.plan(fingerprint, writer), single::PREFIX)
            }
            Wrapping::Container(container) => {
                let identity = container::identity(record)?;
                let writer = || container.schemas().get(identity).ok_or_else(|| container::unknown(identity));
                (self.plan(identity, writer), container::PREFIX)
            }
            Wrapping::OwnJson(_) => return Err(CodeError::new("JSON without a schema is not read")),
            #[cfg(feature = "registry")]
            Wrapping::Registered(registered) => {
                let id = registry::id(record)?;
                let writer = || registered.by_id(id, &halt_of(&self.halt));
                (self.plan(u64::from(id), writer), registry::PREFIX)
            }
        };
        Ok((planned?, before))
    }

    fn json(&self, schema: &Schema, record: &[u8]) -> Result<Vec<u8>, CodeError> {
        let json = serde_json::from_slice(record)
            .map_err(|error| CodeError::new(format!("expected Avro's JSON encoding, found no JSON: {error}")))?;
        let (graph, mut datum) = (schema.graph(), Vec::new());
        let value = json::decode(graph, graph.root, &json, record.len());
        value
            .and_then(|value| super::write::value(graph, graph.root, &value, &mut datum))
            .map_err(|flaw| CodeError::new(flaw.to_string()))?;
        Ok(datum)
    }
}

impl<M: Model> Decoder for Decode<M> {
    type Out = M::Out;

    fn name(&self) -> String {
        self.avro.name("DECODER")
    }

    fn waits(&self) -> bool {
        self.avro.waits()
    }

    fn halt_by(&self, halt: &Halt) {
        *self.halt.lock().unwrap_or_else(PoisonError::into_inner) = halt.clone();
    }

    fn decode(&self, bytes: Bytes, column: &mut <M::Out as Data>::Column) -> Result<(), CodeError> {
        let Limits { record: most, depth, .. } = self.avro.limits;
        if bytes.len() > most {
            return Err(CodeError::new(format!(
                "expected a record of at most {most} bytes, found {}: raise the limit if it is meant",
                bytes.len()
            )));
        }
        let (planned, before) = self.planned(&bytes)?;
        let plan = match &planned.plan {
            Ok(plan) => plan,
            Err(flaw) => return Err(CodeError::new(flaw.to_string())),
        };
        if let Wrapping::Json(schema) = &self.avro.wrapping {
            let datum = self.json(schema, &bytes)?;
            let read = self.avro.model.read(plan, &planned.schema, &datum, depth, column);
            // The bytes that it was found in are not the record's.
            return read.map_err(|flaw| CodeError::new(flaw.to_string()));
        }
        let read = self.avro.model.read(plan, &planned.schema, &bytes[before..], depth, column);
        read.map_err(|flaw| flaw.in_record(&bytes, before))
    }
}

#[cfg(feature = "registry")]
fn halt_of(halt: &Mutex<Halt>) -> Halt {
    halt.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// An encoder at work.
struct Encode<M> {
    avro: Arc<Avro<M>>,
    #[cfg_attr(not(feature = "registry"), allow(dead_code, reason = "nothing else waits"))]
    halt: Mutex<Halt>,
    /// What values were registered as, by the schema that they had with them.
    #[cfg(feature = "registry")]
    known: Kept<(Option<Schema>, registry::Known)>,
}

impl<M: Model> Encode<M> {
    fn new(avro: Arc<Avro<M>>) -> Self {
        Self {
            avro,
            halt: Mutex::default(),
            #[cfg(feature = "registry")]
            known: Kept::default(),
        }
    }

    #[cfg(feature = "registry")]
    fn registered(&self, registered: &Registered, value: &M::Out, out: &mut Vec<u8>) -> Result<(), CodeError> {
        let own = self.avro.model.own_schema(value);
        let same = |(was, _): &(Option<Schema>, _)| match (was, own) {
            (Some(was), Some(own)) => was.is(own),
            (None, None) => true,
            _ => false,
        };
        let make = || Ok((own.cloned(), registered.written(own, &halt_of(&self.halt))?));
        let found = self.known.find(same, make)?;
        let (_, known) = &*found;
        out.extend_from_slice(&registry::prefix(known.id));
        let written = self.avro.model.write(&known.schema, value, out);
        written.map_err(|flaw| CodeError::new(flaw.to_string()))
    }
}

impl<M: Model> Encoder for Encode<M> {
    type In = M::Out;

    fn name(&self) -> String {
        self.avro.name("ENCODER")
    }

    fn waits(&self) -> bool {
        self.avro.waits()
    }

    fn halt_by(&self, halt: &Halt) {
        *self.halt.lock().unwrap_or_else(PoisonError::into_inner) = halt.clone();
    }

    fn encode(&self, value: &M::Out, out: &mut Vec<u8>) -> Result<(), CodeError> {
        let schema = match &self.avro.wrapping {
            Wrapping::Datum(schema) => schema,
            Wrapping::Single(known) => match known.first() {
                Some(schema) => {
                    out.extend_from_slice(&single::prefix(schema));
                    schema
                }
                None => return Err(CodeError::new("no schema to write by")),
            },
            Wrapping::Container(container) => match container.written() {
                Some(schema) => {
                    out.extend_from_slice(&container::prefix(schema));
                    schema
                }
                None => return Err(CodeError::new("this container has no schema to write by")),
            },
            Wrapping::Json(schema) => return self.json(Some(schema), value, Style::Avro, out),
            Wrapping::OwnJson(style) => return self.json(None, value, *style, out),
            #[cfg(feature = "registry")]
            Wrapping::Registered(registered) => return self.registered(registered, value, out),
        };
        self.avro.model.write(schema, value, out).map_err(|flaw| CodeError::new(flaw.to_string()))
    }
}

impl<M: Model> Encode<M> {
    fn json(&self, schema: Option<&Schema>, value: &M::Out, style: Style, out: &mut Vec<u8>) -> Result<(), CodeError> {
        let written = self.avro.model.with_value(schema, value, self.avro.limits.depth, &mut |schema, value| {
            json::encode(schema.graph(), schema.graph().root, value, style, out)
        });
        written.map_err(|flaw| CodeError::new(flaw.to_string()))
    }
}

/// The value that a datum is, by its own schema.
pub(super) fn generic(schema: &Schema, datum: &[u8], depth: usize) -> Result<apache_avro::types::Value, Box<Flaw>> {
    let plan = Plan::of(schema.graph(), schema.graph())?;
    let mut from = super::cursor::Cursor::new(datum, depth);
    let value = read::value(&plan, plan.root, &mut from)?;
    read::ended(&from)?;
    Ok(value)
}
