//! Every sink of this package against the conformance suite of the core's testkit.

#[cfg(any(feature = "collect", feature = "file", feature = "null", feature = "stdout"))]
use millstream_core::data::Bytes;

/// The record of a number: of many lengths, some of them none.
#[cfg(any(feature = "collect", feature = "file", feature = "null", feature = "stdout"))]
fn record(number: u64) -> Bytes {
    match number % 10 {
        0 => Bytes::new(),
        tens => Bytes::from(format!("record {number} {}", "x".repeat((tens * number) as usize))),
    }
}

#[cfg(feature = "file")]
mod file {
    use std::path::Path;
    use std::sync::Arc;

    use millstream_coders::avro::{self, Codec, Container, Schema};
    use millstream_coders::gzip::Gzip;
    use millstream_coders::lines::Lines;
    use millstream_core::contracts::{Compression as _, Format as _, Framing as _, Scan, SinkFactory as _};
    use millstream_core::data::{Bytes, Column as _, Packed, Recycled};
    use millstream_core::testkit::conformance::{SinkUnderTest, Specimen};
    use millstream_sinks::file::Output;
    use tempfile::TempDir;

    use super::record;

    /// The whole lines of a file; those of one that isn't there are none.
    fn lines(bytes: &[u8]) -> Vec<Bytes> {
        let whole = bytes.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
        whole.map(Bytes::copy_from_slice).collect()
    }

    fn read(path: &Path) -> Vec<Bytes> {
        lines(&std::fs::read(path).unwrap_or_default())
    }

    /// As far as it can be read: a crash breaks it off behind the last member that was committed.
    fn read_gzipped(path: &Path) -> Vec<Bytes> {
        let stored = std::fs::read(path).unwrap_or_default();
        let (mut stream, mut rest, mut text) = (Gzip::default().decompressor(), &stored[..], Vec::new());
        while !rest.is_empty() {
            match stream.decompress(rest, true, 1 << 16, &mut text) {
                Ok(taken) => rest = &rest[taken..],
                Err(_) => break,
            }
        }
        lines(&text)
    }

    /// In memory where there is such a place: a crash of these tests loses no power, and thousands of waits for a disk
    /// would show nothing.
    fn folder() -> TempDir {
        let in_memory = Path::new("/dev/shm");
        let made = if in_memory.is_dir() { TempDir::new_in(in_memory) } else { TempDir::new() };
        made.expect("a folder")
    }

    fn specimen(
        declare: impl Fn(&Path) -> Output + Send + Sync + 'static,
        read: fn(&Path) -> Vec<Bytes>,
    ) -> Specimen<Output> {
        let folder = Arc::new(folder());
        let path = folder.path().join("output");
        let (read_from, kept) = (path.clone(), folder.clone());
        Specimen::new(move || declare(&path))
            .reads(move || read(&read_from))
            .untouched(move || std::fs::read_dir(kept.path()).is_ok_and(|mut entries| entries.next().is_none()))
    }

    fn suite(
        name: &str,
        declare: impl Fn(&Path) -> Output + Clone + Send + Sync + 'static,
        read: fn(&Path) -> Vec<Bytes>,
    ) -> SinkUnderTest<Output> {
        let missing = declare.clone();
        SinkUnderTest::new(name, move || specimen(declare.clone(), read), record)
            .misdeclared("a path that names no file", || Output::create("..", Lines::default()))
            .unopenable(move || missing(Path::new("no/such/folder/output")))
    }

    fn create(path: &Path) -> Output {
        Output::create(path, Lines::default())
    }

    #[test]
    fn an_output_with_positions_conforms_and_is_exactly_once() {
        suite("output, created, with state", create, read).run().assert_holds();
    }

    #[test]
    fn a_gzipped_output_with_positions_conforms_and_is_exactly_once() {
        let declare = |path: &Path| create(path).compression(Gzip::default());
        suite("output, created, gzipped, with state", declare, read_gzipped).run().assert_holds();
    }

    fn strings() -> Container {
        let schema = Schema::parse("\"string\"").expect("a schema");
        Container::of(&schema).codec(Codec::Snappy).block_bytes(300)
    }

    /// What the container's coder makes of the number's record.
    fn boxed(number: u64) -> Bytes {
        let schema = Schema::parse("\"string\"").expect("a schema");
        let text = String::from_utf8(record(number).to_vec()).expect("a text");
        let value = avro::Value::new(&schema, avro::types::Value::String(text)).expect("a string");
        let (mut column, mut made) = (Recycled::default(), Packed::<Bytes>::default());
        column.push(value);
        let encoder = avro::values().container(&strings()).encoder().expect("it writes");
        (encoder.make)().code(&column, &mut made, &mut Vec::new());
        made.share(0)
    }

