//! [`Draft`]: the plan under work. Each pass fills some of its fields from those that are there.

use millstream_core::contracts::{Across, Coder, NetKind, Where};
use millstream_core::data::Form;
use millstream_core::plan::{
    Declaration, Graph, Located, Mark, Mistakes, Part, Phase, PhaseStage, Plan, Promise, Stage, StageId, StageKind,
};

use crate::fingerprint::{agreement, fingerprint};
use crate::fuse::Fused;
use crate::guarantee::Obstacle;
use crate::mistake::Gather;
use crate::outside::outside;
use crate::paths::{At, Coders};

/// The plan under work.
pub(crate) struct Draft<'a> {
    /// What was declared.
    pub(crate) declaration: &'a Declaration,
    /// The coders that may be used.
    pub(crate) coders: Coders,
    /// For how many instances; 0 is a mistake and planned as 1.
    pub(crate) instances: usize,
    /// Everything that is wrong.
    pub(crate) mistakes: Gather,
    /// Whether the declaration is so wrong that no further pass can look at it.
    pub(crate) broken: bool,
    /// By logical: the stages, with names of their own.
    pub(crate) stages: Vec<Stage>,
    /// By network: the stages with network stages between them.
    pub(crate) hops: Vec<Hop>,
    /// By coders: for each hop the coders that the last phase shows before it. Empty if a chain is missing.
    pub(crate) shown: Vec<Vec<PhaseStage>>,
    /// By coders: for each network stage, by hop, what it carries.
    pub(crate) carried: Vec<Option<At>>,
    /// By logical, network and coders: the phases.
    pub(crate) phases: Vec<Phase>,
    /// By fuse.
    pub(crate) fused: Option<Fused>,
    /// By graph: the graph and the parts that it is cut into.
    pub(crate) graph: Option<(Graph, Vec<Part>)>,
    /// By guarantee.
    pub(crate) promise: Option<Promise>,
    /// By guarantee: what stands in the way of a better one.
    pub(crate) obstacles: Vec<Obstacle>,
}

/// A stage or a network stage, where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    /// Which.
    pub(crate) what: What,
    /// Its name.
    pub(crate) name: String,
    /// What it takes; `None` for the source.
    pub(crate) takes: Option<Form>,
    /// What plans show that it gives; `None` for the sink. A filter shows what it looks at.
    pub(crate) gives: Option<Form>,
    /// Where it runs.
    pub(crate) place: Where,
    /// Why there.
    pub(crate) why: String,
    /// For a network stage that restores order: how it orders records of different origins.
    pub(crate) across: Across,
}

/// A stage or a network stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A declared stage.
    Declared(StageId),
    /// A network stage.
    Net(NetKind),
}

/// The name that plans print.
pub(crate) fn net_name(net: NetKind) -> &'static str {
    match net {
        NetKind::Split => "NET-SPLIT",
        NetKind::SplitByKey => "NET-SPLIT by key",
        NetKind::MergeSort => "NET-MERGE-SORT",
        NetKind::Merge => "NET-MERGE",
    }
}

/// The mark of a network stage.
fn net_mark(net: NetKind) -> Mark {
    match net {
        NetKind::Split | NetKind::SplitByKey => Mark::NetOut,
        NetKind::MergeSort | NetKind::Merge => Mark::NetIn,
    }
}

impl Hop {
    /// A declared stage, running everywhere.
    pub(crate) fn declared(id: StageId, stage: &Stage) -> Self {
        let gives = if stage.kind.passes_on() { &stage.takes } else { &stage.gives };
        Self {
            what: What::Declared(id),
            name: stage.name.clone(),
            takes: stage.takes.clone(),
            gives: gives.clone(),
            place: Where::Everywhere,
            why: String::new(),
            across: Across::Any,
        }
    }

    /// Its line in a phase.
    pub(crate) fn line(&self) -> PhaseStage {
        let mark = match self.what {
            What::Declared(id) => Mark::Logical(id + 1),
            What::Net(net) => net_mark(net),
        };
        let name = |form: &Option<Form>| form.as_ref().map(|form| form.name().to_owned());
        PhaseStage { name: self.name.clone(), takes: name(&self.takes), gives: name(&self.gives), mark }
    }
}

impl<'a> Draft<'a> {
    /// Nothing but the declaration.
    pub(crate) fn new(declaration: &'a Declaration, defaults: &[Coder], instances: usize) -> Self {
        Self {
            declaration,
            coders: Coders::new(&declaration.coders, defaults),
            instances,
            mistakes: Gather::default(),
            broken: false,
            stages: Vec::new(),
            hops: Vec::new(),
            shown: Vec::new(),
            carried: Vec::new(),
            phases: Vec::new(),
            fused: None,
            graph: None,
            promise: None,
            obstacles: Vec::new(),
        }
    }

    /// The stage that a hop is, or for a network stage the one behind it.
    pub(crate) fn stage_at(&self, hop: usize) -> StageId {
        stage_at(&self.hops, hop)
    }

    /// Whether a hop passes on what came.
    pub(crate) fn passes_on(&self, hop: usize) -> bool {
        match self.hops[hop].what {
            What::Declared(id) => self.stages[id].kind.passes_on(),
            What::Net(_) => false,
        }
    }

    /// The plan, or what is wrong.
    pub(crate) fn finish(mut self) -> Result<Plan, Mistakes> {
        let (fingerprint, agreement) = (fingerprint(&self.stages), agreement(&self));
        let (located, outside) = (self.located(), outside(&self));
        match (self.mistakes.none(), self.graph.take(), self.promise.take(), self.fused.take()) {
            (true, Some((graph, parts)), Some(promise), Some(fused)) => Ok(Plan {
                name: self.declaration.name.clone(),
                instances: self.instances,
                phases: self.phases,
                graph,
                parts,
                dropped: fused.dropped,
                located,
                outside,
                promise,
                fingerprint,
                agreement,
            }),
            _ => Err(self.mistakes.all()),
        }
    }

    fn located(&self) -> Vec<Located> {
        let workers = self.fused.as_ref().map_or(&[][..], |fused| &fused.workers);
        let hops = self.hops.iter().enumerate();
        hops.map(|(i, hop)| Located {
            stage: hop.name.clone(),
            place: hop.place.clone(),
            why: hop.why.clone(),
            workers: workers.get(i).copied().unwrap_or(1),
        })
        .collect()
    }
}

/// The stage that a hop is, or for a network stage the one behind it.
pub(crate) fn stage_at(hops: &[Hop], hop: usize) -> StageId {
    let declared = hops[hop..].iter().find_map(|hop| match hop.what {
        What::Declared(id) => Some(id),
        What::Net(_) => None,
    });
    declared.unwrap_or_default()
}

/// Whether it is a source.
pub(crate) fn is_source(stage: &Stage) -> bool {
    matches!(stage.kind, StageKind::Source(_))
}
