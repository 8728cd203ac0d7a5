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
/// coders in between, so `filter(|order: &Node| …)` may stand behind a source of bytes, and bytes pass it.
pub struct Stream<T, M> {
    pub(super) building: Building,
    types: PhantomData<fn() -> (T, M)>,
}

impl<T: Data, M> Stream<T, M> {
    pub(super) fn new(building: Building) -> Self {
        Self { building, types: PhantomData }
    }

    fn push<B: Data, N>(mut self, what: &str, kind: StageKind, takes: Form, line: Line, factory: Factory) -> Stream<B, N> {
        let gives = if kind.passes_on() { self.building.current() } else { Some(B::form()) };
        self.building.push(kind, Building::function(what, line), Some(takes), gives, line, factory);
        Stream::new(self.building)
    }

    /// Lets those records pass for which `f` says so. It only looks: what came passes on, whatever `f` looks at.
    #[track_caller]
    pub fn filter<U: View + ?Sized + 'static>(self, f: impl Fn(&U) -> bool + Send + Sync + 'static) -> Stream<T, Looking> {
        let f = Arc::new(f);
        let factory = Factory::Look(Arc::new(move || Box::new(Filter::<U, _>::new(f.clone()))));
        self.push("FILTER", StageKind::Filter, U::Owned::form(), Line::here(), factory)
    }

    /// Makes one record of each. A function that may fail goes into [`try_map`](Self::try_map).
    #[track_caller]
    pub fn map<A: Data, B: Data>(self, f: impl Fn(A) -> B + Send + Sync + 'static) -> Stream<B, Taking<A>> {
        let f = Arc::new(f);
        let factory = Factory::Make(Arc::new(move || Box::new(Map::<A, B, _>::new(f.clone()))));
        self.push("MAP", StageKind::Map { looks: false }, A::form(), Line::here(), factory)
    }

    /// Makes one record of each; an error is the record's failure and meets the stage's policy.
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

    /// Keeps one state and emits a copy of it at each trigger, if anything came since the last, and at the end. Without
    /// a trigger it emits at the end alone, which on unbounded input never comes and is a mistake.
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
    #[track_caller]
    pub fn count(self) -> Stream<u64, Folding> {
        let factory = Factory::Fold(Arc::new(|| Box::new(Count::default())));
        self.push("COUNT", StageKind::Fold { keyed: false }, T::form(), Line::here(), factory)
    }

    /// Puts a key beside each record: folds behind it keep one state a key.
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
    #[track_caller]
    pub fn encode_as(mut self, format: impl Format) -> Stream<Bytes, Coding> {
        self.building.code(StageKind::Encode, format.encoder(), Bytes::form(), Line::here());
        Stream::new(self.building)
    }

    /// Decodes with this format, whatever the planner would choose.
    #[track_caller]
    pub fn decode_as<F: Format>(mut self, format: F) -> Stream<F::Value, Coding> {
        self.building.code(StageKind::Decode, format.decoder(), F::Value::form(), Line::here());
        Stream::new(self.building)
    }

    /// Ends the pipeline with its sink.
    #[track_caller]
    pub fn sink<F: SinkFactory>(mut self, sink: F) -> Pipeline {
        let line = Line::here();
        let traits = sink.traits(false);
        let (name, takes) = (traits.kind.clone(), <F::Sink as Sink>::In::form());
        self.building.push(StageKind::Sink(traits), name, Some(takes), None, line, Factory::Sink(Arc::new(sink)));
        Pipeline { building: self.building }
    }
}
