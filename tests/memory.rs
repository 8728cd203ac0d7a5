//! Memory is bounded by configuration, whatever the input: the peak of real processes over inputs of 64 MB. Over 1 GB, by
//! one command:
//!
//! ```sh
//! MILLSTREAM_MEGABYTES=1000 cargo test --release --test memory -- --nocapture --test-threads 1
//! ```
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the peaks are part of the result")]

#[macro_use]
#[path = "kill/told.rs"]
mod told;

#[path = "kill/built.rs"]
mod built;

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use built::example;
use millstream::coders::gzip::Gzip;
use millstream::contracts::Compression;

/// The most that a process may ever hold in memory, in MB, however large the input is: a few batches on each channel.
const BOUND: u64 = 100;
/// The same with records of about the default limit of 16 MiB, which are in memory whole: a block doubles until it holds
/// one, and the next is read while that is worked on.
const BOUND_OF_LARGE: u64 = 160;

/// How large inputs are, in bytes.
fn size() -> u64 {
    let megabytes = std::env::var("MILLSTREAM_MEGABYTES").map_or(64, |megabytes| megabytes.parse().expect("a number"));
    megabytes * 1_000_000
}

/// What came of a process.
struct Ran {
    code: Option<i32>,
    /// What it printed to standard error.
    said: String,
    /// The most memory that it ever held, in MB.
    peak: u64,
}

