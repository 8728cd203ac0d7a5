//! [`Coders`]: the cheapest chain of coders from the forms at hand to the form that a stage takes.
//!
//! The search is Dijkstra's over pairs of a form and an [`Origin`], which remembers what was encoded on the way, because
//! nothing may be decoded that was encoded from a structured value: bytes that an `Order` became don't say that they are
//! a `Node`. A chain from a type to the same type (a compression) is never used. If the form wanted is a pair, pairs are
//! coded side by side, each by a search of its own.
//!
//! Coders to the wire and back are used for what network stages carry and for nothing else. Bytes that one has made have
//! an origin that says so: they lead back to what they were made of, and to a network stage, and nowhere else.

use millstream_core::contracts::{Coder, Kind};
use millstream_core::data::Form;

use crate::pair::pair_coder;

/// What became of a value on the way to a form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing that forbids anything.
    #[default]
    Plain,
    /// It was encoded from this form, which had this origin: it may be decoded to that form and no other.
    Encoded(Form, Box<Origin>),
    /// A coder to the wire made it of this form, which had this origin: only a network stage carries it, and it may be
    /// decoded to that form and no other.
    Wired(Form, Box<Origin>),
    /// A pair whose sides have origins of their own.
    Sides(Box<Pair>),
}

/// The origin of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    key: Origin,
    value: Origin,
    /// The pair that a network stage carries: it can be made again whatever is wanted in the end. A form that is no pair
    /// remembers it by what it was encoded from.
    was: Option<Form>,
}

/// A form and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) form: Form,
    pub(crate) origin: Origin,
}

/// A chain of coders.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    /// Which of the forms at hand it begins at.
    pub(crate) start: usize,
    /// The coders, each with the origin of what it makes.
    pub(crate) steps: Vec<(Coder, Origin)>,
}

/// Why there is no chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoChain {
    /// No coders lead there.
    Missing {
        /// The form that is at hand, or that this side of a pair has.
        from: Form,
        /// The form that is wanted.
        to: Form,
    },
    /// Coders lead there only by decoding what was encoded: their names.
    DecodeAfterEncode(Vec<String>),
    /// Two chains cost the same: the names of each.
    Tie(Vec<String>, Vec<String>),
}

/// The coders that a pipeline may use.
pub(crate) struct Coders(Vec<Coder>);

impl Origin {
    /// The origin after `coder`, or `None` if it may not follow.
    fn after(&self, coder: &Coder) -> Option<Self> {
        match (coder.kind, self) {
            (Kind::WireDecode, Self::Wired(from, before)) => (*from == coder.to).then(|| (**before).clone()),
            (Kind::WireDecode, _) => None,
            _ if self.is_wire() => None,
            (Kind::WireEncode, _) => Some(Self::Wired(coder.from.clone(), Box::new(self.clone()))),
            (Kind::Recast, _) => Some(self.clone()),
            // In circles: it bounds the search, and no cheapest chain does it.
            (Kind::Encode, _) if self.was(&coder.to) || self.was(&coder.from) => None,
            (Kind::Encode, _) => Some(Self::Encoded(coder.from.clone(), Box::new(self.clone()))),
            (Kind::Decode, Self::Plain) => Some(Self::Plain),
            (Kind::Decode, Self::Encoded(from, before)) => (*from == coder.to).then(|| (**before).clone()),
            (Kind::Decode, Self::Sides(_) | Self::Wired(..)) => None,
        }
    }

    /// Whether a coder to the wire made it, or a side of it: only network stages take it.
    pub(crate) fn is_wire(&self) -> bool {
        match self {
            Self::Wired(..) => true,
            Self::Sides(pair) => pair.key.is_wire() || pair.value.is_wire(),
            Self::Plain | Self::Encoded(..) => false,
        }
    }

    /// Whether it once was of this form and encoded from it.
    fn was(&self, form: &Form) -> bool {
        match self {
            Self::Encoded(from, before) | Self::Wired(from, before) => from == form || before.was(form),
            Self::Plain | Self::Sides(_) => false,
        }
    }

    fn sides(&self) -> (Self, Self) {
        match self {
            Self::Sides(pair) => (pair.key.clone(), pair.value.clone()),
            whole => (whole.clone(), whole.clone()),
        }
    }

    fn of_sides(key: Self, value: Self, was: Option<Form>) -> Self {
        if key == Self::Plain && value == Self::Plain && was.is_none() {
            return Self::Plain;
        }
        Self::Sides(Box::new(Pair { key, value, was }))
    }

    /// The pair that it was before it was carried.
    fn was_pair(&self) -> Option<&Form> {
        match self {
            Self::Sides(pair) => pair.was.as_ref(),
            Self::Plain | Self::Encoded(..) | Self::Wired(..) => None,
        }
    }
}

impl At {
    /// A form that nothing forbids to decode.
    pub(crate) fn plain(form: Form) -> Self {
        Self { form, origin: Origin::Plain }
    }

