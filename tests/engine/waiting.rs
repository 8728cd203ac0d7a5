//! Coders that wait for something outside, on real threads and the real clock: nothing here asserts how long anything
//! takes.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::Engine as _;
use millstream::contracts::{CodeError, Coder, Encoder, Format, Halt};
use millstream::data::Bytes;
use millstream::declare::{OnError, Pipeline};
use millstream::runtime::Settings;
use millstream_core::testkit::{Ledger, MemoryStore, Script, ScriptSink};

use super::one;

/// Numbers as texts. From the 500th on it takes a server, which is there or not.
#[derive(Clone)]
struct Asking {
    there: Arc<AtomicBool>,
    waits: Arc<AtomicBool>,
    halt: Arc<Mutex<Halt>>,
}

impl Asking {
    fn new(there: bool) -> Self {
        Self { there: Arc::new(there.into()), waits: Arc::default(), halt: Arc::default() }
    }
}

impl Encoder for Asking {
    type In = u64;

    fn name(&self) -> String {
        "ASKING-ENCODER".to_owned()
    }

    fn waits(&self) -> bool {
        true
    }

    fn halt_by(&self, halt: &Halt) {
        *self.halt.lock().expect("nothing panics with it") = halt.clone();
    }

    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<(), CodeError> {
        let halt = self.halt.lock().expect("nothing panics with it").clone();
        while *value >= 500 && !self.there.load(SeqCst) {
            self.waits.store(true, SeqCst);
            if halt.is_due() {
                return Err(CodeError::new("given up"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        out.extend_from_slice(value.to_string().as_bytes());
        Ok(())
    }
}

impl Format for Asking {
    type Value = u64;

    fn decoder(&self) -> Option<Coder> {
        None
    }

    fn encoder(&self) -> Option<Coder> {
        Some(millstream::contracts::encoder(self.clone()))
    }
}

#[tokio::test]
async fn what_waits_gives_up_with_the_run_and_none_of_it_meets_a_policy() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<Bytes>::new(&ledger, "out");
    let (written, store) = (sink.written(), MemoryStore::new(&ledger));
    let source = Script::of(&ledger, 0..2_000_u64).batch(50);
    let declared = |asking: &Asking| {
        let pipeline = Pipeline::source(source.clone()).encode_as(asking.clone()).sink(sink.clone());
        pipeline.store(store.clone()).on_any_error(OnError::Skip)
    };
    let asking = Asking::new(false);
    let settings = Settings { grace: Duration::from_millis(300), ..Settings::default() };
    let running = declared(&asking).start(settings).await.expect("it starts");
    // The runtime's only worker is this one: it isn't held up, nor are commits of what is through.
    while !asking.waits.load(SeqCst) || ledger.committed("p0") != Some(500) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    running.drain();
    let error = running.join().await.expect_err("what waits is not through within the grace period");
    assert!(error.message().contains("grace period"), "{error}");
    assert_eq!(written.durable().len(), 500);
    let running = declared(&Asking::new(true)).start(Settings::default()).await.expect("it starts again");
    let summary = running.join().await.expect("it ends well");
    assert_eq!((summary.records_in, summary.skipped), (1_500, 0));
    let wanted: Vec<_> = (0..2_000).map(|number: u64| Bytes::from(number.to_string())).collect();
    assert!(written.durable() == wanted);
    assert_eq!(ledger.violations(one), [""; 0]);
}
