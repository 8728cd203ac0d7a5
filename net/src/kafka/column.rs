//! [`MessageColumn`]: a batch of messages in one shared block.
//!
//! A row of the block is a message's key, its value and its headers, one behind the other:
//!
//! ```text
//! key | value | { name length u32 | name | value length u32, or 2^32-1 for none | value } for each header
//! ```
//!
//! Lengths are little-endian. How long key and value are, and whether there are any, stands beside the block.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::data::{Column, Originals, Packed, Range32};

use super::message::{Header, Message, Origin};

/// The length of what isn't there.
const NONE: u32 = u32::MAX;

/// A batch of messages.
#[derive(Debug, Clone, Default)]
pub struct MessageColumn {
    bytes: Packed<Bytes>,
    heads: Vec<Head>,
}

/// What stands beside the block.
#[derive(Debug, Clone)]
struct Head {
    key: u32,
    value: u32,
    timestamp: Option<i64>,
    origin: Option<Origin>,
}

/// A message within its batch.
#[derive(Debug, Clone, Copy)]
pub struct MessageView<'a> {
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// When it happened, in milliseconds since the Unix epoch.
    pub timestamp: Option<i64>,
    /// Where it was read.
    pub origin: Option<&'a Origin>,
    headers: &'a [u8],
}

impl<'a> MessageView<'a> {
    /// The headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + use<'a> {
        let mut rest = self.headers;
        std::iter::from_fn(move || {
            let name = take(&mut rest)??;
            let value = take(&mut rest)?;
            // Only text was written as a name.
            Some((std::str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    /// Whether it has any headers.
    pub fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }
}

/// The next piece of a row's headers; `None` at their end.
fn take<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length);
    if length == NONE {
        *rest = behind;
        return Some(None);
    }
    let (piece, behind) = behind.split_at_checked(length as usize)?;
    *rest = behind;
    Some(Some(piece))
}

fn put(block: &mut Vec<u8>, piece: Option<&[u8]>) {
    match piece {
        Some(piece) => {
            block.extend_from_slice(&(piece.len() as u32).to_le_bytes());
            block.extend_from_slice(piece);
        }
        None => block.extend_from_slice(&NONE.to_le_bytes()),
    }
}

impl MessageColumn {
    /// Adds a message by copying it into the batch's block.
    pub fn append<'h>(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
        timestamp: Option<i64>,
        origin: Option<Origin>,
    ) {
        let filled = self.bytes.try_fill(|block| {
            block.extend_from_slice(key.unwrap_or_default());
            block.extend_from_slice(value.unwrap_or_default());
            for (name, value) in headers {
                put(block, Some(name.as_bytes()));
                put(block, value);
            }
            Ok::<_, std::convert::Infallible>(())
        });
        let Ok(()) = filled;
        let length = |piece: Option<&[u8]>| piece.map_or(NONE, |piece| piece.len() as u32);
        self.heads.push(Head { key: length(key), value: length(value), timestamp, origin });
    }

    /// The message in `row`.
    pub fn view(&self, row: usize) -> MessageView<'_> {
        let head = &self.heads[row];
        let (key, rest) = piece(self.bytes.get(row), head.key);
        let (value, headers) = piece(rest, head.value);
        MessageView { key, value, timestamp: head.timestamp, origin: head.origin.as_ref(), headers }
    }

    /// The messages' bytes: one row each.
    pub fn bytes(&self) -> usize {
        self.bytes.block().len()
    }

    /// Makes the block a shared one, so that messages that are taken out share it.
    pub fn freeze(&mut self) {
        self.bytes.freeze();
    }

    /// The values of all messages, sharing the block if it is a shared one. Tombstones are left out and given to `none` by
    /// their rows.
    pub fn values(&self, mut none: impl FnMut(usize)) -> Packed<Bytes> {
        let mut ranges = Vec::with_capacity(self.heads.len());
        for (row, (head, place)) in self.heads.iter().zip(self.bytes.ranges()).enumerate() {
            match head.value {
                NONE => none(row),
                length => {
                    let start = place.start + if head.key == NONE { 0 } else { head.key };
                    ranges.push(Range32 { start, end: start + length });
                }
            }
        }
        Packed::new(self.bytes.share_block(), ranges)
    }

    fn owned(&self, row: usize) -> Message {
        let head = &self.heads[row];
        let whole = self.bytes.share(row);
        let cut = |from: usize, length: u32| match length {
            NONE => None,
            length => Some(whole.slice(from..from + length as usize)),
        };
        let key_len = if head.key == NONE { 0 } else { head.key as usize };
        let headers = self.view(row).headers().map(|(name, value)| Header {
            name: name.to_owned(),
            value: value.map(|value| whole.slice_ref_or_copy(value)),
        });
        Message {
            key: cut(0, head.key),
            value: cut(key_len, head.value),
            headers: headers.collect(),
            timestamp: head.timestamp,
            origin: head.origin.clone(),
        }
    }
}

/// Shares what lies in the same block; copies what doesn't.
trait ShareOrCopy {
    fn slice_ref_or_copy(&self, part: &[u8]) -> Bytes;
}

