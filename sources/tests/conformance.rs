//! Every source of this package against the conformance suite of the core's testkit.

#[cfg(feature = "file")]
#[path = "../src/testing/containers.rs"]
mod containers;

#[cfg(feature = "file")]
mod file {
    use std::path::PathBuf;
    use std::sync::Arc;

    use millstream_coders::avro::{Codec, Container};
    use millstream_coders::gzip::Gzip;
    use millstream_coders::limits::Limits;
    use millstream_coders::lines::Lines;
    use millstream_coders::xml;
    use millstream_core::contracts::Compression as _;
    use millstream_core::data::Bytes;
    use millstream_core::testkit::conformance::SourceUnderTest;
    use millstream_sources::file::Files;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;
    use tempfile::TempDir;

    use crate::containers;

    /// A folder with input files, which is gone with the last declaration over it.
    #[derive(Clone)]
    struct Folder(Arc<TempDir>);

    impl Folder {
        fn new() -> Self {
            Self(Arc::new(TempDir::new().expect("a folder")))
        }

        fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            path
        }
    }

    fn line(number: usize) -> String {
        format!("line {number} {}", "x".repeat(number * 7 % 40))
    }

    fn text(numbers: std::ops::Range<usize>) -> String {
        numbers.map(|number| line(number) + "\n").collect()
    }

    fn lines(numbers: std::ops::Range<usize>) -> Vec<Bytes> {
        numbers.map(|number| Bytes::from(line(number))).collect()
    }

    fn gzipped(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut members = Gzip::default().compressor();
        for member in text.as_bytes().chunks(1_500) {
            members.compress(member, &mut out).expect("compressed");
            members.finish(&mut out).expect("ended");
        }
        out
    }

    /// Small blocks and batches, so that records lie across many of them.
    fn small(files: Files) -> Files {
        files.block_bytes(300).batch_records(7)
    }

    /// One file of lines, with everything that the suite can ask.
    fn one_file() -> SourceUnderTest<Files> {
        let folder = Folder::new();
        let path = folder.file("lines.txt", text(0..90));
        let (empty, missing) = (folder.file("empty.txt", ""), folder.0.path().join("missing.txt"));
        let long = format!("{}{}\n{}{}\n", text(0..20), "y".repeat(900), text(20..60), "z".repeat(2_000));
        let poisoned = folder.file("long.txt", long);
        let short = Lines::default().limits(Limits { record: 100, ..Limits::default() });
        SourceUnderTest::new(
            "files: one of lines",
            move || {
                let _kept = &folder;
                small(Files::new([&path], Lines::default()))
            },
            lines(0..90),
        )
        .empty(move || Files::new([&empty], Lines::default()))
        .poisoned(move || small(Files::new([&poisoned], short.clone())), lines(0..60), 2)
        .missing(move || Files::new([&missing], Lines::default()))
        .misdeclared("no path", || Files::new(Vec::<PathBuf>::new(), Lines::default()))
        .misdeclared("an empty path", || Files::new([""], Lines::default()))
        .misdeclared("blocks of nothing", || Files::new(["a"], Lines::default()).block_bytes(0))
        .misdeclared("batches of nothing", || Files::new(["a"], Lines::default()).batch_records(0))
    }

    #[test]
    fn a_file_of_lines_conforms() {
        one_file().run().assert_holds();
    }

    #[test]
    fn several_files_of_which_some_are_empty_conform() {
        let folder = Folder::new();
        let paths: Vec<PathBuf> = [0..1, 1..60, 60..60, 60..61, 61..80, 80..80]
            .into_iter()
            .enumerate()
            .map(|(number, lines)| {
                // The last line of every other file has no end.
                let text = text(lines);
                let text = if number % 2 == 1 { text.trim_end() } else { &text };
                folder.file(&format!("{number}.txt"), text)
            })
            .collect();
        let none: Vec<PathBuf> = ["a", "b"].map(|name| folder.file(name, "")).to_vec();
        let declare = move || {
            let _kept = &folder;
            small(Files::new(&paths, Lines::default()))
        };
        let suite = SourceUnderTest::new("files: several of lines", declare, lines(0..80));
        suite.empty(move || Files::new(&none, Lines::default())).run().assert_holds();
    }

    #[test]
    fn gzipped_files_of_several_members_conform() {
        let folder = Folder::new();
        let paths = [folder.file("1.gz", gzipped(&text(0..60))), folder.file("2.gz", gzipped(&text(60..80)))];
        let empty = folder.file("empty.gz", gzipped(""));
        let declare = move || {
            let _kept = &folder;
            small(Files::new(&paths, Lines::default()).compression(Gzip::default()))
        };
        let suite = SourceUnderTest::new("files: gzipped lines", declare, lines(0..80));
        suite
            .empty(move || Files::new([&empty], Lines::default()).compressions(millstream_coders::compressions()))
            .run()
            .assert_holds();
    }

    #[test]
    fn elements_of_one_large_document_conform() {
        let folder = Folder::new();
        let orders: Vec<String> =
            (0..80).map(|number| format!("<order id='{number}'><n>{}</n></order>", line(number))).collect();
        let document = format!("<?xml version='1.0'?>\n<orders>\n  {}\n</orders>\n", orders.join("\n  "));
        let path = folder.file("orders.xml", document);
        let empty = folder.file("empty.xml", "<orders/>");
        let declare = move || {
            let _kept = &folder;
            small(Files::new([&path], xml::Elements::named("order")))
        };
        let expected = orders.into_iter().map(Bytes::from).collect();
        let suite = SourceUnderTest::new("files: elements of a document", declare, expected);
        suite.empty(move || Files::new([&empty], xml::Elements::named("order"))).run().assert_holds();
    }

    /// An object container file of these lines as strings, in blocks of several, and the records that they are.
    fn container(numbers: std::ops::Range<usize>, codec: Codec) -> (Vec<u8>, Vec<Bytes>) {
        containers::container(numbers.map(line), codec, 400)
    }

    #[test]
    fn object_container_files_conform() {
        for codec in [Codec::Null, Codec::Snappy] {
            let folder = Folder::new();
            let (first, mut expected) = container(0..50, codec);
            let (second, more) = container(50..80, Codec::Deflate);
            expected.extend(more);
            let (none, _) = container(0..0, codec);
            let paths = [folder.file("1.avro", first), folder.file("none.avro", &none), folder.file("2.avro", second)];
            let empty = folder.file("empty.avro", none);
            let declare = move || {
                let _kept = &folder;
                small(Files::new(&paths, Container::new()))
            };
            let suite = SourceUnderTest::new("files: object containers", declare, expected);
            suite.empty(move || Files::new([&empty], Container::new())).run().assert_holds();
        }
    }

    #[test]
    fn no_position_of_any_bytes_panics_or_is_taken_for_one() {
        let suite = one_file();
        let config = ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() };
        let any = (prop::collection::vec(any::<u8>(), 0..200), any::<bool>());
        let tried = TestRunner::new(config).run(&any, |(mut bytes, versioned)| {
            if let (true, Some(first)) = (versioned, bytes.first_mut()) {
                *first = 1;
            }
            prop_assert!(suite.open_at(&bytes).is_err());
            Ok(())
        });
        tried.expect("every one is refused");
    }
}

