//! [`OnError`]: what the user says is to become of a record that failed.

use std::sync::Arc;

use crate::contracts::{DynSinkFactory, Sink, SinkFactory};
use crate::data::Bytes;

/// What is to become of a record that a stage could not process.
#[derive(Clone, Default)]
pub enum OnError {
    /// The run stops with the error; nothing past the record is committed. The default.
    #[default]
    Fail,
    /// The record is left out and counted.
    Skip,
    /// A dead letter is written to this sink, durably, before the record settles.
    DeadLetter(Arc<dyn DynSinkFactory>),
}

impl OnError {
    /// Dead letters to `sink`, as lines of JSON (see [`Letter`](crate::contracts::Letter)). Give each destination a sink
    /// that appends: a run that is started again goes on with the same letters.
    pub fn dead_letter<F>(sink: F) -> Self
    where
        F: SinkFactory,
        F::Sink: Sink<In = Bytes>,
    {
        Self::DeadLetter(Arc::new(sink))
    }
}
