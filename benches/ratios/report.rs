//! The table.

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

use std::time::Duration;

use crate::measure::{Runs, best};

/// What is aimed at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// At least so much of the loop's speed, by CPU time.
    Cpu(f64),
    /// At least so much of the loops' speed, by wall time: where several workers take part.
    Wall(f64),
    /// At least so much of the loops' speed, by wall time or by CPU time: where several processes share the cores.
    Either(f64),
    /// At most so much, in the unit of the row.
    AtMost(f64),
    /// Nothing: it is shown for information.
    None,
}

/// How a row's times are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// In milliseconds.
    Millis,
    /// In nanoseconds for each of so many records or batches.
    NanosEach(u64),
}

/// The table, printed row by row.
pub(crate) struct Report {
    /// Whether targets are judged: small inputs say nothing about them.
    judges: bool,
    met: usize,
    missed: Vec<String>,
}

impl Report {
    /// Prints the head.
    pub(crate) fn begin(runs: usize, judges: bool) -> Self {
        println!("# Millstream against hand-written loops");
        println!();
        println!("{}", platform());
        println!(
            "{runs} run(s) of each side, the sides in turn; times are best (all runs); a ratio is the loop's best time \
             over the engine's, 1.00 is as fast as the loop; CPU is that of all threads"
        );
        println!();
        let columns =
            ["row", "against", "engine CPU", "loop CPU", "ratio", "engine wall", "loop wall", "ratio", "target"];
        line(&columns.map(String::from));
        line(&columns.map(|_| "---".to_owned()));
        Self { judges, met: 0, missed: Vec::new() }
    }

    /// The engine's runs beside those of one loop.
    pub(crate) fn ratio(&mut self, row: &str, against: &str, engine: &Runs, hand: &Runs, unit: Unit, target: Target) {
        let cpu = ratio(&hand.cpu(), &engine.cpu());
        let wall = ratio(&hand.wall(), &engine.wall());
        let each = unit.of(best(&engine.cpu()));
        let (met, text) = match target {
            Target::Cpu(least) => (Some(cpu >= least), format!("CPU >= {least:.2}")),
            Target::Wall(least) => (Some(wall >= least), format!("wall >= {least:.2}")),
            Target::Either(least) => (Some(wall.max(cpu) >= least), format!("wall or CPU >= {least:.2}")),
            Target::AtMost(most) => (Some(each <= most), format!("engine CPU <= {most}{}", unit.name())),
            Target::None => (None, String::new()),
        };
        line(&[
            row.to_owned(),
            against.to_owned(),
            times(&engine.cpu(), unit),
            times(&hand.cpu(), unit),
            format!("{cpu:.2}"),
            times(&engine.wall(), unit),
            times(&hand.wall(), unit),
            format!("{wall:.2}"),
            self.judge(row, met, text),
        ]);
    }

    /// A figure that has to stay below a bound; `all` are the runs' figures.
    pub(crate) fn figure(
        &mut self,
        row: &str,
        against: &str,
        engine: &[f64],
        hand: &[f64],
        unit: &str,
        target: Target,
    ) {
        let least = engine.iter().copied().fold(f64::INFINITY, f64::min);
        let (met, text) = match target {
            Target::AtMost(most) => (Some(least <= most), format!("<= {most}{unit}")),
            _ => (None, String::new()),
        };
        let none = || "-".to_owned();
        let by_hand = if hand.is_empty() { none() } else { figures(hand, unit) };
        let judged = self.judge(row, met, text);
        let [row, against] = [row, against].map(str::to_owned);
        line(&[row, against, none(), none(), none(), figures(engine, unit), by_hand, none(), judged]);
    }

    /// Prints what is to be said at the end.
    pub(crate) fn end(self) {
        println!();
        match self.missed.is_empty() {
            _ if !self.judges => {
                println!("both sides of every row made the same; targets are not judged on small inputs")
            }
            true => println!("{} targets met", self.met),
            false => println!("{} targets met, {} missed: {}", self.met, self.missed.len(), self.missed.join(", ")),
        }
    }

    fn judge(&mut self, row: &str, met: Option<bool>, target: String) -> String {
        match met {
            None => "-".to_owned(),
            _ if !self.judges => target,
            Some(true) => {
                self.met += 1;
                format!("{target}: met")
            }
            Some(false) => {
                self.missed.push(row.to_owned());
                format!("{target}: MISSED")
            }
        }
    }
}

impl Unit {
    fn of(self, time: Duration) -> f64 {
        match self {
            Self::Millis => time.as_secs_f64() * 1e3,
            Self::NanosEach(count) => time.as_secs_f64() * 1e9 / count.max(1) as f64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Millis => " ms",
            Self::NanosEach(_) => " ns",
        }
    }
}

fn ratio(hand: &[Duration], engine: &[Duration]) -> f64 {
    best(hand).as_secs_f64() / best(engine).as_secs_f64().max(1e-9)
}

fn times(all: &[Duration], unit: Unit) -> String {
    let all: Vec<_> = all.iter().map(|&time| unit.of(time)).collect();
    figures(&all, unit.name())
}

/// The least and, in brackets, all.
fn figures(all: &[f64], unit: &str) -> String {
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    let digits = if least < 100.0 { 2 } else { 0 };
    let each: Vec<_> = all.iter().map(|figure| format!("{figure:.digits$}")).collect();
    format!("{least:.digits$}{unit} ({})", each.join(" "))
}

fn line(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// The machine and the compiler, as far as they can be told.
fn platform() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = read("/proc/cpuinfo").and_then(|about| {
        let line = about.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let load = read("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = std::process::Command::new(compiler).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!(
        "{cores} cores ({}), {} {} ({}), {}, mimalloc, load {load} at the beginning",
        model.as_deref().unwrap_or("unknown"),
        std::env::consts::OS,
        kernel.trim(),
        std::env::consts::ARCH,
        version.as_deref().unwrap_or("rustc of unknown version"),
    )
}
