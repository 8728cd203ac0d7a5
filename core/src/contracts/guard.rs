//! Runs what may panic, mostly since users have written it, and survives that.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Faults, Panicked, Rows};

/// Runs what may panic for one record, such as a function of the record in a sink: a panic is that record's failure.
pub fn guarded<R>(run: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(run)).map_err(Panicked::new)
}

/// Calls `body` with each living row, in order; a row whose call panics becomes a fault, and the loop goes on behind it.
#[inline]
pub(crate) fn each_row(rows: &Rows, faults: &mut Faults, mut body: impl FnMut(u32, &mut Faults)) {
    each_row_with(rows, faults, &mut (), |(), row, faults| body(row, faults));
}

/// Like [`each_row`], with what the body changes from row to row: given as `state`, the loop can keep it in registers,
/// which it can't with what a closure borrows.
#[inline]
pub(crate) fn each_row_with<S: Default>(
    rows: &Rows,
    faults: &mut Faults,
    state: &mut S,
    mut body: impl FnMut(&mut S, u32, &mut Faults),
) {
    match rows.partial() {
        None => each(rows.len(), faults, |i| i as u32, state, &mut body),
        Some(some) => each(some.len(), faults, |i| some[i], state, &mut body),
    }
}

#[inline]
fn each<S: Default>(
    count: usize,
    faults: &mut Faults,
    row: impl Fn(usize) -> u32,
    state: &mut S,
    body: &mut impl FnMut(&mut S, u32, &mut Faults),
) {
    let mut next = 0;
    while next < count {
        let run = catch_unwind(AssertUnwindSafe(|| {
            let mut at = Local { next, state: std::mem::take(state), home: (&mut next, state) };
            while at.next < count {
                let i = at.next;
                at.next += 1;
                body(&mut at.state, row(i), faults);
            }
        }));
        if let Err(payload) = run {
            faults.push((row(next - 1), Box::new(Panicked::new(payload)) as Box<dyn Error + Send + Sync>));
        }
    }
}

/// What changes in the loop, kept locally and brought home when the loop ends, by a panic too.
struct Local<'a, S: Default> {
    next: usize,
    state: S,
    home: (&'a mut usize, &'a mut S),
}

impl<S: Default> Drop for Local<'_, S> {
    fn drop(&mut self) {
        *self.home.0 = self.next;
        *self.home.1 = std::mem::take(&mut self.state);
    }
}

/// An operator met a column of another type: the graph was not built for it. Every living row fails.
pub(crate) fn mistyped(rows: &Rows, faults: &mut Faults) {
    let message = "this stage was given a column of another type: the graph does not fit its operators";
    faults.extend((0..rows.len()).map(|i| (rows.at(i), message.into())));
}
