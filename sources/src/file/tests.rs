use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use millstream_coders::avro::{Codec, Container};
use millstream_core::contracts::{Cause, Compression, Error, Event, Framing, Held, Result, Source, SourceFactory as _};
use millstream_core::data::{Partition, Position};
use proptest::prelude::*;
use tempfile::TempDir;

use super::Files;
use super::identity::Print;
use super::position::Place;
use crate::testing::containers::container;
use crate::testing::framings::{Lines, Marked, Whole};
use crate::testing::hex::{Hex, hex};
use crate::testing::{batches, records, run};

/// Files in a folder of their own.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        path
    }

    fn put_all(&self, contents: &[Vec<u8>]) -> Vec<PathBuf> {
        contents.iter().enumerate().map(|(number, content)| self.put(&number.to_string(), content)).collect()
    }
}

fn read(files: &Files) -> Result<Vec<Vec<u8>>> {
    read_from(files, None)
}

fn read_from(files: &Files, position: Option<&Position>) -> Result<Vec<Vec<u8>>> {
    records(&mut files.make(), &held(position))
}

fn held(position: Option<&Position>) -> Held {
    Held::new(position.map(|position| (Partition::new("files"), position.clone())))
}

/// The positions after each number of records, each as the batch before and as the batch behind says it.
fn positions(files: &Files) -> Vec<(usize, Position)> {
    let mut all = Vec::new();
    let mut done = 0;
    for chunk in batches(&mut files.make(), &Held::default()).expect("read") {
        for count in 0..=chunk.len() {
            let position = chunk.marks.position(count as u32).expect("made").expect("one");
            all.push((done + count, position));
        }
        done += chunk.len();
    }
    all
}

fn position_after(files: &Files, count: usize) -> Position {
    let mut all = positions(files).into_iter();
    all.find(|(done, _)| *done == count).expect("so many records").1
}

fn places(files: &Files) -> Vec<String> {
    let all = batches(&mut files.make(), &Held::default()).expect("read");
    all.iter().flat_map(|chunk| (0..chunk.len()).map(|row| chunk.marks.place(row as u32, &[], 0))).collect()
}

fn text(records: &[Vec<u8>]) -> Vec<&str> {
    records.iter().map(|record| std::str::from_utf8(record).expect("text")).collect()
}

fn assert_error(error: &Error, cause: Cause, parts: &[&str]) {
    assert_eq!(error.cause(), cause, "{error}");
    for part in parts {
        assert!(error.chain().contains(part), "`{part}` is not in: {}", error.chain());
    }
}

fn assert_refused(files: &Files, position: &Position, parts: &[&str]) {
    let error = read_from(files, Some(position)).expect_err("refused");
    assert_error(&error, Cause::State, parts);
    assert_error(&error, Cause::State, &["start over with another state folder and another output"]);
    assert!(!error.is_retryable());
}

/// Lines as a naive reader sees them.
fn split_lines(content: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    if all.last().is_some_and(Vec::is_empty) {
        all.pop();
    }
    all
}

/// Files of lines; some of them are longer than what a file is known by.
fn contents() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let line = prop_oneof![
        6 => prop::collection::vec(b'a'..b'f', 0..30),
        1 => prop::collection::vec(b'a'..b'f', 200..900)
    ];
    let file = (prop::collection::vec(line, 0..12), any::<bool>()).prop_map(|(lines, ended)| {
        let mut content = lines.join(&b'\n');
        if ended && !lines.is_empty() {
            content.push(b'\n');
        }
        content
    });
    prop::collection::vec(file, 1..4)
}

