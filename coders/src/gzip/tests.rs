use std::io::Write;

use flate2::GzBuilder;
use millstream_core::contracts::{Error, Faults};
use millstream_core::data::Packed;
use proptest::prelude::*;

use super::*;

/// Takes `stream` apart, which comes in pieces of these sizes, at most `max` bytes a call.
fn unpack(stream: &[u8], pieces: &[usize], max: usize) -> Result<Vec<u8>, Error> {
    let (mut gzip, mut out) = (Gzip::default().decompressor(), Vec::new());
    let (mut at, mut filled) = (0, 0);
    let mut pieces = pieces.iter().cycle();
    loop {
        let (before, at_end) = (out.len(), filled == stream.len());
        let taken = gzip.decompress(&stream[at..filled], at_end, max, &mut out)?;
        assert!(out.len() - before <= max, "bounded");
        at += taken;
        if out.len() == before && at_end {
            assert_eq!(at, stream.len());
            return Ok(out);
        }
        if out.len() == before {
            filled = (filled + pieces.next().copied().unwrap_or(1)).min(stream.len());
        }
    }
}

fn whole(stream: &[u8]) -> Result<Vec<u8>, String> {
    unpack(stream, &[usize::MAX >> 1], 1 << 20).map_err(|error| error.to_string())
}

fn pack(members: &[&[u8]]) -> Vec<u8> {
    let (mut gzip, mut out) = (Gzip::default().compressor(), Vec::new());
    for member in members {
        gzip.compress(member, &mut out).unwrap();
        gzip.finish(&mut out).unwrap();
    }
    out
}

fn code(coder: &Coder, records: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<(u32, String)>) {
    let (mut from, mut to, mut faults) = (Packed::<Bytes>::default(), Packed::<Bytes>::default(), Faults::new());
    records.iter().for_each(|record| from.append_bytes(record));
    (coder.make)().code(&from, &mut to, &mut faults);
    let rows = (0..to.len()).map(|row| to.get(row).to_vec()).collect();
    (rows, faults.into_iter().map(|(row, error)| (row, error.to_string())).collect())
}

#[test]
fn a_header_with_every_field_is_read_in_any_pieces() {
    let mut stream = GzBuilder::new()
        .extra(vec![7; 300])
        .filename("a")
        .comment("b")
        .mtime(5)
        .write(Vec::new(), flate2::Compression::fast());
    stream.write_all(b"text").unwrap();
    let mut stream = stream.finish().unwrap();
    for size in 1..5 {
        assert_eq!(unpack(&stream, &[size], 3).unwrap(), b"text");
    }

    stream.drain(..10 + 2 + 300 + 2 + 2);
    let mut header = vec![0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 255];
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    header.extend((crc.sum() as u16).to_le_bytes());
    assert_eq!(whole(&[header.clone(), stream.clone()].concat()).unwrap(), b"text");
    header[11] ^= 1;
    let error = whole(&[header, stream].concat()).unwrap_err();
    assert!(error.contains("at byte 11 of the compressed stream: expected the header's checksum"), "{error}");
}

#[test]
fn what_is_wrong_is_said_with_its_byte() {
    let good = pack(&[b"hello, hello"]);
    let end = good.len();
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        bad
    };
    let cases: [(&str, Vec<u8>, String); 10] = [
        ("empty", vec![], "byte 0 of the compressed stream: expected more of the header".into()),
        (
            "other",
            b"PK".to_vec(),
            "byte 0 of the compressed stream: expected a gzip member, which begins with 1f 8b".into(),
        ),
        ("method", with(2, 7), "byte 2 of the compressed stream: expected a gzip member".into()),
        ("flags", with(3, 0x80), "byte 3 of the compressed stream: expected flags of gzip, found 80".into()),
        ("body", with(10, 0xff), "expected DEFLATE data".into()),
        (
            "checksum",
            with(end - 8, !good[end - 8]),
            format!("byte {} of the compressed stream: expected the checksum", end - 8),
        ),
        ("length", with(end - 1, 9), format!("byte {} of the compressed stream: expected the length 12", end - 4)),
        (
            "zeroes",
            [good.clone(), vec![0; 4]].concat(),
            format!("byte {end} of the compressed stream: expected the end or"),
        ),
        (
            "trailing",
            [good.clone(), b"x".to_vec()].concat(),
            format!("byte {end} of the compressed stream: expected the end or"),
        ),
        (
            "second",
            [good.clone(), vec![0x1f, 0x8b]].concat(),
            format!("byte {} of the compressed stream: expected more of", end + 2),
        ),
    ];
    for (name, stream, expected) in cases {
        let error = whole(&stream).unwrap_err();
        assert!(error.contains(&expected), "{name}: {error}");
        let error = unpack(&stream, &[1], 7).unwrap_err().to_string();
        assert!(error.contains(&expected), "{name}, in pieces: {error}");
    }
}