impl ShareOrCopy for Bytes {
    fn slice_ref_or_copy(&self, part: &[u8]) -> Bytes {
        let within = self.as_ptr_range();
        match within.contains(&part.as_ptr()) && part.as_ptr_range().end <= within.end {
            true => self.slice_ref(part),
            false => Bytes::copy_from_slice(part),
        }
    }
}

/// The first `length` bytes of `bytes`, if there are such, and the rest.
fn piece(bytes: &[u8], length: u32) -> (Option<&[u8]>, &[u8]) {
    if length == NONE {
        return (None, bytes);
    }
    let (piece, rest) = bytes.split_at(length as usize);
    (Some(piece), rest)
}

impl Column for MessageColumn {
    type Item = Message;

    fn len(&self) -> usize {
        self.heads.len()
    }

    fn push(&mut self, item: Message) {
        let headers = item.headers.iter().map(|header| (header.name.as_str(), header.value.as_deref()));
        self.append(item.key.as_deref(), item.value.as_deref(), headers, item.timestamp, item.origin.clone());
    }

    fn with<R>(&self, row: usize, look: impl FnOnce(&Message) -> R) -> R {
        look(&self.owned(row))
    }

    fn drain(&mut self) -> impl Iterator<Item = Message> + '_ {
        let mut taken = std::mem::take(self);
        taken.freeze();
        (0..taken.heads.len()).map(move |row| taken.owned(row))
    }

    fn select(&mut self, rows: &[u32]) {
        self.bytes.select(rows);
        let mut row = 0;
        let mut kept = rows.iter().peekable();
        self.heads.retain(|_| {
            let keep = kept.next_if(|&&kept| kept == row).is_some();
            row += 1;
            keep
        });
    }

    fn split_off(&mut self, row: usize) -> Self {
        Self { bytes: self.bytes.split_off(row), heads: self.heads.split_off(row) }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.heads.clear();
    }

    fn weight(&self) -> usize {
        self.bytes.weight() + self.heads.len() * size_of::<Head>()
    }

    fn originals(&self) -> Option<Arc<dyn Originals>> {
        Some(Arc::new(self.clone()))
    }
}

impl MessageColumn {
    /// Where messages of this topic and partition are read.
    pub fn origin(topic: &Arc<str>, partition: i32, offset: i64) -> Origin {
        Origin { topic: topic.clone(), partition, offset }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some_bytes() -> impl Strategy<Value = Option<Bytes>> {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from))
    }

    pub(in crate::kafka) fn messages() -> impl Strategy<Value = Vec<Message>> {
        let header = ("[a-z]{0,4}", some_bytes()).prop_map(|(name, value)| Header { name, value });
        let origin = (0..9_i32, any::<i64>()).prop_map(|(partition, offset)| Origin {
            topic: "orders".into(),
            partition,
            offset,
        });
        let headers = proptest::collection::vec(header, 0..3);
        let whole = (some_bytes(), some_bytes(), headers, any::<Option<i64>>(), proptest::option::of(origin));
        let message = whole.prop_map(|(key, value, headers, timestamp, origin)| Message {
            key,
            value,
            headers,
            timestamp,
            origin,
        });
        proptest::collection::vec(message, 0..12)
    }

    fn column(messages: &[Message]) -> MessageColumn {
        let mut column = MessageColumn::default();
        messages.iter().cloned().for_each(|message| column.push(message));
        column
    }

    fn all(column: &MessageColumn) -> Vec<Message> {
        (0..column.len()).map(|row| column.with(row, Message::clone)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_column_is_as_a_list_of_messages(list in messages(), mask in any::<u16>(), at in 0..12_usize) {
            let mut whole = column(&list);
            prop_assert_eq!(all(&whole), list.clone());
            let rows: Vec<u32> = (0..list.len() as u32).filter(|row| mask >> row & 1 == 1).collect();
            let mut selected = column(&list);
            selected.select(&rows);
            let expected: Vec<_> = rows.iter().map(|&row| list[row as usize].clone()).collect();
            prop_assert_eq!(all(&selected), expected);
            let at = at.min(list.len());
            let mut rest = whole.split_off(at);
            prop_assert_eq!(all(&whole), list[..at].to_vec());
            prop_assert_eq!(rest.drain().collect::<Vec<_>>(), list[at..].to_vec());
            prop_assert!(rest.is_empty());
            whole.clear();
            prop_assert!(whole.is_empty() && whole.bytes() == 0);
        }
    }

    #[test]
    fn nothing_is_another_thing_than_what_is_empty() {
        let mut list = vec![Message::new(""), Message::tombstone(""), Message::default()];
        list[0].headers.push(Header { name: "a".into(), value: None });
        list[1].headers.push(Header { name: "a".into(), value: Some(Bytes::new()) });
        let column = column(&list);
        assert_eq!(all(&column), list);
        assert_eq!(column.view(0).value, Some(&[][..]));
        assert_eq!((column.view(1).key, column.view(1).value), (Some(&[][..]), None));
        assert_eq!(column.view(0).headers().collect::<Vec<_>>(), [("a", None)]);
    }
}
