//! SIGKILL at random moments, again and again.

use std::time::Duration;

use crate::inputs::{gzip, lines, orders};
use crate::job::{Job, Running};
use crate::random::Random;

/// The longest time that a process goes on after its first record before it is killed, in milliseconds: a few commits.
const LONGEST: u64 = 600;

/// How many times each job is killed.
fn kills() -> u64 {
    std::env::var("MILLSTREAM_KILLS").map_or(10, |kills| kills.parse().expect("MILLSTREAM_KILLS is a number"))
}

/// What came of the kills.
#[derive(Default)]
struct Tally {
    /// Kills that ended a process.
    landed: u64,
    /// Kills that came when it had written records and not all of them.
    mid_run: u64,
    /// Kills that came after a commit of the run they ended.
    committed: u64,
    /// Times that the whole input was done.
    done: u64,
}

/// Kills a job until it has been killed often enough; each time that it gets to its end, it begins anew.
fn kill_often(name: &str, job: &Job) {
    let (mut tally, mut random) = (Tally::default(), Random::new());
    let wanted = kills();
    while tally.landed < wanted {
        job.clear();
        while tally.landed < wanted && !kill_once(job, &mut tally, &mut random) {}
        job.finish();
        tally.done += 1;
    }
    let Tally { landed, mid_run, committed, done } = tally;
    let records = job.records;
    told!(
        "{name}: {records} records, {landed} kills landed, {mid_run} of them mid-run and {committed} after a commit; \
         {done} times done, the output right each time"
    );
    assert!(mid_run * 2 >= landed, "fewer than half of the kills landed mid-run: this test proves nothing");
    assert!(committed > 0, "no kill came after a commit: nothing was ever gone on with");
}

/// Starts it and kills it; `true` if it got to its end before that.
fn kill_once(job: &Job, tally: &mut Tally, random: &mut Random) -> bool {
    let mut running = job.start();
    go_on(&mut running, random);
    let (written, committed) = (running.has_written(), running.has_committed());
    let ran = running.process.kill();
    if !ran.was_killed() {
        assert_eq!(ran.status.code(), Some(0), "{}", ran.said);
        job.check();
        return true;
    }
    tally.landed += 1;
    tally.mid_run += u64::from(written && job.written() < job.expected.len() as u64);
    tally.committed += u64::from(committed);
    false
}

/// Lets it run: one in eight for less than it takes to start, the others for some time from their first record on.
fn go_on(running: &mut Running<'_>, random: &mut Random) {
    if random.below(8) == 0 {
        std::thread::sleep(Duration::from_millis(random.below(40)));
    } else if running.until_written() {
        std::thread::sleep(Duration::from_micros(random.below(LONGEST * 1_000)));
    }
}

#[test]
fn copied_lines_survive_kills() {
    let text = lines(0..200_000);
    let job = Job::new("copy_lines", &["--throttle", "100000"]).input("in", text.as_bytes(), 200_000, text.as_bytes());
    kill_often("copy_lines", &job);
}

#[test]
fn filtered_xml_survives_kills() {
    // There is no throttle here: the input is large enough for a second or so.
    let count = if cfg!(debug_assertions) { 80_000 } else { 1_000_000 };
    let (document, paid) = orders(count);
    let flags = ["--record", "order", "--where", "status=paid", "--workers", "2"];
    let job = Job::new("xml_filter", &flags).input("in.xml", document.as_bytes(), count, paid.as_bytes());
    kill_often("xml_filter", &job);
}

#[test]
fn a_compressed_input_survives_kills() {
    let text = lines(0..200_000);
    let packed = gzip(text.as_bytes());
    let job = Job::new("copy_lines", &["--throttle", "100000"]).input("in.gz", &packed, 200_000, text.as_bytes());
    kill_often("copy_lines, gzip", &job);
}

#[test]
fn several_inputs_survive_kills() {
    let texts = [lines(0..60_000), lines(60_000..60_001), lines(60_001..130_000), lines(130_000..200_000)];
    let [first, second, third, last] = &texts;
    let job = Job::new("copy_lines", &["--throttle", "100000"])
        .input("1", first.as_bytes(), 60_000, first.as_bytes())
        .input("2", second.as_bytes(), 1, second.as_bytes())
        .input("3-empty", b"", 0, b"")
        .input("4.gz", &gzip(third.as_bytes()), 69_999, third.as_bytes())
        // The last line of a file may have no end; in the output it has.
        .input("5", last.trim_end().as_bytes(), 70_000, last.as_bytes());
    kill_often("copy_lines, five files", &job);
}

/// Before anything is written the state is made, the output locked, the positions put beside it.
#[test]
fn a_first_start_survives_kills() {
    let (text, mut random, mut landed, mut before_output) = (lines(0..2_000), Random::new(), 0, 0);
    let job = Job::new("copy_lines", &[]).input("in", text.as_bytes(), 2_000, text.as_bytes());
    for _ in 0..kills() {
        job.clear();
        for _ in 0..3 {
            let running = job.start();
            std::thread::sleep(Duration::from_micros(random.below(10_000)));
            landed += u64::from(running.process.kill().was_killed());
            before_output += u64::from(job.written() == 0);
        }
        job.finish();
    }
    told!("first start: 2000 records, {landed} kills landed, {before_output} before anything was written");
    assert!(before_output > 0, "no kill came before the first record: this test proves nothing");
}
