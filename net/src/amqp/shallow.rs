//! [`Shallow`]: what a broker sends, so that the client can read it.
//!
//! A broker passes on what anyone has published, and looks at little of it. Of two things its client, which is ours too, would
//! not get over, so what comes is followed frame by frame and changed where it has to be:
//!
//! - Tables and lists may lie in each other, and the client reads them by calling itself: what a frame has room for (128 KiB:
//!   more than 20,000 levels) would overflow the stack of its thread, which ends the process. One that lies too deep becomes
//!   an array of bytes, whose form is the same.
//! - A text that isn't UTF-8 would end the connection, each time anew, because the message comes again. It becomes
//!   [one that is](Utf8).
//!
//! ```text
//! frame            kind u8, channel u16, size u32, payload, 0xCE                        kind: 1 method, 2 content header
//! method           class u16, method u16, …      10 10 (start): version u16, table, …
//!                                                60 50 (return): code u16, text, exchange text, key text
//!                                                60 60 (deliver): consumer text, tag u64, redelivered u8, exchange text, key text
//!                                                60 71 (get-ok): tag u64, redelivered u8, exchange text, key text, …
//! content header   class u16, weight u16, size u64, flags u16, properties     one for each flag, as PROPERTIES has them
//! text             length u8, bytes
//! table            length u32, (text, tag u8, value)*
//! list             length u32, (tag u8, value)*
//! value            S, x: length u32, bytes; A: list; F: table; others: by their size
//! ```
//!
//! A frame whose form is another one is left as it is: the client doesn't read on in it either.

use super::utf8::Utf8;

/// How many tables and lists may lie within each other, the table of all headers aside.
const DEEPEST: usize = super::value::DEEPEST + 1;

/// A part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// So many bytes.
    Bytes(u8),
    Text,
    Table,
}

/// The properties of a message, from the highest flag downwards.
const PROPERTIES: [Part; 14] = {
    use Part::{Bytes, Table, Text};
    // Content type and encoding, headers; delivery mode, priority; correlation id, reply to, expiration, message id; timestamp;
    // type, user id, application id, cluster id.
    [Text, Text, Table, Bytes(1), Bytes(1), Text, Text, Text, Text, Bytes(8), Text, Text, Text, Text]
};

/// What begins where what was passed on ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Frame,
    /// Class and method.
    Method,
    /// All of a content header that comes before its properties.
    Content,
    /// The length of a text.
    Text,
    Tag,
    /// The length of a table; else of a list.
    Entries(bool),
    /// The length of bytes.
    Bytes,
}

impl Next {
    /// In bytes.
    fn size(self) -> usize {
        match self {
            Self::Frame => 7,
            Self::Method | Self::Entries(_) | Self::Bytes => 4,
            Self::Content => 14,
            Self::Text | Self::Tag => 1,
        }
    }
}

/// Follows what a broker sends, however it is cut into pieces. See the module.
#[derive(Debug)]
pub(super) struct Shallow {
    next: Next,
    /// What has come of it.
    field: [u8; 14],
    came: usize,
    /// How many bytes of a text lie before it,
    text: usize,
    /// and how many others behind those.
    skip: u64,
    utf8: Utf8,
    /// How many bytes of the frame's payload lie behind it.
    left: u64,
    /// The parts that come behind it, the last one first.
    parts: Vec<Part>,
    /// The tables and lists that are open: how many of the payload's bytes lie behind each, and whether it is a table.
    open: Vec<(u64, bool)>,
}

impl Default for Shallow {
    fn default() -> Self {
        let (parts, open) = (Vec::new(), Vec::new());
        let (next, utf8) = (Next::Frame, Utf8::default());
        Self { next, field: [0; 14], came: 0, text: 0, skip: 0, utf8, left: 0, parts, open }
    }
}

