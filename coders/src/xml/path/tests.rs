use proptest::prelude::*;

use super::super::samples::{NAMES, document};
use super::*;

#[test]
fn paths_are_checked_and_the_message_says_what_is_wrong() {
    for path in ["a", "a/b", "a/@b", "@b", ".", "x:a/x:b/@x:c", "ä/b-c.d_1"] {
        assert_eq!(Path::parse(path).unwrap().to_string(), path);
    }
    let cases = [
        ("", "it is empty"),
        ("/a", "paths are relative to the record"),
        ("a//b", "a name is missing"),
        ("a/", "a name is missing"),
        ("@", "a name is missing"),
        ("a/@", "a name is missing"),
        ("@a/b", "the attribute @a is not its last part"),
        ("a/@b/c", "the attribute @b is not its last part"),
        ("a b", "\"a b\" is not a name"),
        ("*", "\"*\" is not a name"),
        ("a/./b", "\".\" is not a name"),
        ("./a", "\".\" is not a name"),
        ("./@a", "\".\" is not a name"),
        ("a[1]", "\"a[1]\" is not a name"),
        ("1a", "\"1a\" is not a name"),
    ];
    for (path, message) in cases {
        let error = Path::parse(path).expect_err(path).to_string();
        assert!(error.contains(message) && error.contains(&format!("{path:?}")), "{path}: {error}");
    }
}

#[test]
fn all_values_on_a_path_are_found_in_order() {
    let node = Node::parse("<r><a><b>1</b></a><b>no</b><a/><a><c><b>no</b></c><b>2</b><b k='v'>3</b></a></r>").unwrap();
    assert_eq!(node.texts("a/b").collect::<Vec<_>>(), ["1", "2", "3"]);
    assert_eq!(node.text_of("a/b/@k"), Some("v"));
    assert_eq!(node.text_of("a/c/b"), Some("no"));
    assert_eq!(node.text_of("b"), Some("no"));
    assert_eq!(node.text_of("a"), Some(""));
    let path = Path::parse("a/b").unwrap();
    assert_eq!((node.text_of(&path), node.texts(&path).count()), (Some("1"), 3));
    for none in ["c", "a/b/c", "r", "r/a", "", "/a", "a/", "a//b", "@k", "a/@k", "*"] {
        assert_eq!(node.text_of(none), None, "{none}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_values_on_a_path_are_those_of_the_naive_tree(
        (text, tree) in document(),
        names in prop::collection::vec(prop::sample::select(&NAMES[..]), 0..4),
        attribute in prop::option::of(prop::sample::select(&["id", "k", "x:k"][..])),
    ) {
        let attribute = attribute.map(|name| format!("@{name}"));
        let path = names.iter().map(|name| (*name).to_owned()).chain(attribute).collect::<Vec<_>>().join("/");
        let path = if path.is_empty() { ".".to_owned() } else { path };
        let node = Node::parse(text).unwrap();
        prop_assert_eq!(node.texts(&Path::parse(&path).unwrap()).collect::<Vec<_>>(), tree.texts(&path));
    }
}
