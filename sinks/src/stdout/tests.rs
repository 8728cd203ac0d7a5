use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use millstream_core::contracts::{DynSink, DynSinkFactory, Framing, SinkContext, WriteError};

use super::*;
use crate::support::{Braces, Lines, lines_of, packed, wait, write};

/// A sink that prints into a pipe, and the pipe's other end.
fn piped(framing: impl Framing) -> (std::io::PipeReader, StdoutSink) {
    let (reader, to) = std::io::pipe().unwrap();
    let mut sink = StdoutSink::to(framing.writer(), File::from(OwnedFd::from(to)));
    wait(DynSink::open(&mut sink, &SinkContext::default())).unwrap();
    (reader, sink)
}

fn printed(mut reader: std::io::PipeReader) -> String {
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_batch_has_been_printed_when_its_write_returns() {
    let (mut reader, mut sink) = piped(Lines);
    write(&mut sink, packed(&["one", "two"])).unwrap();
    let mut found = [0; 8];
    reader.read_exact(&mut found).unwrap();
    assert_eq!(&found, b"one\ntwo\n");
    write(&mut sink, lines_of("three\nfour")).unwrap();
    drop(sink);
    assert_eq!(printed(reader), "three\nfour\n");
}

#[test]
fn header_and_footer_are_printed_once_even_around_nothing() {
    let (reader, mut sink) = piped(Braces);
    write(&mut sink, packed(&["a"])).unwrap();
    write(&mut sink, packed(&["b"])).unwrap();
    wait(DynSink::close(&mut sink)).unwrap();
    drop(sink);
    assert_eq!(printed(reader), "{<a><b>}");
    let (reader, mut sink) = piped(Braces);
    wait(DynSink::close(&mut sink)).unwrap();
    drop(sink);
    assert_eq!(printed(reader), "{}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly_and_nothing_is_claimed_after() {
    let (reader, mut sink) = piped(Lines);
    drop(reader);
    assert!(matches!(write(&mut sink, packed(&["one"])), Err(WriteError::ReaderGone)));
    assert!(wait(DynSink::flush(&mut sink)).is_err());
}

#[test]
fn a_reader_that_wants_no_footer_is_no_error() {
    let (reader, mut sink) = piped(Braces);
    write(&mut sink, packed(&["one"])).unwrap();
    drop(reader);
    assert!(wait(DynSink::close(&mut sink)).is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut sink = StdoutSink::to(Lines.writer(), full);
    let Err(WriteError::Row { row: 0, error }) = write(&mut sink, packed(&["one"])) else { panic!("an error") };
    assert!(error.message().contains("is full"), "{error}");
    assert!(wait(DynSink::flush(&mut sink)).is_err());
}

#[test]
fn it_says_what_it_is() {
    let traits = DynSinkFactory::traits(&Stdout::new(Lines), true);
    assert_eq!((traits.kind.as_str(), traits.place), ("STD-OUT", Where::LastJoined));
    assert_eq!(traits.transactional, Err("standard output can't take back what it printed".into()));
}
