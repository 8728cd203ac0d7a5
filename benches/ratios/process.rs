//! A real process: how soon it does something, and what it holds when there is nothing to do.
//!
//! This program runs itself. The child filters XML on two workers, from standard input to standard output: one record
//! goes in at once, then nothing more comes, and the input stays open.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millstream::prelude::*;

use crate::report::{Report, Target};
use crate::{Bench, Failure};

/// The argument that makes this program the child.
pub(crate) const CHILD: &str = "--child";

const RECORD: &str = "<order><status>paid</status></order>\n";

/// What the child runs.
pub(crate) fn child() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let pipeline = Pipeline::source(Stdin::new(Lines::default()))
        .filter(|order: &xml::Node| order.text_of("status") == Some("paid"))
        .par(2)
        .sink(Stdout::new(Lines::default()));
    runtime.block_on(pipeline.run())?;
    Ok(())
}

/// The resident memory of an idle pipeline.
pub(crate) fn memory(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let mut found = Vec::new();
    for _ in 0..bench.runs {
        let (mut child, _) = begun()?;
        std::thread::sleep(Duration::from_millis(500));
        let resident = status_of(&child.id().to_string(), "VmRSS:");
        end(&mut child)?;
        found.extend(resident);
    }
    if found.is_empty() {
        // Only Linux tells.
        return Ok(());
    }
    let what = "resident memory of a process with an idle XML filter, par(2), standard input to output";
    report.figure("memory", what, &found, &[], " MB", Target::AtMost(30.0));
    Ok(())
}

/// From the start of a process to its first record's arrival.
pub(crate) fn start(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let (mut engine, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        let (mut child, time) = begun()?;
        end(&mut child)?;
        engine.push(time.as_secs_f64() * 1e3);
        bare.push(cat()?.as_secs_f64() * 1e3);
    }
    let what = "from the start of that process to its first record out; the loop is `cat`";
    report.figure("start", what, &engine, &bare, " ms", Target::AtMost(100.0));
    Ok(())
}

/// A child that has passed its first record, and how long that took.
fn begun() -> Result<(Child, Duration), Failure> {
    first_record(Command::new(std::env::current_exe()?).arg(CHILD))
}

fn cat() -> Result<Duration, Failure> {
    let (mut child, time) = first_record(&mut Command::new("cat"))?;
    end(&mut child)?;
    Ok(time)
}

fn first_record(command: &mut Command) -> Result<(Child, Duration), Failure> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(input), Some(output)) = (child.stdin.as_mut(), child.stdout.as_mut()) else {
        return Err("the child has no pipes".into());
    };
    input.write_all(RECORD.as_bytes())?;
    input.flush()?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let time = start.elapsed();
    if line != RECORD {
        return Err(format!("the child's first record was {line:?}").into());
    }
    Ok((child, time))
}

/// Closes the child's input, and waits for it.
fn end(child: &mut Child) -> Result<(), Failure> {
    drop(child.stdin.take());
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the child ended with {status}").into()) }
}

/// Memory of a process in MB, by its name in the system's account of it; `None` where there is no such account.
pub(crate) fn status_of(process: &str, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