#[test]
fn a_stream_that_breaks_off_anywhere_is_an_error() {
    let good = pack(&[b"first", &[7; 3000]]);
    let between = pack(&[b"first"]).len();
    for end in (0..good.len()).filter(|&end| end != between) {
        for max in [1, 1 << 20] {
            let error = unpack(&good[..end], &[5], max).unwrap_err();
            assert!(error.to_string().ends_with("the stream breaks off"), "{end}: {error}");
            assert!(!error.is_retryable());
        }
    }
    assert_eq!(whole(&good[..between]).unwrap(), b"first");
}

#[test]
fn an_empty_stream_is_written_as_one_empty_member() {
    let (mut gzip, mut out) = (Gzip::default().compressor(), Vec::new());
    gzip.finish(&mut out).unwrap();
    let len = out.len();
    assert_eq!(whole(&out).unwrap(), b"");
    gzip.finish(&mut out).unwrap();
    assert_eq!(out.len(), len, "and only one");
}

#[test]
fn it_is_known_by_its_magic() {
    assert!(Gzip::default().matches(&pack(&[b"a"])[..8]));
    assert!(!Gzip::default().matches(b"<orders>"));
    assert!(!Gzip::default().matches(b""));
}

#[test]
fn a_record_that_would_become_too_large_is_refused_and_others_pass() {
    let format = format().limits(Limits { record: 100_000, ..Limits::default() });
    let bomb = pack(&[&vec![0; 5 << 20]]);
    let records = [pack(&[b"a"]), bomb, vec![1, 2], vec![], pack(&[b"b", b"c"]), pack(&[&[1; 100_000]])];
    let (rows, faults) = code(&format.decoder().unwrap(), &records);
    assert_eq!(rows, [b"a".to_vec(), b"bc".to_vec(), vec![1; 100_000]]);
    assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(faults[0].1.contains("expected at most 100000 bytes in a compressed record"), "{}", faults[0].1);
    assert!(faults[1].1.contains("byte 0 of the compressed stream"), "{}", faults[1].1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_packed_is_unpacked_in_any_pieces(
        members in prop::collection::vec(prop::collection::vec(0u8..3, 1..300), 1..4),
        pieces in prop::collection::vec(1usize..60, 1..4),
        max in 1usize..400,
    ) {
        let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(unpack(&pack(&members), &pieces, max).unwrap(), members.concat());
    }

    #[test]
    fn records_come_back_and_any_reader_reads_them(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5),
        level in 0u32..12,
    ) {
        let format = format().level(level);
        let (packed, faults) = code(&format.encoder().unwrap(), &records);
        prop_assert!(faults.is_empty());
        for (packed, record) in packed.iter().zip(&records) {
            let mut read = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut read).unwrap();
            prop_assert_eq!(&read, record);
        }
        prop_assert_eq!(code(&format.decoder().unwrap(), &packed).0, records);
    }

    #[test]
    fn random_bytes_are_refused_or_read(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        at in 0usize..60,
        with in any::<u8>(),
    ) {
        let mut stream = pack(&[&bytes]);
        let at = at % stream.len();
        stream[at] = with;
        let _ = (whole(&stream), whole(&bytes), unpack(&stream, &[3], 7).map_err(|_| ()));
    }
}
