//! Records made from their numbers: [`Generate`].

mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use millstream_core::contracts::{Commits, Ends, Places, SourceFactory, SourceTraits, Where};
use millstream_core::data::Data;

pub use source::GenerateSource;

/// Records made from their numbers 0, 1, 2, …: [`Generate::sequence`] gives the numbers themselves, [`Generate::with`]
/// what a function makes of them.
///
/// It runs for ever unless a [`count`](Self::count) is given, and as fast as it can unless a [`rate`](Self::rate) is. The
/// function is taken to make the same of the same number at each run: a position is a number.
///
/// ```
/// use millstream_sources::generate::Generate;
///
/// let ticks = Generate::sequence().rate(10);
/// let squares = Generate::with(|n| n * n).count(1_000);
/// ```
pub struct Generate<F = ()> {
    make: Arc<F>,
    count: Option<u64>,
    rate: Option<u64>,
}

impl Generate {
    /// The numbers, as `u64`.
    pub fn sequence() -> Generate<impl Fn(u64) -> u64 + Send + Sync + 'static> {
        Self::with(|n| n)
    }

    /// What `make` makes of the numbers.
    pub fn with<T: Data, F: Fn(u64) -> T + Send + Sync + 'static>(make: F) -> Generate<F> {
        Generate { make: Arc::new(make), count: None, rate: None }
    }
}

impl<F> Generate<F> {
    /// How many records there are; without it, it never ends.
    #[must_use]
    pub fn count(mut self, records: u64) -> Self {
        self.count = Some(records);
        self
    }

    /// How many records come in a second, the first at once; without it, as many as are taken. What could not be taken
    /// in time is made up for.
    #[must_use]
    pub fn rate(mut self, per_second: u64) -> Self {
        self.rate = Some(per_second);
        self
    }
}

impl<F> Clone for Generate<F> {
    fn clone(&self) -> Self {
        Self { make: self.make.clone(), count: self.count, rate: self.rate }
    }
}

impl<T: Data, F: Fn(u64) -> T + Send + Sync + 'static> SourceFactory for Generate<F> {
    type Source = GenerateSource<F>;

    fn traits(&self) -> SourceTraits {
        SourceTraits {
            kind: "GENERATE".into(),
            input: match self.count {
                Some(count) => format!("{count} {} made from their numbers", T::form()),
                None => format!("{} made from their numbers", T::form()),
            },
            identity: None,
            ends: if self.count.is_some() { Ends::Bounded } else { Ends::Unbounded },
            commits: Commits::Optimistic,
            keeps_positions: false,
            server: None,
            places: Places::Exclusive(Where::First),
            unacknowledged: None,
            resumable: true,
            visibility: None,
            blocking: false,
        }
    }

    fn check(&self) -> Vec<String> {
        if self.rate == Some(0) {
            return vec![
                "a rate of 0 records a second: expected at least 1; leave it out for as many as are taken".into(),
            ];
        }
        Vec::new()
    }

    fn make(&self) -> GenerateSource<F> {
        GenerateSource::new(self.make.clone(), self.count, self.rate)
    }
}