fn assert_resumes(files: &Files, again: &Files, expected: &[Vec<u8>]) {
    for (done, position) in positions(files) {
        assert!(position.bytes().len() <= Position::MAX_BYTES);
        let rest = read_from(again, Some(&position)).expect("resumed");
        assert_eq!(rest, expected[done..], "after {done} records");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_block_and_batch_give_the_same_records(
        contents in contents(), block in prop_oneof![1_usize..20, 100_usize..3_000], batch in 1_usize..9
    ) {
        let folder = Folder::new();
        let expected: Vec<_> = contents.iter().flat_map(|content| split_lines(content)).collect();
        let files = Files::new(folder.put_all(&contents), Lines::default()).block_bytes(block).batch_records(batch);
        prop_assert_eq!(&read(&files).expect("read"), &expected);
        let packed: Vec<_> = contents.iter().map(|content| hex(content)).collect();
        let files = Files::new(folder.put_all(&packed), Lines::default()).block_bytes(block).compression(Hex);
        prop_assert_eq!(&read(&files).expect("read"), &expected);
    }

    #[test]
    fn after_any_record_exactly_the_rest_is_given(
        contents in contents(), blocks in (20_usize..3_000, 20_usize..3_000), batches in (1_usize..9, 1_usize..9)
    ) {
        let folder = Folder::new();
        let expected: Vec<_> = contents.iter().flat_map(|content| split_lines(content)).collect();
        let files = Files::new(folder.put_all(&contents), Lines::default());
        let first = files.block_bytes(blocks.0).batch_records(batches.0);
        assert_resumes(&first, &first.clone().block_bytes(blocks.1).batch_records(batches.1), &expected);
        let packed: Vec<_> = contents.iter().map(|content| hex(content)).collect();
        folder.put_all(&packed);
        let first = first.compressions([Arc::new(Hex) as Arc<dyn Compression>]);
        assert_resumes(&first, &first.clone().block_bytes(blocks.1).batch_records(batches.1), &expected);
    }

    #[test]
    fn a_framing_with_a_state_goes_on_in_it(
        pieces in prop::collection::vec(prop::collection::vec(b'a'..b'f', 0..400), 0..12),
        mark in b'x'..=b'z', block in 20_usize..2_000, batch in 1_usize..6
    ) {
        let folder = Folder::new();
        let mut content = vec![mark];
        for piece in &pieces {
            content.extend_from_slice(piece);
            content.push(mark);
        }
        let files = Files::new([folder.put("a", &content)], Marked).block_bytes(block).batch_records(batch);
        prop_assert_eq!(&read(&files).expect("read"), &pieces);
        assert_resumes(&files, &files, &pieces);
        folder.put("a", hex(&content));
        let files = files.compression(Hex);
        assert_resumes(&files, &files, &pieces);
    }

    #[test]
    fn records_of_blocks_that_are_packed_go_on_in_theirs(
        values in prop::collection::vec("[a-f]{0,200}", 0..40), packed in 1_usize..600,
        blocks in (20_usize..6_000, 20_usize..6_000), batches in (1_usize..50, 1_usize..50)
    ) {
        let folder = Folder::new();
        let (content, expected) = container(values, Codec::Deflate, packed);
        let expected = Vec::from_iter(expected.iter().map(|record| record.to_vec()));
        let files = Files::new([folder.put("a", &content)], Container::new());
        let first = files.block_bytes(blocks.0).batch_records(batches.0);
        prop_assert_eq!(&read(&first).expect("read"), &expected);
        assert_resumes(&first, &first.clone().block_bytes(blocks.1).batch_records(batches.1), &expected);
        prop_assert_eq!(places(&first), places(&first.clone().batch_records(1)));
    }

    #[test]
    fn malformed_positions_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), versioned in any::<bool>()) {
        let folder = Folder::new();
        let files = Files::new([folder.put("a", "one\n")], Lines::default());
        let bytes = if versioned { [vec![1], bytes].concat() } else { bytes };
        let error = read_from(&files, Some(&Position::new(bytes, "p").expect("small"))).expect_err("refused");
        prop_assert_eq!(error.cause(), Cause::State);
    }

    #[test]
    fn a_flipped_bit_in_a_position_never_goes_elsewhere(bit in 0_usize..2_000, count in 0_usize..8) {
        let folder = Folder::new();
        let content: String = (0..8).map(|number| format!("record {number}\n")).collect();
        let files = Files::new([folder.put("a", &content)], Lines::default()).batch_records(3);
        let position = position_after(&files, count);
        let mut bytes = position.bytes().to_vec();
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let flipped = Position::new(bytes, "p").expect("small");
        if let Ok(rest) = read_from(&files, Some(&flipped)) {
            prop_assert_eq!(rest.len(), 8 - count);
        }
    }
}

