//! Every rule of the planner as a snapshot, named as a sentence, through [`check`].

mod coders;
mod doubles;
mod explain;
mod fuse;
mod guarantee;
mod instances;
mod network;
mod pairs;
mod paths;
mod reject;
mod wire;

use millstream_core::declare::Pipeline;
use millstream_core::plan::Plan;

use crate::plan;
use doubles::coders;

/// What of a plan a test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    /// The phase with network stages, and where each stage runs.
    Network,
    /// The phase with coders.
    Coders,
    /// The tasks, and what they leave out.
    Running,
    /// The guarantee.
    Guarantee,
}

/// The plan of a pipeline, by the coders of the doubles.
fn planned(instances: usize, pipeline: &Pipeline) -> Plan {
    plan(pipeline.declaration(), &coders(), instances).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// What `show` says of the pipeline's plan; its mistakes if it has none. Lines of code are printed as `here`.
fn check(show: Show, instances: usize, pipeline: &Pipeline) -> String {
    match plan(pipeline.declaration(), &coders(), instances) {
        Err(mistakes) => mistakes.0.iter().map(said).collect::<Vec<_>>().join("\n"),
        Ok(plan) => shown(show, &crate::explain::text(&plan)),
    }
}

fn said(mistake: &millstream_core::plan::Mistake) -> String {
    let line = mistake.line.map(|line| format!("{line}: ")).unwrap_or_default();
    let text = mistake.to_string();
    let here = if line.is_empty() { "" } else { "here: " };
    let words = text.strip_prefix(&line).expect("it begins with its line").split(' ');
    let words: Vec<_> = words.map(|word| if word.contains(".rs:") { "THERE" } else { word }).collect();
    format!("{here}{}", words.join(" "))
}

fn shown(show: Show, text: &str) -> String {
    let headings: &[&str] = match show {
        Show::Network => &["Pipeline with injected network coders", "Where"],
        Show::Coders => &["Final Pipeline"],
        Show::Running => &["Running", "Left out"],
        Show::Guarantee => &["Guarantee"],
    };
    let sections = sections(text);
    let wanted = sections.iter().filter(|(heading, _)| headings.iter().any(|wanted| heading.starts_with(wanted)));
    wanted.map(|(_, section)| squeezed(section)).collect::<Vec<_>>().join("\n")
}

/// The sections by their headings: the lines that begin with a capital letter.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match sections.last_mut() {
            Some((_, section)) if !line.starts_with(|first: char| first.is_uppercase()) => {
                *section += &format!("{line}\n")
            }
            _ => sections.push((line.to_owned(), String::new())),
        }
    }
    sections
}

/// Without blank lines and indent, and with the marks moved in.
fn squeezed(section: &str) -> String {
    let lines = section.lines().filter(|line| !line.is_empty());
    let near = |line: &str| match line.split_once("             ") {
        Some((stage, mark)) if line.starts_with([':', '>']) => format!("{stage}  {}", mark.trim_start()),
        _ => line.strip_prefix("    ").unwrap_or(line).to_owned(),
    };
    lines.map(near).collect::<Vec<_>>().join("\n")
}