impl Shallow {
    /// These are the next bytes.
    pub(super) fn pass(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let count = self.some(bytes);
            bytes = &mut bytes[count..];
        }
    }

    /// Passes on some of these, and returns how many.
    fn some(&mut self, bytes: &mut [u8]) -> usize {
        if self.text > 0 {
            let count = self.text.min(bytes.len());
            self.utf8.pass(&mut bytes[..count], self.text);
            self.text -= count;
            count
        } else if self.skip > 0 {
            let count = usize::try_from(self.skip).map_or(bytes.len(), |skip| skip.min(bytes.len()));
            self.skip -= count as u64;
            count
        } else if self.next == Next::Tag {
            let (tag, next) = self.tag(bytes[0]);
            bytes[0] = tag;
            self.enter(next);
            1
        } else {
            let count = (self.next.size() - self.came).min(bytes.len());
            self.field[self.came..self.came + count].copy_from_slice(&bytes[..count]);
            self.came += count;
            if self.came == self.next.size() {
                self.came = 0;
                let next = self.step();
                self.enter(next);
            }
            count
        }
    }

    /// What comes behind what has come whole; `None`: nothing more is to be seen in this frame.
    fn step(&mut self) -> Option<Next> {
        match self.next {
            Next::Frame => self.frame(),
            Next::Method => self.method(),
            Next::Content => {
                let flags = u16::from_be_bytes([self.field[12], self.field[13]]);
                let there = (0..14).rev().filter(|at| (flags << at) & 0x8000 != 0);
                self.parts.extend(there.map(|at| PROPERTIES[at]));
                self.part()
            }
            Next::Text => {
                let length = self.field[0];
                self.room().checked_sub(length.into())?;
                self.left -= u64::from(length);
                self.text = length.into();
                if self.open.is_empty() { self.part() } else { Some(Next::Tag) }
            }
            // It is read as it passes.
            Next::Tag => None,
            Next::Entries(table) => {
                let length = self.length();
                self.room().checked_sub(length)?;
                self.open.push((self.left - length, table));
                self.item()
            }
            Next::Bytes => {
                self.skip(self.length())?;
                self.item()
            }
        }
    }

    fn frame(&mut self) -> Option<Next> {
        self.left = u32::from_be_bytes([self.field[3], self.field[4], self.field[5], self.field[6]]).into();
        match self.field[0] {
            1 => Some(Next::Method),
            2 => Some(Next::Content),
            // The rest of a frame is its payload and a byte. Of a broker of another version comes no frame, but its name and
            // numbers, 8 bytes in all.
            b'A' => {
                self.left = 0;
                None
            }
            _ => None,
        }
    }

    fn method(&mut self) -> Option<Next> {
        use Part::{Bytes, Table, Text};
        let parts: &[Part] = match self.field[..4] {
            [0, 10, 0, 10] => &[Table, Bytes(2)],
            [0, 60, 0, 50] => &[Text, Text, Text, Bytes(2)],
            [0, 60, 0, 60] => &[Text, Text, Bytes(9), Text],
            [0, 60, 0, 71] => &[Text, Text, Bytes(9)],
            _ => return None,
        };
        self.parts.extend(parts);
        self.part()
    }

    /// The next part that is more than bytes.
    fn part(&mut self) -> Option<Next> {
        loop {
            match self.parts.pop()? {
                Part::Bytes(count) => self.skip(count.into())?,
                Part::Text => return Some(Next::Text),
                Part::Table => return Some(Next::Entries(true)),
            }
        }
    }

    /// What a value of this tag is passed on as, and what comes behind the tag.
    fn tag(&mut self, tag: u8) -> (u8, Option<Next>) {
        let size = match tag {
            b'A' | b'F' if self.open.len() <= DEEPEST => return (tag, Some(Next::Entries(tag == b'F'))),
            b'A' | b'F' => return (b'x', Some(Next::Bytes)),
            b'S' | b'x' => return (tag, Some(Next::Bytes)),
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'U' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            _ => return (tag, None),
        };
        (tag, self.skip(size).and_then(|()| self.item()))
    }

    /// The next thing in the innermost table or list that has not ended, or behind them all.
    fn item(&mut self) -> Option<Next> {
        while self.open.pop_if(|(behind, _)| *behind == self.left).is_some() {}
        match self.open.last() {
            Some((_, true)) => Some(Next::Text),
            Some((_, false)) => Some(Next::Tag),
            None => self.part(),
        }
    }

    /// How many bytes are left of where it stands.
    fn room(&self) -> u64 {
        self.left - self.open.last().map_or(0, |(behind, _)| *behind)
    }

    fn length(&self) -> u64 {
        u32::from_be_bytes([self.field[0], self.field[1], self.field[2], self.field[3]]).into()
    }

    /// `None`: there aren't as many where it stands.
    fn skip(&mut self, count: u64) -> Option<()> {
        self.room().checked_sub(count)?;
        self.left -= count;
        self.skip += count;
        Some(())
    }

    /// This comes next, behind what is skipped; or, where nothing does or there is no room for it, the next frame.
    fn enter(&mut self, next: Option<Next>) {
        if let Some(next) = next.filter(|next| next.size() as u64 <= self.room()) {
            self.left -= next.size() as u64;
            self.next = next;
            return;
        }
        self.skip += self.left + 1;
        self.left = 0;
        self.open.clear();
        self.parts.clear();
        self.next = Next::Frame;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A value: a number, bytes, or more values in a list or a table.
    #[derive(Debug, Clone)]
    enum Node {
        Number(u32),
        Bytes(Vec<u8>),
        Of { table: bool, nodes: Vec<Node> },
    }

    fn nodes() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            any::<u32>().prop_map(Node::Number),
            prop::collection::vec(any::<u8>(), 0..9).prop_map(Node::Bytes)
        ];
        let some = leaf.prop_recursive(4, 12, 3, |inner| {
            let nodes = prop::collection::vec(inner, 0..3);
            (any::<bool>(), nodes).prop_map(|(table, nodes)| Node::Of { table, nodes })
        });
        // Deep enough that the bound is met now and then.
        (some, prop::collection::vec(any::<bool>(), 0..40)).prop_map(|(some, kinds)| {
            kinds.into_iter().fold(some, |inner, table| Node::Of { table, nodes: vec![Node::Number(7), inner] })
        })
    }

    fn framed(bytes: &[u8], out: &mut Vec<u8>) {
        out.extend((bytes.len() as u32).to_be_bytes());
        out.extend(bytes);
    }

    /// The value with its tag, and arrays of bytes where it lies deeper than so many.
    fn write(node: &Node, deepest: usize, out: &mut Vec<u8>) {
        match node {
            Node::Number(number) => {
                out.push(b'i');
                out.extend(number.to_be_bytes());
            }
            Node::Bytes(bytes) => {
                out.push(b'S');
                framed(bytes, out);
            }
            Node::Of { table, nodes } => {
                let mut below = Vec::new();
                // What lies in such an array is what it was.
                let deeper = deepest.checked_sub(1).unwrap_or(usize::MAX);
                entries(nodes, *table, deeper, &mut below);
                let tag = if *table { b'F' } else { b'A' };
                out.push(if deepest == 0 { b'x' } else { tag });
                framed(&below, out);
            }
        }
    }

    fn entries(nodes: &[Node], table: bool, deepest: usize, out: &mut Vec<u8>) {
        for node in nodes {
            if table {
                out.extend(b"\x03key");
            }
            write(node, deepest, out);
        }
    }

    fn frame(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
        out.extend([kind, 0, 1]);
        framed(payload, out);
        out.push(0xce);
    }

    /// What a broker sends: a message with these headers and texts before them, the start of a connection with such a
    /// table, and others around them.
    fn stream(headers: &[Node], texts: u8, deepest: usize) -> Vec<u8> {
        let (mut out, mut table, mut below) = (b"AMQP\0\0\x09\x01".to_vec(), Vec::new(), Vec::new());
        entries(headers, true, deepest, &mut below);
        framed(&below, &mut table);
        frame(1, &[&[0, 10, 0, 10, 0, 9][..], &table, b"\0\0\0\x05PLAIN"].concat(), &mut out);
        frame(1, &[0, 60, 0, 60, 3, b'A', b'F', b'A'], &mut out);
        frame(1, b"\0\x3c\0\x3c\x01c\0\0\0\0\0\0\0\x07\0\0\x05k\xc3\xb6FA", &mut out);
        let flags = [0b0011_1000, 0b0111_1000, 0b1111_1000][usize::from(texts)];
        let head = [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, flags, 0][..], &b"\x02FA".repeat(texts.into())].concat();
        frame(2, &[&head[..], &table, &[2, 0]].concat(), &mut out);
        frame(3, b"AFAF", &mut out);
        frame(8, b"", &mut out);
        frame(2, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0b0001_0000, 0, 2], &mut out);
        out
    }

    /// Passes it on in pieces of these sizes, over and over.
    fn passed(mut bytes: Vec<u8>, sizes: &[usize]) -> Vec<u8> {
        let mut shallow = Shallow::default();
        let (mut rest, mut sizes) = (&mut bytes[..], sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at_mut((*sizes.next().expect("it never ends")).min(rest.len()));
            shallow.pass(piece);
            rest = more;
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(150))]

        #[test]
        fn what_lies_too_deep_becomes_bytes_and_nothing_else_changes(
            headers in prop::collection::vec(nodes(), 0..4), texts in 0_u8..3, sizes in prop::collection::vec(1_usize..40, 1..9)
        ) {
            let (sent, expected) = (stream(&headers, texts, usize::MAX), stream(&headers, texts, DEEPEST));
            prop_assert_eq!(passed(sent, &sizes), expected);
        }

        #[test]
        fn whatever_comes_it_is_changed_once_however_it_is_cut(
            headers in prop::collection::vec(nodes(), 0..4), sizes in prop::collection::vec(1_usize..40, 1..9),
            broken in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)
        ) {
            let mut sent = stream(&headers, 1, usize::MAX);
            for (at, byte) in broken {
                let at = at.index(sent.len());
                sent[at] = byte;
            }
            let whole = passed(sent.clone(), &[usize::MAX]);
            prop_assert_eq!(&passed(sent.clone(), &sizes), &whole);
            prop_assert_eq!(whole.len(), sent.len());
            prop_assert_eq!(passed(whole.clone(), &sizes), whole);
        }
    }

    #[test]
    fn texts_that_are_none_become_some() {
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        // A name of a header, one in a table, and a type behind them.
        let flags = [0b0010_0000, 0b0010_0000];
        for (text, out) in [(b"\xff", &mut sent), (b"?", &mut expected)] {
            let inner = [b"\x01", &text[..], b"tF"].concat();
            let table = [&[1][..], text, b"F", &(inner.len() as u32).to_be_bytes(), &inner].concat();
            let head = [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4][..], &flags].concat();
            let table = [&(table.len() as u32).to_be_bytes()[..], &table].concat();
            frame(2, &[&head[..], &table, &[1], text].concat(), out);
            frame(1, &[b"\0\x3c\0\x3c\x01c\0\0\0\0\0\0\0\x07\0\x01", &text[..], &[1], text].concat(), out);
        }
        for size in [1, 5, 1_000] {
            assert_eq!(passed(sent.clone(), &[size]), expected, "{size}");
        }
    }
}
