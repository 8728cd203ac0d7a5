//! Containers: what is written is read, wherever a reader or a writer stops and goes on; damage stays within its block.

use apache_avro::types::Value as Any;
use apache_avro::{Codec as Theirs, DeflateSettings, Reader, Writer as TheirWriter, ZstandardSettings};
use millstream_core::contracts::{Format, Framing, Scan};
use millstream_core::data::{Bytes, Data, Packed};
use proptest::prelude::*;

use super::{Codec, Container, LARGEST};
use crate::avro::tests::damage::vast;
use crate::avro::{Schema, write};
use crate::testing::{read, written};

const NUMBERED: &str =
    r#"{"type":"record","name":"N","fields":[{"name":"n","type":"long"},{"name":"text","type":"string"}]}"#;

fn schema() -> Schema {
    Schema::parse(NUMBERED).unwrap()
}

fn made(n: i64) -> Any {
    let text = "x".repeat(n as usize % 40);
    Any::Record(vec![("n".to_owned(), Any::Long(n)), ("text".to_owned(), Any::String(text))])
}

/// The container's record of value `n`.
fn record(schema: &Schema, n: i64) -> Vec<u8> {
    let mut record = super::prefix(schema).to_vec();
    write::value(schema.graph(), schema.graph().root, &made(n), &mut record).unwrap();
    record
}

fn file(container: &Container, count: i64) -> Vec<u8> {
    let records: Vec<_> = (0..count).map(|n| record(container.written().unwrap(), n)).collect();
    written(container, &records.iter().map(|record| &record[..]).collect::<Vec<_>>())
}

const CODECS: [Codec; 4] = [Codec::Null, Codec::Deflate, Codec::Snappy, Codec::Zstandard];

#[test]
fn the_library_reads_what_we_write_and_we_what_it_writes() {
    for codec in CODECS {
        let container = Container::of(&schema()).codec(codec).block_bytes(200);
        let ours = file(&container, 50);
        let theirs: Vec<_> = Reader::new(&ours[..]).unwrap().map(Result::unwrap).collect();
        assert_eq!(theirs, (0..50).map(made).collect::<Vec<_>>(), "{codec}");
        let their_codec = match codec {
            Codec::Null => Theirs::Null,
            Codec::Deflate => Theirs::Deflate(DeflateSettings::default()),
            Codec::Snappy => Theirs::Snappy,
            Codec::Zstandard => Theirs::Zstandard(ZstandardSettings::default()),
        };
        let mut writer = TheirWriter::with_codec(schema_parsed(), Vec::new(), their_codec).unwrap();
        for n in 0..50 {
            writer.append_value(made(n)).unwrap();
        }
        let theirs = writer.into_inner().unwrap();
        let found = read(&Container::new(), &theirs, &[100], 8, false).unwrap();
        let text = Schema::parse(&schema_parsed().canonical_form()).unwrap();
        let wanted: Vec<_> = (0..50).map(|n| record(&text, n)[super::PREFIX..].to_vec()).collect();
        assert_eq!(
            found.iter().map(|(found, _)| found[super::PREFIX..].to_vec()).collect::<Vec<_>>(),
            wanted,
            "{codec}"
        );
    }
}

fn schema_parsed() -> &'static apache_avro::Schema {
    static SCHEMA: std::sync::LazyLock<apache_avro::Schema> =
        std::sync::LazyLock::new(|| apache_avro::Schema::parse_str(NUMBERED).unwrap());
    &SCHEMA
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn what_is_written_is_read_wherever_it_is_cut_and_gone_on_with(
        count in 0_i64..60, block in 1_usize..400, codec in prop::sample::select(CODECS.to_vec()),
        pieces in prop::collection::vec(1_usize..300, 1..4), max in 1_usize..9, resume in any::<bool>(),
    ) {
        let container = Container::of(&schema()).codec(codec).block_bytes(block);
        let bytes = file(&container, count);
        let found = read(&Container::new(), &bytes, &pieces, max, resume).unwrap();
        let wanted: Vec<_> = (0..count).map(|n| (record(&schema(), n), false)).collect();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn a_writer_goes_on_behind_what_another_flushed(before in 0_i64..20, after in 0_i64..20) {
        let container = Container::of(&schema()).codec(Codec::Deflate).block_bytes(100);
        let mut bytes = file(&container, before);
        let head = container.head(&bytes, true).unwrap().unwrap();
        let mut writer = container.writer_behind(&bytes[..head]).unwrap();
        for n in before..before + after {
            writer.record(&record(&schema(), n), &mut bytes);
        }
        writer.flush(&mut bytes);
        let found: Vec<_> = Reader::new(&bytes[..]).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(found, (0..before + after).map(made).collect::<Vec<_>>());
    }

    #[test]
    fn other_bytes_are_errors_or_records(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<prop::sample::Index>()) {
        let mut bytes = file(&Container::of(&schema()).codec(Codec::Snappy).block_bytes(100), 20);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = read(&Container::new(), &bytes, &[50], 4, false);
    }
}

#[test]
fn a_head_is_known_once_it_is_whole() {
    let container = Container::of(&schema());
    let bytes = file(&container, 3);
    let head = (0..bytes.len()).find_map(|len| container.head(&bytes[..len], false).unwrap()).unwrap();
    for len in 0..head {
        assert_eq!(container.head(&bytes[..len], false).unwrap(), None);
        assert!(container.head(&bytes[..len], true).is_err());
    }
    assert!(container.head(b"PAR1", false).unwrap_err().message.contains("begin with"));
}

