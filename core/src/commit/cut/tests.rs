use proptest::prelude::*;

use super::*;

/// What became of one batch that the sink was given.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Batch {
    Waiting,
    Settled,
    Committed,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Ask,
    Feed,
    Settle,
    Commit,
}

#[derive(Debug, Default)]
struct Model {
    asked: bool,
    batches: Vec<Batch>,
}

impl Model {
    fn is_ready(&self) -> bool {
        self.asked && !self.batches.contains(&Batch::Waiting)
    }

    /// A caller that keeps the rules does nothing that may not be done now.
    fn may(&self, act: Act) -> bool {
        match act {
            Act::Ask => true,
            Act::Feed => !self.asked,
            Act::Settle => self.batches.contains(&Batch::Waiting),
            Act::Commit => self.is_ready(),
        }
    }

    fn apply(&mut self, cut: &mut Cut, act: Act) {
        match act {
            Act::Ask => {
                cut.ask();
                self.asked = true;
            }
            Act::Feed => {
                cut.fed();
                self.batches.push(Batch::Waiting);
            }
            Act::Settle => {
                cut.settled();
                let waiting = self.batches.iter_mut().find(|batch| **batch == Batch::Waiting);
                *waiting.expect("only a batch that waits settles") = Batch::Settled;
            }
            Act::Commit => {
                let covered = self.batches.iter().filter(|&&batch| batch == Batch::Settled).count();
                assert_eq!(cut.committed(), covered as u64);
                self.batches.fill(Batch::Committed);
                self.asked = false;
            }
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![1 => Just(Act::Ask), 4 => Just(Act::Feed), 5 => Just(Act::Settle), 3 => Just(Act::Commit)]
}

proptest! {
    #[test]
    fn a_commit_covers_exactly_what_was_fed_since_the_last(acts in prop::collection::vec(act(), 0..80)) {
        let (mut cut, mut model) = (Cut::new(), Model::default());
        for act in acts {
            if model.may(act) {
                model.apply(&mut cut, act);
            }
            prop_assert_eq!(cut.may_feed(), !model.asked);
            prop_assert_eq!(cut.is_ready(), model.is_ready());
        }
    }
}

#[test]
fn a_commit_of_nothing_is_ready_at_once_and_covers_nothing() {
    let mut cut = Cut::new();
    assert!(cut.may_feed() && !cut.is_ready());
    cut.ask();
    assert!(cut.is_ready() && !cut.may_feed());
    assert_eq!(cut.committed(), 0);
    assert!(cut.may_feed());
}

#[test]
fn nothing_is_ready_while_a_batch_waits() {
    let mut cut = Cut::new();
    cut.fed();
    cut.fed();
    cut.ask();
    cut.settled();
    assert!(!cut.is_ready());
    cut.settled();
    assert!(cut.is_ready());
    assert_eq!(cut.committed(), 2);
}
