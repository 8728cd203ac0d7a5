//! Which instances each part of a plan runs on, and what the network stages between them have to know.

use crate::contracts::{Cause, Error, Hop, NetKind, PeerId, Places, Result, Roll, SourcePlace, Where};
use crate::plan::{Part, Step};
use crate::runtime::setup::Setup;

/// The instances that each part runs on.
pub(super) fn places(parts: &[Part], roll: &Roll) -> Result<Vec<Vec<PeerId>>> {
    parts.iter().map(|part| resolve(&part.place, roll)).collect()
}

/// Whether the source runs on this instance and on no other, as far as that can be told before any have joined.
pub(super) fn is_source_here(parts: &[Part], me: PeerId, peers: &[String]) -> bool {
    match parts.first().map(|part| &part.place) {
        Some(Where::First) => me == 0,
        Some(Where::Last) => me + 1 == peers.len(),
        Some(Where::Named(name)) => peers.get(me) == Some(name),
        Some(Where::Everywhere | Where::LastJoined) => peers.len() == 1,
        None => false,
    }
}

fn resolve(place: &Where, roll: &Roll) -> Result<Vec<PeerId>> {
    match place {
        Where::Everywhere => Ok((0..roll.peers.len()).collect()),
        Where::First => Ok(vec![0]),
        Where::Last => Ok(vec![roll.peers.len().saturating_sub(1)]),
        Where::LastJoined => Ok(vec![roll.last_joined]),
        Where::Named(name) => match roll.peers.iter().position(|peer| peer == name) {
            Some(peer) => Ok(vec![peer]),
            None => {
                let peers = roll.peers.join(", ");
                let message = format!("a stage is to run on {name}, which is none of the peers ({peers}): name one");
                Err(Error::new(Cause::User, message))
            }
        },
    }
}

/// The network stages: each stands before the part that it leads into.
pub(super) fn hops(setup: &Setup, parts: &[Part], places: &[Vec<PeerId>]) -> Result<Vec<Hop>> {
    let pairs = parts.iter().zip(parts.iter().skip(1));
    let positions = sink_keeps_positions(setup, places);
    let hop = |(parts, places)| hop(setup, parts, places, positions);
    pairs.zip(places.iter().zip(places.iter().skip(1))).map(hop).collect()
}

/// Whether the sink keeps positions of the source with its data.
pub(super) fn sink_keeps_positions(setup: &Setup, places: &[Vec<PeerId>]) -> bool {
    setup.sink_keeps_positions(places.last().map_or(0, Vec::len))
}

fn hop(setup: &Setup, parts: (&Part, &Part), places: (&Vec<PeerId>, &Vec<PeerId>), positions: bool) -> Result<Hop> {
    let (before, behind) = parts;
    let Some(net) = &behind.enters else {
        return Err(Error::new(Cause::Bug, "the graph has parts without a network stage between them"));
    };
    let has_source = before.enters.is_none();
    let has_sink = behind.tasks.end == setup.job.graph.tasks.len();
    let folds = has_fold(setup, behind);
    Ok(Hop {
        name: net.name.clone(),
        kind: net.kind,
        from: places.0.clone(),
        to: places.1.clone(),
        begins: has_source || has_fold(setup, before),
        by_fold: has_fold(setup, before),
        anchors: has_sink || folds || matches!(net.kind, NetKind::MergeSort | NetKind::Merge),
        folds,
        across: net.across,
        positions,
    })
}

pub(super) fn has_fold(setup: &Setup, part: &Part) -> bool {
    setup.has_step(&part.tasks, |step| matches!(step, Step::Fold { .. }))
}

pub(super) fn has_limit(setup: &Setup, part: &Part) -> bool {
    setup.has_step(&part.tasks, |step| matches!(step, Step::Limit { .. }))
}

/// Where the source may run.
pub(super) fn source_place(setup: &Setup, places: &[Vec<PeerId>]) -> SourcePlace {
    let movable = matches!(setup.source.1.places, Places::Everywhere(_));
    let on = places.first().cloned().unwrap_or_default();
    // Positions that die with their connection are none to go on at.
    let keeps = setup.source.1.resumable && sink_keeps_positions(setup, places);
    SourcePlace { claims_first: movable && keeps && on.len() > 1, on, movable }
}
