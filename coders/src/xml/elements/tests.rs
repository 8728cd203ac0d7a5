use proptest::prelude::*;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::super::samples::{DOCTYPE, Tree, document, tree};
use super::*;

/// What came of a document: the records, each with whether it was refused, and the error with its place in the document.
#[derive(Debug, Default, PartialEq)]
struct Cut {
    records: Vec<(String, bool)>,
    error: Option<(usize, String)>,
    /// The most bytes that had to be kept.
    kept: usize,
}

/// How a document is read.
#[derive(Debug, Clone)]
struct How {
    /// The sizes of the blocks, again and again.
    blocks: Vec<usize>,
    /// The most records of a scan.
    max: usize,
    /// A new framer goes on from the state after every scan.
    resumed: bool,
}

const WHOLE: fn() -> How = || How { blocks: vec![usize::MAX], max: usize::MAX, resumed: false };

fn cut(elements: &Elements, document: &[u8], how: &How) -> Cut {
    let mut cut = Cut::default();
    let mut framer = elements.framer(None).unwrap();
    let mut blocks = how.blocks.iter().cycle();
    let (mut from, mut to, mut found) = (0, 0, Scan::default());
    loop {
        let at_end = to == document.len();
        let scanned = framer.scan(&document[from..to], at_end, how.max, &mut found);
        let row = |range: &Range32| {
            String::from_utf8_lossy(&document[from..][range.start as usize..range.end as usize]).into_owned()
        };
        for (index, range) in found.records.iter().enumerate() {
            cut.records.push((row(range), found.refused.iter().any(|(of, _)| *of as usize == index)));
        }
        if let Err(error) = scanned {
            cut.error = Some((from + error.offset, error.message));
            return cut;
        }
        assert!(found.records.len() <= how.max);
        from += found.consumed;
        assert!(
            from <= to && found.records.last().is_none_or(|last| 0 < last.end && last.end as usize <= found.consumed)
        );
        if how.resumed {
            let state = framer.state();
            assert!(state.len() <= 2_048);
            framer = elements.framer(Some(&state)).unwrap();
        }
        if found.records.len() < how.max {
            cut.kept = cut.kept.max(to - from);
            if at_end {
                assert_eq!(from, to);
                return cut;
            }
            to = document.len().min(to.saturating_add(*blocks.next().unwrap()));
        }
    }
}

fn how() -> impl Strategy<Value = How> {
    (prop::collection::vec(prop_oneof![1..4_usize, 1..40_usize], 1..6), 1..5_usize, any::<bool>())
        .prop_map(|(blocks, max, resumed)| How { blocks, max, resumed })
}

/// The outermost elements of a name, found by reading every event.
fn model(document: &str, name: &str) -> Vec<(String, bool)> {
    let mark = if document.starts_with('\u{FEFF}') { 3 } else { 0 };
    let mut reader = Reader::from_str(&document[mark..]);
    let (mut records, mut open, mut start) = (Vec::new(), Vec::new(), None);
    loop {
        let from = reader.buffer_position() as usize;
        let event = reader.read_event().unwrap();
        let to = reader.buffer_position() as usize;
        match event {
            Event::Start(tag) => {
                if start.is_none() && tag.name().as_ref() == name {
                    start = Some((open.len(), from));
                }
                open.push(());
            }
            Event::Empty(tag) if start.is_none() && tag.name().as_ref() == name => {
                records.push((document[mark..][from..to].to_owned(), false));
            }
            Event::End(_) => {
                open.pop();
                if let Some((_, from)) = start.filter(|(depth, _)| *depth == open.len()) {
                    records.push((document[mark..][from..to].to_owned(), false));
                    start = None;
                }
            }
            Event::Eof => return records,
            _ => {}
        }
    }
}

