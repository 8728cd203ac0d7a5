//! [`Folds`]: what each state of a fold has taken in, to be held against what was emitted of it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::outside::lock;
use crate::truth::Row;

/// What each state of a fold has taken in, by the number in its name.
#[derive(Default)]
pub(crate) struct Folds(Mutex<Vec<State>>);

/// A state: of one key, over one life of its fold.
#[derive(Clone)]
struct State {
    key: String,
    /// In the order in which they were taken in.
    rows: Vec<Row>,
}

impl Folds {
    /// A state takes in a row; one that is new gets its name, with which its text begins.
    pub(crate) fn takes_in(&self, state: &mut String, key: &str, text: &str) {
        let mut states = lock(&self.0);
        if state.is_empty() {
            *state = format!("s{}", states.len());
            states.push(State { key: key.to_owned(), rows: Vec::new() });
        }
        let row = Row::parse(text).expect("a fold takes in rows");
        states[name_of(state).expect("a state has a name")].rows.push(row);
    }

    /// How many states there were.
    pub(crate) fn count(&self) -> usize {
        lock(&self.0).len()
    }

    /// What is wrong with what has been emitted: it has to be what the state had taken in by then, and in the end, of the
    /// last state of each key, all that it has taken in.
    pub(crate) fn wrong(&self, landed: &[String]) -> Vec<String> {
        let states = lock(&self.0).clone();
        let mut arrived: BTreeMap<usize, usize> = BTreeMap::new();
        let mut wrong = Vec::new();
        for text in landed {
            let Some(name) = name_of(text) else { continue };
            let rows: Vec<Row> = text.split_whitespace().filter_map(Row::parse).collect();
            if !states[name].rows.starts_with(&rows) {
                wrong.push(format!("what was emitted is not what the state has taken in: {text}"));
            }
            let most = arrived.entry(name).or_default();
            *most = rows.len().max(*most);
        }
        let last: BTreeMap<&str, usize> = states.iter().enumerate().map(|(at, state)| (&*state.key, at)).collect();
        for (key, name) in last {
            let (all, arrived) = (&states[name].rows, arrived.get(&name).copied().unwrap_or_default());
            if let Some(first) = all.get(arrived) {
                let count = all.len();
                wrong.push(format!(
                    "state s{name}, the last of key {key:?}, has taken in {count} rows and emitted {arrived}: not {first}"
                ));
            }
        }
        wrong
    }
}

/// The number in the name of a state.
fn name_of(state: &str) -> Option<usize> {
    state.split_whitespace().next()?.strip_prefix('s')?.parse().ok()
}