#[test]
fn positions_round_trip() {
    let place = Place {
        file: 7,
        path: "ä".to_owned(),
        paths: u64::MAX,
        reading: "lines".to_owned(),
        head: Print::of_head(b"abc"),
        offset: 1 << 40,
        state: vec![9; 2_048],
        skip: 3,
        ahead: 4_000,
        tail: Print::of_tail(&[1; 3_000]),
    };
    let position = place.to_position().expect("made");
    assert_eq!(Place::from_position(&position), Ok(place.clone()));
    assert_eq!(position.label(), "ä:1099511631776");
    assert!(Place { state: vec![0; 2_049], ..place }.to_position().is_err());
}

#[test]
fn positions_that_contradict_themselves_are_refused() {
    let place = Place {
        file: 0,
        path: "a".to_owned(),
        paths: 0,
        reading: "lines".to_owned(),
        head: Print::of_head(b"abc"),
        offset: 10,
        state: Vec::new(),
        skip: 1,
        ahead: 3,
        tail: Print::of_tail(&[1; 13]),
    };
    let long = Print { len: 1_025, ..place.head };
    let wrong = [
        Place { skip: 0, ..place.clone() },
        Place { offset: u64::MAX, ..place.clone() },
        Place { offset: 11, ..place.clone() },
        Place { head: long, ..place.clone() },
        Place { offset: 5_000, tail: long, ..place.clone() },
    ];
    let read = |place: &Place| Place::from_position(&place.to_position().expect("made"));
    assert!(read(&place).is_ok());
    for place in wrong {
        assert_eq!(read(&place), Err("its parts contradict each other".to_owned()));
    }
}

#[test]
fn long_paths_and_names_fit_a_position() {
    struct Long;
    impl Framing for Long {
        fn name(&self) -> String {
            "ü".repeat(3_000)
        }
        fn framer(
            &self,
            state: Option<&[u8]>,
        ) -> Result<Box<dyn millstream_core::contracts::Framer>, millstream_core::contracts::FramingError> {
            Lines::default().framer(state)
        }
        fn writer(&self) -> Box<dyn millstream_core::contracts::Writer> {
            Lines::default().writer()
        }
    }
    let folder = Folder::new();
    let deep = folder.path(&format!("{0}/{0}/{0}/{0}", "ö".repeat(120)));
    fs::create_dir_all(&deep).expect("made");
    fs::write(deep.join("a"), "one\ntwo\n").expect("written");
    let files = Files::new([deep.join("a")], Long);
    assert_resumes(&files, &files, &split_lines(b"one\ntwo\n"));
}

#[test]
fn batches_that_are_still_held_keep_their_records_while_blocks_are_used_again() {
    let folder = Folder::new();
    let content: String = (0..4_000).map(|number| format!("this is line {number}\n")).collect();
    let files = Files::new([folder.put("a", &content)], Lines::default()).block_bytes(500).batch_records(7);
    let mut source = files.make();
    let (mut all, mut kept) = (Vec::new(), Vec::new());
    run(async {
        source.open(&Held::default()).await.expect("opened");
        while let Event::Records(chunk) = source.next().await.expect("read") {
            all.extend((0..chunk.len()).map(|row| chunk.column.get(row).to_vec()));
            // Every third batch lives on, so that free blocks and others lie among each other.
            if all.len() % 3 == 0 {
                kept.push((all.len(), chunk));
            }
        }
    });
    assert_eq!(all, split_lines(content.as_bytes()));
    assert!(kept.len() > 50);
    for (end, chunk) in kept {
        let first = end - chunk.len();
        assert!((0..chunk.len()).all(|row| chunk.column.get(row) == all[first + row]));
    }
}

