//! [`Rows`]: the rows of a piece, in the two forms that records have on the wire.

use std::ops::Range;

use millstream_core::data::{AnyColumn, Bytes, Column, KvColumn, Packed};

/// Rows as bytes. Their blocks are frozen, so that clones share them.
#[derive(Clone)]
pub(in crate::exchange) enum Rows {
    /// Values.
    Bytes(Packed<Bytes>),
    /// Keys, and as many values.
    Pairs(Packed<Bytes>, Packed<Bytes>),
}

impl Rows {
    /// The rows of a batch; an error if they are neither bytes nor pairs of bytes.
    pub(super) fn of(column: Box<dyn AnyColumn>) -> Result<Self, String> {
        let column = match column.into_any().downcast::<Packed<Bytes>>() {
            Ok(mut values) => {
                values.freeze();
                return Ok(Self::Bytes(*values));
            }
            Err(other) => other,
        };
        let Ok(pairs) = column.downcast::<KvColumn<Bytes, Bytes>>() else {
            return Err("a batch at a network stage has rows that are neither bytes nor pairs of bytes".to_owned());
        };
        let KvColumn { mut keys, mut values } = *pairs;
        keys.freeze();
        values.freeze();
        Ok(Self::Pairs(keys, values))
    }

    pub(super) fn into_column(self) -> Box<dyn AnyColumn> {
        match self {
            Self::Bytes(values) => Box::new(values),
            Self::Pairs(keys, values) => Box::new(KvColumn::<Bytes, Bytes> { keys, values }),
        }
    }

    /// How many rows.
    pub(in crate::exchange) fn len(&self) -> usize {
        match self {
            Self::Bytes(values) | Self::Pairs(_, values) => values.len(),
        }
    }

    /// The columns in the order in which they are sent.
    pub(in crate::exchange) fn columns(&self) -> impl Iterator<Item = &Packed<Bytes>> {
        let (keys, values) = match self {
            Self::Bytes(values) => (None, values),
            Self::Pairs(keys, values) => (Some(keys), values),
        };
        keys.into_iter().chain([values])
    }

    /// How many bytes the rows have, without what lies between them.
    pub(super) fn bytes(&self) -> u64 {
        self.columns().flat_map(|column| column.ranges()).map(|range| range.len() as u64).sum()
    }

    /// These rows alone.
    pub(super) fn slice(&self, rows: Range<usize>) -> Self {
        self.map(|column| Packed::new(column.share_block(), column.ranges()[rows.clone()].to_vec()))
    }

    /// These rows alone: ascending, none twice.
    pub(super) fn select(&self, rows: &[u32]) -> Self {
        self.map(|column| {
            let mut column = column.clone();
            column.select(rows);
            column
        })
    }

    fn map(&self, of: impl Fn(&Packed<Bytes>) -> Packed<Bytes>) -> Self {
        match self {
            Self::Bytes(values) => Self::Bytes(of(values)),
            Self::Pairs(keys, values) => Self::Pairs(of(keys), of(values)),
        }
    }
}
