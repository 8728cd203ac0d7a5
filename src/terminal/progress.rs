//! The progress line: how far the input has been read, as a part of its size where that is known.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use millstream_core::declare::Pipeline;
use millstream_core::plan::{Stage, StageKind};
use millstream_core::runtime::Metrics;
use tokio::time::{Interval, MissedTickBehavior};

/// How often the counters are read.
const TICK: Duration = Duration::from_millis(100);

/// With a size: percent and the time to go.
const SIZED: &str = "{percent:>3}% {wide_bar} {bytes} of {total_bytes}, {records} records, {eta} to go{msg}";
/// Without one.
const UNSIZED: &str = "{spinner} {bytes}, {records} records, {elapsed}{msg}";

/// The progress line. Clones share it.
#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    shown: bool,
    /// Whether a fold holds what it has taken in, so that what has not settled is not what is still to be done.
    folds: bool,
}

impl Progress {
    /// A line for this pipeline; none unless standard error is a terminal, and none if records are printed to one.
    pub(super) fn new(pipeline: &Pipeline, quiet: bool) -> Self {
        let shown = !quiet && io::stderr().is_terminal() && !(prints(pipeline) && io::stdout().is_terminal());
        let bar = ProgressBar::hidden();
        if shown {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let folds = stages(pipeline).iter().any(|stage| matches!(stage.kind, StageKind::Fold { .. }));
        Self { bar, shown, folds }
    }

    /// Whether there is a line.
    pub(super) fn is_shown(&self) -> bool {
        self.shown
    }

    /// When to show something new.
    pub(super) fn ticks(&self) -> Interval {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// Shows how far it is.
    pub(super) fn show(&self, metrics: &Metrics) {
        let (records, bytes) = self.done(metrics);
        let text = match metrics.size {
            Some(size) => {
                self.bar.set_length(size);
                SIZED
            }
            None => UNSIZED,
        };
        if let Ok(style) = ProgressStyle::with_template(text) {
            let count = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{records}");
            };
            self.bar.set_style(style.with_key("records", count));
        }
        self.bar.set_position(bytes);
        self.bar.tick();
    }

    /// The records and bytes that are through: a throttle holds up what was read. Bytes are those of the average record.
    fn done(&self, metrics: &Metrics) -> (u64, u64) {
        let read = metrics.stages.first().map_or(0, |source| source.rows_in);
        if self.folds || read == 0 {
            return (read, metrics.bytes_in);
        }
        let through = read.saturating_sub(metrics.lag);
        (through, (metrics.bytes_in as f64 * through as f64 / read as f64) as u64)
    }

    /// Says that no more is read.
    pub(super) fn draining(&self) {
        self.bar.set_message(", ending");
    }

    /// Writes something else to the terminal.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.shown { self.bar.suspend(write) } else { write() }
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Whether the pipeline's records go to standard output.
fn prints(pipeline: &Pipeline) -> bool {
    let sink = stages(pipeline).last();
    sink.is_some_and(|stage| matches!(&stage.kind, StageKind::Sink(traits) if traits.kind == "STD-OUT"))
}

fn stages(pipeline: &Pipeline) -> &[Stage] {
    &pipeline.declaration().stages
}

#[cfg(test)]
mod tests {
    use millstream_core::runtime::StageMetrics;

    use super::*;

    fn done(folds: bool, read: u64, lag: u64) -> (u64, u64) {
        let source = StageMetrics { rows_in: read, ..StageMetrics::default() };
        let metrics = Metrics { stages: vec![source], bytes_in: read * 10, lag, ..Metrics::default() };
        Progress { bar: ProgressBar::hidden(), shown: false, folds }.done(&metrics)
    }

    #[test]
    fn what_is_still_in_flight_is_not_done() {
        assert_eq!(done(false, 1_000, 250), (750, 7_500));
        assert_eq!(done(false, 0, 0), (0, 0));
    }

    #[test]
    fn what_a_fold_holds_is_done() {
        assert_eq!(done(true, 1_000, 1_000), (1_000, 10_000));
    }

    #[test]
    fn both_lines_are_templates() {
        assert!(ProgressStyle::with_template(SIZED).is_ok() && ProgressStyle::with_template(UNSIZED).is_ok());
    }
}