#[test]
fn a_damaged_block_is_refused_and_the_next_is_read() {
    let container = Container::of(&schema()).codec(Codec::Snappy).block_bytes(100);
    let mut bytes = file(&container, 30);
    let head = container.head(&bytes, true).unwrap().unwrap();
    bytes[head + 20] ^= 0x55;
    let found = read(&Container::new(), &bytes, &[1 << 16], 100, false).unwrap();
    let refused: Vec<_> = found.iter().enumerate().filter(|(_, (_, refused))| *refused).map(|(at, _)| at).collect();
    assert_eq!(refused, [0]);
    assert!(found.len() > 10);
    assert_eq!(found.last().unwrap().0, record(&schema(), 29));
}

#[test]
fn a_broken_sync_marker_breaks_the_file_behind_what_was_good() {
    let container = Container::of(&schema()).block_bytes(1);
    let mut bytes = file(&container, 3);
    *bytes.last_mut().unwrap() ^= 1;
    let (mut framer, mut found) = (Container::new().framer(None).unwrap(), Scan::default());
    let error = framer.scan(&bytes, true, 9, &mut found).unwrap_err();
    assert_eq!((found.records.len(), found.consumed), (2, error.offset));
    assert_eq!(found.unpacked.map(|it| it.seams.len()), Some(2), "each is a block of its own, behind the header");
    assert!(error.message.contains("sync marker"), "{error}");
}

#[test]
fn bombs_and_counts_without_bytes_are_refused() {
    let bomb = Container::of(&Schema::parse("\"bytes\"").unwrap()).codec(Codec::Zstandard);
    let mut record = super::prefix(bomb.written().unwrap()).to_vec();
    write::bytes(&vec![0; 1 << 20], &mut record);
    let bytes = written(&bomb, &[&record]);
    assert!(bytes.len() < 1000);
    let found = read(&Container::new().most_block_bytes(1 << 16), &bytes, &[1 << 20], 9, false).unwrap();
    assert!(found.len() == 1 && found[0].1);

    let mut bytes = file(&Container::of(&Schema::parse("\"null\"").unwrap()), 0);
    let sync = bytes[bytes.len() - 16..].to_vec();
    write::long(i64::MAX, &mut bytes);
    write::long(0, &mut bytes);
    bytes.extend(sync);
    let found = read(&Container::new(), &bytes, &[1 << 20], 9, false).unwrap();
    assert!(found.len() == 1 && found[0].1);
}

#[test]
fn a_value_is_no_more_than_its_own_bytes_account_for() {
    let one = |schema: &Schema, count: i64, block: &[u8]| {
        let mut bytes = file(&Container::of(schema), 0);
        let sync = bytes[bytes.len() - 16..].to_vec();
        write::long(count, &mut bytes);
        write::bytes(block, &mut bytes);
        bytes.extend(sync);
        read(&Container::new(), &bytes, &[1 << 20], 9, false).unwrap()
    };
    // Values without end in no bytes at all.
    let found = one(&vast(), 1, &[]);
    assert!(found.len() == 1 && found[0].1);
    // What lies behind a value in its block is not its own.
    let nulls = Schema::parse(r#"{"type":"array","items":"null"}"#).unwrap();
    let mut block = Vec::new();
    write::long(10_000, &mut block);
    block.extend([0; 20_000]);
    let found = one(&nulls, 19_999, &block);
    assert!(found.len() == 1 && found[0].1);
}

#[test]
fn a_record_of_another_schema_is_not_written() {
    let container = Container::of(&schema());
    let writer = container.writer();
    assert!(writer.check(&record(&schema(), 1)).is_ok());
    let other = Schema::parse(&NUMBERED.replace("\"N\"", "\"M\"")).unwrap();
    assert!(writer.check(&record(&other, 1)).unwrap_err().0.contains("another schema"));
    assert!(writer.check(b"line").unwrap_err().0.contains("no container's coder"));
    assert!(Container::new().writer().check(&record(&schema(), 1)).is_err());
    let changed = Container::of(&other);
    let head = file(&container, 0);
    assert!(changed.writer_behind(&head).is_err());
    assert!(container.clone().codec(Codec::Deflate).writer_behind(&head).is_err());
}

#[test]
fn a_record_of_a_file_that_nobody_read_here_is_an_error_that_says_what_to_do() {
    let format = crate::avro::values().container(&Container::new());
    let mut column = Packed::<Bytes>::default();
    column.append_bytes(&record(&schema(), 1));
    column.freeze();
    let (mut made, mut faults) = (<crate::avro::Value as Data>::Column::default(), Vec::new());
    (format.decoder().unwrap().make)().code(&column, &mut made, &mut faults);
    assert!(faults[0].1.to_string().contains("Container::knowing"), "{}", faults[0].1);
}

#[test]
fn nothing_is_taken_that_a_codec_might_refuse() {
    let container = Container::of(&schema()).codec(Codec::Snappy).block_bytes(usize::MAX);
    assert_eq!(container.block, LARGEST);
    // Of zeroes that are never touched.
    let mut huge = vec![0; LARGEST + 1];
    huge[..super::PREFIX].copy_from_slice(&super::prefix(&schema()));
    let writer = container.writer();
    let refused = writer.check(&huge).unwrap_err();
    assert!(refused.0.contains("1073741824 bytes at most"), "{}", refused.0);
    assert!(writer.check(&huge[..LARGEST]).is_ok());
}
