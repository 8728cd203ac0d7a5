use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::nowhere::Nowhere;
use super::*;
use crate::data::{EventTime, Partition, Times};

/// How many records there are.
const ALL: u64 = 40;

#[derive(Debug, Clone)]
enum Act {
    Settle(Range<u64>),
    Unsettle(Range<u64>),
    Hold(u64),
    /// Of those that were ever asked for.
    Release(usize),
    Seal(u64),
}

/// Every record by itself.
#[derive(Default)]
struct Model {
    settled: BTreeSet<u64>,
    holds: Vec<Option<u64>>,
    seal: Option<u64>,
}

impl Model {
    fn at(&self) -> u64 {
        let settled = (0..).find(|record| !self.settled.contains(record)).unwrap_or(0);
        let held = self.holds.iter().flatten().copied().min().unwrap_or(u64::MAX);
        settled.min(held).min(self.seal.unwrap_or(u64::MAX))
    }
}

fn some() -> impl Strategy<Value = Range<u64>> {
    (0..ALL, 0..8_u64).prop_map(|(start, len)| start..(start + len).min(ALL))
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => some().prop_map(Act::Settle),
        2 => some().prop_map(Act::Unsettle),
        2 => (0..ALL).prop_map(Act::Hold),
        2 => (0..8_usize).prop_map(Act::Release),
        1 => (ALL / 2..ALL).prop_map(Act::Seal),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn is_where_a_model_of_every_record_says(acts in prop::collection::vec(act(), 0..60)) {
        let (mut prefix, mut model) = (Prefix::default(), Model::default());
        for act in acts {
            match act {
                Act::Settle(records) => {
                    prefix.settle(records.clone());
                    model.settled.extend(records);
                }
                Act::Unsettle(records) => {
                    prefix.unsettle(records.clone());
                    model.settled.retain(|record| !records.contains(record));
                }
                Act::Hold(record) => {
                    prefix.hold(record, HoldId(model.holds.len() as u64));
                    let holds = record >= model.at();
                    model.holds.push(holds.then_some(record));
                }
                Act::Release(hold) => {
                    prefix.release(HoldId(hold as u64));
                    model.holds.get_mut(hold).and_then(Option::take);
                }
                Act::Seal(record) => {
                    prefix.seal(record);
                    model.seal = Some(model.seal.map_or(record, |seal| seal.min(record)));
                }
            }
            prop_assert_eq!(prefix.at(), model.at());
        }
    }
}

/// A piece of a batch that begins at this record.
fn came(prefix: &mut Prefix, first: u64, records: Range<u64>) {
    let shared = Shared {
        stage: "SOURCE".into(),
        partition: Partition::new("p"),
        instance: 0,
        epoch: 0,
        first,
        len: 100,
        times: Times::Uniform(EventTime { micros: 0, ingested: true }),
        marks: Arc::new(Nowhere),
        raw: None,
        late: false,
        turns: None,
        dealt: None,
    };
    prefix.came(&shared, records);
}

fn count(prefix: &Prefix) -> Option<u32> {
    prefix.mark().map(|(_, count)| count)
}

#[test]
fn a_place_is_told_by_the_batch_that_it_lies_in_or_just_behind() {
    let mut prefix = Prefix::default();
    came(&mut prefix, 0, 0..10);
    came(&mut prefix, 10, 10..15);
    came(&mut prefix, 10, 15..20);
    assert_eq!(count(&prefix), None, "nothing has settled");
    for (upto, told) in [(4, 4), (10, 10), (12, 2), (15, 5), (16, 6), (20, 10)] {
        prefix.settle(0..upto);
        assert_eq!(count(&prefix), Some(told), "before record {upto}");
    }
    prefix.settle(0..25);
    assert_eq!(count(&prefix), None, "what settled there never came");
}

#[test]
fn a_hold_marks_its_own_place() {
    let mut prefix = Prefix::default();
    came(&mut prefix, 0, 0..10);
    prefix.hold(3, HoldId(1));
    prefix.settle(0..10);
    assert_eq!((prefix.at(), count(&prefix)), (3, Some(3)));
    prefix.release(HoldId(1));
    assert_eq!((prefix.at(), count(&prefix)), (10, Some(10)));
}
