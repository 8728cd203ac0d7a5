//! The checkpoint store's file: any bytes, and a real store with some bytes changed, are refused as damage and left as
//! they are, or hold what was saved.
//!
//! ```text
//! input  kind, then the file's bytes; or, of an even kind, (where in the pages, byte) triples put into a real store
//! ```
#![no_main]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use millstream_core::contracts::{Cause, Checkpoint, Key, Opened, StoreFactory};
use millstream_core::data::{Partition, Position};
use millstream_fuzz::{byte, now};
use millstream_net::store::Embedded;

struct Given {
    folder: tempfile::TempDir,
    store: Vec<u8>,
}

fuzz_target!(|data: &[u8]| {
    static GIVEN: OnceLock<Given> = OnceLock::new();
    let given = GIVEN.get_or_init(|| {
        // A panic that is caught within the store is no finding; the fuzzer's own hook would end the process.
        set_hook(Box::new(|_| {}));
        Given::new()
    });
    let done = catch_unwind(AssertUnwindSafe(|| open(given, data)));
    if let Err(panic) = done {
        let text = panic.downcast_ref::<String>().map_or("", String::as_str);
        eprintln!("the store panicked: {text}{}", panic.downcast_ref::<&str>().unwrap_or(&""));
        std::process::abort();
    }
});

fn open(given: &Given, mut data: &[u8]) {
    let path = given.folder.path().join("checkpoints.redb");
    let content = if byte(&mut data) & 1 == 0 { changed(&given.store, data) } else { data.to_vec() };
    fs::write(&path, &content).expect("written");
    match now(Embedded::at(given.folder.path()).open(&by())) {
        Err(error) => {
            assert_eq!(error.cause(), Cause::State, "{}", error.chain());
            assert!(fs::read(&path).expect("there") == content, "what is refused is not touched");
        }
        Ok(mut store) => {
            if let Err(error) = now(store.load()) {
                assert_eq!(error.cause(), Cause::State, "{}", error.chain());
            }
        }
    }
}

fn changed(store: &[u8], triples: &[u8]) -> Vec<u8> {
    let mut store = store.to_vec();
    for triple in triples.chunks_exact(3) {
        let at = usize::from(triple[0]) << 8 | usize::from(triple[1]);
        let len = store.len();
        store[at % len] = triple[2];
    }
    store
}

fn by() -> Opened {
    Opened { pipeline: "p".into(), fingerprint: "f".into(), input: "i".into() }
}

impl Given {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = now(Embedded::at(folder.path()).open(&by())).expect("a new store");
        let key = Key { pipeline: "p".into(), stage: "FILE".into(), partition: Partition::new("files") };
        let position = Position::new(vec![1, 2, 3], "a:3").expect("small");
        now(store.save(&[Checkpoint { key, position }])).expect("saved");
        drop(store);
        let store = fs::read(Path::new(folder.path()).join("checkpoints.redb")).expect("there");
        Self { folder, store }
    }
}
