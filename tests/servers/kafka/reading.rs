//! [`Reading`]: a run that reads numbers as a member of a group, while a test does something about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use millstream::kafka::Topics;
use millstream::prelude::*;
use millstream::runtime::Summary;
use tokio::sync::Semaphore;

use super::client::{PATIENCE, until};

/// A member of a group that reads to the end, slowly.
pub(crate) struct Reading {
    runtime: tokio::runtime::Runtime,
    running: Running,
    seen: Box<dyn Fn() -> Vec<u64>>,
}

impl Reading {
    pub(crate) fn start(topics: &Topics, a_second: u64) -> Self {
        let out = Collect::<Bytes>::new();
        let seen = out.collected();
        // A copy is a member of its own.
        let pipeline = Pipeline::source(topics.clone()).throttle(a_second, Duration::from_secs(1)).sink(out);
        Self::of(pipeline, move || seen.values())
    }

    /// One that hangs behind its source until it is let pass; it hangs when this returns. The thread that would serve the
    /// source does nothing else meanwhile.
    pub(crate) fn stalled(topics: &Topics) -> (Self, Arc<AtomicBool>) {
        let (passes, stalls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (passing, stalling) = (passes.clone(), stalls.clone());
        let out = Collect::<Bytes>::new();
        let seen = out.collected();
        let pipeline = Pipeline::source(topics.clone()).filter(move |_: &Bytes| {
            stalling.store(true, Ordering::SeqCst);
            while !passing.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
            true
        });
        let reading = Self::of(pipeline.sink(out), move || seen.values());
        until("a member to stall", || stalls.load(Ordering::SeqCst));
        (reading, passes)
    }

    /// One that takes so many records and passes one for each permit, while its source is served; and how many it has taken.
    pub(crate) fn holding(topics: &Topics, records: usize) -> (Self, Arc<AtomicUsize>, Arc<Semaphore>) {
        let (taken, passes) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (taking, passing) = (taken.clone(), passes.clone());
        let out = Collect::<Bytes>::new();
        let seen = out.collected();
        let pipeline = Pipeline::source(topics.clone()).map_async(records, move |value: Bytes| {
            taking.fetch_add(1, Ordering::SeqCst);
            let passing = passing.clone();
            async move {
                passing.acquire().await.expect("it is not closed").forget();
                value
            }
        });
        (Self::of(pipeline.sink(out), move || seen.values()), taken, passes)
    }

    /// What a test declares, run with these settings; what it reads goes elsewhere.
    pub(crate) fn run(pipeline: Pipeline, settings: Settings) -> Self {
        Self::begin(pipeline, settings, Vec::new)
    }

    fn of(pipeline: Pipeline, seen: impl Fn() -> Vec<Bytes> + 'static) -> Self {
        Self::begin(pipeline, Settings::default(), seen)
    }

    fn begin(pipeline: Pipeline, settings: Settings, seen: impl Fn() -> Vec<Bytes> + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let number = |value: &Bytes| std::str::from_utf8(value).expect("text").parse().expect("a number");
        let seen = Box::new(move || seen().iter().map(number).collect());
        let running = runtime.block_on(pipeline.start(settings)).expect("it starts");
        Self { runtime, running, seen }
    }

    /// What it has read.
    pub(crate) fn seen(&self) -> Vec<u64> {
        (self.seen)()
    }

    /// How many it has read.
    pub(crate) fn count(&self) -> usize {
        self.seen().len()
    }

    pub(crate) fn drain(self) -> Vec<u64> {
        self.running.drain();
        self.ends()
    }

    /// What it has read, once it has ended.
    pub(crate) fn ends(self) -> Vec<u64> {
        self.ends_with().0
    }

    /// What it has read, once it was asked to end, and what is said of it.
    pub(crate) fn drain_with(self) -> (Vec<u64>, Summary) {
        self.running.drain();
        self.ends_with()
    }

    fn ends_with(self) -> (Vec<u64>, Summary) {
        let ended = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.running.join()).await });
        let summary = ended.expect("it ends").expect("it ends well");
        ((self.seen)(), summary)
    }
}