    /// The form that it has for stages: for what was made for network stages, what it was made of.
    pub(crate) fn value(&self) -> &Form {
        match &self.origin {
            Origin::Wired(from, _) => from,
            _ => &self.form,
        }
    }
}

impl Chain {
    /// The names of its coders.
    pub(crate) fn names(&self) -> Vec<String> {
        self.steps.iter().map(|(coder, _)| coder.name.clone()).collect()
    }

    /// What its coders cost together.
    pub(crate) fn cost(&self) -> u64 {
        self.steps.iter().map(|(coder, _)| cost(coder)).sum()
    }

    /// Whether it has a coder that is worth a worker thread.
    pub(crate) fn heavy(&self) -> bool {
        self.steps.iter().any(|(coder, _)| coder.heavy)
    }

    /// Whether it has a coder that may wait for something outside.
    pub(crate) fn waits(&self) -> bool {
        self.steps.iter().any(|(coder, _)| coder.waits)
    }

    fn then(&self, coder: &Coder, origin: &Origin) -> Self {
        let mut longer = self.clone();
        longer.steps.push((coder.clone(), origin.clone()));
        longer
    }

    fn coders(&self) -> Vec<Coder> {
        self.steps.iter().map(|(coder, _)| coder.clone()).collect()
    }
}

/// Which chains count.
#[derive(Debug, Clone, Copy)]
struct Rule {
    /// Whether nothing may be decoded that was encoded.
    origins: bool,
    /// Whether the chain ends at a network stage: coders to the wire are used, and so is what they have made.
    carries: bool,
}

/// Where a chain is to lead.
#[derive(Debug, Clone, Copy)]
enum Goal<'a> {
    /// To this form.
    Form(&'a Form),
    /// To this form with this origin.
    At(&'a At),
}

impl Rule {
    /// The origin after `coder`, or `None` if it may not follow.
    fn after(self, origin: &Origin, coder: &Coder) -> Option<Origin> {
        match coder.kind {
            Kind::WireEncode if !self.carries => None,
            Kind::WireDecode => origin.after(coder),
            _ if self.origins || origin.is_wire() => origin.after(coder),
            _ => Some(Origin::Plain),
        }
    }
}

impl Goal<'_> {
    fn form(&self) -> &Form {
        match self {
            Self::Form(form) => form,
            Self::At(at) => &at.form,
        }
    }

    fn is(&self, at: &At, rule: Rule) -> bool {
        match self {
            Self::Form(form) => at.form == **form && (rule.carries || !at.origin.is_wire()),
            Self::At(wanted) => at == *wanted,
        }
    }
}

impl Coders {
    /// A pipeline's own coders and those that every pipeline may use. For the same two forms its own win; of two of the
    /// same name for the same two forms the last counts.
    pub(crate) fn new(own: &[Coder], defaults: &[Coder]) -> Self {
        let others = defaults.iter().filter(|coder| !own.iter().any(|own| joins_the_same(own, coder)));
        let mut all: Vec<Coder> = Vec::new();
        for coder in own.iter().chain(others).filter(|coder| coder.from != coder.to) {
            match all.iter_mut().find(|known| joins_the_same(known, coder) && known.name == coder.name) {
                Some(known) => *known = coder.clone(),
                None => all.push(coder.clone()),
            }
        }
        Self(all)
    }

    /// The cheapest chain from one of the forms at hand to `to`.
    pub(crate) fn cheapest(&self, from: &[At], to: &Form) -> Result<Chain, NoChain> {
        let (goal, rule) = (Goal::Form(to), Rule { origins: true, carries: false });
        self.search(from, goal, rule).map_err(|why| match why {
            NoChain::Missing { .. } => match self.search(from, goal, Rule { origins: false, ..rule }) {
                Ok(chain) => NoChain::DecodeAfterEncode(chain.names()),
                Err(NoChain::Tie(chain, _)) => NoChain::DecodeAfterEncode(chain),
                Err(_) => why,
            },
            why => why,
        })
    }

    /// The cheapest chain from a value to bytes for a network stage.
    pub(crate) fn to_wire(&self, from: &At, to: &Form) -> Result<Chain, NoChain> {
        self.search(std::slice::from_ref(from), Goal::Form(to), Rule { origins: true, carries: true })
    }

    /// The cheapest chain to exactly this, for a network stage.
    pub(crate) fn to_exactly(&self, from: &[At], to: &At) -> Result<Chain, NoChain> {
        let carries = to.origin.is_wire() || to.origin.was_pair().is_some();
        self.search(from, Goal::At(to), Rule { origins: true, carries })
    }

    /// The chain that a plan shows from one form of a value to another that is still at hand; it never runs.
    pub(crate) fn shown(&self, from: &Form, to: &At) -> Option<Chain> {
        let rule = Rule { origins: false, carries: to.origin.is_wire() };
        self.search(&[At::plain(from.clone())], Goal::Form(&to.form), rule).ok()
    }

