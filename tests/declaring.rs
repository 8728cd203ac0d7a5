//! Declaring opens nothing, reads no environment and starts no task; and of what a closure says of its argument, the
//! compiler infers the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use millstream::coders::xml::Node;
use millstream::contracts::{SinkFactory, SinkTraits, SourceFactory, SourceTraits};
use millstream::prelude::*;
use millstream::sinks::collect::CollectSink;
use millstream::sources::list::ListSource;

/// No runtime is there: a task that is started would panic.
#[test]
fn declaring_and_planning_create_nothing_and_need_nothing_to_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let pipeline = Pipeline::called("orders")
        .source(Files::new([at("missing.xml")], Lines::default()))
        .filter(|order: &Node| order.text_of("status").is_some())
        .par(4)
        .on_error(OnError::dead_letter(Output::append(at("letters/of/today.jsonl"), Lines::default())))
        .map_async(2, async |line: Bytes| line)
        .sink(Output::create(at("out/orders.xml"), Lines::default()))
        .trigger_every(Duration::from_secs(1))
        .store(Embedded::at(at("state")));
    assert!(pipeline.explain().expect("it can be planned").contains("exactly-once"));
    drop(pipeline);
    let left = std::fs::read_dir(folder.path()).expect("the folder is still there").count();
    assert_eq!(left, 0, "something was created");
}

/// A source and a sink that note when they are made.
#[derive(Clone, Default)]
struct Made(Arc<AtomicBool>);

impl SourceFactory for Made {
    type Source = ListSource<u64>;

    fn traits(&self) -> SourceTraits {
        SourceFactory::traits(&List::new([1_u64]))
    }

    fn make(&self) -> ListSource<u64> {
        self.0.store(true, Relaxed);
        SourceFactory::make(&List::new([1_u64]))
    }
}

impl SinkFactory for Made {
    type Sink = CollectSink<u64>;

    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        SinkFactory::traits(&Collect::<u64>::new(), keeps_positions)
    }

    fn make(&self) -> CollectSink<u64> {
        self.0.store(true, Relaxed);
        SinkFactory::make(&Collect::<u64>::new())
    }
}

#[tokio::test]
async fn sources_and_sinks_are_made_when_the_pipeline_runs() {
    let (source, sink) = (Made::default(), Made::default());
    let pipeline = Pipeline::source(source.clone()).sink(sink.clone());
    pipeline.plan().expect("it can be planned");
    assert!(!source.0.load(Relaxed) && !sink.0.load(Relaxed), "planning made one");
    pipeline.run().await.expect("it runs");
    assert!(source.0.load(Relaxed) && sink.0.load(Relaxed));
}

fn is_order(node: &Node) -> bool {
    node.name() == "order"
}

fn is_short(text: &str) -> bool {
    text.len() < 80
}

fn words(text: &str, emit: &mut Emit<'_, String>) {
    text.split_whitespace().for_each(|word| emit.text(word));
}

fn number(text: String) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

#[tokio::test]
async fn one_row_of_stages_looks_at_the_same_bytes_in_many_ways() {
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    let lines = ["<order id='1'/>", "", "<order/>", "<note/>"].map(Bytes::from);
    Pipeline::source(List::new(lines))
        .filter(|line: &[u8]| !line.is_empty())
        .filter(|line: &Bytes| line.starts_with(b"<"))
        .filter(|line: &str| !line.ends_with("<"))
        .filter(is_short)
        .filter(is_order)
        .filter(|order: &Node| order.text_of("@id").is_some())
        .filter::<Node>(|order| order.root().children().next().is_none())
        .filter::<str>(|line| line.contains('\''))
        .sink(out)
        .run()
        .await
        .expect("it runs");
    assert_eq!(seen.values(), ["<order id='1'/>"], "and they pass as they came");
}

#[tokio::test]
async fn functions_and_closures_that_capture_need_no_help() {
    let out = Collect::<Kv<u64, u64>>::new();
    let seen = out.collected();
    let (factor, limit) = (Arc::new(10), "4".to_owned());
    Pipeline::source(List::new(["1 2", "3 4", "x"].map(Bytes::from)))
        .flat_map(words)
        .filter(move |word: &str| word != limit)
        .try_map(number)
        .on_error(OnError::Skip)
        .map_async(2, move |n: u64| {
            let factor = factor.clone();
            async move { n * *factor }
        })
        .map_ref(|n: &u64| n + 1)
        .key_by(|n: &u64| n % 2)
        .fold(0, |sum: &mut u64, n| *sum += n)
        .sink(out)
        .run()
        .await
        .expect("it runs");
    assert_eq!(seen.values(), [Kv::new(1, 11 + 21 + 31)]);
}
