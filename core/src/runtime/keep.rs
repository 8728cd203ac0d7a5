//! The bytes of typed records, kept for dead letters where the plan says that there may be any.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::contracts::{Code, Faults, Halt};
use crate::data::{AnyColumn, Bytes, Form, Marks, Original, Originals, Packed, Position};
use crate::plan::{Graph, StageId};

/// Makes bytes of what an origin emits; makes none where no letter can need them.
pub(super) struct KeepBytes {
    coders: Option<Vec<(Box<dyn Code>, Form)>>,
    /// Whether one of them may wait for something outside.
    waits: bool,
    /// Whether letters are made of records as they were, too.
    originals: bool,
}

impl KeepBytes {
    /// What the graph asks for of what `stage` emits; coders that wait give up by `halt`.
    pub(super) fn of(graph: &Graph, stage: StageId, halt: &Halt) -> Self {
        let keep = graph.keep_bytes.iter().find(|keep| keep.stage == stage);
        let coder = |&coder: &usize| {
            let mut code = (graph.coders[coder].make)();
            code.halt_by(halt);
            (code, graph.coders[coder].to.clone())
        };
        let waits = keep.is_some_and(|keep| keep.coders.iter().any(|&coder| graph.coders[coder].waits));
        let originals = keep.is_some_and(|keep| keep.originals);
        Self { coders: keep.map(|keep| keep.coders.iter().map(coder).collect()), waits, originals }
    }

    /// The bytes, and marks that are not shown them as the block that was emitted, because they were made here, and that
    /// know the records as they were.
    pub(super) fn keep(
        &mut self,
        column: &dyn AnyColumn,
        marks: Arc<dyn Marks>,
    ) -> (Option<Packed<Bytes>>, Arc<dyn Marks>) {
        match self.bytes(column) {
            Some(bytes) => {
                let originals = self.originals.then(|| column.kept()).flatten();
                (Some(bytes), Arc::new(Blockless { marks, originals }))
            }
            None => (None, marks),
        }
    }

    /// The bytes; a record that can't be encoded has none.
    ///
    /// What waits meanwhile holds up its own task alone, where the runtime has other threads for the rest.
    pub(super) fn bytes(&mut self, column: &dyn AnyColumn) -> Option<Packed<Bytes>> {
        let threads = || Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
        if self.waits && threads() {
            return tokio::task::block_in_place(|| self.made(column));
        }
        self.made(column)
    }

    fn made(&mut self, column: &dyn AnyColumn) -> Option<Packed<Bytes>> {
        let coders = self.coders.as_mut()?;
        let mut made: Option<Box<dyn AnyColumn>> = None;
        let mut alive: Vec<u32> = (0..column.rows() as u32).collect();
        for (code, form) in coders {
            let (mut next, mut faults) = (form.empty(), Faults::new());
            code.code(made.as_deref().unwrap_or(column), &mut *next, &mut faults);
            let failed: HashSet<u32> = faults.iter().map(|&(row, _)| row).collect();
            let mut row = 0;
            alive.retain(|_| {
                row += 1;
                !failed.contains(&(row - 1))
            });
            made = Some(next);
        }
        let packed: &Packed<Bytes> = made.as_deref().unwrap_or(column).cast()?;
        Some(if alive.len() == column.rows() { packed.clone() } else { spread(packed, &alive, column.rows()) })
    }
}

/// Row i of `packed` becomes row `rows[i]` of as many as there are in `all`; the others are empty.
fn spread(packed: &Packed<Bytes>, rows: &[u32], all: usize) -> Packed<Bytes> {
    let mut spread = Packed::default();
    let mut next = 0;
    for row in 0..all as u32 {
        if rows.get(next) == Some(&row) {
            spread.append_bytes(packed.get(next));
            next += 1;
        } else {
            spread.append_bytes(&[]);
        }
    }
    debug_assert_eq!(spread.len(), all);
    spread
}

/// Marks of records that were not emitted in a block.
struct Blockless {
    marks: Arc<dyn Marks>,
    originals: Option<Arc<dyn Originals>>,
}

impl Marks for Blockless {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        self.marks.position(count)
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        self.marks.place(index, &[], 0)
    }

    fn original(&self, index: u32) -> Original {
        self.originals.as_ref().map(|originals| originals.original(index as usize)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
    use std::time::Duration;

    use super::*;
    use crate::contracts::{CodeError, Coder, Kind};
    use crate::data::{Column as _, Data, Typed};
    use crate::plan;

    /// Waits for what never comes.
    #[derive(Default)]
    struct Waiting(Option<Halt>);

    impl Code for Waiting {
        fn halt_by(&mut self, halt: &Halt) {
            self.0 = Some(halt.clone());
        }

        fn code(&mut self, from: &dyn AnyColumn, _: &mut dyn AnyColumn, faults: &mut Faults) {
            let halt = self.0.as_ref().expect("it was told when to give up");
            while !halt.is_due() {
                std::thread::yield_now();
            }
            faults.extend((0..from.rows() as u32).map(|row| (row, CodeError::new("given up").into())));
        }
    }

    /// A graph whose first stage's bytes are made by a coder that waits.
    fn graph() -> Graph {
        let (name, from, to) = ("WAITING".to_owned(), u64::form(), Bytes::form());
        let make = Arc::new(|| Box::<Waiting>::default() as Box<dyn Code>);
        let waiting = Coder { name, from, to, kind: Kind::Encode, cost: 10, heavy: false, waits: true, make };
        Graph {
            stages: Vec::new(),
            coders: vec![waiting],
            tasks: Vec::new(),
            channels: Vec::new(),
            network: Vec::new(),
            keep_bytes: vec![plan::KeepBytes { stage: 0, coders: vec![0], originals: false }],
            emits: u64::form(),
        }
    }

    fn one() -> Typed<u64> {
        let mut column = Typed::<u64>::default();
        column.push(7);
        column
    }

    #[test]
    fn a_coder_that_waits_to_keep_bytes_gives_up_when_the_run_breaks_off() {
        let asked = Arc::new(AtomicUsize::new(0));
        let halt = Halt::when(move || asked.fetch_add(1, Relaxed) == 3);
        let kept = KeepBytes::of(&graph(), 0, &halt).bytes(&one()).expect("bytes for each");
        assert_eq!((kept.len(), kept.get(0).len()), (1, 0), "it has none");
    }

    #[test]
    fn a_coder_that_waits_to_keep_bytes_holds_up_nothing_else_where_there_are_threads() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let done = Arc::new(AtomicBool::new(false));
        let (halt, other) = (done.clone(), done);
        let waits = runtime.spawn(async move {
            // It waits for what another task does, which has the same thread.
            tokio::spawn(async move { other.store(true, Relaxed) });
            KeepBytes::of(&graph(), 0, &Halt::when(move || halt.load(Relaxed))).bytes(&one()).is_some()
        });
        let waited = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), waits).await });
        runtime.shutdown_background();
        assert!(waited.expect("it does not wait for ever").expect("it does not panic"));
    }
}
