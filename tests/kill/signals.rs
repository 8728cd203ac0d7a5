//! SIGTERM in the middle: drained, committed, exit 0, and the next run goes on exactly there.

use crate::inputs::{lines, orders};
use crate::job::{Job, run};

/// Ends a job in the middle, again and again, until it is done.
fn drain_often(job: &Job, times: u32) {
    let mut records = 0;
    for _ in 0..times {
        let mut running = job.start();
        if !running.until_written() {
            break;
        }
        running.process.signal("TERM");
        let ran = running.process.wait();
        assert_eq!(ran.status.code(), Some(0), "{}", ran.said);
        assert!(ran.said.contains("drained: "), "{}", ran.said);
        records += ran.records();
        let output = std::fs::read(&job.output).expect("the output is there");
        assert!(job.expected.starts_with(&output), "what was drained is the beginning of it all");
        assert!(output.ends_with(b"\n") && output.len() < job.expected.len(), "whole records, and not all");
    }
    let ran = run(job.command());
    assert_eq!(ran.status.code(), Some(0), "{}", ran.said);
    assert_eq!(records + ran.records(), job.records, "each record was read once");
    job.check();
}

#[test]
fn copied_lines_are_drained_and_gone_on_with() {
    let text = lines(0..60_000);
    let job = Job::new("copy_lines", &["--throttle", "60000"]).input("in", text.as_bytes(), 60_000, text.as_bytes());
    drain_often(&job, 3);
}

#[test]
fn filtered_xml_is_drained_and_gone_on_with() {
    let count = if cfg!(debug_assertions) { 60_000 } else { 600_000 };
    let (document, paid) = orders(count);
    let flags = ["--record", "order", "--where", "status=paid"];
    let job = Job::new("xml_filter", &flags).input("in.xml", document.as_bytes(), count, paid.as_bytes());
    drain_often(&job, 1);
}
