use millstream_core::contracts::{Decoder, Encoder};
use millstream_core::data::Column;
use proptest::prelude::*;

use super::super::samples::{DOCTYPE, Tree, document};
use super::*;
use crate::xml::{Element, XmlEncoder};

fn same(element: Element<'_>, tree: &Tree) {
    assert_eq!(element.name(), tree.name);
    assert_eq!(element.text(), tree.text());
    let attributes: Vec<_> = element.attributes().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(attributes, tree.attributes);
    assert_eq!(element.children().count(), tree.children().count());
    element.children().zip(tree.children()).for_each(|(element, tree)| same(element, tree));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_node_has_the_values_of_the_tree_that_was_written((text, tree) in document()) {
        let node = Node::parse(text.clone()).map_err(|error| TestCaseError::fail(format!("{error}: {text:?}")))?;
        same(node.root(), &tree);
        let mut out = Vec::new();
        XmlEncoder.encode(&node, &mut out).unwrap();
        prop_assert_eq!(out, text.into_bytes());
    }

    #[test]
    fn an_elements_bytes_are_a_document_with_the_same_values((text, _) in document()) {
        let node = Node::parse(text).unwrap();
        for child in node.root().children() {
            let own = Node::parse(child.bytes().to_vec()).unwrap();
            prop_assert_eq!(own.root().text(), child.text());
            prop_assert_eq!(own.root().children().count(), child.children().count());
        }
    }

    #[test]
    fn a_node_that_is_used_again_is_as_a_new_one(documents in prop::collection::vec(document(), 1..6)) {
        let mut node = Node::default();
        for (text, tree) in documents {
            node.read(text.clone().into(), &Limits::default()).unwrap();
            same(node.root(), &tree);
            let _ = node.read(text.replace('>', "").into(), &Limits::default());
        }
    }

    #[test]
    fn what_is_changed_at_random_is_read_or_refused(
        (text, _) in document(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..4)
    ) {
        let mut bytes = text.into_bytes();
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
        holds(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        holds(&bytes);
    }

    #[test]
    fn any_markup_is_read_or_refused(text in "(<a>|</a>|<a/>|<!--|-->|<!\\[CDATA\\[|\\]\\]>|<\\?x|\\?>|<!D|&|;|lt|#|x| |'|\"|=|<|>|\\[|\\]|!|-|a){0,12}") {
        holds(text.as_bytes());
        holds(format!("<a>{text}</a>").as_bytes());
        holds(format!("<a {text}/>").as_bytes());
    }
}

/// What holds for any bytes: nothing panics, an error's place is in the record, and a node has its bytes.
pub(crate) fn holds(bytes: &[u8]) {
    match Node::parse(bytes.to_vec()) {
        Ok(node) => {
            assert_eq!(&node.bytes()[..], bytes);
            assert!(std::str::from_utf8(bytes).is_ok());
            visit(node.root());
        }
        Err(error) => {
            let local = error.local().unwrap();
            assert!(local.byte <= bytes.len() as u64, "{error}");
        }
    }
}

fn visit(element: Element<'_>) {
    assert!(!element.name().is_empty());
    assert!(element.bytes().starts_with(format!("<{}", element.name()).as_bytes()));
    assert!(element.bytes().ends_with(b">"));
    element.children().for_each(visit);
}

fn refused(document: impl Into<Bytes>) -> String {
    Node::parse(document).unwrap_err().to_string()
}

#[test]
fn malformed_documents_are_refused_with_the_place() {
    let cases = [
        ("", "expected a root element", 1, 1),
        ("  \n ", "expected a root element", 2, 2),
        ("<!-- only -->", "expected a root element", 1, 14),
        ("text", "expected an element, found text: text", 1, 1),
        ("<a/>\n  text", "expected an element, found text: text", 2, 3),
        ("<a/>&lt;", "expected an element, found &lt;", 1, 5),
        ("<![CDATA[x]]><a/>", "expected an element, found CDATA", 1, 1),
        ("<a/><b/>", "found a second root element <b>", 1, 5),
        ("<a>\n<b></a>", "expected </b>, found </a>", 2, 4),
        ("<a>\n<b>", "expected </b>, found the end of the record", 2, 4),
        ("<a></b>", "expected </a>, found </b>", 1, 4),
        ("<a/></a>", "found </a>, but no element is open", 1, 5),
        ("<a></a x='1'>", "expected </a>, found </a x='1'>", 1, 4),
        ("<a", "tag not closed", 1, 1),
        ("<a x='>", "attribute value not closed", 1, 1),
        ("< a/>", "expected a name after <", 1, 2),
        ("<1/>", "expected a name after <, found 1", 1, 2),
        ("<a$/>", "expected a name after <, found a$", 1, 2),
        ("<a/ >", "expected a name after <, found a/", 1, 2),
        ("<>", "expected a name after <", 1, 2),
        ("<a x/>", "expected = after the attribute x", 1, 5),
        ("<a x=1/>", "expected a quoted value for the attribute x", 1, 6),
        ("<a x='1'y='2'/>", "expected white space before the attribute y", 1, 9),
        ("<a x='1' x='2'/>", "the attribute x comes twice", 1, 10),
        ("<a =''/>", "expected an attribute's name", 1, 4),
        ("<a x='a<b'/>", "< can't stand in the value", 1, 8),
        ("<a x='a&b'/>", "found no ;", 1, 8),
        ("<a x='&b;'/>", "the entity &b; is unknown", 1, 7),
        ("<a x='&amp;<'/>", "< can't stand in the value", 1, 12),
        ("<a>\n &b;</a>", "the entity &b; is unknown", 2, 2),
        ("<a>&b</a>", "found no ;", 1, 4),
        ("<a>&;</a>", "the entity &; is unknown", 1, 4),
        ("<a>&#0;</a>", "&#0; stands for no character", 1, 4),
        ("<a>&#x;</a>", "&#x; stands for no character", 1, 4),
        ("<a>&#+9;</a>", "&#+9; stands for no character", 1, 4),
        ("<a>&#xD800;</a>", "&#xD800; stands for no character", 1, 4),
        ("<a>&#xFFFF;</a>", "&#xFFFF; stands for no character", 1, 4),
        ("<a>&#x110000;</a>", "stands for no character", 1, 4),
        ("<a>&#99999999999;</a>", "stands for no character", 1, 4),
        ("<a>x]]>y</a>", "]]> can't stand in text", 1, 5),
        ("<a><!-- -- --></a>", "-- can't stand in a comment", 1, 9),
        ("<a><!-- x </a>", "comment not closed", 1, 4),
        ("<a><![CDATA[ ]] ></a>", "CDATA not closed", 1, 4),
        ("<a><?pi </a>", "processing instruction not closed", 1, 4),
        ("<a><? pi?></a>", "expected a name after <?", 1, 4),
        ("<a><?XML x?></a>", "the name XML after <? is reserved", 1, 4),
        ("<a><?xml version='1.0'?></a>", "can only stand at the very beginning", 1, 4),
        (" <?xml version='1.0'?><a/>", "can only stand at the very beginning", 1, 2),
        ("<?xml?><a/>", "expected a version", 1, 6),
        ("<?xml encoding='utf-8'?><a/>", "expected version first", 1, 7),
        ("<?xml version='2.0'?><a/>", "expected the XML version 1.0, found 2.0", 1, 16),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", "found the encoding ISO-8859-1", 1, 31),
        ("<?xml version='1.0' encoding='UTF-16'?><a/>", "found the encoding UTF-16", 1, 31),
        ("<?xml version='1.0' standalone='maybe'?><a/>", "expected standalone to be yes or no", 1, 33),
        ("<a><!DOCTYPE a></a>", "a DOCTYPE can only stand once", 1, 4),
        ("<!DOCTYPE a><!DOCTYPE a><a/>", "a DOCTYPE can only stand once", 1, 13),
        ("<!doctype a><a/>", "expected <!DOCTYPE in capitals", 1, 1),
        ("<!DOCTYPE a [<a/>", "DOCTYPE not closed", 1, 1),
        ("<a>\u{1}</a>", "found the control character U+0001", 1, 4),
        ("\u{FEFF}\u{FEFF}<a/>", "found a second mark", 1, 4),
        ("\u{FEFF}<a>\n</b>", "expected </a>, found </b>", 2, 1),
    ];
    for (document, message, line, column) in cases {
        let error = Node::parse(document).expect_err(document);
        assert!(error.message().contains(message), "{document:?} gives {error}");
        let local = error.local().unwrap();
        assert_eq!((local.line, local.column), (line, column), "{document:?} gives {error}");
    }
}

#[test]
fn what_is_no_utf8_is_refused_with_its_byte() {
    assert_eq!(
        refused(&b"<a>\n\xE4</a>"[..]),
        "expected UTF-8, found a byte that is not (in the record: line 2, column 1, byte 4)"
    );
    for document in [&b"<a \xFF='1'/>"[..], b"<\xC3/>", b"<a><!-- \x80 --></a>", b"<a>\xF0\x9F\x98</a>", b"<a></a>\xC0"]
    {
        assert!(refused(document).contains("expected UTF-8, found a byte that is not"), "{document:?}");
    }
    for document in [&b"\xFE\xFF\0<\0a"[..], b"\xFF\xFE<\0a\0", b"<\0a\0/\0>\0"] {
        assert!(refused(document).contains("found the encoding UTF-16"), "{document:?}");
    }
}

#[test]
fn a_reference_to_an_entity_of_a_dtd_is_refused_and_nothing_is_opened() {
    let bomb = "<!DOCTYPE a [<!ENTITY x 'lol'><!ENTITY y '&x;&x;&x;'><!ENTITY z SYSTEM 'file:///etc/passwd'>]>";
    assert_eq!(Node::parse(format!("{bomb}<a>b</a>")).unwrap().text_of("."), Some("b"));
    for entity in ["x", "y", "z"] {
        let error = refused(format!("{bomb}<a>&{entity};</a>"));
        assert!(error.contains(&format!("the entity &{entity}; is unknown")), "{error}");
        let error = refused(format!("{bomb}<a k='&{entity};'/>"));
        assert!(error.contains(&format!("the entity &{entity}; is unknown")), "{error}");
    }
    assert_eq!(Node::parse(format!("{DOCTYPE}<order>b</order>")).unwrap().text_of("."), Some("b"));
}

#[test]
fn limits_are_kept_to_the_one() {
    let limits = Limits { record: 64, depth: 3, attributes: 2 };
    let read = |document: String| Node::parse_within(document, &limits).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(read("<a><b><c/></b></a>".into()), Ok(()));
    assert_eq!(read("<a><b></b><b></b><b></b><b><c></c></b></a>".into()), Ok(()));
    let error = read("<a><b><c>\n<d/></c></b></a>".into()).unwrap_err();
    assert_eq!(error, "elements are nested deeper than the limit of 3 (in the record: line 2, column 1, byte 10)");
    assert_eq!(read("<a x='' y=''/>".into()), Ok(()));
    let error = read("<a x='' y='' z=''/>".into()).unwrap_err();
    assert_eq!(
        error,
        "the element has more attributes than the limit of 2 (in the record: line 1, column 14, byte 13)"
    );
    assert_eq!(read(format!("<a>{}</a>", "x".repeat(57))), Ok(()));
    let error = read(format!("<a>{}</a>", "x".repeat(58))).unwrap_err();
    assert_eq!(error, "the record has 65 bytes, more than the limit of 64 (in the record: line 1, column 65, byte 64)");
}

#[test]
fn depth_and_attributes_are_only_bounded_by_the_limits() {
    let deep = format!("{}x{}", "<a>".repeat(1_000), "</a>".repeat(1_000));
    assert!(refused(deep.clone()).contains("deeper than the limit of 128"));
    let limits = Limits { depth: 1_000, attributes: 10_000, ..Limits::default() };
    let node = Node::parse_within(deep, &limits).unwrap();
    assert_eq!(node.text_of(["a"; 999].join("/")), Some("x"));

    let attributes: String = (0..10_000).map(|index| format!(" k{index}='{index}'")).collect();
    assert!(refused(format!("<a{attributes}/>")).contains("more attributes than the limit of 256"));
    let node = Node::parse_within(format!("<a{attributes}/>"), &limits).unwrap();
    assert_eq!(node.text_of("@k9999"), Some("9999"));
    let twice = attributes.replace("k9999=", "k77=");
    let error = Node::parse_within(format!("<a{twice}/>"), &limits).unwrap_err();
    assert_eq!(error.message(), "the attribute k77 comes twice");
    assert_eq!(error.local().unwrap().byte as usize, 2 + twice.rfind(" k77=").unwrap() + 1);
}

#[test]
fn cdata_is_text_as_it_stands() {
    let text = |document: &'static str| Node::parse(document).unwrap().root().text().to_owned();
    assert_eq!(text("<a><![CDATA[]]></a>"), "");
    assert_eq!(text("<a><![CDATA[<b>&amp;</b>]]></a>"), "<b>&amp;</b>");
    assert_eq!(text("<a><![CDATA[]]]]></a>"), "]]");
    assert_eq!(text("<a><![CDATA[a]]><![CDATA[b]]> c</a>"), "ab c");
    assert_eq!(text("<a>x<![CDATA[]]]]><![CDATA[>]]>y</a>"), "x]]>y");
    assert_eq!(text("<a> <b>no</b> \n<!-- no -->z</a>"), "  \nz");
}

#[test]
fn line_ends_and_white_space_are_as_xml_wants_them() {
    let node = Node::parse("<a k='1\r\n2\t3\n4&#10;5'>x\r\ny\rz&#13;<![CDATA[\r\n]]></a>").unwrap();
    assert_eq!(node.root().text(), "x\ny\nz\r\n");
    assert_eq!(node.text_of("@k"), Some("1 2 3 4\n5"));
}

#[test]
fn the_decoder_shares_the_bytes_and_takes_back_what_fails() {
    let mut column = Recycled::<Node>::default();
    let block = Bytes::from_static(b"<a>1</a><b><c>2</c></b>");
    let decoder = XmlDecoder::default();
    decoder.decode(block.slice(..8), &mut column).unwrap();
    decoder.decode(block.slice(..7), &mut column).unwrap_err();
    decoder.decode(block.slice(8..), &mut column).unwrap();
    assert_eq!(column.len(), 2);
    assert_eq!(column.as_slice()[0].bytes().as_ptr(), block.as_ptr());
    assert_eq!(column.as_slice()[1].text_of("c"), Some("2"));
    assert_eq!((decoder.name(), XmlEncoder.name()), ("XML-DECODER".into(), "XML-ENCODER".into()));
}

#[test]
fn the_coders_are_listed() {
    let names: Vec<_> = crate::xml::coders().into_iter().map(|coder| format!("{coder:?}")).collect();
    assert_eq!(names, ["XML-DECODER: Bytes -> Node (Decode, cost 10)", "XML-ENCODER: Node -> Bytes (Encode, cost 10)"]);
}
