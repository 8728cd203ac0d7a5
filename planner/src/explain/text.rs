//! A plan as text. The phases are in the notation that the project began with:
//!
//! ```text
//! :  AMQP-QUEUE:[Bytes]                                                   (1) logical
//! >> [Bytes]:NET-SPLIT:[Bytes]                                             -  net-out
//! >> [Node]:XML-FILTER:[Node]                                             (2) logical
//! ```
//!
//! that is, for each stage the type it takes, its name, and the type it gives; then its number if it was declared, and
//! why it is there. Behind the phases stand the tasks that run, what they leave out, where each stage runs, what is read and
//! written, and the delivery guarantee.

use std::fmt::{self, Write as _};

use millstream_core::plan::{Does, Inlet, Mark, Net, Outlet, Outside, Phase, PhaseStage, Plan};

use super::losses::losses;
use super::steps::{mark, place, runs, steps, through};

/// Where the marks stand, counted from the beginning of the line.
const MARKS: usize = 72;

/// The plan as text, every line ended.
pub fn text(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(&mut out, plan);
    out
}

fn write(out: &mut String, plan: &Plan) -> fmt::Result {
    for (i, phase) in plan.phases.iter().enumerate() {
        write_phase(out, phase, i == 0)?;
    }
    write_tasks(out, plan)?;
    write_dropped(out, plan)?;
    write_places(out, plan)?;
    write_outside(out, plan)?;
    writeln!(out, "Guarantee\n\n    {}", plan.promise)?;
    losses(plan).iter().try_for_each(|sentence| writeln!(out, "    {sentence}"))
}

/// The first heading ends in a colon and the others don't: so it is in the notation.
fn write_phase(out: &mut String, phase: &Phase, first: bool) -> fmt::Result {
    writeln!(out, "{}{}\n", phase.title, if first { ":" } else { "" })?;
    for stage in &phase.stages {
        writeln!(out, "{}", stage_line(stage))?;
    }
    writeln!(out)
}

fn stage_line(stage: &PhaseStage) -> String {
    let gives = stage.gives.as_deref().unwrap_or_default();
    let stages = match &stage.takes {
        None => format!(":  {}:[{gives}]", stage.name),
        Some(takes) => format!(">> [{takes}]:{}:[{gives}]", shown_name(stage)),
    };
    let number = match stage.mark {
        Mark::Logical(number) => format!("({number})"),
        _ => " - ".to_owned(),
    };
    format!("{stages:MARKS$}{}{number} {}", if stages.len() < MARKS { "" } else { " " }, mark(stage.mark))
}

/// How a split deals is data; the notation shows only that there is one.
fn shown_name(stage: &PhaseStage) -> &str {
    match stage.mark {
        Mark::NetOut => stage.name.split(' ').next().unwrap_or(&stage.name),
        _ => &stage.name,
    }
}

fn write_tasks(out: &mut String, plan: &Plan) -> fmt::Result {
    let instances = plan.instances;
    writeln!(out, "Running on {instances} instance{}\n", if instances == 1 { "" } else { "s" })?;
    for (number, task) in plan.graph.tasks.iter().enumerate() {
        writeln!(out, "    {}. {}: {}{}", number + 1, task.name, runs(task), part_place(plan, number))?;
        if let Inlet::Channel(channel) = task.inlet {
            let net = entered(plan, number).map(|net| format!(", through {}", through(net))).unwrap_or_default();
            let channel = plan.graph.channels.get(channel);
            let (form, batches) =
                channel.map_or((String::new(), 0), |channel| (channel.form.to_string(), channel.batches));
            writeln!(out, "         takes    [{form}], {batches} batches waiting at most{net}")?;
        }
        let segments = steps(&plan.graph, task);
        for (i, step) in segments.iter().enumerate() {
            // A second segment in a row is worth seeing: a retry begins at its input.
            let again = step.begins_segment && i > 0 && segments[..i].iter().any(|step| step.begins_segment);
            let note = if again { "  (a segment of its own)" } else { "" };
            writeln!(out, "         {:<8} {}{note}", step.verb, step.what)?;
        }
        if let Outlet::Channel(_) = task.outlet {
            writeln!(out, "         gives    to {}", number + 2)?;
        }
    }
    writeln!(out)
}

fn part_place(plan: &Plan, task: usize) -> String {
    let part = plan.parts.iter().find(|part| part.tasks.contains(&task));
    part.filter(|_| plan.instances > 1).map(|part| format!(", {}", place(&part.place))).unwrap_or_default()
}

fn entered(plan: &Plan, task: usize) -> Option<&Net> {
    plan.parts.iter().find(|part| part.tasks.start == task)?.enters.as_ref()
}

fn write_dropped(out: &mut String, plan: &Plan) -> fmt::Result {
    if plan.dropped.is_empty() {
        return Ok(());
    }
    writeln!(out, "Left out\n")?;
    plan.dropped.iter().try_for_each(|sentence| writeln!(out, "    {sentence}"))?;
    writeln!(out)
}

fn write_places(out: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(out, "Where\n")?;
    let width = plan.located.iter().map(|located| located.stage.len()).max().unwrap_or(0);
    for located in &plan.located {
        let workers = match located.workers {
            1 => "1 worker".to_owned(),
            workers => format!("{workers} workers"),
        };
        let place = place(&located.place);
        writeln!(out, "    {:width$}  {place}, {workers}: {}", located.stage, located.why)?;
    }
    writeln!(out)
}

fn write_outside(out: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(out, "Reads and writes\n")?;
    let rows: Vec<_> = plan.outside.iter().map(|it| (whose(plan, it), it)).collect();
    let width = rows.iter().map(|(whose, _)| whose.len()).max().unwrap_or(0);
    for (whose, it) in rows {
        let does = match it.does {
            Does::Reads => "reads from",
            Does::Writes => "writes to",
            Does::DeadLetters => "dead letters to",
        };
        writeln!(out, "    {whose:width$}  {does} {}: {}", it.kind, it.what)?;
    }
    writeln!(out)
}

/// The stages that it is done by.
fn whose(plan: &Plan, it: &Outside) -> String {
    match it.stages.len() {
        all if all > 1 && all == plan.graph.stages.len() => "all stages".to_owned(),
        _ => it.stages.join(", "),
    }
}
