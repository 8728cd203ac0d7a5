use super::*;

const ORDER: &str = "<o:order xmlns:o='urn:x' id='7'><item id='1'>a &amp; b</item><x/><item id='2'/>\n</o:order>";

#[test]
fn elements_are_found_by_their_names_as_written() {
    let node = Node::parse(ORDER).unwrap();
    assert_eq!(node.name(), "o:order");
    let root = node.root();
    assert_eq!(root.children().map(Element::name).collect::<Vec<_>>(), ["item", "x", "item"]);
    let ids: Vec<_> = root.children_named("item").map(|item| item.attribute("id")).collect();
    assert_eq!(ids, [Some("1"), Some("2")]);
    assert_eq!(root.attribute("o"), None);
    assert_eq!(root.attributes().collect::<Vec<_>>(), [("xmlns:o", "urn:x"), ("id", "7")]);
    assert_eq!(root.text(), "\n");
    assert_eq!(node.find("item").unwrap().bytes(), b"<item id='1'>a &amp; b</item>");
    assert_eq!(node.find("item").unwrap().text(), "a & b");
    assert!(node.find("items").is_none());
}

#[test]
fn an_empty_node_has_nothing() {
    let node = Node::default();
    assert_eq!((node.name(), node.root().text(), node.root().children().count()), ("", "", 0));
    assert_eq!(node.root().attribute("a"), None);
    assert_eq!((node.text_of("."), node.text_of("@a"), node.text_of("a")), (None, None, None));
    assert!(node.bytes().is_empty() && node.root().bytes().is_empty());
}

#[test]
fn nodes_are_equal_if_their_bytes_are() {
    let node = Node::parse(ORDER).unwrap();
    assert_eq!(node, node.clone());
    assert_ne!(Node::parse("<a b='1'/>").unwrap(), Node::parse("<a b=\"1\"/>").unwrap());
    assert_eq!(format!("{:?}", Node::parse("<a/>").unwrap()), "Node(<a/>)");
}

#[test]
fn a_huge_record_does_not_hold_its_memory_when_it_is_cleared() {
    let mut node = Node::parse(format!("<a>{}</a>", "<b k='&lt;'/>".repeat(20_000))).unwrap();
    node.clear();
    assert!(node.tree.entries.capacity() * size_of::<Entry>() <= Tree::KEPT);
    assert!(node.tree.attributes.capacity() * size_of::<Attribute>() <= Tree::KEPT);
    assert_eq!(node, Node::default());
}
