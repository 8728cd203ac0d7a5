//! `count`: how many rows there were.

use crate::contracts::{Emission, Faults, Fold};
use crate::data::{AnyColumn, Column, Data};

/// Counts rows, whatever they are.
#[derive(Debug, Default)]
pub struct Count {
    rows: u64,
    told: Option<u64>,
}

impl Fold for Count {
    fn absorb(&mut self, from: &mut dyn AnyColumn, _turns: Option<&[i64]>, _faults: &mut Faults) {
        self.rows += from.rows() as u64;
    }

    fn emit(&mut self, last: bool) -> Emission {
        let mut out = <u64 as Data>::Column::default();
        let due = if last { self.told != Some(self.rows) } else { self.told.unwrap_or(0) != self.rows };
        if due {
            out.push(self.rows);
            self.told = Some(self.rows);
        }
        Emission::of(Box::new(out))
    }
}