fn trees() -> impl Strategy<Value = String> {
    prop::collection::vec(tree(), 0..5).prop_map(|trees: Vec<Tree>| {
        let mut text = format!("{DOCTYPE}<all k='>'> ");
        trees.iter().for_each(|tree| {
            tree.write(&mut text);
            text.push('\n');
        });
        text + "</all>\n<!-- > -->"
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn records_are_those_of_a_naive_reader_whatever_the_blocks(
        document in prop_oneof![trees(), document().prop_map(|(text, _)| text)],
        name in prop::sample::select(&["order", "or", "a", "all", "ä"][..]),
        how in how(),
    ) {
        let cut = cut(&Elements::named(name), document.as_bytes(), &how);
        prop_assert_eq!(cut.error, None);
        prop_assert_eq!(cut.records, model(&document, name));
    }

    #[test]
    fn large_records_are_refused_whatever_the_blocks(document in trees(), record in 1..60_usize, how in how()) {
        let limits = Limits { record, ..Limits::default() };
        let elements = Elements::named("order").with_limits(limits);
        let cut = cut(&elements, document.as_bytes(), &how);
        prop_assert_eq!(cut.error, None);
        let expected = model(&document, "order");
        prop_assert_eq!(cut.records.len(), expected.len());
        for ((row, refused), (text, _)) in cut.records.iter().zip(expected) {
            prop_assert_eq!(*refused, text.len() > record);
            let kept = row.trim_end_matches(char::REPLACEMENT_CHARACTER);
            let right = if *refused { kept.len() <= record && text.starts_with(kept) } else { *row == text };
            prop_assert!(right, "{row:?} of {text:?}");
        }
    }

    #[test]
    fn what_is_broken_is_cut_the_same_whatever_the_blocks(
        document in prop_oneof![trees(), document().prop_map(|(text, _)| text)],
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..4),
        how in how(),
    ) {
        let mut bytes = document.into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            match kind {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 if at < bytes.len() => bytes[at] = b"<>&;\"'/!?-[]= \n"[usize::from(byte) % 15],
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        holds(&bytes, &how);
    }

    #[test]
    fn any_markup_is_cut_the_same_whatever_the_blocks(
        text in "(<order>|</order>|<order/>|<all>|</all>|<!--|-->|<!\\[CDATA\\[|\\]\\]>|<\\?x|<\\?xml |\\?>|<!DOCTYPE |&|x| |'|\"|=|<|>|/|\\[|\\]|!|-|ä){0,14}",
        how in how(),
    ) {
        holds(text.as_bytes(), &how);
        holds(format!("<all>{text}").as_bytes(), &how);
    }
}

/// What holds for any bytes: nothing panics, and blocks make no difference.
fn holds(bytes: &[u8], how: &How) {
    let elements = Elements::named("order").with_limits(Limits { record: 100, ..Limits::default() });
    let (whole, blocks) = (cut(&elements, bytes, &WHOLE()), cut(&elements, bytes, how));
    // How much is kept of what is refused depends on where a block ends when the limit is this low.
    let rows = |cut: &Cut| cut.records.iter().map(|(row, refused)| (!refused).then(|| row.clone())).collect::<Vec<_>>();
    assert_eq!(rows(&whole), rows(&blocks), "{:?}", String::from_utf8_lossy(bytes));
    let place = |cut: &Cut| cut.error.as_ref().map(|(place, _)| *place);
    assert_eq!(
        place(&whole),
        place(&blocks),
        "{:?} {:?} {:?}",
        whole.error,
        blocks.error,
        String::from_utf8_lossy(bytes)
    );
}

fn records(document: &str) -> Vec<String> {
    let cut = cut(&Elements::named("order"), document.as_bytes(), &WHOLE());
    assert_eq!(cut.error, None);
    cut.records.into_iter().map(|(text, _)| text).collect()
}

#[test]
fn records_are_cut_byte_for_byte() {
    let rows = [
        "<order/>",
        "<order\n\tid = '>'  />",
        "<order id='</order>'>x</order >",
        "<order><order/><order></order><orders></orders></order>",
        "<order><!-- </order> --><![CDATA[</order>]]><?x </order>?><a k='/'><b k=\"</order>\"/></a></order>",
        "<order><!----><![CDATA[]]]]><??>]]></order>",
    ];
    let document = format!("<orders>{}<ordered/><order.x/><x:order/></orders>", rows.join(" text &amp; "));
    assert_eq!(records(&document), rows);
    assert_eq!(records("<order>a</order>"), ["<order>a</order>"]);
    assert_eq!(records("\u{FEFF}<?xml version='1.0' encoding='UTF-8'?>\n<order/>\n<!-- end -->"), ["<order/>"]);
    assert_eq!(records("<orders/>"), [""; 0]);
}

#[test]
fn broken_structure_outside_records_is_an_error_with_its_place() {
    let cases = [
        ("", 0, "found no root element"),
        (" \n", 2, "found no root element"),
        ("<!-- c -->", 10, "found no root element"),
        ("order,1", 0, "expected a root element, found text: o"),
        ("<a/> x", 5, "expected nothing after the root element, found text: x"),
        ("<a/><b/>", 4, "found a second one: <b>"),
        ("<order/>\n<order/>", 9, "found a second one: <order>"),
        ("<a><order/></b>", 11, "expected </a>, found </b>"),
        ("</a>", 0, "found </a>, but no element is open"),
        ("<a><order/>", 11, "the document ends within <a>: expected </a>"),
        ("<a><order/><order>", 11, "the document ends within a record: expected </order>"),
        ("<a><order/><b k='</a>", 17, "expected > at the end of a tag, found <"),
        ("<a><b c<d>", 7, "expected > at the end of a tag, found <"),
        ("<a><!-- </a>", 10, "the document ends within a comment"),
        ("<a><![CDATA[ </a>", 15, "the document ends within CDATA"),
        ("<a><?x </a>", 10, "the document ends within a processing instruction"),
        ("<a><", 3, "the document ends within a tag"),
        ("<a>< b/></a>", 3, "expected a name"),
        ("<a><b$/></a>", 3, "expected white space or > after a name, found $"),
        ("<a><!ELEMENT></a>", 3, "expected a comment or CDATA"),
        ("<![CDATA[]]><a/>", 0, "expected a root element, found CDATA"),
        ("<a><!DOCTYPE a></a>", 3, "a DOCTYPE can only stand once"),
        ("<!DOCTYPE a><!DOCTYPE a><a/>", 12, "a DOCTYPE can only stand once"),
        ("<!DOCTYPE a [<!ENTITY x '>'>", 28, "the document ends within a DOCTYPE"),
        ("<!DOCTYPE a [<a/>]><a/>", 13, "expected a declaration in the DOCTYPE's internal subset"),
        ("<a/><?xml version='1.0'?>", 4, "an XML declaration can only stand at the very beginning"),
        ("<?xml version='1.0' encoding='latin1'?><a/>", 30, "found the encoding latin1"),
        ("<?xml?><a/>", 5, "expected a version"),
        ("<?xml version='1.0'", 0, "ends within its XML declaration"),
        ("\u{FEFF}", 3, "found no root element"),
    ];
    for (document, offset, message) in cases {
        for resumed in [false, true] {
            for blocks in [vec![usize::MAX], vec![1]] {
                let cut = cut(&Elements::named("order"), document.as_bytes(), &How { blocks, max: 9, resumed });
                let (place, found) = cut.error.expect(document);
                assert!(found.contains(message), "{document:?} gives {found}");
                assert_eq!(place, offset, "{document:?} gives {found}");
            }
        }
    }
    for utf16 in [&b"\xFF\xFE<\0a\0"[..], b"\xFE\xFF\0<\0a", b"<\0a\0/\0"] {
        let (_, message) = cut(&Elements::named("order"), utf16, &WHOLE()).error.unwrap();
        assert!(message.contains("found the encoding UTF-16"), "{message}");
    }
}

#[test]
fn what_was_found_before_an_error_stays_found_and_the_error_comes_again() {
    let document = b"<a><order/></b>";
    let (mut framer, mut found) = (Elements::named("order").framer(None).unwrap(), Scan::default());
    framer.scan(document, false, 9, &mut found).unwrap_err();
    assert_eq!((found.records.len(), found.consumed), (1, 11));
    let again = framer.scan(&document[11..], true, 9, &mut found).unwrap_err();
    assert_eq!((found.records.len(), found.consumed, again.offset), (0, 0, 0));
}

#[test]
fn memory_stays_bounded_whatever_there_is() {
    let long = "x".repeat(300_000);
    let limits = Limits { record: 5_000, ..Limits::default() };
    let elements = Elements::named("order").with_limits(limits);
    let pieces = [
        format!("<order>{long}</order>"),
        format!("<order k='{long}'/>"),
        format!("<order><!--{long}--><![CDATA[{long}]]><?x {long}?><order>{long}</order></order>"),
        format!("<!--{long}-->"),
        format!("<![CDATA[{long}]]>"),
        format!("<?x {long}?>"),
        format!("<b k='{long}'>{long}</b>"),
    ];
    for piece in pieces {
        let document = format!("<a><order>1</order>{piece}<order>2</order></a>");
        for resumed in [false, true] {
            let cut = cut(&elements, document.as_bytes(), &How { blocks: vec![1_000], max: 9, resumed });
            assert_eq!(cut.error, None);
            assert!(cut.kept <= 6_000, "{} bytes were kept", cut.kept);
            assert_eq!(cut.records.first().unwrap().0, "<order>1</order>");
            assert_eq!(cut.records.last().unwrap().0, "<order>2</order>");
            let refused: Vec<_> = cut.records.iter().filter(|(_, refused)| *refused).collect();
            assert_eq!(refused.len(), usize::from(piece.starts_with("<order")));
            assert!(refused.iter().all(|(row, _)| row.len() == KEPT && piece.starts_with(row.as_str())));
        }
    }
}

#[test]
fn what_is_outside_records_is_bounded() {
    let error = |document: String| {
        let how = How { blocks: vec![700], max: 9, resumed: false };
        cut(&Elements::named("order"), document.as_bytes(), &how).error.unwrap().1
    };
    assert!(error("<a>".repeat(129)).contains("nested deeper than the limit of 128"));
    assert!(error(format!("<{}>", "a".repeat(700)).repeat(3)).contains("have more than 1600 bytes"));
    assert!(error(format!("<{}>", "a".repeat(3_000))).contains("a name has more than 1024 bytes"));
    assert!(error(format!("<a></a{}>", " ".repeat(3_000))).contains("expected > within 1024 bytes after </"));
    assert!(error(format!("<?xml {}?><a/>", " ".repeat(3_000))).contains("does not end within 1024 bytes"));
    assert!(error(format!("<!DOCTYPE a [<!--{}-->]><a/>", "x".repeat(1 << 20))).contains("larger than 1 MiB"));
    let names: String = (0..120).map(|index| format!("<a{index:09}>")).collect();
    let mut framer = Elements::named("order").framer(None).unwrap();
    framer.scan(names.as_bytes(), false, 9, &mut Scan::default()).unwrap();
    assert!((1_400..=2_048).contains(&framer.state().len()));
}

#[test]
fn a_foreign_or_damaged_state_is_an_error() {
    let elements = Elements::named("order");
    let mut framer = elements.framer(None).unwrap();
    framer.scan(b"<a><b x='", false, 9, &mut Scan::default()).unwrap();
    let state = framer.state();
    assert!(elements.framer(Some(&state)).is_ok());
    let error = |elements: &Elements, state: &[u8]| elements.framer(Some(state)).err().unwrap().message;
    assert!(error(&Elements::named("a"), &state).contains("other elements than <a>"));
    assert!(error(&elements, b"").contains("belongs to another framing"));
    assert!(error(&elements, b"\x07").contains("is of version 7"));
    for at in 0..state.len() {
        assert!(elements.framer(Some(&state[..at])).is_err());
        for bit in 0..8 {
            let mut damaged = state.clone();
            damaged[at] ^= 1 << bit;
            assert!(elements.framer(Some(&damaged)).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_name_that_is_none_is_an_error() {
    for name in ["", "a b", "<order>", "1"] {
        let error = Elements::named(name).framer(None).err().unwrap();
        assert!(error.message.contains("is not a name that an XML element can have"), "{}", error.message);
    }
    assert_eq!(Framing::name(&Elements::named("order")), "elements <order>");
}

#[test]
fn what_is_written_within_a_root_element_is_read_back() {
    let elements = Elements::named("order").within("orders");
    let (mut writer, mut out) = (elements.writer(), Vec::new());
    writer.header(&mut out);
    writer.record(b"<order/>", &mut out);
    writer.record(b"<order>1</order>", &mut out);
    writer.footer(&mut out);
    assert_eq!(out, b"<orders>\n<order/>\n<order>1</order>\n</orders>\n");
    assert_eq!(records(std::str::from_utf8(&out).unwrap()), ["<order/>", "<order>1</order>"]);
    let (mut writer, mut out) = (Elements::named("order").writer(), Vec::new());
    writer.header(&mut out);
    writer.record(b"<order/>", &mut out);
    writer.footer(&mut out);
    assert_eq!((&out[..], writer.terminator()), (&b"<order/>\n"[..], Some(&b"\n"[..])));
}

#[test]
fn it_asks_for_as_much_as_it_holds_of_an_unfinished_record() {
    let (mut framer, mut found) = (Elements::named("order").framer(None).unwrap(), Scan::default());
    framer.scan(format!("<a><order>{}", "x".repeat(100)).as_bytes(), false, 9, &mut found).unwrap();
    assert_eq!((found.consumed, found.wanted), (3, 107));
}

#[test]
fn a_state_may_say_any_depth() {
    let mut framer = Cutter::new("order", Limits::default());
    framer.scan(b"<orders>\n", false, 9, &mut Scan::default()).unwrap();
    framer.record = Some(Begun { depth: u32::MAX, skipped: true });
    framer.restore(&framer.save()).unwrap();
    framer.scan(b"<order></order>", false, 9, &mut Scan::default()).unwrap();
    assert_eq!(framer.record, Some(Begun { depth: u32::MAX - 1, skipped: true }));
}
