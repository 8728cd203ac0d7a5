//! What travels: values, the columns they are stored in, stamps, positions and batches.
//!
//! This module imports nothing else of the crate.

mod batch;
mod bytes;
mod column;
mod dealt;
mod form;
mod kv;
mod original;
mod position;
mod stamp;
mod value;

pub use batch::{Batch, Parts, Records, Shared};
pub use bytes::{Packed, Range32};
pub use column::{AnyColumn, Column, Recycled, Reuse, Typed};
pub use dealt::Dealt;
pub use form::{BothSides, BothSidesMut, Columns, CopyRows, Form, Join, Sides};
pub use kv::{Kv, KvColumn};
pub use original::{Original, Originals};
pub use position::{Marks, Partition, PartitionId, Position, PositionTooLarge};
pub use stamp::{EventTime, Stamp, Times};
pub use value::{Data, View};

pub use ::bytes::Bytes;