    /// The records of a container, as far as it can be read.
    fn read_container(path: &Path) -> Vec<Bytes> {
        let stored = std::fs::read(path).unwrap_or_default();
        let (mut framer, mut found) = (Container::new().framer(None).expect("a framer"), Scan::default());
        let (mut at, mut records) = (0, Vec::new());
        while framer.scan(&stored[at..], true, 1_000, &mut found).is_ok()
            && (found.consumed > 0 || !found.records.is_empty())
        {
            let bytes = found.unpacked.take().unwrap_or_default().bytes;
            records.extend(found.records.iter().map(|range| bytes.slice(range.start as usize..range.end as usize)));
            at += found.consumed;
        }
        records
    }

    #[test]
    fn an_object_container_conforms_with_positions_and_without() {
        let declare = |path: &Path| Output::create(path, strings());
        let suite = |name: &str| {
            SinkUnderTest::new(name, move || specimen(declare, read_container), boxed)
                .misdeclared("a container in gzip", move || declare(Path::new("x")).compression(Gzip::default()))
                .misdeclared("appending to a container", || Output::append("x", strings()))
        };
        suite("output, a container, with state").run().assert_holds();
        suite("output, a container, without state").without_store().run().assert_holds();
    }

    #[test]
    fn an_output_that_is_replaced_at_the_end_conforms() {
        let kept = create(Path::new("x")).traits(false);
        assert!(kept.durable_at_close && kept.transactional.is_err());
        suite("output, created, without state", create, read).without_store().run().assert_holds();
    }

    #[test]
    fn an_output_that_is_appended_to_conforms_with_positions_and_without() {
        let declare = |path: &Path| Output::append(path, Lines::default());
        suite("output, appended, with state", declare, read)
            .misdeclared("appending to gzip", || Output::append("x", Lines::default()).compression(Gzip::default()))
            .run()
            .assert_holds();
        suite("output, appended, without state", declare, read).without_store().run().assert_holds();
    }
}

#[cfg(feature = "collect")]
mod collect {
    use millstream_core::data::Data;
    use millstream_core::testkit::conformance::{SinkUnderTest, Specimen};
    use millstream_sinks::collect::Collect;

    fn specimen<T: Data + Clone>() -> Specimen<Collect<T>> {
        let sink = Collect::new();
        let collected = sink.collected();
        let read = collected.clone();
        Specimen::new(move || sink.clone()).reads(move || read.values()).untouched(move || collected.is_empty())
    }

    #[test]
    fn collecting_conforms_for_bytes_and_for_numbers() {
        SinkUnderTest::new("collect: bytes", specimen, super::record).run().assert_holds();
        SinkUnderTest::new("collect: numbers", specimen, |number| number * 3).without_store().run().assert_holds();
    }
}

#[cfg(feature = "null")]
mod null {
    use millstream_core::testkit::conformance::{SinkUnderTest, Specimen};
    use millstream_sinks::null::Null;

    #[test]
    fn nowhere_conforms_as_far_as_it_can_be_seen() {
        SinkUnderTest::new("null", || Specimen::new(Null::new), super::record).run().assert_holds();
    }
}

/// Standard output is checked in a process whose own it is: it leads to a file, which is read back.
#[cfg(feature = "stdout")]
mod stdout {
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use millstream_coders::lines::Lines;
    use millstream_core::data::Bytes;
    use millstream_core::testkit::conformance::{SinkUnderTest, Specimen};
    use millstream_sinks::stdout::Stdout;

    /// Where the standard output of the process leads to.
    const OUTPUT: &str = "MILLSTREAM_CONFORMANCE_OUTPUT";

    /// What is printed from now on.
    fn specimen(path: &std::path::Path) -> Specimen<Stdout> {
        let printed = |path: &PathBuf| std::fs::read(path).expect("standard output leads there");
        let before = printed(&path.to_owned()).len();
        let (read, look) = (path.to_owned(), path.to_owned());
        Specimen::new(|| Stdout::new(Lines::default()))
            .reads(move || {
                let printed = printed(&read).split_off(before);
                let whole = printed.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
                whole.map(Bytes::copy_from_slice).collect()
            })
            .untouched(move || printed(&look).len() == before)
    }

    /// Not a test of its own: what the process of the next one does.
    #[test]
    fn prints_in_a_process() {
        let Some(path) = std::env::var_os(OUTPUT).map(PathBuf::from) else { return };
        SinkUnderTest::new("standard output", move || specimen(&path), super::record).run().assert_holds();
    }

    #[test]
    fn standard_output_conforms() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("output");
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["stdout::prints_in_a_process", "--exact", "--nocapture"])
            .env(OUTPUT, &path)
            .stdout(Stdio::from(std::fs::File::create(&path).expect("made")))
            .output()
            .expect("a process");
        let said = String::from_utf8_lossy(&child.stderr);
        eprint!("{said}");
        assert!(child.status.success() && said.contains("holds"), "{said}");
    }
}
