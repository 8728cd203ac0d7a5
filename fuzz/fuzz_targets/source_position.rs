//! Positions of files: any bytes are refused or gone on with, and what is given then is in the file.
//!
//! ```text
//! input  how many records a real position is after, or the last bit set for none; how to read; then the position's
//!        bytes, or (at, byte) pairs that are put into the real one
//! ```
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use millstream_coders::lines::Lines;
use millstream_core::contracts::{Cause, Event, Held, Source, SourceFactory};
use millstream_core::data::{Partition, Position};
use millstream_fuzz::{byte, now};
use millstream_sources::file::{FileSource, Files};

/// Two files, and the position after each record of both.
struct Given {
    paths: Vec<PathBuf>,
    positions: Vec<Vec<u8>>,
    content: String,
    _folder: tempfile::TempDir,
}

fuzz_target!(|data: &[u8]| {
    static GIVEN: OnceLock<Given> = OnceLock::new();
    let given = GIVEN.get_or_init(Given::new);
    let mut data = data;
    let kind = byte(&mut data);
    let batch = usize::from(byte(&mut data) % 8) + 1;
    let bytes = if kind & 1 == 0 {
        changed(&given.positions[usize::from(kind >> 1) % given.positions.len()], data)
    } else {
        data.to_vec()
    };
    if let Ok(position) = Position::new(bytes, "held") {
        resume(given, position, batch);
    }
});

fn changed(position: &[u8], pairs: &[u8]) -> Vec<u8> {
    let mut position = position.to_vec();
    for pair in pairs.chunks_exact(2) {
        let at = usize::from(pair[0]) % position.len();
        position[at] = pair[1];
    }
    position
}

fn resume(given: &Given, position: Position, batch: usize) {
    let files = given.files().block_bytes(512).batch_records(batch);
    let mut source = files.make();
    let held = Held::new([(Partition::new("files"), position)]);
    match now(source.open(&held)) {
        Err(error) => assert_eq!(error.cause(), Cause::State, "{}", error.chain()),
        Ok(_) => {
            let all = records(&mut source);
            assert!(all.iter().all(|(record, _)| given.content.contains(&**record)));
        }
    }
}

/// All records, and the position after each.
fn records(source: &mut FileSource) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        match now(source.next()) {
            Ok(Event::Records(chunk)) => {
                for (index, record) in (0..chunk.column.len()).map(|row| (row, chunk.column.get(row))) {
                    let position = chunk.marks.position(index as u32 + 1).expect("made").expect("one");
                    all.push((String::from_utf8_lossy(record).into_owned(), position.bytes().to_vec()));
                }
            }
            Ok(Event::End) => return all,
            Ok(_) => {}
            // A state that was changed to say that a last line has been read.
            Err(error) => {
                assert_eq!(error.cause(), Cause::Record, "{}", error.chain());
                return all;
            }
        }
    }
}

impl Given {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let contents = [0..120, 120..150]
            .map(|numbers| numbers.map(|number| format!("line {number} of it\n")).collect::<String>());
        let paths = ["a", "b"].map(|name| folder.path().join(name)).to_vec();
        for (path, content) in paths.iter().zip(&contents) {
            std::fs::write(path, content).expect("written");
        }
        let mut given = Self { paths, positions: Vec::new(), content: contents.concat(), _folder: folder };
        let mut source = given.files().batch_records(7).make();
        now(source.open(&Held::default())).expect("opened");
        given.positions = records(&mut source).into_iter().map(|(_, position)| position).collect();
        assert_eq!(given.positions.len(), 150);
        given
    }

    fn files(&self) -> Files {
        Files::new(self.paths.clone(), Lines::default())
    }
}
