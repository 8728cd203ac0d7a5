//! [`KeyedStream`]: records with a key beside them.

use std::hash::Hash;
use std::sync::Arc;

use super::{Folding, Stream, Taking};
use crate::data::{Data, Form, Kv};
use crate::plan::{Factory, Line, StageKind};
use crate::transforms::FoldByKey;

/// Records with a key beside them: folds keep one state a key.
///
/// Made by [`Stream::key_by`].
#[must_use = "a stream does nothing: end it with `sink`, then plan and run the pipeline"]
pub struct KeyedStream<K: Data + Clone, V: Data + Clone>(pub(super) Stream<Kv<K, V>, Taking<V>>);

impl<K: Data + Clone + Eq + Hash, V: Data + Clone> KeyedStream<K, V> {
    /// How many keys a fold keeps unless told otherwise.
    pub const MAX_KEYS: usize = 1_000_000;

    /// Keeps one state a key and emits, at each trigger and at the end, a copy of each that has changed since the last
    /// time. At most [`MAX_KEYS`](Self::MAX_KEYS) keys: a record with one more is a failure.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<Kv<bool, u64>>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new([1_u64, 2, 3, 4, 5]))
    ///     .key_by(|n: &u64| n % 2 == 0)
    ///     .fold(0, |sum: &mut u64, n: u64| *sum += n)
    ///     .sink(out)
    ///     .run()
    ///     .await?;
    /// assert_eq!(seen.values(), [Kv::new(false, 9), Kv::new(true, 6)]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn fold<S: Data + Clone + Sync>(
        self,
        init: S,
        f: impl Fn(&mut S, V) + Send + Sync + 'static,
    ) -> Stream<Kv<K, S>, Folding> {
        self.fold_up_to(Self::MAX_KEYS, init, f)
    }

    /// Like [`fold`](Self::fold), with a bound of its own on the number of keys.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let sums = Pipeline::source(List::new([1_u64, 2, 3]))
    ///     .key_by(|n: &u64| *n)
    ///     .fold_up_to(2, 0, |sum: &mut u64, n: u64| *sum += n)
    ///     .sink(Null::<Kv<u64, u64>>::new());
    /// assert!(sums.run().await.is_err()); // a third key
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn fold_up_to<S: Data + Clone + Sync>(
        self,
        max_keys: usize,
        init: S,
        f: impl Fn(&mut S, V) + Send + Sync + 'static,
    ) -> Stream<Kv<K, S>, Folding> {
        self.fold_named("FOLD", max_keys, init, f, Line::here())
    }

    /// Counts the records of each key.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<Kv<bool, u64>>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new([1_u64, 2, 3])).key_by(|n: &u64| n % 2 == 0).count().sink(out).run().await?;
    /// assert_eq!(seen.values(), [Kv::new(false, 2), Kv::new(true, 1)]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn count(self) -> Stream<Kv<K, u64>, Folding> {
        self.fold_named("COUNT", Self::MAX_KEYS, 0, |count, _| *count += 1, Line::here())
    }

    /// Names the stage that puts the key.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let pipeline = Pipeline::source(List::new([1_u64])).key_by(|n: &u64| n % 2).named("PARITY").count();
    /// let plan = pipeline.sink(Null::<Kv<u64, u64>>::new()).plan()?;
    /// assert_eq!(plan.located[1].stage, "PARITY");
    /// # Ok::<(), Mistakes>(())
    /// ```
    pub fn named(mut self, name: &str) -> Self {
        self.0 = self.0.named(name);
        self
    }

    /// The pairs, as a stream like any other.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<Kv<bool, u64>>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new([1_u64, 2])).key_by(|n: &u64| n % 2 == 0).pairs().sink(out).run().await?;
    /// assert_eq!(seen.values(), [Kv::new(false, 1), Kv::new(true, 2)]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pairs(self) -> Stream<Kv<K, V>, Taking<V>> {
        self.0
    }

    fn fold_named<S: Data + Clone + Sync>(
        self,
        what: &str,
        max_keys: usize,
        init: S,
        f: impl Fn(&mut S, V) + Send + Sync + 'static,
        line: Line,
    ) -> Stream<Kv<K, S>, Folding> {
        let f = Arc::new(f);
        let factory =
            Factory::Fold(Arc::new(move || Box::new(FoldByKey::<K, V, S, _>::new(init.clone(), f.clone(), max_keys))));
        let (takes, gives): (Form, Form) = (Kv::<K, V>::form(), Kv::<K, S>::form());
        let mut building = self.0.building;
        let name = super::building::Building::function(what, line);
        building.push(StageKind::Fold { keyed: true }, name, Some(takes), Some(gives), line, factory);
        if let Some(options) = building.options() {
            options.max_keys = Some(max_keys);
        }
        Stream::new(building)
    }
}
