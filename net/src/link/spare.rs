//! [`Spare`]: memory of frames that were let go of, for those that come.
//!
//! A frame of records is as long as a block, and hundreds come a second: memory that goes back to the system with each
//! and comes from there anew costs more than what is done with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Shorter frames take what the allocator gives.
const LEAST: usize = 32 << 10;
/// Memory is taken in multiples of this, so that frames of about the same length fit into each other's.
const STEP: usize = 64 << 10;
/// What is kept at most, in bytes: what a peer may have on its way to a network stage, by default.
const KEPT: usize = 8 << 20;

/// See the module. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Spare(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    all: Vec<Vec<u8>>,
    bytes: usize,
}

impl Spare {
    /// Empty memory for at least so many bytes.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes < LEAST {
            return Vec::with_capacity(bytes);
        }
        let mut kept = self.lock();
        // The last to come back is the likeliest to be in a cache.
        // Never much larger than needed: what is lent counts as what it holds.
        let fits = |spare: &Vec<u8>| (bytes..=(2 * bytes).max(STEP)).contains(&spare.capacity());
        match kept.all.iter().rposition(fits) {
            Some(at) => {
                let spare = kept.all.remove(at);
                kept.bytes -= spare.capacity();
                spare
            }
            None => Vec::with_capacity(bytes.next_multiple_of(STEP)),
        }
    }

    /// A frame in such memory, which comes back when the last of it is let go of.
    pub(super) fn lend(&self, frame: Vec<u8>) -> Bytes {
        match frame.capacity() < LEAST {
            true => frame.into(),
            false => Bytes::from_owner(Lent { frame, to: self.clone() }),
        }
    }

    /// Nothing is kept.
    pub(super) fn give_back(&self) {
        *self.lock() = Kept::default();
    }

    fn put(&self, mut frame: Vec<u8>) {
        frame.clear();
        let mut kept = self.lock();
        if kept.bytes + frame.capacity() <= KEPT {
            kept.bytes += frame.capacity();
            kept.all.push(frame);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    frame: Vec<u8>,
    to: Spare,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.to.put(std::mem::take(&mut self.frame));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(spare: &Spare, bytes: usize) -> Vec<u8> {
        let mut frame = spare.take(bytes);
        frame.resize(bytes, 7);
        frame
    }

    /// The bytes that are kept, as counted and as they are.
    fn held(spare: &Spare) -> (usize, usize) {
        let kept = spare.lock();
        (kept.bytes, kept.all.iter().map(Vec::capacity).sum())
    }

    #[test]
    fn memory_comes_back_with_the_last_of_a_frame_and_serves_the_next() {
        let spare = Spare::default();
        let frame = spare.lend(filled(&spare, 300_000));
        let (at, part) = (frame.as_ptr(), frame.slice(100..200));
        drop(frame);
        let other = spare.take(300_000);
        assert_ne!(other.as_ptr(), at);
        assert!(part.iter().all(|byte| *byte == 7));
        drop(part);
        let next = spare.take(310_000);
        assert_eq!((next.as_ptr(), next.len()), (at, 0));
    }

    #[test]
    fn what_is_too_short_is_left_and_what_is_small_is_not_kept() {
        let spare = Spare::default();
        drop(spare.lend(filled(&spare, 100_000)));
        assert!(spare.take(200_000).capacity() >= 200_000);
        drop(spare.lend(filled(&spare, 100)));
        assert_eq!(spare.lock().all.len(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded_and_given_back() {
        let spare = Spare::default();
        let frames: Vec<Bytes> = (0..20).map(|_| spare.lend(filled(&spare, 1 << 20))).collect();
        drop(frames);
        assert_eq!(held(&spare), (KEPT, KEPT));
        spare.give_back();
        assert_eq!(held(&spare), (0, 0));
    }
}
