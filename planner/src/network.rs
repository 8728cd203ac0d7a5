//! The second pass: where each stage runs, and the network stages that this needs. Pure planning: nothing is opened,
//! nobody is asked.
//!
//! The default is no coordination: a stage runs everywhere unless something holds it to one place. Walking from source
//! to sink, the pass knows where the records are ([`Spot`]) and what the next stage needs ([`Need`]); the two decide
//! whether a network stage stands between them.
//!
//! | records are            | stage is free | needs all of a key | needs one place | placed everywhere |
//! |------------------------|---------------|--------------------|-----------------|-------------------|
//! | on every instance      | –             | split by key       | merge           | –                 |
//! | where the source is    | split         | split by key       | merge, unless it is there | split   |
//! | where a merge put them | –             | –                  | merge, unless it is there | split   |

use millstream_core::contracts::{Across, Active, NetKind, Places, SourceTraits, Where};
use millstream_core::data::{Bytes, Data, Form, Kv};
use millstream_core::plan::{Stage, StageId, StageKind};

use crate::draft::{Draft, Hop, What, net_name};
use crate::logical::phase;

pub(crate) fn run(draft: &mut Draft<'_>) {
    if draft.instances > 1 {
        draft.hops = Route::new(&draft.stages).walk();
    } else {
        for hop in &mut draft.hops {
            "there is only one instance".clone_into(&mut hop.why);
        }
    }
    draft.phases.push(phase("Pipeline with injected network coders", &draft.hops));
}

/// Where the records are.
#[derive(Debug, Clone, PartialEq)]
enum Spot {
    /// On every instance.
    Everywhere,
    /// On the one instance that the broker has chosen; it may choose another at any time.
    Chosen,
    /// On this instance, fresh from the source.
    Fresh(Where),
    /// On this instance, where a stage needed them to be.
    Gathered(Where),
}

/// What a stage needs.
enum Need {
    /// Nothing.
    Free,
    /// To be everywhere, because the user said so.
    Everywhere,
    /// All records of a key on the same instance.
    Keys,
    /// All records on one instance, this one if it is said which.
    One(Option<Where>),
}

struct Route<'a> {
    stages: &'a [Stage],
    hops: Vec<Hop>,
    spot: Spot,
    /// Whether the records are what folds on all instances emit at the end: where they come together it is in the order
    /// in which one fold would emit them.
    shared_out: bool,
}

impl<'a> Route<'a> {
    fn new(stages: &'a [Stage]) -> Self {
        Self { stages, hops: Vec::new(), spot: Spot::Everywhere, shared_out: false }
    }

    fn walk(mut self) -> Vec<Hop> {
        for id in 0..self.stages.len() {
            match &self.stages[id].kind {
                StageKind::Source(traits) => self.begin(traits),
                _ => self.step(id),
            }
        }
        self.hops
    }

    /// The source stands where its traits or the user say.
    fn begin(&mut self, traits: &SourceTraits) {
        let source = &self.stages[0];
        let placed = source.options.place.clone().filter(|place| *place != Where::Everywhere);
        let (spot, why) = match (&traits.places, placed) {
            (_, Some(place)) => (Spot::Fresh(place), "its declaration places it there"),
            (Places::Exclusive(place), None) => (Spot::Fresh(place.clone()), "it reads that instance's own input"),
            (Places::Everywhere(Active::One), None) => (Spot::Chosen, "its broker lets one instance be active"),
            (Places::Everywhere(Active::Each), None) => (Spot::Everywhere, "each instance reads its own part"),
        };
        self.spot = spot;
        self.put(Hop::declared(0, source), why);
        let scattered = matches!(self.spot, Spot::Everywhere | Spot::Chosen);
        if source.options.limit.is_some() && scattered {
            let place = self.meeting_place(1);
            self.cross(
                NetKind::MergeSort,
                Spot::Gathered(place),
                0,
                "the source's limit counts the whole pipeline's records",
            );
        }
    }

    /// A network stage if there has to be one, then the stage.
    fn step(&mut self, id: StageId) {
        let stage = &self.stages[id];
        let (need, why) = need(stage);
        match &need {
            Need::Free if matches!(self.spot, Spot::Chosen | Spot::Fresh(_)) => self.split(NetKind::Split, id),
            Need::Everywhere if self.spot != Spot::Everywhere => self.split(NetKind::Split, id),
            Need::Keys if !matches!(self.spot, Spot::Gathered(_)) => self.split(NetKind::SplitByKey, id),
            Need::One(place) => self.gather(id, place.clone(), why),
            Need::Free | Need::Everywhere | Need::Keys => {}
        }
        let stays = matches!(self.spot, Spot::Gathered(_)) && matches!(need, Need::Free | Need::Keys);
        let why = if stays { "the records before it are brought together there" } else { why };
        self.put(Hop::declared(id, stage), why);
        if matches!(stage.kind, StageKind::Fold { .. }) {
            // What a timer emits has no order of its own.
            self.shared_out = self.spot == Spot::Everywhere && stage.options.trigger.every.is_none();
        }
    }

    fn split(&mut self, net: NetKind, before: StageId) {
        let why = if net == NetKind::Split {
            "it deals what is read there to all instances"
        } else {
            "it deals each key to its instance"
        };
        // A split runs where the records are that it deals.
        let place = self.place();
        self.cross(net, Spot::Everywhere, before - 1, why);
        if let Some(hop) = self.hops.last_mut() {
            hop.place = place;
        }
    }

