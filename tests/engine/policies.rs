//! Error policies: `fail`, `skip` and `dead_letter`, at every place where a record can fail.

use millstream::contracts::{Cause, Emit};
use millstream::data::Bytes;
use millstream::declare::{OnError, Pipeline};
use millstream::runtime::Summary;
use millstream_core::testkit::{Act, Ledger, Script, ScriptSink, Written};

use super::{fails, millis, one, runs};

const COUNT: u64 = 1_000;

/// Every 100th record, from 50 on, is bad.
fn is_bad(value: u64) -> bool {
    value % 100 == 50
}

fn good() -> Vec<String> {
    (0..COUNT).filter(|&value| !is_bad(value)).map(|value| value.to_string()).collect()
}

fn text(bad: &'static [u8]) -> impl Fn(u64) -> Bytes {
    move |value| if is_bad(value) { Bytes::from_static(bad) } else { Bytes::from(value.to_string()) }
}

fn source(ledger: &Ledger, bad: &'static [u8]) -> Script<Bytes> {
    Script::of(ledger, (0..COUNT).map(text(bad))).batch(64)
}

fn strict(value: String) -> Result<String, std::num::ParseIntError> {
    value.parse::<u64>().map(|_| value)
}

fn picky(value: &str) -> bool {
    assert!(value != "bad", "a bad record");
    true
}

/// A stage in which a record can fail.
#[derive(Debug, Clone, Copy)]
enum Place {
    TryMap,
    Filter,
    MapRef,
    FlatMap,
    Decode,
    Source,
    MapAsync,
    Fold,
    Sink,
}

const PLACES: [Place; 9] = [
    Place::TryMap,
    Place::Filter,
    Place::MapRef,
    Place::FlatMap,
    Place::Decode,
    Place::Source,
    Place::MapAsync,
    Place::Fold,
    Place::Sink,
];

struct Ends {
    ledger: Ledger,
    sink: ScriptSink<String>,
    letters: ScriptSink<Bytes>,
}

impl Ends {
    fn new() -> Self {
        let ledger = Ledger::new();
        let (sink, letters) = (ScriptSink::new(&ledger, "out"), ScriptSink::new(&ledger, "letters"));
        Self { ledger, sink, letters }
    }

    fn out(&self) -> Written<String> {
        self.sink.written()
    }

    fn letter_lines(&self) -> Vec<String> {
        let lines = self.letters.written().durable();
        lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }
}

/// A pipeline in which every bad record fails at `place`, by name `here`.
fn pipeline(place: Place, ends: &Ends, policy: Option<OnError>) -> Pipeline {
    let bad: &'static [u8] = if matches!(place, Place::Decode) { b"\xff\xfe" } else { b"bad" };
    let mut source = source(&ends.ledger, bad);
    if matches!(place, Place::Source) {
        source = (0..COUNT).filter(|&value| is_bad(value)).fold(source, Script::refuses);
    }
    let sink = match place {
        Place::Sink => ends.sink.clone().fails_on(|value| value == "bad", u32::MAX, Cause::Record),
        _ => ends.sink.clone(),
    };
    let policy = policy.unwrap_or_default();
    let stream = Pipeline::source(source);
    match place {
        Place::TryMap => stream.try_map(strict).named("here").on_error(policy).sink(sink),
        Place::Filter => stream.filter(picky).named("here").on_error(policy).map(|value: String| value).sink(sink),
        Place::MapRef => {
            let look = |value: &str| {
                picky(value);
                value.to_owned()
            };
            stream.map_ref(look).named("here").on_error(policy).sink(sink)
        }
        Place::FlatMap => {
            let emit = |value: &str, emit: &mut Emit<'_, String>| {
                emit.text(value);
                picky(value);
            };
            stream.flat_map(emit).named("here").on_error(policy).sink(sink)
        }
        Place::Decode => {
            stream.filter(|_: &str| true).named("here").on_error(policy).map(|value: String| value).sink(sink)
        }
        Place::Source => stream.named("here").on_error(policy).map(|value: String| value).sink(sink),
        Place::MapAsync => {
            let slowly = |value: String| async move {
                tokio::time::sleep(millis(value.len() as u64)).await;
                picky(&value);
                value
            };
            stream.map_async(16, slowly).named("here").on_error(policy).map(|value: String| value).sink(sink)
        }
        Place::Fold => {
            let last = |last: &mut String, value: String| {
                picky(&value);
                *last = value;
            };
            stream.fold(String::new(), last).named("here").on_error(policy).trigger_each(1).sink(sink)
        }
        Place::Sink => stream.map(|value: String| value).sink(sink).named("here").on_error(policy),
    }
}