fn run(name: &str, input: &Path, output: &Path, flags: &[&str]) -> Ran {
    let mut command = Command::new(example(name));
    command.arg("--input").arg(input).arg("--output").arg(output).args(flags);
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("an example starts");
    let mut kib = 0;
    while child.try_wait().expect("a child can be waited for").is_none() {
        // The system itself keeps the peak: what is missed is what grows in the last moment.
        kib = peak_kib(child.id()).unwrap_or(kib);
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut said = String::new();
    let _ = child.stderr.take().expect("it is piped").read_to_string(&mut said);
    Ran { code: child.wait().expect("it has ended").code(), said, peak: (kib * 1_024).div_ceil(1_000_000) }
}

fn peak_kib(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// A folder with an input that `write` fills until it is large enough.
struct Input {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Input {
    fn new(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = folder.path().join("input");
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).expect("a file can be made"));
        write(&mut file).and_then(|()| file.flush()).expect("there is room for the input");
        Self { folder, path }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    fn run(&self, name: &str, flags: &[&str]) -> Ran {
        run(name, &self.path, &self.output(), flags)
    }
}

/// So many bytes of one letter.
fn filling(out: &mut dyn std::io::Write, bytes: u64) -> std::io::Result<()> {
    std::io::copy(&mut std::io::repeat(b'x').take(bytes), out).map(|_| ())
}

#[track_caller]
fn bounded(what: &str, ran: &Ran, bound: u64) {
    told!("{what}, {} MB: peak {} MB", size() / 1_000_000, ran.peak);
    assert!(0 < ran.peak && ran.peak <= bound, "{what}: {} MB at its peak, more than {bound}", ran.peak);
}

/// Sees that it was refused as too large, with its place.
#[track_caller]
fn refused(ran: &Ran, parts: &[&str]) {
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    assert!(ran.said.starts_with("error: "), "{}", ran.said);
    for part in parts {
        assert!(ran.said.contains(part), "`{part}` is not in: {}", ran.said);
    }
}

#[test]
fn many_json_lines() {
    let input = Input::new(|out| {
        let (mut written, mut number) = (0, 0_u64);
        while written < size() {
            let line = format!("{{\"id\": {number}, \"paid\": {}, \"name\": \"Ann \\u0026 sons\"}}\n", number % 2 == 0);
            out.write_all(line.as_bytes())?;
            (written, number) = (written + line.len() as u64, number + 1);
        }
        Ok(())
    });
    for workers in ["1", "4"] {
        let ran = input.run("json_filter", &["--where", "paid=true", "--workers", workers]);
        assert_eq!(ran.code, Some(0), "{}", ran.said);
        bounded(&format!("json_filter, {workers} workers"), &ran, BOUND);
    }
}

#[test]
fn many_xml_records() {
    let input = Input::new(|out| {
        out.write_all(b"<orders>\n")?;
        let (mut written, mut number) = (0, 0_u64);
        while written < size() {
            let status = if number % 2 == 0 { "paid" } else { "open" };
            let order = format!("<order id='{number}'><name>Ann &amp; sons</name><status>{status}</status></order>\n");
            out.write_all(order.as_bytes())?;
            (written, number) = (written + order.len() as u64, number + 1);
        }
        out.write_all(b"</orders>\n")
    });
    for workers in ["1", "4"] {
        let flags = ["--record", "order", "--where", "status=paid", "--workers", workers];
        let ran = input.run("xml_filter", &flags);
        assert_eq!(ran.code, Some(0), "{}", ran.said);
        bounded(&format!("xml_filter, {workers} workers"), &ran, BOUND);
    }
}

#[test]
fn a_single_line() {
    let input = Input::new(|out| {
        out.write_all(b"{\"a\": 1}\n\"")?;
        filling(out, size())?;
        out.write_all(b"\"\n{\"a\": 2}\n")
    });
    let ran = input.run("json_filter", &[]);
    refused(
        &ran,
        &["input line 2, byte 9: ", "expected a line of at most 16777216 bytes, found a longer one", "raise"],
    );
    bounded("json_filter, a single line", &ran, BOUND_OF_LARGE);

    let ran = input.run("json_filter", &["--on-error", "skip"]);
    assert_eq!((ran.code, ran.said.contains("skipped 1")), (Some(0), true), "{}", ran.said);
    let output = BufReader::new(File::open(input.output()).expect("it is there")).lines();
    assert!(output.map_while(Result::ok).eq(["{\"a\": 1}", "{\"a\": 2}"]));
    bounded("json_filter, a single line is skipped", &ran, BOUND_OF_LARGE);

    let ran = input.run("xml_filter", &[]);
    refused(&ran, &["input line 1, byte 0"]);
    bounded("xml_filter, a single line", &ran, BOUND_OF_LARGE);
}

#[test]
fn a_single_xml_record() {
    let input = Input::new(|out| {
        out.write_all(b"<orders>\n<order>1</order>\n<order>")?;
        filling(out, size())?;
        out.write_all(b"</order>\n<order>2</order>\n</orders>\n")
    });
    let ran = input.run("xml_filter", &["--record", "order"]);
    refused(&ran, &["input line 3, byte 26: ", "larger than the limit of 16777216 bytes", "raise the limit"]);
    bounded("xml_filter, a single record", &ran, BOUND_OF_LARGE);
    let ran = input.run("xml_filter", &["--record", "order", "--on-error", "skip"]);
    assert_eq!((ran.code, ran.said.contains("skipped 1")), (Some(0), true), "{}", ran.said);
    bounded("xml_filter, a single record is skipped", &ran, BOUND_OF_LARGE);
}

#[test]
fn a_single_line_out_of_a_small_compressed_file() {
    let input = Input::new(|out| {
        let (mut packing, mut packed, block) = (Gzip::default().compressor(), Vec::new(), vec![b'x'; 1 << 20]);
        for _ in 0..size() >> 20 {
            packing.compress(&block, &mut packed).map_err(std::io::Error::other)?;
        }
        packing.finish(&mut packed).map_err(std::io::Error::other)?;
        out.write_all(&packed)
    });
    let ran = input.run("copy_lines", &[]);
    refused(&ran, &["input line 1, byte 0: ", "expected a line of at most 16777216 bytes"]);
    bounded("copy_lines, a single line out of gzip", &ran, BOUND_OF_LARGE);
}

/// Records just below the limit, which are in memory whole.
#[test]
fn records_as_large_as_they_may_be() {
    let input = Input::new(|out| {
        let record = 16 << 20;
        for _ in 0..size() / record {
            out.write_all(b"\"")?;
            filling(out, record - 2)?;
            out.write_all(b"\"\n")?;
        }
        Ok(())
    });
    let ran = input.run("json_filter", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    bounded("json_filter, records of 16 MiB", &ran, BOUND_OF_LARGE);
}
