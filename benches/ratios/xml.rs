//! The main job: the paid orders of one large XML document.

use std::path::Path;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use millstream::coders::limits::Limits;
use millstream::contracts::{Framing, Scan};
use millstream::prelude::*;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

use crate::by_hand::{self, each_block};
use crate::measure::{Contender, in_turn};
use crate::report::{Report, Target, Unit};
use crate::{Bench, Failure, inputs};

const BYTES: u64 = 100_000_000;

/// On one worker.
pub(crate) fn one_worker(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let halves = halves(bench)?;
    let [engine, framer, search, events] =
        ["engine", "framer", "search", "events"].map(|side| bench.path(&format!("xml-{side}.xml")));
    let contenders: [Contender<'_>; 4] = [
        &|| bench.run(pipeline(&halves, &engine, 1)).map(drop),
        &|| each_half(&halves, &framer, by_framer),
        &|| each_half(&halves, &search, by_search),
        &|| each_half(&halves, &events, by_events),
    ];
    let check = || [&framer, &search, &events].into_iter().try_for_each(|other| by_hand::same(&engine, &[other]));
    let taken = in_turn(bench.runs, &contenders, check)?;
    let against = "the same framer and the same decoder, in one loop";
    report.ratio("xml", against, &taken[0], &taken[1], Unit::Millis, Target::Cpu(0.95));
    let against = "elements cut by memmem (no comments, CDATA, nesting), the same decoder";
    report.ratio("xml", against, &taken[0], &taken[2], Unit::Millis, Target::None);
    let against = "elements cut by memmem, events read by quick-xml, no node built";
    report.ratio("xml", against, &taken[0], &taken[3], Unit::Millis, Target::None);
    Ok(())
}

/// On two workers, against two loops at once.
pub(crate) fn two_workers(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let halves = halves(bench)?;
    let engine = bench.path("xml-par.xml");
    let outputs = ["one", "other"].map(|half| bench.path(&format!("xml-{half}.xml")));
    let by_hand = || -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let half = |at: usize| {
                let (input, output) = (&halves[at], &outputs[at]);
                move || each_half(std::slice::from_ref(input), output, by_framer)
            };
            let (one, other) = (scope.spawn(half(0)), scope.spawn(half(1)));
            for side in [one, other] {
                side.join().map_err(|_| "a loop panicked")??;
            }
            Ok(())
        })
    };
    let taken = in_turn(bench.runs, &[&|| bench.run(pipeline(&halves, &engine, 2)).map(drop), &by_hand], || {
        by_hand::same(&engine, &[&outputs[0], &outputs[1]])
    })?;
    let against = "two loops at once over half of the input each: the same framer and decoder, two outputs";
    report.ratio("xml-par", against, &taken[0], &taken[1], Unit::Millis, Target::Wall(0.9));
    Ok(())
}

fn pipeline(inputs: &[std::path::PathBuf], output: &Path, workers: usize) -> Pipeline {
    Pipeline::source(Files::new(inputs, xml::Elements::named("order")))
        .filter(|order: &xml::Node| order.text_of("status") == Some("paid"))
        .par(workers)
        .sink(Output::create(output, Lines::default()))
}

/// The input in two documents.
pub(crate) fn halves(bench: &Bench) -> Result<[std::path::PathBuf; 2], Failure> {
    let halves = ["orders-1.xml", "orders-2.xml"].map(|name| bench.path(name));
    if !halves[0].exists() {
        inputs::orders_xml(&[&halves[0], &halves[1]], bench.scaled(BYTES) / 2)?;
    }
    Ok(halves)
}

type Half = fn(&Path, &mut by_hand::Output) -> Result<(), Failure>;

fn each_half(inputs: &[std::path::PathBuf], output: &Path, filter: Half) -> Result<(), Failure> {
    let mut output = by_hand::Output::create(output)?;
    inputs.iter().try_for_each(|input| filter(input, &mut output))?;
    output.put()
}

fn by_framer(input: &Path, output: &mut by_hand::Output) -> Result<(), Failure> {
    let mut framer = xml::Elements::named("order").framer(None)?;
    let (mut found, mut node, limits) = (Scan::default(), xml::Node::default(), Limits::default());
    each_block(input, |block| {
        framer.scan(block, false, usize::MAX, &mut found)?;
        for record in &found.records {
            let record = block.slice(record.start as usize..record.end as usize);
            keep_paid(record, &mut node, &limits, output)?;
        }
        node.clear();
        Ok(found.consumed)
    })
}

fn by_search(input: &Path, output: &mut by_hand::Output) -> Result<(), Failure> {
    let (mut node, limits) = (xml::Node::default(), Limits::default());
    each_block(input, |block| {
        let taken = each_order(block, |start, end| keep_paid(block.slice(start..end), &mut node, &limits, output))?;
        node.clear();
        Ok(taken)
    })
}

#[inline]
fn keep_paid(
    record: Bytes,
    node: &mut xml::Node,
    limits: &Limits,
    output: &mut by_hand::Output,
) -> Result<(), Failure> {
    node.read(record, limits)?;
    if node.text_of("status") == Some("paid") {
        output.write(node.bytes())?;
        output.write(b"\n")?;
    }
    Ok(())
}

fn by_events(input: &Path, output: &mut by_hand::Output) -> Result<(), Failure> {
    each_block(input, |block| {
        each_order(block, |start, end| {
            let record = &block[start..end];
            if is_paid(record)? {
                output.write(record)?;
                output.write(b"\n")?;
            }
            Ok(())
        })
    })
}

/// Reads all events of a record, and whether its `status` is `paid`.
fn is_paid(record: &[u8]) -> Result<bool, Failure> {
    let mut reader = Reader::from_reader(record);
    let (mut in_status, mut paid) = (false, false);
    loop {
        match reader.read_event()? {
            Event::Start(tag) => in_status = tag.name().as_ref() == "status",
            Event::Text(text) if in_status => paid |= &*text == "paid",
            Event::End(_) => in_status = false,
            Event::Eof => return Ok(paid),
            _ => {}
        }
    }
}

static BEGIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("<order "));
static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("</order>"));

/// Calls `take` with the place of each whole order; returns where what is left begins.
#[inline]
fn each_order(block: &[u8], mut take: impl FnMut(usize, usize) -> Result<(), Failure>) -> Result<usize, Failure> {
    let (begin, end_tag) = (&*BEGIN, &*END);
    let mut at = 0;
    while let Some(found) = begin.find(&block[at..]) {
        let start = at + found;
        let Some(found) = end_tag.find(&block[start..]) else { return Ok(start) };
        at = start + found + end_tag.needle().len();
        take(start, at)?;
    }
    // The beginning of a start tag may be all there is of the next order.
    Ok(at.max(block.len().saturating_sub(begin.needle().len())))
}
