//! [`Pipeline`]: a declared pipeline.

use std::sync::Arc;

use super::building::Building;
use super::{OnError, Root, Stream};
use crate::contracts::{Coder, Format, Source, SourceFactory, StoreFactory};
use crate::data::Data;
use crate::plan::{Declaration, Factory, Guarantee, Line, StageKind};

/// A declared pipeline, from source to sink. The suffixes that set options belong to the sink.
///
/// Declaring opens nothing, reads no environment and starts no task. What types can't catch is found by planning, all of
/// it at once; each mistake names its stages, the line of code to change, and what to do:
///
/// ```
/// use millstream::prelude::*;
///
/// let pipeline = Pipeline::source(Generate::sequence())
///     .filter(|n: &u64| n % 2 == 0)
///     .named("EVEN")
///     .par(0)
///     .count()
///     .named("TOTAL")
///     .sink(Null::<u64>::new());
/// # let lines: Vec<_> = pipeline.declaration().stages.iter().map(|stage| stage.line.to_string()).collect();
/// let mistakes = pipeline.plan().unwrap_err();
/// println!("{mistakes}");
/// # let printed = mistakes.to_string().replace(&lines[1], "src/main.rs:4").replace(&lines[2], "src/main.rs:7");
/// # assert_eq!(printed, "\
/// # the pipeline can't be planned, for 2 reasons:
/// #   - src/main.rs:4: EVEN: 0 workers run nothing; say `par(1)` or more
/// #   - src/main.rs:7: GENERATE, TOTAL: it emits at the end, and its input never ends; \
/// # say when it emits by `trigger_each` or `trigger_every`, or limit what comes before it");
/// ```
///
/// ```text
/// the pipeline can't be planned, for 2 reasons:
///   - src/main.rs:4: EVEN: 0 workers run nothing; say `par(1)` or more
///   - src/main.rs:7: GENERATE, TOTAL: it emits at the end, and its input never ends; say when it emits by `trigger_each`
///     or `trigger_every`, or limit what comes before it
/// ```
#[must_use = "a declared pipeline does nothing: `run` it"]
pub struct Pipeline {
    pub(super) building: Building,
}

/// A pipeline of which only the name is known.
#[derive(Debug, Clone)]
pub struct Called(String);

impl Pipeline {
    /// Begins a pipeline named `pipeline`.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let pipeline = Pipeline::source(List::new([1_u64])).sink(Null::<u64>::new());
    /// assert_eq!(pipeline.plan()?.name, "pipeline");
    /// # Ok::<(), Mistakes>(())
    /// ```
    #[track_caller]
    pub fn source<F: SourceFactory>(source: F) -> Stream<<F::Source as Source>::Out, Root> {
        Called("pipeline".to_owned()).source(source)
    }

    /// Begins a pipeline of this name: positions are kept under it, so it has to stay the same over restarts.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let pipeline = Pipeline::called("orders").source(List::new([1_u64])).sink(Null::<u64>::new());
    /// assert_eq!(pipeline.plan()?.name, "orders");
    /// # Ok::<(), Mistakes>(())
    /// ```
    pub fn called(name: &str) -> Called {
        Called(name.to_owned())
    }

    /// Registers a format for this pipeline alone: its coders win over the defaults.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// #[derive(Clone, serde::Serialize, serde::Deserialize)]
    /// struct Order {
    ///     id: u64,
    /// }
    /// data!(Order);
    ///
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new([Bytes::from(r#"{"id": 7}"#)]))
    ///     .map(|order: Order| order.id)
    ///     .sink(out)
    ///     .with(json::of::<Order>())
    ///     .run()
    ///     .await?;
    /// assert_eq!(seen.values(), [7]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with(mut self, format: impl Format) -> Self {
        self.building.0.coders.extend(format.decoder().into_iter().chain(format.encoder()));
        self
    }

    /// Registers a coder for this pipeline alone: it wins over the defaults.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// use millstream::contracts::{CodeError, Encoder, encoder};
    ///
    /// struct Decimal;
    ///
    /// impl Encoder for Decimal {
    ///     type In = u64;
    ///
    ///     fn name(&self) -> String {
    ///         "DECIMAL".to_owned()
    ///     }
    ///
    ///     fn encode(&self, n: &u64, out: &mut Vec<u8>) -> Result<(), CodeError> {
    ///         out.extend_from_slice(n.to_string().as_bytes());
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let out = Collect::<Bytes>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new([7_u64])).sink(out).with_coder(encoder(Decimal)).run().await?;
    /// assert_eq!(seen.values(), ["7"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_coder(mut self, coder: Coder) -> Self {
        self.building.0.coders.push(coder);
        self
    }

    /// Keeps positions in `store`, so that a restart goes on where the last run was committed.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # use millstream_core::testkit::{Ledger, MemoryStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let store = MemoryStore::new(&Ledger::new());
    /// let numbers = || Pipeline::source(Generate::sequence()).limit(3);
    /// for expected in [[0, 1, 2], [3, 4, 5]] {
    ///     let out = Collect::<u64>::new();
    ///     let seen = out.collected();
    ///     numbers().sink(out).store(store.clone()).run().await?;
    ///     assert_eq!(seen.values(), expected);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn store(mut self, store: impl StoreFactory) -> Self {
        self.building.0.store = Some(Arc::new(store));
        self
    }

    /// What is to become of failed records of all stages that don't say so themselves; [`OnError::Fail`] by default.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let texts = Pipeline::source(List::new(["1", "one"].map(str::to_owned)));
    /// let numbers = texts.try_map(|text: String| text.parse::<u64>());
    /// let summary = numbers.sink(Null::<u64>::new()).on_any_error(OnError::Skip).run().await?;
    /// assert_eq!((summary.records_out, summary.skipped), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_any_error(mut self, policy: OnError) -> Self {
        self.building.0.policy = self.building.policy(policy);
        self
    }

    /// Asks for a delivery guarantee: planning fails, and says why, where source and sink can't give it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let pipeline = Pipeline::source(List::new([1_u64])).sink(Null::<u64>::new()).require(Guarantee::ExactlyOnce);
    /// assert!(pipeline.plan().unwrap_err().to_string().contains("exactly-once is asked for"));
    /// ```
    pub fn require(mut self, guarantee: Guarantee) -> Self {
        self.building.0.wants = Some(guarantee);
        self
    }

    /// What was declared, as data.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let pipeline = Pipeline::source(List::new([1_u64])).map(|n: u64| n + 1).sink(Null::<u64>::new());
    /// let takes: Vec<_> = pipeline.declaration().stages.iter().map(|stage| stage.takes.clone()).collect();
    /// assert_eq!(takes[0], None);
    /// assert_eq!(takes[1].as_ref().map(|form| form.name()), Some("U64"));
    /// ```
    pub fn declaration(&self) -> &Declaration {
        &self.building.0
    }
}

impl Called {
    /// Begins the pipeline with its source.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let stream = Pipeline::called("orders").source(List::new([1_u64]));
    /// assert_eq!(stream.sink(Null::<u64>::new()).plan()?.located[0].stage, "LIST");
    /// # Ok::<(), Mistakes>(())
    /// ```
    #[track_caller]
    pub fn source<F: SourceFactory>(self, source: F) -> Stream<<F::Source as Source>::Out, Root> {
        let line = Line::here();
        let traits = source.traits();
        let mut building = Building::new(&self.0);
        let (name, gives) = (traits.kind.clone(), <F::Source as Source>::Out::form());
        building.push(StageKind::Source(traits), name, None, Some(gives), line, Factory::Source(Arc::new(source)));
        Stream::new(building)
    }
}