    fn gather(&mut self, id: StageId, place: Option<Where>, why: &str) {
        let here = match &self.spot {
            Spot::Fresh(place) | Spot::Gathered(place) => Some(place.clone()),
            Spot::Everywhere | Spot::Chosen => None,
        };
        let place = place.or_else(|| here.clone()).unwrap_or_else(|| self.meeting_place(id));
        if here.as_ref() == Some(&place) {
            self.spot = Spot::Gathered(place);
            return;
        }
        let net = if self.stages[id..].iter().any(cares_for_order) { NetKind::MergeSort } else { NetKind::Merge };
        self.cross(net, Spot::Gathered(place), id - 1, why);
    }

    /// Where a stage runs that needs one place but not a certain one: where the next one does that needs a certain one,
    /// so that the records travel once; else on the first.
    fn meeting_place(&self, from: StageId) -> Where {
        for stage in &self.stages[from..] {
            match need(stage).0 {
                Need::One(Some(place)) => return place,
                Need::Everywhere => break,
                Need::Free | Need::Keys | Need::One(None) => {}
            }
        }
        Where::First
    }

    /// Puts a network stage behind stage `behind`.
    fn cross(&mut self, net: NetKind, to: Spot, behind: StageId, why: &str) {
        self.spot = to;
        let before = &self.stages[behind];
        let wire = before.gives.as_ref().map(|form| self.wire(net, form, behind + 1));
        let hop = Hop {
            what: What::Net(net),
            name: net_name(net).to_owned(),
            takes: wire.clone(),
            gives: wire,
            place: Where::Everywhere,
            why: String::new(),
            across: self.across(net, before),
        };
        self.put(hop, why);
    }

    /// How a network stage behind stage `before` orders records of different origins.
    fn across(&self, net: NetKind, before: &Stage) -> Across {
        match (net, before.options.merge_by_time) {
            (NetKind::MergeSort, Some(idle)) => Across::EventTime { idle },
            (NetKind::MergeSort | NetKind::SplitByKey, _) if self.shared_out => Across::FirstRecord,
            _ => Across::Any,
        }
    }

    /// What travels between instances: bytes, and for pairs bytes and bytes, because a split by key has to see the key.
    /// Pairs that are wanted as bytes, from stage `next` on until they are made anew, travel as those.
    fn wire(&self, net: NetKind, form: &Form, next: StageId) -> Form {
        let passed_on = self.stages[next..].iter().position(|stage| !stage.kind.passes_on());
        let takers = &self.stages[next..=next + passed_on.unwrap_or(0)];
        let as_bytes = takers.iter().all(|stage| stage.takes.as_ref().is_some_and(|form| form.is::<Bytes>()));
        if form.sides().is_some() && (net == NetKind::SplitByKey || !as_bytes) {
            Kv::<Bytes, Bytes>::form()
        } else {
            Bytes::form()
        }
    }

    fn put(&mut self, hop: Hop, why: &str) {
        self.hops.push(Hop { place: self.place(), why: why.to_owned(), ..hop });
    }

    fn place(&self) -> Where {
        match &self.spot {
            Spot::Everywhere | Spot::Chosen => Where::Everywhere,
            Spot::Fresh(place) | Spot::Gathered(place) => place.clone(),
        }
    }
}

fn need(stage: &Stage) -> (Need, &'static str) {
    let options = &stage.options;
    let own = match &stage.kind {
        StageKind::Sink(traits) => Some(&traits.place),
        _ => None,
    };
    match (&options.place, own) {
        (Some(Where::Everywhere), _) if must_be_one(stage).is_none() => {
            return (Need::Everywhere, "its declaration places it there");
        }
        (Some(place), _) if *place != Where::Everywhere => {
            return (Need::One(Some(place.clone())), "its declaration places it there");
        }
        (None, Some(place)) if *place != Where::Everywhere => {
            return (Need::One(Some(place.clone())), why_sink(stage));
        }
        _ => {}
    }
    match (must_be_one(stage), &stage.kind) {
        (Some(why), _) => (Need::One(None), why),
        (None, StageKind::Fold { keyed: true }) => (Need::Keys, "each instance has the keys that are dealt to it"),
        (None, _) => (Need::Free, "nothing holds it to one place"),
    }
}

/// Why the stage may run on one instance only, whichever.
pub(crate) fn must_be_one(stage: &Stage) -> Option<&'static str> {
    match stage.kind {
        StageKind::Fold { keyed: false } => Some("it folds all records into one state"),
        StageKind::Fold { keyed: true } if stage.options.trigger.each.is_some() => {
            Some("its trigger counts the whole pipeline's rows")
        }
        _ if stage.options.limit.is_some() => Some("its limit counts the whole pipeline's records"),
        _ => None,
    }
}

fn why_sink(stage: &Stage) -> &'static str {
    match &stage.kind {
        StageKind::Sink(traits) if traits.local_state => "its state is on that instance's disk",
        StageKind::Sink(traits) if traits.place == Where::LastJoined => "that is where the user looks",
        _ => "it writes in one place",
    }
}

fn cares_for_order(stage: &Stage) -> bool {
    match &stage.kind {
        // What stands in a position is all before it, and nothing behind it.
        StageKind::Sink(traits) => traits.ordered || traits.transactional.is_ok() || stage.options.limit.is_some(),
        StageKind::Fold { .. } => true,
        _ => stage.options.limit.is_some(),
    }
}