#[cfg(feature = "list")]
mod list {
    use millstream_core::testkit::conformance::SourceUnderTest;
    use millstream_sources::list::List;

    #[test]
    fn a_list_of_numbers_and_one_of_texts_conform() {
        let numbers: Vec<u64> = (0..90).map(|number| number * number).collect();
        let given = numbers.clone();
        let suite = SourceUnderTest::new("a list of numbers", move || List::new(given.clone()), numbers);
        suite.empty(|| List::new(Vec::new())).run().assert_holds();
        let texts: Vec<String> = (0..90).map(|number| format!("text {number}")).collect();
        let given = texts.clone();
        let suite = SourceUnderTest::new("a list of texts", move || List::new(given.clone()), texts);
        suite.empty(|| List::new(Vec::new())).run().assert_holds();
    }
}

#[cfg(feature = "generate")]
mod generate {
    use millstream_core::testkit::conformance::SourceUnderTest;
    use millstream_sources::generate::Generate;

    #[test]
    fn a_sequence_conforms_at_any_rate() {
        fn square(number: u64) -> u64 {
            number * number
        }
        let squares = (0..100).map(square).collect::<Vec<_>>();
        let suite = SourceUnderTest::new("generated", || Generate::with(square).count(100), squares.clone());
        let suite = suite.empty(|| Generate::with(square).count(0));
        suite.misdeclared("no rate", || Generate::with(square).rate(0)).run().assert_holds();
        let paced = || Generate::with(square).count(100).rate(200_000);
        SourceUnderTest::new("generated at a rate", paced, squares).run().assert_holds();
    }
}