    fn search(&self, from: &[At], goal: Goal<'_>, rule: Rule) -> Result<Chain, NoChain> {
        let mut reached: Vec<Reached> = from.iter().cloned().enumerate().map(Reached::start).collect();
        let mut trouble = None;
        while let Some(near) = nearest(&reached) {
            if goal.is(&reached[near].at, rule) {
                return alone(&reached, near, |at| goal.is(at, rule));
            }
            reached[near].done = true;
            for (coder, origin) in self.edges(&reached[near].at, goal.form(), rule, &mut trouble) {
                relax(&mut reached, near, &coder, origin);
            }
        }
        let from = from.first().map_or_else(|| goal.form(), At::value).clone();
        Err(trouble.unwrap_or_else(|| NoChain::Missing { from, to: goal.form().clone() }))
    }

    /// What a form can be coded to, with the origin that it then has.
    fn edges(&self, at: &At, to: &Form, rule: Rule, trouble: &mut Option<NoChain>) -> Vec<(Coder, Origin)> {
        let from_here = self.0.iter().filter(|coder| coder.from == at.form);
        let mut edges: Vec<_> =
            from_here.filter_map(|coder| Some((coder.clone(), rule.after(&at.origin, coder)?))).collect();
        let was = at.origin.was_pair().filter(|was| *was != to);
        for to in [to].into_iter().chain(was) {
            match self.both_sides(at, to, rule) {
                Some(Ok(edge)) => edges.push(edge),
                Some(Err(why)) => *trouble = trouble.take().or(Some(why)),
                None => {}
            }
        }
        edges
    }

    /// From a pair to the pair that is wanted: each side by its own chain. The search of a side looks for a smaller
    /// form, so it ends.
    fn both_sides(&self, at: &At, to: &Form, rule: Rule) -> Option<Result<(Coder, Origin), NoChain>> {
        let (from, wanted) = (at.form.sides()?, to.sides()?);
        let (key, value) = at.origin.sides();
        let side = |form: &Form, origin, to: &Form| {
            let at = At { form: form.clone(), origin };
            let end = at.origin.clone();
            let chain = self.search(&[at], Goal::Form(to), rule)?;
            let end = chain.steps.last().map_or(end, |(_, origin)| origin.clone());
            Ok((chain, end))
        };
        let both =
            side(&from.key, key, &wanted.key).and_then(|key| Ok((key, side(&from.value, value, &wanted.value)?)));
        Some(both.map(|((keys, key), (values, value))| {
            let was = rule.carries.then(|| at.origin.was_pair().unwrap_or(&at.form).clone());
            (pair_coder(&at.form, to, &keys.coders(), &values.coders()), Origin::of_sides(key, value, was))
        }))
    }
}

/// A form that the search has reached.
struct Reached {
    at: At,
    cost: u64,
    chain: Chain,
    /// Another chain of the same cost.
    rival: Option<Chain>,
    /// Whether all that it leads to has been looked at: its cost and its chains are final.
    done: bool,
}

impl Reached {
    fn start((start, at): (usize, At)) -> Self {
        Self { at, cost: 0, chain: Chain { start, steps: Vec::new() }, rival: None, done: false }
    }
}

/// What a coder costs; nothing is free.
fn cost(coder: &Coder) -> u64 {
    u64::from(coder.cost.max(1))
}

fn nearest(reached: &[Reached]) -> Option<usize> {
    let open = reached.iter().enumerate().filter(|(_, reached)| !reached.done);
    open.min_by_key(|(_, reached)| reached.cost).map(|(i, _)| i)
}

fn relax(reached: &mut Vec<Reached>, near: usize, coder: &Coder, origin: Origin) {
    let before = &reached[near];
    let next = Reached {
        cost: before.cost + cost(coder),
        chain: before.chain.then(coder, &origin),
        rival: before.rival.as_ref().map(|rival| rival.then(coder, &origin)),
        at: At { form: coder.to.clone(), origin },
        done: false,
    };
    match reached.iter_mut().find(|known| known.at == next.at) {
        None => reached.push(next),
        Some(known) if next.cost < known.cost => *known = next,
        Some(known) if next.cost == known.cost => _ = known.rival.get_or_insert(next.chain),
        Some(_) => {}
    }
}

/// The chain to `found`, unless another leads to the goal at the same cost. Since every coder costs something, all of
/// that cost have been reached by now.
fn alone(reached: &[Reached], found: usize, is_goal: impl Fn(&At) -> bool) -> Result<Chain, NoChain> {
    let best = &reached[found];
    let same = |(i, other): (usize, &Reached)| {
        (i != found && is_goal(&other.at) && other.cost == best.cost).then(|| other.chain.clone())
    };
    match best.rival.clone().or_else(|| reached.iter().enumerate().find_map(same)) {
        Some(rival) => Err(NoChain::Tie(best.chain.names(), rival.names())),
        None => Ok(best.chain.clone()),
    }
}

/// Whether one is there for what the other is: a coder to the wire never stands in for one to a format.
fn joins_the_same(a: &Coder, b: &Coder) -> bool {
    a.from == b.from && a.to == b.to && a.kind.is_wire() == b.kind.is_wire()
}
