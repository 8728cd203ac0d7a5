//! [`Kept`]: what a coder has made once for all records that need it, such as a plan, found again without a lock.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How many are found without a lock. As many more are kept behind one.
const MOST: usize = 64;

/// What has been made.
pub(crate) struct Kept<T> {
    /// Filled from the first on, and never emptied.
    first: Box<[OnceLock<T>]>,
    /// Which of those was found last.
    last: AtomicUsize,
    /// What there was no room for among them, the last used first. Whoever makes something holds the lock.
    rest: Mutex<Vec<Arc<T>>>,
}

/// Something kept, for as long as it is used.
pub(crate) enum Found<'k, T> {
    First(&'k T),
    Rest(Arc<T>),
}

impl<T> Deref for Found<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match self {
            Self::First(found) => found,
            Self::Rest(found) => found,
        }
    }
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { first: (0..MOST).map(|_| OnceLock::new()).collect(), last: AtomicUsize::new(0), rest: Mutex::default() }
    }
}

impl<T> Kept<T> {
    /// The one that `is` says it is; made, if there is none.
    #[inline]
    pub(crate) fn find<E>(
        &self,
        is: impl Fn(&T) -> bool,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Found<'_, T>, E> {
        match self.first.get(self.last.load(Relaxed)).and_then(OnceLock::get) {
            Some(last) if is(last) => Ok(Found::First(last)),
            _ => self.find_another(is, make),
        }
    }

    fn find_another<E>(&self, is: impl Fn(&T) -> bool, make: impl FnOnce() -> Result<T, E>) -> Result<Found<'_, T>, E> {
        let mut known = self.first.iter().map_while(OnceLock::get).enumerate();
        if let Some((at, found)) = known.find(|(_, known)| is(known)) {
            self.last.store(at, Relaxed);
            return Ok(Found::First(found));
        }
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = rest.iter().position(|known| is(known)) {
            rest[..=at].rotate_right(1);
            return Ok(Found::Rest(rest[0].clone()));
        }
        let made = make()?;
        if let Some(free) = self.first.iter().find(|cell| cell.get().is_none()) {
            return Ok(Found::First(free.get_or_init(|| made)));
        }
        let made = Arc::new(made);
        rest.truncate(MOST - 1);
        rest.insert(0, made.clone());
        Ok(Found::Rest(made))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::mpsc::channel;

    use proptest::prelude::*;

    use super::{Kept, MOST};

    #[test]
    fn what_is_kept_is_found_while_something_else_is_made() {
        let kept = Kept::default();
        let (begin, begun) = channel();
        let (end, ended) = channel();
        let made = |number: u32| Ok::<_, Infallible>(number);
        assert_eq!(kept.find(|kept| *kept == 1, || made(1)).map(|found| *found), Ok(1));
        std::thread::scope(|scope| {
            let kept = &kept;
            scope.spawn(move || {
                let slow = || {
                    begin.send(()).unwrap();
                    ended.recv().unwrap();
                    made(2)
                };
                assert_eq!(kept.find(|kept| *kept == 2, slow).map(|found| *found), Ok(2));
            });
            begun.recv().unwrap();
            let (found, finding) = channel();
            scope.spawn(move || found.send(kept.find(|kept| *kept == 1, || Err("it is kept")).map(|found| *found)));
            let in_time = finding.recv_timeout(std::time::Duration::from_secs(5));
            end.send(()).unwrap();
            assert_eq!(in_time, Ok(Ok(1)));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn each_is_made_once_while_there_is_room_and_is_the_right_one(
            asked in prop::collection::vec(0..MOST * 3, 0..MOST * 6), room in any::<bool>(),
        ) {
            let (kept, mut made) = (Kept::default(), Vec::new());
            for number in asked {
                let number = if room { number % (MOST * 2) } else { number };
                let make = || {
                    made.push(number);
                    Ok::<_, Infallible>(number)
                };
                prop_assert_eq!(kept.find(|kept| *kept == number, make).map(|found| *found), Ok(number));
            }
            if room {
                made.sort_unstable();
                prop_assert!(made.windows(2).all(|two| two[0] != two[1]), "made twice: {:?}", made);
            }
        }
    }
}
