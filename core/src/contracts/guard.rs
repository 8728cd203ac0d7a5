//! Runs a loop over rows and survives the panics of its body.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Faults, Panicked, Rows};

/// Calls `body` with each living row, in order; a row whose call panics becomes a fault, and the loop goes on behind it.
#[inline]
pub(crate) fn each_row(rows: &Rows, faults: &mut Faults, mut body: impl FnMut(u32, &mut Faults)) {
    match rows.partial() {
        None => each(rows.len(), faults, |i| i as u32, &mut body),
        Some(some) => each(some.len(), faults, |i| some[i], &mut body),
    }
}

#[inline]
fn each(count: usize, faults: &mut Faults, row: impl Fn(usize) -> u32, body: &mut impl FnMut(u32, &mut Faults)) {
    let mut next = 0;
    while next < count {
        let run = catch_unwind(AssertUnwindSafe(|| {
            while next < count {
                let i = next;
                next += 1;
                body(row(i), faults);
            }
        }));
        if let Err(payload) = run {
            faults.push((row(next - 1), Box::new(Panicked::new(payload)) as Box<dyn Error + Send + Sync>));
        }
    }
}

/// An operator met a column of another type: the graph was not built for it. Every living row fails.
pub(crate) fn mistyped(rows: &Rows, faults: &mut Faults) {
    let message = "this stage was given a column of another type: the graph does not fit its operators";
    faults.extend((0..rows.len()).map(|i| (rows.at(i), message.into())));
}