/// What failed: a stage, or the coder before it.
fn stage(place: Place) -> &'static str {
    if matches!(place, Place::Decode) { "TEXT-DECODER" } else { "here" }
}

fn check_counts(place: Place, ends: &Ends, summary: &Summary) {
    // A fold that took a bad record in emits nothing for it: nothing has changed, and its trigger has fired.
    let out = ends.out().durable();
    if matches!(place, Place::Fold) {
        let mut out = out;
        out.dedup();
        assert_eq!(out, good(), "{place:?}");
    } else {
        assert_eq!(out, good(), "{place:?}");
        assert_eq!(summary.records_out, 990, "{place:?}");
    }
    assert_eq!(summary.records_in, COUNT, "{place:?}");
    assert_eq!(ends.ledger.committed("p0"), Some(COUNT), "{place:?}");
}

#[tokio::test(start_paused = true)]
async fn skip_leaves_the_record_out_and_counts_it_wherever_it_fails() {
    for place in PLACES {
        let ends = Ends::new();
        let summary = runs(pipeline(place, &ends, Some(OnError::Skip))).await;
        check_counts(place, &ends, &summary);
        assert_eq!((summary.skipped, summary.dead_lettered), (10, 0), "{place:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_holds_the_original_bytes_wherever_the_record_fails() {
    for place in PLACES {
        let ends = Ends::new();
        let letters = OnError::dead_letter(ends.letters.clone());
        let summary = runs(pipeline(place, &ends, Some(letters))).await;
        check_counts(place, &ends, &summary);
        assert_eq!((summary.skipped, summary.dead_lettered), (0, 10), "{place:?}");
        let lines = ends.letter_lines();
        assert_eq!(lines.len(), 10, "{place:?}");
        for (at, line) in lines.iter().enumerate() {
            let original = if matches!(place, Place::Decode) { r#""base64":"//4=""# } else { r#""text":"bad""# };
            assert!(line.contains(original), "{place:?}: {line}");
            assert!(
                line.contains(&format!(
                    r#""position":"p0 record {}50""#,
                    if at == 0 { String::new() } else { at.to_string() }
                )),
                "{place:?}: {line}"
            );
            assert!(line.contains(&format!(r#""stage":"{}""#, stage(place))), "{place:?}: {line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_durable_before_its_record_is_committed() {
    for place in PLACES {
        let ends = Ends::new();
        let letters = OnError::dead_letter(ends.letters.clone());
        runs(pipeline(place, &ends, Some(letters))).await;
        let entries = ends.ledger.entries();
        let is_letter = |act: &Act| matches!(act, Act::Flushed { sink } if sink == "letters");
        let mut flushed = 0;
        for entry in &entries {
            match &entry.act {
                act if is_letter(act) => flushed += 1,
                Act::Committed { upto, .. } => assert!(flushed * 100 + 50 >= *upto || flushed == 10, "{place:?}"),
                _ => {}
            }
        }
        assert!(flushed > 0, "{place:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn fail_is_the_default_and_stops_at_the_first_bad_record_wherever_it_fails() {
    for place in PLACES {
        let ends = Ends::new();
        let error = fails(pipeline(place, &ends, None)).await;
        assert_eq!(
            (error.stage(), error.place()),
            (Some(stage(place)), Some("p0 record 50")),
            "{place:?}: {}",
            error.chain()
        );
        let out = ends.out();
        assert_eq!(out.durable(), good()[..50], "{place:?}");
        assert_eq!(out.len(), 50, "{place:?}");
        assert_eq!(ends.ledger.committed("p0"), Some(50), "{place:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_pipelines_policy_counts_where_a_stage_has_none() {
    let ends = Ends::new();
    let pipeline = Pipeline::source(source(&ends.ledger, b"bad"))
        .try_map(strict)
        .filter(|_: &str| true)
        .sink(ends.sink.clone())
        .on_any_error(OnError::Skip);
    let summary = runs(pipeline).await;
    assert_eq!((summary.skipped, summary.records_out), (10, 990));
}

#[tokio::test(start_paused = true)]
async fn a_typed_source_has_letters_of_what_it_emitted() {
    let ledger = Ledger::new();
    let (sink, letters) = (ScriptSink::<u64>::new(&ledger, "out"), ScriptSink::<Bytes>::new(&ledger, "letters"));
    let lines = letters.written();
    let source = Script::of(&ledger, (0..COUNT).map(|value| format!("order {value}")));
    let check = |order: String| match order.ends_with("50") {
        true => Err("it ends with 50"),
        false => Ok(order.len() as u64),
    };
    let policy = OnError::dead_letter(letters);
    let summary = runs(Pipeline::source(source).try_map(check).on_error(policy).sink(sink)).await;
    assert_eq!((summary.dead_lettered, summary.records_out), (10, 990));
    let lines = lines.durable();
    assert_eq!(lines.len(), 10);
    let last = String::from_utf8_lossy(&lines[9]).into_owned();
    assert!(last.contains(r#""reason":"it ends with 50","text":"order 950""#), "{last}");
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_can_not_be_written_fails_the_run_and_nothing_past_the_record_is_committed() {
    let ends = Ends::new();
    let letters = ends.letters.clone().fails_on(|_| true, u32::MAX, Cause::Outside);
    let error = fails(pipeline(Place::TryMap, &ends, Some(OnError::dead_letter(letters)))).await;
    assert_eq!(error.stage(), Some("dead letters"));
    assert!(ends.ledger.committed("p0").unwrap_or_default() <= 50);
    assert_eq!(ends.ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_no_help_against_a_sink_that_is_broken() {
    let ends = Ends::new();
    let sink = ends.sink.clone().fails_on(|value| value == "500", u32::MAX, Cause::Outside);
    let source = source(&ends.ledger, b"bad").every(millis(40));
    let pipeline = Pipeline::source(source).map(|value: String| value).sink(sink);
    let error = fails(pipeline.on_any_error(OnError::Skip)).await;
    assert_eq!((error.cause(), error.place()), (Cause::Outside, Some("p0 record 500")));
    // It is not asked to make durable what it took just before: a broken sink's word counts for nothing.
    let committed = ends.ledger.committed("p0").unwrap_or_default();
    assert!((300..=448).contains(&committed), "{committed}");
    assert_eq!(ends.out().len(), 500);
    assert_eq!(ends.ledger.violations(one), [""; 0]);
}

/// A record becomes three texts, and the one in the middle of a bad record is none.
fn three_texts(value: &u64, emit: &mut Emit<'_, Bytes>) {
    emit.bytes(b"first");
    emit.bytes(if is_bad(*value) { b"\xff\xfe" } else { b"second" });
    emit.bytes(value.to_string().as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_coder_that_can_not_read_one_row_of_a_record_fails_the_record_whole() {
    for batch in [1, 64, 256] {
        let ends = Ends::new();
        let stream = Pipeline::source(Script::of(&ends.ledger, 0..COUNT).batch(batch)).flat_map(three_texts);
        let decoded = stream.map(|text: String| text).on_error(OnError::Skip);
        let summary = runs(decoded.sink(ends.sink.clone())).await;
        let rows = |text: String| ["first".to_owned(), "second".to_owned(), text];
        let expected: Vec<_> = good().into_iter().flat_map(rows).collect();
        assert_eq!(ends.out().durable(), expected, "batches of {batch}");
        assert_eq!((summary.skipped, summary.records_out), (10, 990 * 3), "batches of {batch}");
        assert_eq!(ends.ledger.committed("p0"), Some(COUNT), "batches of {batch}");
    }
}
