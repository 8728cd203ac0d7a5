//! Random documents for tests, with what is to be found in them: a naive tree, and the many ways to write it.

use proptest::collection::vec;
use proptest::prelude::*;

/// An element as a naive tree.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) content: Vec<Piece>,
    /// How it is written where there is a choice.
    style: u8,
}

/// What may stand in an element.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(String, u8),
    Cdata(String),
    Element(Tree),
    Comment(String),
    Instruction(String),
}

impl Tree {
    /// The element's direct text.
    pub(super) fn text(&self) -> String {
        let texts = self.content.iter().filter_map(|piece| match piece {
            Piece::Text(text, _) | Piece::Cdata(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &Self> {
        self.content.iter().filter_map(|piece| match piece {
            Piece::Element(tree) => Some(tree),
            _ => None,
        })
    }

    /// All values on a path, the naive way.
    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        if path == "." {
            return vec![self.text()];
        }
        if let Some(name) = path.strip_prefix('@') {
            return self.attributes.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect();
        }
        let (first, rest) = path.split_once('/').unwrap_or((path, "."));
        self.children().filter(|child| child.name == first).flat_map(|child| child.texts(rest)).collect()
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        for (name, value) in &self.attributes {
            let (space, equals) = if self.style & 1 == 0 { (" ", "=") } else { ("\n\t", " =\n") };
            let quote = if self.style & 2 == 0 { '"' } else { '\'' };
            out.push_str(&format!("{space}{name}{equals}{quote}"));
            write_text(value, self.style, true, out);
            out.push(quote);
        }
        if self.style & 4 == 0 {
            out.push(' ');
        }
        if self.content.is_empty() && self.style & 8 == 0 {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for piece in &self.content {
            match piece {
                Piece::Text(text, style) => write_text(text, *style, false, out),
                Piece::Cdata(text) => out.push_str(&format!("<![CDATA[{text}]]>")),
                Piece::Element(tree) => tree.write(out),
                Piece::Comment(text) => out.push_str(&format!("<!--{text}-->")),
                Piece::Instruction(text) => out.push_str(&format!("<?pi {text}?>")),
            }
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push_str(if self.style & 16 == 0 { ">" } else { " \n>" });
    }
}

fn write_text(text: &str, style: u8, value: bool, out: &mut String) {
    for character in text.chars() {
        match (character, style % 4) {
            ('<', 0) => out.push_str("&lt;"),
            ('&', 0 | 1) => out.push_str("&amp;"),
            ('"', 0) if value => out.push_str("&quot;"),
            ('\'', 0) if value => out.push_str("&apos;"),
            ('<' | '&' | '\r', _) => out.push_str(&format!("&#{};", u32::from(character))),
            ('"' | '\'' | '\n' | '\t', _) if value => out.push_str(&format!("&#x{:X};", u32::from(character))),
            ('>', _) => out.push_str("&gt;"),
            ('\n', 3) => out.push_str("\r\n"),
            ('\n', 2) => out.push('\r'),
            (_, 3) if !character.is_ascii() => out.push_str(&format!("&#x{:x};", u32::from(character))),
            _ => out.push(character),
        }
    }
}

/// A `\r` followed by a `\n` must not be written so that both are read as one.
fn joined(content: &[Piece]) -> bool {
    let mut text = String::new();
    for piece in content {
        match piece {
            Piece::Cdata(cdata) => text.push_str(cdata),
            Piece::Text(other, style) => write_text(other, *style, false, &mut text),
            _ => text.push('.'),
        }
    }
    text.contains("\r\n") && !content.iter().all(|piece| !matches!(piece, Piece::Text(_, style) if style % 4 == 2))
}

pub(super) const NAMES: [&str; 6] = ["order", "orders", "or", "a", "x:order", "ä"];

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    "[ab<>&\"'\\]\n\t\r ä€😀/]{0,12}"
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        4 => (text(), any::<u8>()).prop_map(|(text, style)| Piece::Text(text, style)),
        1 => "[ab<>&\"'\\] \nä]{0,8}|</order>|<order>|<order x='".prop_map(|text| Piece::Cdata(text.replace("]]>", "]] >"))),
        1 => "[ab<>&\"'ä ]{0,8}|</order>|<order>| - |'".prop_map(Piece::Comment),
        1 => "[ab<>&\"'ä ]{0,8}|</order>|<order>|>".prop_map(Piece::Instruction),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((prop::sample::select(&["id", "k", "x:k", "order"][..]), text()), 0..4).prop_map(|pairs| {
        let mut seen = Vec::new();
        let fresh = pairs.into_iter().filter(|(name, _)| {
            !seen.contains(name) && {
                seen.push(*name);
                true
            }
        });
        fresh.map(|(name, value)| (name.to_owned(), value)).collect()
    })
}

/// A random element.
pub(super) fn tree() -> impl Strategy<Value = Tree> {
    let leaf = element(vec(piece(), 0..4));
    leaf.prop_recursive(4, 24, 5, |inner| {
        element(vec(prop_oneof![piece(), inner.prop_map(Piece::Element)], 0..6)).boxed()
    })
}

fn element(content: impl Strategy<Value = Vec<Piece>>) -> impl Strategy<Value = Tree> {
    let content = content.prop_filter("line ends that would be read as one", |content| !joined(content));
    (name(), attributes(), content, any::<u8>()).prop_map(|(name, attributes, content, style)| Tree {
        name,
        attributes,
        content,
        style,
    })
}

/// A random document: what may stand before the root element, the root element, what may stand after it.
pub(super) fn document() -> impl Strategy<Value = (String, Tree)> {
    let start = prop::sample::select(
        &["", "\u{FEFF}", "<?xml version=\"1.0\"?>", "<?xml version='1.0' encoding='utf-8'?>"][..],
    );
    let misc = prop::sample::select(&["", "\n", "<!-- <order> -->", "<?order <order/>?>\n", "<!----> \t"][..]);
    let doctype = prop::sample::select(&["", "<!DOCTYPE order>", DOCTYPE][..]);
    (start, misc.clone(), doctype, misc.clone(), tree(), misc).prop_map(|(start, a, doctype, b, tree, c)| {
        let mut text = [start, a, doctype, b].concat();
        tree.write(&mut text);
        (text + c, tree)
    })
}

pub(super) const DOCTYPE: &str = "<!DOCTYPE order SYSTEM 'x>y.dtd' [ <!-- ]> <order> ' --> <?pi ]> ' ?>\n<!ENTITY e \"]>\" > %pe;\n\
     <!ATTLIST order k CDATA '<order>'><!ELEMENT order ANY>] >";
