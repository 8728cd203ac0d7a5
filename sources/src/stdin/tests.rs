use std::io::{Cursor, PipeWriter, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::contracts::{Cause, Chunk, Commits, Event, Framing, Held, Source, SourceFactory};
use millstream_core::data::Bytes;
use proptest::prelude::*;

use super::{Stdin, StdinSource};
use crate::testing::framings::{Lines, Whole};
use crate::testing::{batches, records};

fn over(framing: impl Framing, input: impl Read + Send + 'static) -> StdinSource {
    StdinSource::new(Arc::new(framing), input)
}

/// A source over a pipe, run in real time.
fn piped(test: impl AsyncFnOnce(StdinSource, PipeWriter)) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let mut source = over(Lines::default(), reader);
        source.open(&Held::default()).await.expect("opened");
        test(source, writer).await;
    });
}

fn given(event: Event<Bytes>) -> Vec<Vec<u8>> {
    let Event::Records(Chunk { column, .. }) = event else { panic!("records") };
    (0..column.len()).map(|row| column.get(row).to_vec()).collect()
}

/// Gives at most so many bytes a call.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let some = into.len().min(self.1);
        self.0.read(&mut into[..some])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn however_it_comes_the_records_are_the_same(
        lines in prop::collection::vec("[a-f]{0,40}", 0..40), piece in 1_usize..200
    ) {
        let content: String = lines.iter().map(|line| line.clone() + "\n").collect();
        let mut source = over(Lines::default(), Trickle(Cursor::new(content.into_bytes()), piece));
        let expected: Vec<_> = lines.into_iter().map(String::into_bytes).collect();
        prop_assert_eq!(records(&mut source, &Held::default()).expect("read"), expected);
    }
}

#[test]
fn large_input_and_large_records_pass() {
    let mut lines: Vec<Vec<u8>> = (0..60_000_u32).map(|number| number.to_string().into_bytes()).collect();
    lines[30_000] = vec![b'x'; 1_000_000];
    let content = lines.join(&b'\n');
    assert_eq!(records(&mut over(Lines::default(), Cursor::new(content)), &Held::default()).expect("read"), lines);
}

#[test]
fn nothing_is_nothing_unless_the_framing_says_otherwise() {
    assert!(records(&mut over(Lines::default(), std::io::empty()), &Held::default()).expect("read").is_empty());
    assert_eq!(records(&mut over(Whole, std::io::empty()), &Held::default()).expect("read"), [b""]);
}

#[test]
fn it_has_places_and_no_positions() {
    let mut source = over(Lines::default(), Trickle(Cursor::new(b"one\ntwo\nthree\n!four\n".to_vec()), 9));
    let all = batches(&mut source, &Held::default()).expect("read");
    let places: Vec<_> =
        all.iter().flat_map(|chunk| (0..chunk.len()).map(|row| chunk.marks.place(row as u32, &[], 0))).collect();
    let expected = ["line 1, byte 0", "line 2, byte 4", "line 3, byte 8", "line 4, byte 14"];
    assert_eq!(places, expected.map(|place| format!("standard input {place}")));
    assert!(all.iter().all(|chunk| chunk.marks.position(1) == Ok(None)));
    assert_eq!(all.iter().map(|chunk| chunk.refused.len()).sum::<usize>(), 1);
    assert_eq!(Stdin::new(Lines::default()).traits().commits, Commits::None);
}

#[test]
fn a_broken_stream_says_where() {
    let mut source = over(Lines { longest: 4 }, Cursor::new(b"one\nmuch too long\n".to_vec()));
    crate::testing::run(async {
        source.open(&Held::default()).await.expect("opened");
        assert_eq!(given(source.next().await.expect("read")), [b"one"]);
        let error = source.next().await.err().expect("an error");
        assert_eq!((error.cause(), error.place()), (Cause::Record, Some("standard input line 2, byte 4")));
    });
}

#[test]
fn a_failed_read_is_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("unplugged"))
        }
    }
    let error = records(&mut over(Lines::default(), Broken), &Held::default()).expect_err("an error");
    assert_eq!(error.cause(), Cause::Outside);
    assert_eq!(error.chain(), "standard input can't be read on: unplugged");
}

#[test]
fn records_come_as_soon_as_they_are_there() {
    piped(async |mut source, mut writer| {
        for _ in 0..3 {
            writer.write_all(b"one\ntw").expect("written");
            assert_eq!(given(source.next().await.expect("read")), [b"one"]);
            writer.write_all(b"o\n").expect("written");
            assert_eq!(given(source.next().await.expect("read")), [b"two"]);
        }
        drop(writer);
        assert!(matches!(source.next().await, Ok(Event::End)));
        assert!(matches!(source.next().await, Ok(Event::End)));
    });
}

#[test]
fn a_dropped_wait_loses_nothing() {
    piped(async |mut source, mut writer| {
        let mut all = Vec::new();
        let mut dropped = 0;
        for number in 0..20 {
            while tokio::time::timeout(Duration::from_millis(1), source.next())
                .await
                .map(|event| {
                    all.extend(given(event.expect("read")));
                })
                .is_ok()
            {}
            dropped += 1;
            writer.write_all(format!("{number}\n{number}").as_bytes()).expect("written");
        }
        drop(writer);
        while let Ok(event @ Event::Records(_)) = source.next().await {
            all.extend(given(event));
        }
        let text: Vec<u8> = (0..20).flat_map(|number| format!("{number}\n{number}").into_bytes()).collect();
        assert_eq!(all.join(&b'\n'), text);
        assert_eq!(dropped, 20);
    });
}

#[test]
fn what_nobody_takes_is_not_read_without_end() {
    struct Endless(Arc<std::sync::atomic::AtomicUsize>);
    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            into.fill(b'\n');
            self.0.fetch_add(into.len(), std::sync::atomic::Ordering::SeqCst);
            Ok(into.len())
        }
    }
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut source = over(Lines::default(), Endless(count.clone()));
    crate::testing::run(async {
        source.open(&Held::default()).await.expect("opened");
        source.next().await.expect("read");
    });
    std::thread::sleep(Duration::from_millis(50));
    let read = count.load(std::sync::atomic::Ordering::SeqCst);
    assert!(read <= 640 << 10, "{read} bytes were read ahead");
}

/// Not a test by itself: the process that the next one starts.
#[test]
#[ignore = "started by the test below it"]
fn a_process_that_waits_for_standard_input() {
    let mut source = Stdin::new(Lines::default()).make();
    crate::testing::run(async {
        source.open(&Held::default()).await.expect("opened");
        assert_eq!(given(source.next().await.expect("read")), [b"one"]);
    });
}

#[test]
fn a_waiting_reader_does_not_keep_the_process_from_exiting() {
    let name = "stdin::tests::a_process_that_waits_for_standard_input";
    let mut child = Command::new(std::env::current_exe().expect("known"))
        .args(["--exact", "--ignored", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("started");
    // Standard input stays open until after the process has exited.
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"one\n").expect("written");
    assert!(child.wait().expect("exited").success());
    drop(input);
}