#[test]
fn a_batch_of_few_bytes_holds_no_large_block() {
    let folder = Folder::new();
    let paths: Vec<_> = (0..50).map(|number| folder.put(&number.to_string(), "one\n")).collect();
    let files = Files::new(paths, Lines::default());
    let all = batches(&mut files.make(), &Held::default()).expect("read");
    assert_eq!(all.len(), 50);
    let mut addresses: Vec<_> = all.iter().map(|chunk| chunk.column.block().as_ptr() as usize).collect();
    addresses.sort_unstable();
    // Whole blocks of 256 KiB would all lie at least that far apart, wherever the allocator puts them.
    let near = addresses.windows(2).filter(|pair| pair[1] - pair[0] < 256 * 1_024).count();
    assert!(near > 25, "only {near} of 50 blocks lie close to another");
}

#[test]
fn a_record_longer_than_a_block_makes_it_grow() {
    let folder = Folder::new();
    let long = "x".repeat(300_000);
    let content = format!("a\n{long}\nb\n");
    let files = Files::new([folder.put("a", &content)], Lines::default()).block_bytes(1_000);
    assert_eq!(read(&files).expect("read"), split_lines(content.as_bytes()));
    assert_resumes(&files, &files, &split_lines(content.as_bytes()));
}

#[test]
fn a_record_that_the_framing_finds_too_long_is_an_error_that_says_where() {
    let folder = Folder::new();
    let path = folder.put("a", format!("a\nb\n{}", "x".repeat(100_000)));
    let files = Files::new([&path], Lines { longest: 5_000 }).block_bytes(1_000);
    let mut source = files.make();
    run(async {
        source.open(&Held::default()).await.expect("opened");
        let Event::Records(chunk) = source.next().await.expect("read") else { panic!("records") };
        assert_eq!(chunk.len(), 2);
        for _ in 0..2 {
            let error = source.next().await.err().expect("an error");
            assert_error(&error, Cause::Record, &["a line of more than 5000 bytes"]);
            assert_eq!(error.place(), Some(format!("{} line 3, byte 4", path.display()).as_str()));
        }
    });
}

#[test]
fn what_comes_before_a_broken_place_is_given_and_can_be_resumed_from() {
    let folder = Folder::new();
    let files = Files::new([folder.put("a", "a\nb\nlong line\nc\n")], Lines { longest: 5 });
    let mut source = files.make();
    let position = run(async {
        source.open(&Held::default()).await.expect("opened");
        let Event::Records(chunk) = source.next().await.expect("read") else { panic!("records") };
        assert_eq!(chunk.len(), 2);
        assert_error(&source.next().await.err().expect("an error"), Cause::Record, &["line 3, byte 4"]);
        chunk.marks.position(2).expect("made").expect("one")
    });
    let better = Files { framing: Arc::new(Lines::default()), ..files };
    assert_eq!(text(&read_from(&better, Some(&position)).expect("read")), ["long line", "c"]);
}

#[test]
fn refused_records_are_given_with_their_reason() {
    let folder = Folder::new();
    let files = Files::new([folder.put("a", "a\n!b\nc\n!d\n")], Lines::default()).batch_records(3);
    let all = batches(&mut files.make(), &Held::default()).expect("read");
    let refused: Vec<_> =
        all.iter().map(|chunk| chunk.refused.iter().map(|(row, _)| *row).collect::<Vec<_>>()).collect();
    assert_eq!(refused, [vec![1], vec![0]]);
    assert_eq!(text(&read_from(&files, Some(&position_after(&files, 2))).expect("read")), ["c", "!d"]);
}

#[test]
fn files_are_read_in_the_given_order_and_empty_ones_are_passed() {
    let folder = Folder::new();
    let (a, b, none) = (folder.put("a", "1\n2"), folder.put("b", "3\n"), folder.put("none", ""));
    let files = Files::new([&none, &b, &none, &a, &b, &none], Lines::default());
    assert_eq!(text(&read(&files).expect("read")), ["3", "1", "2", "3"]);
    assert_resumes(&files, &files, &read(&files).expect("read"));
}

