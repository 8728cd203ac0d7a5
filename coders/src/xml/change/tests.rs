use proptest::prelude::*;

use super::super::samples::{NAMES, document};
use super::*;

fn order() -> Node {
    Node::parse("<!-- k --><order  id='7'\tx=\"&lt;\" ><status>new</status><void /><a>1<b/>2</a></order>\n").unwrap()
}

#[test]
fn a_change_leaves_all_other_bytes_as_they_are() {
    let mut node = order();
    node.set_text("status", "paid & <done>").unwrap();
    node.set_text("void", "x").unwrap();
    node.set_attribute(".", "id", "it's \"8\"").unwrap();
    node.set_attribute("status", "at", "noon").unwrap();
    assert_eq!(
        node.bytes(),
        "<!-- k --><order  id='it&#39;s &#34;8&#34;'\tx=\"&lt;\" ><status at=\"noon\">paid &amp; &lt;done&gt;</status>\
         <void >x</void><a>1<b/>2</a></order>\n"
    );
    assert_eq!(node.text_of("@id"), Some("it's \"8\""));
    node.set_attribute(".", "y", "1").unwrap();
    assert!(node.remove("@x").unwrap() && node.remove("status").unwrap() && node.remove("a/b").unwrap());
    assert!(!node.remove("status").unwrap() && !node.remove("@x").unwrap());
    assert_eq!(node.bytes(), "<!-- k --><order  id='it&#39;s &#34;8&#34;' y=\"1\" ><void >x</void><a>12</a></order>\n");
}

#[test]
fn what_can_not_be_changed_is_an_error_and_changes_nothing() {
    let mut node = order();
    let errors = [
        node.set_text("a", "x"),
        node.set_text("nowhere", "x"),
        node.set_text("@id", "x"),
        node.set_text("a//b", "x"),
        node.set_text("status", "\u{0}"),
        node.set_attribute("status", "a b", "x"),
        node.set_attribute("nowhere", "a", "x"),
        node.set_attribute("status", "a", "\u{1F}"),
        node.remove(".").map(|_| ()),
    ];
    let messages = [
        "a has elements in it",
        "there is no nowhere in <order>",
        "@id is an attribute: set_attribute",
        "a name is missing",
        "control character U+0000",
        "\"a b\" is not a name",
        "there is no nowhere",
        "control character U+001F",
        "root element can't be removed",
    ];
    for (error, message) in errors.into_iter().zip(messages) {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(node, order());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_set_is_read_back(
        (text, tree) in document(), name in prop::sample::select(&NAMES[..]), value in "[ab<>&\"'\\]\n\t\r ä/]{0,12}"
    ) {
        let mut node = Node::parse(text).unwrap();
        match node.set_text(name, &value) {
            Ok(()) => prop_assert_eq!(node.text_of(name), Some(&*value)),
            Err(_) => prop_assert!(tree.children().find(|child| child.name == name).is_none_or(|child| child.children().count() > 0)),
        }
        node.set_attribute(".", "k", &value).unwrap();
        prop_assert_eq!(node.text_of("@k"), Some(&*value));
        let before = node.bytes().clone();
        node.set_attribute(".", "new", &value).unwrap();
        prop_assert_eq!(node.text_of("@new"), Some(&*value));
        prop_assert!(node.remove("@new").unwrap());
        prop_assert_eq!(node.bytes(), &before);
    }
}
