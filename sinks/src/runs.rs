//! [`runs`]: stretches of a block that can be written as they are.

use millstream_core::data::Range32;

/// A stretch of a block: records that follow each other, each but perhaps the last with the terminator behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
    /// Whether the terminator of the last record is within the run; if not it has to be written behind it.
    pub(crate) terminated: bool,
}

/// The longest stretches of `block` that hold all of `records` in order, and nothing else but `terminator` behind them.
pub(crate) fn runs<'a>(block: &'a [u8], records: &'a [Range32], terminator: &'a [u8]) -> Runs<'a> {
    // One byte is the common case, and comparing slices costs a call.
    let byte = match terminator {
        [byte] => Some(*byte),
        _ => None,
    };
    Runs { block, records, terminator, byte }
}

/// What [`runs`] returns.
pub(crate) struct Runs<'a> {
    block: &'a [u8],
    /// Those that are in no run yet.
    records: &'a [Range32],
    terminator: &'a [u8],
    /// The terminator, if it is one byte.
    byte: Option<u8>,
}

impl Runs<'_> {
    /// Whether the terminator stands at `end`.
    #[inline]
    fn terminated(&self, end: usize) -> bool {
        match self.byte {
            Some(byte) => self.block.get(end) == Some(&byte),
            None => self.block[end..].starts_with(self.terminator),
        }
    }
}

impl Iterator for Runs<'_> {
    type Item = Run;

    #[inline]
    fn next(&mut self) -> Option<Run> {
        let start = self.records.first()?.start as usize;
        let mut end = start;
        for (at, record) in self.records.iter().enumerate() {
            if record.start as usize != end {
                self.records = &self.records[at..];
                return Some(Run { start, end, terminated: true });
            }
            end = record.end as usize;
            if !self.terminated(end) {
                self.records = &self.records[at + 1..];
                return Some(Run { start, end, terminated: false });
            }
            end += self.terminator.len();
        }
        self.records = &[];
        Some(Run { start, end, terminated: true })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(block: &[u8], records: &[Range32], terminator: &[u8]) -> (Vec<u8>, usize) {
        let (mut out, mut count) = (Vec::new(), 0);
        for run in runs(block, records, terminator) {
            out.extend_from_slice(&block[run.start..run.end]);
            if !run.terminated {
                out.extend_from_slice(terminator);
            }
            count += 1;
        }
        (out, count)
    }

    fn lines(block: &[u8]) -> Vec<Range32> {
        let mut start = 0;
        let mut ranges = Vec::new();
        for line in block.split_inclusive(|&byte| byte == b'\n') {
            let end = start + line.strip_suffix(b"\n").unwrap_or(line).len();
            ranges.push(Range32 { start: start as u32, end: end as u32 });
            start += line.len();
        }
        ranges
    }

    #[test]
    fn a_block_of_lines_is_one_run() {
        let block = b"one\ntwo\n\nfour\n";
        let all: Vec<_> = runs(block, &lines(block), b"\n").collect();
        assert_eq!(all, [Run { start: 0, end: block.len(), terminated: true }]);
    }

    #[test]
    fn a_gap_and_a_missing_end_each_cut_a_run() {
        let block = b"one\ntwo\nthree\nfour";
        let mut kept = lines(block);
        kept.remove(1);
        let all: Vec<_> = runs(block, &kept, b"\n").collect();
        assert_eq!(
            all,
            [Run { start: 0, end: 4, terminated: true }, Run { start: 8, end: block.len(), terminated: false }]
        );
    }

    proptest! {
        /// Records anywhere in a block of few different bytes, so that terminators turn up everywhere: between records,
        /// within them, at their beginnings.
        #[test]
        fn runs_write_what_a_record_at_a_time_writes(
            block in prop::collection::vec(prop::sample::select(b"a\r\n".to_vec()), 0..40),
            cuts in prop::collection::vec(0usize..40, 0..16),
            terminator in prop::sample::select(vec![&b"\n"[..], b"\r\n", b"", b"aa"]),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(block.len()) as u32).collect();
            cuts.sort_unstable();
            let records: Vec<_> = cuts.chunks_exact(2).map(|cut| Range32 { start: cut[0], end: cut[1] }).collect();
            let mut naive = Vec::new();
            for record in &records {
                naive.extend_from_slice(&block[record.start as usize..record.end as usize]);
                naive.extend_from_slice(terminator);
            }
            prop_assert_eq!(written(&block, &records, terminator).0, naive);
        }

        #[test]
        fn neighbouring_lines_share_a_run(kept in prop::collection::vec(any::<bool>(), 1..40)) {
            let block: Vec<u8> = (0..kept.len()).flat_map(|line| format!("{line}\n").into_bytes()).collect();
            let records: Vec<_> =
                lines(&block).into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(line, _)| line).collect();
            let stretches = kept.chunk_by(|a, b| a == b).filter(|chunk| chunk[0]).count();
            prop_assert_eq!(written(&block, &records, b"\n").1, stretches);
        }
    }
}