/// Standard input can be read once in a process: each check has a process of its own.
#[cfg(feature = "stdin")]
mod stdin {
    use std::process::{Command, Stdio};

    use millstream_coders::limits::Limits;
    use millstream_coders::lines::Lines;
    use millstream_core::data::Bytes;
    use millstream_core::testkit::conformance::{Shape, SourceUnderTest};
    use millstream_sources::stdin::Stdin;

    /// Names the check that the process is for.
    const CHECK: &str = "MILLSTREAM_CONFORMANCE_CHECK";
    const LINES: usize = 20_000;

    fn suite(shape: Shape) -> SourceUnderTest<Stdin> {
        let line = |number: usize| Bytes::from(format!("line {number}"));
        let short = || Stdin::new(Lines::default().limits(Limits { record: 100, ..Limits::default() }));
        let good = (0..20).chain(21..LINES).map(line).collect();
        SourceUnderTest::new("standard input", || Stdin::new(Lines::default()), (0..LINES).map(line).collect())
            .empty(|| Stdin::new(Lines::default()))
            .poisoned(short, good, 1)
            .once(shape)
    }

    fn input(check: &str) -> String {
        match check {
            "an_empty_input_ends" => String::new(),
            _ => (0..LINES)
                .map(|number| match number {
                    20 if check == "poison_records_follow_the_policy" => "x".repeat(1_000) + "\n",
                    _ => format!("line {number}\n"),
                })
                .collect(),
        }
    }

    /// Not a test of its own: what the processes of the next one do.
    #[test]
    fn one_check_in_a_process() {
        let Ok(check) = std::env::var(CHECK) else { return };
        let shape = if check.ends_with('2') { Shape::TwoTasks } else { Shape::OneTask };
        suite(shape).check(check.trim_end_matches('2')).assert_holds();
    }

    #[test]
    fn standard_input_conforms() {
        // The others take a second run from a position, and it has none, or a server.
        let checks = [
            "declaring_opens_nothing",
            "delivers_everything_in_order",
            "delivers_everything_in_order2",
            "an_empty_input_ends",
            "next_may_be_dropped_at_any_time",
            "a_drain_is_exact",
            "backpressure_bounds_what_is_read",
            "poison_records_follow_the_policy",
            "it_ends_within_the_grace_period",
        ];
        for check in checks {
            let name = check.trim_end_matches('2');
            assert!(SourceUnderTest::<Stdin>::names().contains(&name), "{name} is no check of the suite");
            let folder = tempfile::TempDir::new().expect("a folder");
            let path = folder.path().join("input");
            std::fs::write(&path, input(name)).expect("written");
            let child = Command::new(std::env::current_exe().expect("this test"))
                .args(["stdin::one_check_in_a_process", "--exact", "--nocapture"])
                .env(CHECK, check)
                .stdin(Stdio::from(std::fs::File::open(&path).expect("there")))
                .output()
                .expect("a process");
            let said = String::from_utf8_lossy(&child.stderr);
            eprint!("{said}");
            assert!(child.status.success(), "{check}: {said}");
            assert!(said.contains("holds"), "{check}: {said}");
        }
    }
}