#[test]
fn an_empty_file_is_a_record_where_the_framing_says_so() {
    let folder = Folder::new();
    let files = Files::new([folder.put("a", ""), folder.put("b", "x\ny")], Whole);
    let expected = [b"".to_vec(), b"x\ny".to_vec()];
    assert_eq!(read(&files).expect("read"), expected);
    assert_resumes(&files, &files, &expected);
}

#[test]
fn after_the_end_nothing_comes_and_what_has_been_added_is_read() {
    let folder = Folder::new();
    let path = folder.put("a", "one\ntwo\n");
    let files = Files::new([&path], Lines::default());
    let end = position_after(&files, 2);
    assert!(read_from(&files, Some(&end)).expect("read").is_empty());
    folder.put("a", "one\ntwo\nthree\n");
    assert_eq!(text(&read_from(&files, Some(&end)).expect("read")), ["three"]);
    folder.put("a", hex(b"one\ntwo\n"));
    let files = files.compression(Hex);
    let end = position_after(&files, 2);
    assert!(read_from(&files, Some(&end)).expect("read").is_empty());
    // A short file that is all hashed may grow, too.
    folder.put("a", hex(b"one\ntwo\nthree\n"));
    assert_eq!(text(&read_from(&files, Some(&end)).expect("read")), ["three"]);
}

#[test]
fn the_framing_decides_whether_a_last_line_may_go_on() {
    let folder = Folder::new();
    let files = Files::new([folder.put("a", "one\ntwo")], Lines::default());
    let end = position_after(&files, 2);
    assert!(read_from(&files, Some(&end)).expect("read").is_empty());
    folder.put("a", "one\ntwo and more\n");
    let error = read_from(&files, Some(&end)).expect_err("refused");
    assert_error(&error, Cause::Record, &["the last line goes on", "line 2, byte 7"]);
}

#[test]
fn a_changed_file_is_refused() {
    let folder = Folder::new();
    let lines: Vec<_> = (0..600).map(|number| format!("line {number:04}\n")).collect();
    let files = Files::new([folder.put("a", lines.concat())], Lines::default()).batch_records(400);
    let position = position_after(&files, 300);
    let with = |changed: usize| {
        let mut lines = lines.clone();
        lines[changed] = "LINE 0000\n".to_owned();
        lines.concat()
    };
    // The first KiB, the last KiB before the position (within a batch), and behind it, where anything may happen.
    folder.put("a", with(3));
    assert_refused(&files, &position, &["/a has changed", "byte 2999", "another beginning (first 1024 bytes)"]);
    folder.put("a", with(299));
    assert_refused(&files, &position, &["/a has changed", "other bytes before there"]);
    folder.put("a", with(300));
    assert_eq!(read_from(&files, Some(&position)).expect("read").len(), 300);

    let packed = files.clone().compression(Hex);
    folder.put("a", hex(lines.concat().as_bytes()));
    let position = position_after(&packed, 300);
    folder.put("a", hex(with(3).as_bytes()));
    assert_refused(&packed, &position, &["another beginning"]);
    folder.put("a", hex(with(299).as_bytes()));
    assert_refused(&packed, &position, &["other bytes before there"]);
    folder.put("a", hex(with(300).as_bytes()));
    assert_eq!(read_from(&packed, Some(&position)).expect("read").len(), 300);
}

#[test]
fn records_that_have_become_fewer_are_a_change() {
    let folder = Folder::new();
    let mut content = b"a\n".repeat(2_400);
    let files = Files::new([folder.put("a", &content)], Lines::default()).batch_records(2_000);
    let position = position_after(&files, 1_500);
    // Between the first KiB and the last before the position, where nothing is hashed.
    content[1_501] = b'x';
    folder.put("a", &content);
    assert_refused(&files, &position, &["/a has changed", "byte 2999"]);
}

