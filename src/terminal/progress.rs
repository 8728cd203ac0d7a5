//! The progress line: how far the input has been read, as a part of its size where that is known.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use millstream_core::declare::Pipeline;
use millstream_core::plan::StageKind;
use millstream_core::runtime::Metrics;
use tokio::time::{Interval, MissedTickBehavior};

/// How often the counters are read.
const TICK: Duration = Duration::from_millis(100);

/// With a size: percent and the time to go.
const SIZED: &str =
    "{percent:>3}% {bar:24} {bytes}/{total_bytes}, {records} records, {binary_bytes_per_sec}, {eta} to go{msg}";
/// Without one.
const UNSIZED: &str = "{spinner} {bytes}, {records} records, {binary_bytes_per_sec}, {elapsed}{msg}";

/// The progress line. Clones share it.
#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    shown: bool,
}

impl Progress {
    /// A line for this pipeline; none unless standard error is a terminal, and none if records are printed to one.
    pub(super) fn new(pipeline: &Pipeline, quiet: bool) -> Self {
        let shown = !quiet && io::stderr().is_terminal() && !(prints(pipeline) && io::stdout().is_terminal());
        let bar = ProgressBar::hidden();
        if shown {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        Self { bar, shown }
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
        let records = metrics.stages.first().map_or(0, |source| source.rows_in);
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
        self.bar.set_position(metrics.bytes_in);
        self.bar.tick();
    }

    /// Says that no more is read.
    pub(super) fn draining(&self) {
        self.bar.set_message("; ending: what is in flight goes through");
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
    pipeline
        .declaration()
        .stages
        .last()
        .is_some_and(|stage| matches!(&stage.kind, StageKind::Sink(traits) if traits.kind == "STD-OUT"))
}
