//! [`Stream`]: a pipeline that has no sink yet.

use std::error::Error;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use super::building::Building;
use super::{Asynchronous, Coding, Folding, KeyedStream, Looking, Pipeline, Taking};
use crate::contracts::{Emit, Format, Sink, SinkFactory, Transform};
use crate::data::{Bytes, Data, Form, Kv, View};
use crate::plan::{Factory, Line, StageKind};
use crate::transforms::{Apply, Count, Filter, FlatMap, FoldAll, KeyBy, Map, MapAsync, MapRef, TryMap};

/// A pipeline that has no sink yet, whose last stage gives `T`; `M` says what kind of stage that is.
///
/// A stage says by its function's argument what it takes. Where that is not what the stage before gives, the planner puts
/// coders in between, so `filter(|order: &Node| …)` may stand behind a source of bytes, and bytes pass it. An option is a
/// suffix of the stage before it; one that this kind of stage can't have doesn't compile, and one of 0 is a mistake that
/// planning reports.
///
/// ```
/// use millstream::prelude::*;
///
/// fn is_short(line: &str) -> bool {
///     line.len() < 40
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream::Error> {
/// let out = Collect::<Bytes>::new();
/// let seen = out.collected();
/// let lines = [r#"{"id": 1}"#, "", r#"{"name": "without an id"}"#].map(Bytes::from);
/// Pipeline::source(List::new(lines))
///     .filter(|line: &[u8]| !line.is_empty())
///     .filter(is_short)
///     .filter::<json::Value>(|event| event.get("id").is_some())
///     .sink(out)
///     .run()
///     .await?;
/// assert_eq!(seen.values(), [r#"{"id": 1}"#]);
/// # Ok(())
/// # }
/// ```
///
/// The stream's type says nothing about the argument, so the compiler can't guess it: annotate it, name it as in
/// `filter::<json::Value>`, or give a function.
///
/// ```compile_fail,E0282
/// # use millstream::prelude::*;
/// Pipeline::source(List::new([String::new()])).filter(|line| line.is_empty()); // error E0282: type annotations needed
/// ```
#[must_use = "a stream does nothing: end it with `sink`, then plan and run the pipeline"]
pub struct Stream<T, M> {
    pub(super) building: Building,
    types: PhantomData<fn() -> (T, M)>,
}

impl<T: Data, M> Stream<T, M> {
    pub(super) fn new(building: Building) -> Self {
        Self { building, types: PhantomData }
    }

    fn push<B: Data, N>(
        mut self,
        what: &str,
        kind: StageKind,
        takes: Form,
        line: Line,
        factory: Factory,
    ) -> Stream<B, N> {
        let gives = if kind.passes_on() { self.building.current() } else { Some(B::form()) };
        self.building.push(kind, Building::function(what, line), Some(takes), gives, line, factory);
        Stream::new(self.building)
    }

    /// Lets those records pass for which `f` says so. It only looks: what came passes on, whatever `f` looks at.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<String>::new();
    /// let seen = out.collected();
    /// let lines = ["a paid", "b open"].map(str::to_owned);
    /// let summary = Pipeline::source(List::new(lines)).filter(|line: &str| line.ends_with("paid")).sink(out).run().await?;
    /// assert_eq!(seen.values(), ["a paid"]);
    /// assert_eq!(summary.filtered, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn filter<U: View + ?Sized + 'static>(
        self,
        f: impl Fn(&U) -> bool + Send + Sync + 'static,
    ) -> Stream<T, Looking> {
        let f = Arc::new(f);
        let factory = Factory::Look(Arc::new(move || Box::new(Filter::<U, _>::new(f.clone()))));
        self.push("FILTER", StageKind::Filter, U::Owned::form(), Line::here(), factory)
    }

    /// Makes one record of each. A function that may fail goes into [`try_map`](Self::try_map).
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new([1_u64, 2])).map(|n: u64| n * 10).sink(out).run().await?;
    /// assert_eq!(seen.values(), [10, 20]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Neither a reference to look at ([`map_ref`](Self::map_ref) does that) nor a `Result` is [`Data`]:
    ///
    /// ```compile_fail,E0277
    /// # use millstream::prelude::*;
    /// Pipeline::source(List::new([1_u64])).map(|n: &u64| n * 10); // error E0277: `&u64` doesn't implement `Data`
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use millstream::prelude::*;
    /// Pipeline::source(List::new([1_u64])).map(|n: u64| n.checked_sub(1).ok_or("none left")); // nor does `Result`
    /// ```
    #[track_caller]
    pub fn map<A: Data, B: Data>(self, f: impl Fn(A) -> B + Send + Sync + 'static) -> Stream<B, Taking<A>> {
        let f = Arc::new(f);
        let factory = Factory::Make(Arc::new(move || Box::new(Map::<A, B, _>::new(f.clone()))));
        self.push("MAP", StageKind::Map { looks: false }, A::form(), Line::here(), factory)
    }

    /// Makes one record of each; an error is the record's failure and meets the stage's policy.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// let summary = Pipeline::source(List::new(["1", "one", "2"].map(str::to_owned)))
    ///     .try_map(|text: String| text.parse::<u64>())
    ///     .on_error(OnError::Skip)
    ///     .sink(out)
    ///     .run()
    ///     .await?;
    /// assert_eq!(seen.values(), [1, 2]);
    /// assert_eq!(summary.skipped, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn try_map<A: Data, B: Data, E: Into<Box<dyn Error + Send + Sync>> + 'static>(
        self,
        f: impl Fn(A) -> Result<B, E> + Send + Sync + 'static,
    ) -> Stream<B, Taking<A>> {
        let f = Arc::new(f);
        let factory = Factory::Make(Arc::new(move || Box::new(TryMap::<A, B, _>::new(f.clone()))));
        self.push("TRY-MAP", StageKind::Map { looks: false }, A::form(), Line::here(), factory)
    }

    /// Makes one record of each by looking at it.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<usize>::new();
    /// let seen = out.collected();
    /// let lines = ["three", "words", "and"].map(str::to_owned);
    /// Pipeline::source(List::new(lines)).map_ref(|line: &str| line.len()).sink(out).run().await?;
    /// assert_eq!(seen.values(), [5, 5, 3]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map_ref<U: View + ?Sized + 'static, B: Data>(
        self,
        f: impl Fn(&U) -> B + Send + Sync + 'static,
    ) -> Stream<B, Looking> {
        let f = Arc::new(f);
        let factory = Factory::Make(Arc::new(move || Box::new(MapRef::<U, B, _>::new(f.clone()))));
        self.push("MAP-REF", StageKind::Map { looks: true }, U::Owned::form(), Line::here(), factory)
    }

    /// Makes any number of records of each by looking at it. What one record becomes stays together.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<String>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new(["two words", "", "one"].map(str::to_owned)))
    ///     .flat_map(|line: &str, emit: &mut Emit<String>| line.split_whitespace().for_each(|word| emit.text(word)))
    ///     .sink(out)
    ///     .run()
    ///     .await?;
    /// assert_eq!(seen.values(), ["two", "words", "one"]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn flat_map<U: View + ?Sized + 'static, B: Data>(
        self,
        f: impl Fn(&U, &mut Emit<'_, B>) + Send + Sync + 'static,
    ) -> Stream<B, Looking> {
        let f = Arc::new(f);
        let factory = Factory::Make(Arc::new(move || Box::new(FlatMap::<U, B, _>::new(f.clone()))));
        self.push("FLAT-MAP", StageKind::FlatMap { looks: true }, U::Owned::form(), Line::here(), factory)
    }

    /// Makes one record of each by a future; at most `at_once` of them run at a time, and order is kept.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new([30_u64, 10, 20]))
    ///     .map_async(3, async |millis: u64| {
    ///         tokio::time::sleep(Duration::from_millis(millis)).await;
    ///         millis
    ///     })
    ///     .sink(out)
    ///     .run()
    ///     .await?;
    /// assert_eq!(seen.values(), [30, 10, 20]); // though the second was ready first
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn map_async<A: Data, B: Data, Fut: Future<Output = B> + Send + 'static>(
        self,
        at_once: usize,
        f: impl Fn(A) -> Fut + Send + Sync + 'static,
    ) -> Stream<B, Asynchronous> {
        let f = Arc::new(f);
        let factory = Factory::MakeAsync(Arc::new(move || Box::new(MapAsync::<A, B, _>::new(f.clone()))));
        self.push("MAP-ASYNC", StageKind::MapAsync { at_once }, A::form(), Line::here(), factory)
    }

    /// Keeps one state and emits a copy of it at each trigger and at the end, if anything came since the last one; of no
    /// records at all it emits the initial state. Without a trigger it emits at the end alone: that of the input or a
    /// limit (a run that is asked to end emits nothing, and what came stays uncommitted). On unbounded input without a
    /// limit that end never comes, which is a mistake.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// let numbers = List::new([1_u64, 2, 3, 4]);
    /// Pipeline::source(numbers).fold(0, |sum: &mut u64, n: u64| *sum += n).sink(out).run().await?;
    /// assert_eq!(seen.values(), [10]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let endless = Pipeline::source(Generate::sequence()).fold(0, |sum: &mut u64, n: u64| *sum += n);
    /// assert!(endless.sink(Null::<u64>::new()).plan().unwrap_err().to_string().contains("its input never ends"));
    /// ```
    #[track_caller]
    pub fn fold<A: Data, S: Data + Clone + Sync>(
        self,
        init: S,
        f: impl Fn(&mut S, A) + Send + Sync + 'static,
    ) -> Stream<S, Folding> {
        let f = Arc::new(f);
        let factory = Factory::Fold(Arc::new(move || Box::new(FoldAll::<A, S, _>::new(init.clone(), f.clone()))));
        self.push("FOLD", StageKind::Fold { keyed: false }, A::form(), Line::here(), factory)
    }

    /// Counts records: a [`fold`](Self::fold) that looks at nothing.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new(["a", "b", "c"].map(str::to_owned))).count().sink(out).run().await?;
    /// assert_eq!(seen.values(), [3]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn count(self) -> Stream<u64, Folding> {
        let factory = Factory::Fold(Arc::new(|| Box::new(Count::default())));
        self.push("COUNT", StageKind::Fold { keyed: false }, T::form(), Line::here(), factory)
    }

    /// Puts a key beside each record: folds behind it keep one state a key.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<Kv<String, u64>>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new(["b", "a", "b"].map(str::to_owned)))
    ///     .key_by(|word: &String| word.clone())
    ///     .count()
    ///     .sink(out)
    ///     .run()
    ///     .await?;
    /// assert_eq!(seen.values(), [Kv::new("b".to_owned(), 2), Kv::new("a".to_owned(), 1)]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn key_by<K: Data + Clone>(self, f: impl Fn(&T) -> K + Send + Sync + 'static) -> KeyedStream<K, T>
    where
        T: Clone,
    {
        let f = Arc::new(f);
        let factory = Factory::Make(Arc::new(move || Box::new(KeyBy::<K, T, _>::new(f.clone()))));
        KeyedStream(self.push::<Kv<K, T>, _>("KEY-BY", StageKind::KeyBy, T::form(), Line::here(), factory))
    }

    /// Runs a transform of one's own.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// /// Lets a number pass that isn't the one before.
    /// #[derive(Clone)]
    /// struct Changes(Option<u64>);
    ///
    /// impl Transform for Changes {
    ///     type In = u64;
    ///     type Out = u64;
    ///
    ///     fn name(&self) -> String {
    ///         "CHANGES".to_owned()
    ///     }
    ///
    ///     fn apply(&mut self, n: u64, emit: &mut Emit<u64>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    ///         if self.0.replace(n) != Some(n) {
    ///             emit.push(n);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new([1_u64, 1, 2, 1])).apply(Changes(None)).sink(out).run().await?;
    /// assert_eq!(seen.values(), [1, 2, 1]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn apply<X: Transform>(self, transform: X) -> Stream<X::Out, Taking<X::In>> {
        let line = Line::here();
        let name = transform.name();
        let factory = Factory::Make(Arc::new(move || Box::new(Apply::new(transform.clone()))));
        let mut stream =
            self.push::<X::Out, _>("APPLY", StageKind::FlatMap { looks: false }, X::In::form(), line, factory);
        if let Some(stage) = stream.building.0.stages.last_mut() {
            stage.name = name;
        }
        stream
    }

    /// Encodes with this format, whatever the planner would choose.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<Bytes>::new();
    /// let seen = out.collected();
    /// let events = [Bytes::from(r#"{"id": 1}"#)];
    /// Pipeline::source(List::new(events))
    ///     .map(|event: json::Value| event)
    ///     .encode_as(json::format())
    ///     .sink(out)
    ///     .run()
    ///     .await?;
    /// assert_eq!(seen.values(), [r#"{"id": 1}"#]); // nobody changed it: the bytes it came from
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn encode_as(mut self, format: impl Format) -> Stream<Bytes, Coding> {
        self.building.code(StageKind::Encode, format.encoder(), Bytes::form(), Line::here());
        Stream::new(self.building)
    }

    /// Decodes with this format, whatever the planner would choose.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<json::Value>::new();
    /// let seen = out.collected();
    /// Pipeline::source(List::new([Bytes::from("[1, 2]")])).decode_as(json::format()).sink(out).run().await?;
    /// assert_eq!(seen.values()[0].get("1").and_then(|second| second.as_u64()), Some(2));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn decode_as<F: Format>(mut self, format: F) -> Stream<F::Value, Coding> {
        self.building.code(StageKind::Decode, format.decoder(), F::Value::form(), Line::here());
        Stream::new(self.building)
    }

    /// Ends the pipeline with its sink.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let pipeline = Pipeline::source(List::new([1_u64])).sink(Null::<u64>::new());
    /// assert_eq!(pipeline.plan()?.phases[0].stages.len(), 2);
    /// # Ok::<(), Mistakes>(())
    /// ```
    #[track_caller]
    pub fn sink<F: SinkFactory>(mut self, sink: F) -> Pipeline {
        let line = Line::here();
        let traits = sink.traits(false);
        let (name, takes) = (traits.kind.clone(), <F::Sink as Sink>::In::form());
        self.building.push(StageKind::Sink(traits), name, Some(takes), None, line, Factory::Sink(Arc::new(sink)));
        Pipeline { building: self.building }
    }
}
