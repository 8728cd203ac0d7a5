//! [`OpenSink`]: a sink, opened.

use tokio::sync::mpsc;

use crate::contracts::{DynSink, Failure};

/// A sink that is open, and where it tells of rows that failed late.
pub(super) struct OpenSink {
    pub(super) sink: Box<dyn DynSink>,
    pub(super) failures: mpsc::UnboundedReceiver<Failure>,
}