#[test]
fn a_shorter_file_is_refused() {
    let folder = Folder::new();
    let files = Files::new([folder.put("a", "0123456\n".repeat(500))], Lines::default());
    let (middle, end) = (position_after(&files, 250), position_after(&files, 500));
    folder.put("a", "0123456\n".repeat(249));
    assert_refused(&files, &middle, &["/a has become shorter: expected at least 1999 bytes, found 1992"]);
    assert_refused(&files, &end, &["expected at least 4000 bytes, found 1992"]);
    folder.put("a", "0123456\n");
    assert_refused(&files, &end, &["expected at least 1024 bytes, found 8"]);

    let packed = files.compression(Hex).batch_records(100);
    folder.put("a", hex("0123456\n".repeat(500).as_bytes()));
    let (middle, end) = (position_after(&packed, 250), position_after(&packed, 500));
    folder.put("a", hex("0123456\n".repeat(240).as_bytes()));
    assert_refused(&packed, &middle, &["/a has become shorter: expected at least 1999 bytes, found 1920"]);
    assert_refused(&packed, &end, &["expected at least 4000 bytes, found 1920"]);
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error() {
    let folder = Folder::new();
    let path = folder.put("a", "0123456\n".repeat(100));
    // The first block holds ten of them.
    let mut source = Files::new([&path], Lines::default()).block_bytes(80).make();
    run(async {
        source.open(&Held::default()).await.expect("opened");
        assert!(matches!(source.next().await, Ok(Event::Records(_))));
        fs::OpenOptions::new().write(true).open(&path).expect("there").set_len(400).expect("cut");
        let error = loop {
            match source.next().await {
                Ok(Event::Records(_)) => {}
                Ok(_) => panic!("it ended"),
                Err(error) => break error,
            }
        };
        assert_error(&error, Cause::Outside, &["/a: ", "expected 800 bytes, found 400"]);
    });
}

#[test]
fn a_missing_file_is_an_error_before_anything_is_read() {
    let folder = Folder::new();
    let a = folder.put("a", "one\n");
    let files = Files::new([a.clone(), folder.path("b")], Lines::default());
    let error = run(async { files.make().open(&Held::default()).await }).expect_err("refused");
    assert_error(&error, Cause::User, &["/b: expected a readable file", "No such file"]);

    let both = Files::new([a, folder.put("b", "two\n")], Lines::default());
    let (first, second) = (position_after(&both, 1), position_after(&both, 2));
    fs::remove_file(folder.path("a")).expect("removed");
    assert_refused(&both, &first, &["/a has been read up to byte 4 and is gone", "No such file"]);
    // What has been read to its end may go.
    assert!(read_from(&both, Some(&second)).expect("read").is_empty());
}

#[test]
fn what_is_not_a_regular_file_is_refused() {
    let folder = Folder::new();
    let error = read(&Files::new([folder.0.path()], Lines::default())).expect_err("refused");
    assert_error(&error, Cause::User, &["expected a regular file, found a folder"]);
    let error = read(&Files::new(["/dev/null"], Lines::default())).expect_err("refused");
    assert_error(&error, Cause::User, &["/dev/null: expected a regular file", "standard input"]);
}

#[test]
fn another_list_of_files_is_refused() {
    let folder = Folder::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.put(name, format!("{name}1\n{name}2\n")));
    let files = |paths: &[&PathBuf]| Files::new(paths.iter().copied(), Lines::default());
    let position = position_after(&files(&[&a, &b]), 3);
    assert_refused(&files(&[&a]), &position, &["list of files has changed", "/b as file 2, found 1 files"]);
    assert_refused(&files(&[&a, &c]), &position, &["/b as file 2, found", "/c"]);
    assert_refused(&files(&[&c, &b]), &position, &["the same paths before"]);
    assert_eq!(text(&read_from(&files(&[&a, &b, &c]), Some(&position)).expect("read")), ["b2", "c1", "c2"]);
}

#[test]
fn another_framing_or_compression_is_refused() {
    let folder = Folder::new();
    let path = folder.put("a", "one\ntwo\n");
    let position = position_after(&Files::new([&path], Lines::default()), 1);
    assert_refused(&Files::new([&path], Whole), &position, &["read as lines, now it is to be read as whole"]);
    assert_refused(&Files::new([&path], Lines::default()).compression(Hex), &position, &["now it is to be", "hex"]);
}

