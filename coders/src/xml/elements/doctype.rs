//! [`Doctype`]: skips a DOCTYPE with its internal subset.

/// The most bytes of a DOCTYPE that are skipped.
pub(super) const MOST: u32 = 1 << 20;

/// A DOCTYPE whose end is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doctype {
    pub(super) part: Part,
    /// How many bytes of it have been skipped.
    pub(super) seen: u32,
}

/// The part of a DOCTYPE that the scan stands in. The numbers are those of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    /// Before the internal subset.
    Head = 0,
    HeadQuoted = 1,
    HeadQuotedOnce = 2,
    /// In the internal subset, between declarations.
    Subset = 3,
    Declaration = 4,
    Quoted = 5,
    QuotedOnce = 6,
    Comment = 7,
    Instruction = 8,
    /// After the internal subset.
    Tail = 9,
}

impl Part {
    const ALL: [Self; 10] = [
        Self::Head,
        Self::HeadQuoted,
        Self::HeadQuotedOnce,
        Self::Subset,
        Self::Declaration,
        Self::Quoted,
        Self::QuotedOnce,
        Self::Comment,
        Self::Instruction,
        Self::Tail,
    ];

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// What came of looking for a DOCTYPE's end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    /// It ends before this byte.
    Ended(usize),
    /// It goes on; everything before this byte has been looked at.
    GoesOn(usize),
    /// At this byte stands something else than what is expected.
    Broken(usize, &'static str),
}

impl Doctype {
    pub(super) fn new() -> Self {
        Self { part: Part::Head, seen: 0 }
    }

    /// Looks for its end from `at` on.
    pub(super) fn skip(&mut self, data: &[u8], mut at: usize) -> Skipped {
        let from = at;
        while let Some(rest) = data.get(at..).filter(|rest| !rest.is_empty()) {
            if self.seen as usize + (at - from) > MOST as usize {
                return Skipped::Broken(at, "the DOCTYPE is larger than 1 MiB: remove its internal subset");
            }
            if rest[0] == b'>' && matches!(self.part, Part::Head | Part::Tail) {
                return Skipped::Ended(at + 1);
            }
            match self.step(rest) {
                Ok(0) => break,
                Ok(len) => at += len,
                Err(message) => return Skipped::Broken(at, message),
            }
        }
        self.seen = self.seen.saturating_add((at - from) as u32);
        Skipped::GoesOn(at)
    }

    /// Takes the next bytes, and returns how many: none if there are too few to say.
    fn step(&mut self, rest: &[u8]) -> Result<usize, &'static str> {
        use Part::*;
        let (part, len) = match (self.part, rest[0]) {
            (Head, b'"') => (HeadQuoted, 1),
            (Head, b'\'') => (HeadQuotedOnce, 1),
            (HeadQuoted, b'"') | (HeadQuotedOnce, b'\'') => (Head, 1),
            (Head, b'[') => (Subset, 1),
            (Head, b'<') => return Err("expected the end of the DOCTYPE, found <"),
            (Subset, b']') => (Tail, 1),
            (Subset, b'<') => return self.markup(rest),
            (Declaration, b'>') => (Subset, 1),
            (Declaration, b'"') => (Quoted, 1),
            (Declaration, b'\'') => (QuotedOnce, 1),
            (Quoted, b'"') | (QuotedOnce, b'\'') => (Declaration, 1),
            (Comment, b'-') => return Ok(self.close(rest, b"-->")),
            (Instruction, b'?') => return Ok(self.close(rest, b"?>")),
            (Tail, other) if !super::super::chars::is_space(other) => return Err("expected > after the DOCTYPE's ]"),
            (part, _) => (part, 1),
        };
        self.part = part;
        Ok(len)
    }

    /// What begins with `<` in the internal subset.
    fn markup(&mut self, rest: &[u8]) -> Result<usize, &'static str> {
        let (part, len) = match rest {
            [b'<', b'!', b'-', b'-', ..] => (Part::Comment, 4),
            [b'<', b'?', ..] => (Part::Instruction, 2),
            [b'<', b'!', second, _, ..] if *second != b'-' => (Part::Declaration, 2),
            [b'<'] | [b'<', b'!'] | [b'<', b'!', _] => (Part::Subset, 0),
            _ => return Err("expected a declaration in the DOCTYPE's internal subset"),
        };
        self.part = part;
        Ok(len)
    }

    /// Goes past `mark` if `rest` begins with it, else past one byte; nowhere if that can't be said yet.
    fn close(&mut self, rest: &[u8], mark: &[u8]) -> usize {
        if rest.starts_with(mark) {
            self.part = Part::Subset;
            mark.len()
        } else {
            usize::from(!mark.starts_with(rest))
        }
    }
}
