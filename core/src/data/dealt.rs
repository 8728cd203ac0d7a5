//! [`Dealt`]: which of a record's rows came here, where others went elsewhere.

/// Where the rows that came in by a split by key stand among all rows of their records, those included that were dealt to
/// other instances.
#[derive(Debug, Clone)]
pub struct Dealt {
    /// The record of the span that each row came from, ascending.
    records: Vec<u32>,
    /// Each row's place within its record.
    subs: Vec<u32>,
}

impl Dealt {
    /// Rows of these records (ascending), each at this place within its record; as many of the one as of the other.
    pub fn new(records: Vec<u32>, subs: Vec<u32>) -> Self {
        debug_assert_eq!(records.len(), subs.len());
        debug_assert!(records.is_sorted(), "rows come in the order of their records");
        Self { records, subs }
    }

    /// The place within `record` of the row that is number `row` of those that came here of it.
    pub fn sub(&self, record: u32, row: u32) -> u32 {
        let first = self.records.partition_point(|&of| of < record);
        let at = first + row as usize;
        match self.records.get(at) {
            Some(&of) if of == record => self.subs[at],
            _ => row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_place_among_those_that_went_elsewhere() {
        let dealt = Dealt::new(vec![3, 3, 7], vec![1, 4, 2]);
        assert_eq!([(3, 0), (3, 1), (7, 0)].map(|(record, row)| dealt.sub(record, row)), [1, 4, 2]);
        assert_eq!((dealt.sub(3, 2), dealt.sub(5, 1)), (2, 1), "of what it wasn't told it knows nothing");
    }
}
