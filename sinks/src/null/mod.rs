//! Nowhere ([`Null`]): for measuring a pipeline, and for one whose stages do all the work.

mod sink;

use std::fmt;
use std::marker::PhantomData;

use millstream_core::contracts::{SinkFactory, SinkTraits, Where};
use millstream_core::data::Data;

pub use sink::NullSink;

/// Takes records of any type and throws them away; they count as delivered.
pub struct Null<T>(PhantomData<fn() -> T>);

impl<T: Data> Null<T> {
    /// A sink that throws everything away.
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Data> Default for Null<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Data> fmt::Debug for Null<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Null<{}>", T::NAME)
    }
}

impl<T: Data> SinkFactory for Null<T> {
    type Sink = NullSink<T>;

    fn traits(&self, _: bool) -> SinkTraits {
        SinkTraits {
            kind: "NULL".into(),
            output: "nowhere".into(),
            place: Where::Everywhere,
            ordered: false,
            transactional: Err("what is thrown away leaves nothing to keep positions with".into()),
            positions_in: None,
            commits_at: None,
            durable_at_close: false,
            local_state: false,
            blocking: false,
        }
    }

    fn make(&self) -> NullSink<T> {
        NullSink::new()
    }
}

#[cfg(test)]
mod tests;
