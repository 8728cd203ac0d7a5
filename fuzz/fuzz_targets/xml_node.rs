//! XML documents: any bytes are read or refused with a place in them; what is read keeps its bytes, also element by
//! element, is what the framing finds as one record, and stays a document when it is changed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_coders::xml::{Element, Elements, Node};
use millstream_fuzz::{How, cut};

fuzz_target!(|data: &[u8]| {
    match Node::parse(data.to_vec()) {
        Ok(node) => read(&node, data),
        Err(error) => {
            let local = error.local().expect("a place");
            assert!(local.byte <= data.len() as u64, "{error}");
        }
    }
});

fn read(node: &Node, data: &[u8]) {
    assert_eq!(&node.bytes()[..], data);
    assert!(std::str::from_utf8(data).is_ok());
    visit(node.root());
    framed(node, data);
    changed(node);
}

/// Each element is a document of its own with the same values.
fn visit(element: Element<'_>) {
    assert!(element.bytes().starts_with(format!("<{}", element.name()).as_bytes()));
    assert!(element.bytes().ends_with(b">"));
    let own = Node::parse(element.bytes().to_vec()).expect("an element is a document");
    assert_eq!((own.root().name(), own.root().text()), (element.name(), element.text()));
    assert!(own.root().attributes().eq(element.attributes()));
    for (name, value) in element.attributes() {
        assert_eq!(element.attribute(name), Some(value));
    }
    element.children().take(4).for_each(visit);
}

/// What a document is to the decoder is one record to the framing; but what stands inside a DTD is the framing's business
/// alone, which has to find its end in pieces.
fn framed(node: &Node, data: &[u8]) {
    if data.windows(9).any(|window| window == b"<!DOCTYPE") {
        return;
    }
    let cut = cut(&Elements::named(node.name()), data, &How::whole());
    assert_eq!(cut.error, None);
    assert_eq!(cut.records, [(node.root().bytes().to_vec(), false)]);
}

fn changed(node: &Node) {
    let mut other = node.clone();
    let (path, value) = ("k", "<&>\"' \t\u{e4}]]>");
    if other.set_text(".", value).is_ok() {
        assert_eq!(other.text_of("."), Some(value));
        again(&other);
    }
    if other.set_attribute(".", path, value).is_ok() {
        assert_eq!(other.text_of("@k"), Some(value));
        again(&other);
    }
}

fn again(node: &Node) {
    let read = Node::parse(node.bytes().clone()).expect("a changed document is one");
    assert_eq!(read.root().text(), node.root().text());
    assert!(read.root().attributes().eq(node.root().attributes()));
}
