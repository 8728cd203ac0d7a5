//! What stands beside an output (`OUTPUT.millstream-positions`): any bytes are refused, and then nothing is touched, or
//! they fit the output, which then has what they say.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use millstream_coders::lines::Lines;
use millstream_core::contracts::{Cause, Sink, SinkContext, SinkFactory};
use millstream_fuzz::{byte, now};
use millstream_sinks::file::Output;

const OUTPUT: &[u8] = b"one\ntwo\nthree\n";

fuzz_target!(|data: &[u8]| {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"));
    let mut data = data;
    let kind = byte(&mut data);
    let positions = if kind & 1 == 0 { data.to_vec() } else { with_head(data, kind & 2 != 0) };
    open(folder.path(), &positions);
});

/// A body in a file whose head fits it, so that what is behind the checksum is looked at; with `ending` the body begins
/// as one that belongs to the output, and goes on as the fuzzer says.
fn with_head(data: &[u8], ending: bool) -> Vec<u8> {
    let mut body = Vec::new();
    if ending {
        body.extend(b"\x01p\x05lines");
        body.extend([OUTPUT.len() as u8, 0]);
        let mut sum = checksum(OUTPUT);
        while sum > 0x7f {
            body.push(sum as u8 | 0x80);
            sum >>= 7;
        }
        body.push(sum as u8);
    }
    body.extend(data);
    let mut file = b"MSPOS\r\n\0\x01\0\0\0".to_vec();
    file.extend((body.len() as u32).to_le_bytes());
    file.extend(checksum(&body).to_le_bytes());
    file.extend(body);
    file
}

fn open(folder: &Path, positions: &[u8]) {
    let (path, beside) = (folder.join("out"), folder.join("out.millstream-positions"));
    fs::write(&path, OUTPUT).expect("written");
    fs::write(&beside, positions).expect("written");
    let mut sink = Output::create(&path, Lines::default()).make();
    let (pipeline, input) = ("p".into(), Some("i".into()));
    let context = SinkContext { pipeline, input, keeps_positions: true, ..SinkContext::default() };
    let opened = now(sink.open(&context));
    let after = fs::read(&path).expect("the output is there");
    match opened {
        Err(error) => {
            assert_eq!(error.cause(), Cause::State, "{}", error.chain());
            assert_eq!(after, OUTPUT, "what is refused is not touched");
            assert_eq!(fs::read(&beside).expect("there"), positions, "what is refused is not touched");
        }
        Ok(held) => {
            assert!(OUTPUT.starts_with(&after));
            assert!(held.is_some(), "positions are kept");
            now(sink.close()).expect("closed");
        }
    }
}

/// FNV-1a, 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