#[test]
fn compression_is_told_by_the_beginning_of_each_file() {
    let folder = Folder::new();
    let paths = [folder.put("a", hex(b"one\n")), folder.put("b", "two\n"), folder.put("c", "")];
    let files = Files::new(paths, Lines::default()).compressions([Arc::new(Hex) as Arc<dyn Compression>]);
    assert_eq!(text(&read(&files).expect("read")), ["one", "two"]);
    let input = files.traits().input;
    assert!(input.ends_with("/c; lines; hex where a file is"), "{input}");
}

#[test]
fn a_compressed_file_that_breaks_off_is_an_error() {
    let folder = Folder::new();
    let mut broken = hex(b"one\ntwo\n");
    broken.pop();
    let error = read(&Files::new([folder.put("a", broken)], Lines::default()).compression(Hex)).expect_err("broken");
    assert_error(&error, Cause::Record, &["/a: the stream breaks off"]);
}

#[test]
fn the_size_is_what_is_left_to_read() {
    let folder = Folder::new();
    let files = Files::new([folder.put("a", "one\n"), folder.put("b", "two\nthree\n")], Lines::default());
    let size = |files: &Files, position: Option<&Position>| {
        let mut source = files.make();
        run(async { source.open(&held(position)).await }).expect("opened");
        Source::size(&source)
    };
    assert_eq!(size(&files, None), Some(14));
    assert_eq!(size(&files, Some(&position_after(&files, 2))), Some(6));
    let all = batches(&mut files.make(), &Held::default()).expect("read");
    assert_eq!(all.iter().map(|chunk| chunk.column.block().len()).sum::<usize>(), 14);
    folder.put("b", hex(b"two\n"));
    assert_eq!(size(&files.compressions([Arc::new(Hex) as Arc<dyn Compression>]), None), None);
}

#[test]
fn places_say_line_and_byte_in_any_order_of_asking() {
    let folder = Folder::new();
    let content: String = (0..400).map(|number| "x".repeat(number % 50) + "\n").collect();
    let mut expected = Vec::new();
    let mut byte = 0;
    for (number, line) in content.lines().enumerate() {
        expected.push(format!("{} line {}, byte {byte}", folder.path("a").display(), number + 1));
        byte += line.len() + 1;
    }
    let files = Files::new([folder.put("a", &content)], Lines::default()).block_bytes(700).batch_records(3);
    assert_eq!(places(&files), expected);
    let all = batches(&mut files.make(), &Held::default()).expect("read");
    let rows = all.iter().flat_map(|chunk| (0..chunk.len() as u32).map(move |row| (chunk, row)));
    let mut asked: Vec<_> = rows.enumerate().collect();
    asked.sort_by_key(|(number, _)| number * 37 % 101);
    for (number, (chunk, row)) in asked {
        assert_eq!(chunk.marks.place(row, &[], 0), expected[number]);
    }
    folder.put("a", hex(content.as_bytes()));
    assert_eq!(places(&files.compression(Hex)), expected);
}

#[test]
fn lines_of_a_resumed_file_count_from_its_beginning() {
    let folder = Folder::new();
    let path = folder.put("a", "one\ntwo\nthree\n".repeat(300));
    for files in [Files::new([&path], Lines::default()), Files::new([&path], Lines::default()).compression(Hex)] {
        if files.traits().input.ends_with("hex") {
            folder.put("a", hex("one\ntwo\nthree\n".repeat(300).as_bytes()));
        }
        let position = position_after(&files, 700);
        let all = batches(&mut files.make(), &held(Some(&position))).expect("read");
        let place = all[0].marks.place(0, &[], 0);
        assert!(place.ends_with("a line 701, byte 3266"), "{place}");
    }
}

#[test]
fn settings_that_cannot_be_are_told_together() {
    let wrong = Files::new(Vec::<PathBuf>::new(), Lines::default()).block_bytes(0).batch_records(0).check();
    assert_eq!(wrong.len(), 3);
    assert!(Files::new(["nowhere"], Lines::default()).check().is_empty());
}
