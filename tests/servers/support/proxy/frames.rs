//! [`Frames`]: follows the frames of a protocol in what passes in one direction, so that a connection can be cut at one.
//!
//! ```text
//! Kafka, to the server   length i32 | api i16 | …             its kind is the api
//! Kafka, to the client   length i32 | …                       its kind is 0
//! AMQP                   type u8 | channel u16 | length u32 | … | 0xCE
//!   of type 1, a method                                       class u16 | method u16: its kind
//!   of type 2, 3, 8                                           its kind is the type
//! AMQP, to the server    8 bytes before the first frame
//! ```

use super::To;

/// Whose frames they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Kafka,
    Amqp,
}

/// The kind of a frame, by its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind(pub(crate) u32);

impl Kind {
    pub(crate) const PRODUCE: Self = Self(0);
    pub(crate) const FETCH: Self = Self(1);
    pub(crate) const OFFSET_COMMIT: Self = Self(8);
    pub(crate) const JOIN_GROUP: Self = Self(11);
    pub(crate) const INIT_PRODUCER_ID: Self = Self(22);
    pub(crate) const ADD_PARTITIONS_TO_TXN: Self = Self(24);
    pub(crate) const ADD_OFFSETS_TO_TXN: Self = Self(25);
    pub(crate) const END_TXN: Self = Self(26);
    pub(crate) const TXN_OFFSET_COMMIT: Self = Self(28);

    /// A message's method; its properties and its body follow.
    pub(crate) const BASIC_PUBLISH: Self = Self::method(60, 40);
    pub(crate) const BASIC_ACK: Self = Self::method(60, 80);
    pub(crate) const BASIC_NACK: Self = Self::method(60, 120);
    pub(crate) const PROPERTIES: Self = Self(2);
    pub(crate) const BODY: Self = Self(3);

    /// A method of AMQP 0.9.1.
    pub(crate) const fn method(class: u32, method: u32) -> Self {
        Self(class << 16 | method)
    }
}

/// A place in what passes, as an index behind the byte that tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// The kind of a frame is known; `first` is the frame's first byte, or 0 if that has passed before.
    Begins {
        kind: Kind,
        first: usize,
        at: usize,
    },
    Ends {
        at: usize,
    },
}

/// See the module.
pub(super) struct Frames {
    protocol: Protocol,
    to: To,
    /// What has come of a frame's head.
    head: Vec<u8>,
    /// What is still to come of a frame behind its head.
    rest: u64,
    within: bool,
}

impl Frames {
    /// From the beginning of a connection.
    pub(super) fn new(protocol: Protocol, to: To) -> Self {
        let greeting = if (protocol, to) == (Protocol::Amqp, To::Server) { 8 } else { 0 };
        Self { protocol, to, head: Vec::new(), rest: greeting, within: false }
    }

    /// What begins and ends in the next bytes.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Vec<Mark> {
        let (mut marks, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            if self.rest == 0 {
                self.head.push(bytes[at]);
                at += 1;
                let Some((kind, rest)) = self.known() else { continue };
                marks.push(Mark::Begins { kind, first: at.saturating_sub(self.head.len()), at });
                self.head.clear();
                (self.rest, self.within) = (rest, true);
            } else {
                let count = self.rest.min((bytes.len() - at) as u64);
                at += usize::try_from(count).expect("no more than there are");
                self.rest -= count;
            }
            if self.rest == 0 && std::mem::take(&mut self.within) {
                marks.push(Mark::Ends { at });
            }
        }
        marks
    }

    /// The kind of the frame that has begun and how many bytes of it are to come, once its head tells that.
    fn known(&self) -> Option<(Kind, u64)> {
        let number = |from: usize, to: usize| {
            let bytes = self.head.get(from..to)?;
            Some(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
        };
        let (kind, length) = match (self.protocol, self.to) {
            (Protocol::Kafka, To::Server) => (number(4, 6)?, 4 + u64::from(number(0, 4)?)),
            (Protocol::Kafka, To::Client) => (0, 4 + u64::from(number(0, 4)?)),
            (Protocol::Amqp, _) => {
                let length = 8 + u64::from(number(3, 7)?);
                let kind = number(0, 1)?;
                (if kind == 1 { number(7, 11)? } else { kind }, length)
            }
        };
        Some((Kind(kind), length.saturating_sub(self.head.len() as u64)))
    }
}
