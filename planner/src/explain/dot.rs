//! A plan as a graph for Graphviz: a box for each task, an arrow for each channel, a frame for each part.

use std::fmt::{self, Write as _};

use millstream_core::plan::Plan;

use super::steps::{place, runs, steps, through};

/// The plan in the DOT language: `dot -Tsvg` draws it.
pub fn dot(plan: &Plan) -> String {
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = write(&mut out, plan);
    out
}

fn write(out: &mut String, plan: &Plan) -> fmt::Result {
    writeln!(out, "digraph {} {{\n    rankdir=LR;\n    node [shape=box, fontname=monospace];", quoted(&plan.name))?;
    for (number, part) in plan.parts.iter().enumerate() {
        writeln!(out, "    subgraph cluster_{number} {{\n        label={};", quoted(&place(&part.place)))?;
        for task in part.tasks.clone() {
            writeln!(out, "        task_{task} [label={}];", quoted(&label(plan, task)))?;
        }
        writeln!(out, "    }}")?;
    }
    for (number, channel) in plan.graph.channels.iter().enumerate() {
        let net = plan.parts.iter().find(|part| part.tasks.start == number + 1).and_then(|part| part.enters.as_ref());
        let label =
            net.map_or_else(|| format!("[{}]", channel.form), |net| format!("{} [{}]", through(net), channel.form));
        let style = if net.is_some() { ", style=dashed" } else { "" };
        writeln!(out, "    task_{number} -> task_{} [label={}{style}];", number + 1, quoted(&label))?;
    }
    writeln!(out, "}}")
}

fn label(plan: &Plan, number: usize) -> String {
    let Some(task) = plan.graph.tasks.get(number) else { return String::new() };
    let steps = steps(&plan.graph, task);
    let lines = steps.iter().map(|step| format!("{} {}", step.verb, step.what));
    std::iter::once(format!("{} ({})", task.name, runs(task))).chain(lines).collect::<Vec<_>>().join("\n")
}

/// A string of the DOT language, with its lines to the left.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    let lines = if escaped.contains('\n') { escaped.replace('\n', "\\l") + "\\l" } else { escaped };
    format!("\"{lines}\"")
}
