//! A job: lines are copied from a file to a file, and each takes its time on the way.

use std::time::Duration;

use millstream::prelude::*;

use crate::again;
use crate::cluster::Job;
use crate::inputs::lines;

/// How many lines an instance works on at once.
const AT_ONCE: usize = 100;

/// Little enough that what is lost with an instance doesn't take long to be read again.
const BLOCK: usize = 16 << 10;

/// Copies so many lines. `work`: how long one takes on average.
pub(crate) fn copies(records: u64, work: Duration) -> Job {
    let input = lines(0..records);
    let line = again::line("copying::copies_lines_as_one_instance", work.as_millis() as u64);
    Job { output: input.clone(), input, records, line }
}

/// Not a test of its own: the process that others run.
#[test]
fn copies_lines_as_one_instance() {
    let Some((instance, work)) = again::told() else { return };
    let pipeline = Pipeline::called("copies")
        .source(Files::new(["input"], Lines::default()).block_bytes(BLOCK))
        .map_async(AT_ONCE, move |line: Bytes| async move {
            tokio::time::sleep(Duration::from_millis(work / 2 + line.len() as u64 % work)).await;
            line
        })
        .sink(Output::create("output", Lines::default()))
        .store(Embedded::at(format!("state-{}", instance + 1)));
    again::run(instance, pipeline, Settings::default());
}
