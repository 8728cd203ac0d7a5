//! What the loss of an instance means for a plan, a sentence each.

use millstream_core::contracts::{Active, Commits, NetKind, Places, SourceTraits, Where};
use millstream_core::plan::{Guarantee, Part, Plan, StageKind, Step};

/// The sentences; none on one instance.
pub(super) fn losses(plan: &Plan) -> Vec<String> {
    let (Some(first), Some(last)) = (plan.graph.stages.first(), plan.graph.stages.last()) else { return Vec::new() };
    let StageKind::Source(traits) = &first.kind else { return Vec::new() };
    if plan.instances < 2 {
        return Vec::new();
    }
    if let [whole] = &plan.parts[..] {
        return vec![alone(whole)];
    }
    let source = Source { name: &first.name, sink: &last.name, traits, exactly: exactly(plan) };
    let mut sentences = vec![source.lost(&plan.parts[0].place)];
    for (at, part) in plan.parts.iter().enumerate() {
        sentences.extend(part_lost(plan, at, part));
    }
    sentences
}

fn exactly(plan: &Plan) -> bool {
    plan.promise.guarantee == Guarantee::ExactlyOnce
}

/// A plan without network stages.
fn alone(whole: &Part) -> String {
    if whole.place == Where::Everywhere {
        "No instance needs another: the others go on without one that is lost.".to_owned()
    } else {
        "All of it runs on one instance: while that is lost nothing runs.".to_owned()
    }
}

struct Source<'a> {
    name: &'a str,
    sink: &'a str,
    traits: &'a SourceTraits,
    exactly: bool,
}

impl Source<'_> {
    /// What it means that an instance that reads is lost.
    fn lost(&self, place: &Where) -> String {
        let name = self.name;
        let moves = *place == Where::Everywhere;
        match (&self.traits.places, self.again()) {
            (Places::Everywhere(Active::One), again) if moves => {
                format!("If the instance that reads {name} is lost, its broker lets another one read: {again}.")
            }
            (_, again) if moves => {
                format!(
                    "If an instance is lost, its part of {name} waits for it, or for whom the broker gives it to: {again}."
                )
            }
            (_, again) => format!("While the instance of {name} is lost nothing is read: {again}."),
        }
    }

    fn again(&self) -> String {
        match self.traits.commits {
            Commits::None => "what it had read and not passed on is gone".to_owned(),
            _ if self.exactly => format!("reading goes on behind what {} holds", self.sink),
            _ => "reading begins anew at the last commit, and what had passed since passes again".to_owned(),
        }
    }
}

/// What it means that an instance is lost that runs a part behind a network stage.
fn part_lost(plan: &Plan, at: usize, part: &Part) -> Option<String> {
    let net = part.enters.as_ref()?;
    let afresh = if folds(plan, part) { "; its fold begins afresh, and reading at the last commit" } else { "" };
    let name = &net.name;
    Some(match net.kind {
        NetKind::Split => {
            let copies = copies(plan, at);
            format!("What an instance that is lost had in work behind {name} is dealt anew{copies}.")
        }
        NetKind::SplitByKey => {
            format!("While an instance behind {name} is lost all wait for it: its keys are nobody else's{afresh}.")
        }
        NetKind::MergeSort | NetKind::Merge => format!("While the instance of {name} is lost all wait for it{afresh}."),
    })
}

/// What becomes of copies of records that are dealt anew behind a split.
fn copies(plan: &Plan, split: usize) -> String {
    match plan.parts.get(split + 1).and_then(|next| next.enters.as_ref()) {
        Some(next) => format!(", and {} lets one copy of each record pass", next.name),
        None => ": what of it had arrived arrives twice".to_owned(),
    }
}

fn folds(plan: &Plan, part: &Part) -> bool {
    let tasks = plan.graph.tasks.get(part.tasks.clone()).unwrap_or_default();
    tasks.iter().flat_map(|task| &task.steps).any(|step| matches!(step, Step::Fold { .. }))
}
