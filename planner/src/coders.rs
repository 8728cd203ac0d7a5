//! The third pass: a chain of coders wherever a stage takes a form that isn't at hand.
//!
//! What runs and what is shown differ in one thing. A filter that looks at a view leaves the value as it came, so what
//! runs goes on from the form that is cheapest to go on from, most often the bytes. What is shown lets the value pass
//! through the filter, as the notation has it: it comes out as what the filter looked at, and a coder leads back to the
//! form that really goes on. The pass over what runs leaves that one out and says so.

use millstream_core::contracts::Kind;
use millstream_core::data::Form;
use millstream_core::plan::{Mark, Phase, PhaseStage};

use crate::draft::{Draft, What};
use crate::hand::Hand;
use crate::paths::{At, Chain, Coders, NoChain};

pub(crate) fn run(draft: &mut Draft<'_>) {
    let Some(given) = draft.hops[0].gives.clone() else { return };
    let mut walk = Walk { hand: Hand::of(At::plain(given.clone()), 0), value: given, stuck: false };
    let mut shown = vec![Vec::new()];
    for hop in 1..draft.hops.len() {
        shown.push(walk.step(draft, hop));
    }
    let lines = draft.hops.iter().zip(&shown).flat_map(|(hop, before)| before.iter().cloned().chain([hop.line()]));
    let title = "Final Pipeline with injected type coders".to_owned();
    draft.phases.push(Phase { title, stages: lines.collect() });
    draft.shown = if walk.stuck { Vec::new() } else { shown };
}

struct Walk {
    hand: Hand,
    /// The form that the value is shown in.
    value: Form,
    /// Whether a chain was missing.
    stuck: bool,
}

impl Walk {
    /// The coders that are shown before a hop; at hand is then what is at hand behind it.
    fn step(&mut self, draft: &mut Draft<'_>, hop: usize) -> Vec<PhaseStage> {
        let Some(takes) = draft.hops[hop].takes.clone() else { return Vec::new() };
        let shown = match self.hand.reach(&takes, &draft.coders) {
            Ok(chain) => {
                let begins = self.hand.at(chain.start).at.form.clone();
                let mut shown = back_to(&self.value, &begins, &draft.coders);
                shown.extend(lines(&chain));
                self.take(&chain);
                shown
            }
            Err(why) => {
                report(draft, hop, &self.hand, &takes, &why);
                self.stuck = true;
                // What would have been made is taken as given, so that one mistake doesn't bring others along.
                self.hand.add(At::plain(takes.clone()), 0);
                Vec::new()
            }
        };
        self.pass(draft, hop, takes);
        shown
    }

    fn take(&mut self, chain: &Chain) {
        for (coder, origin) in &chain.steps {
            self.hand.add(At { form: coder.to.clone(), origin: origin.clone() }, 0);
        }
    }

    fn pass(&mut self, draft: &Draft<'_>, hop: usize, takes: Form) {
        let Some(gives) = draft.hops[hop].gives.clone() else { return };
        if !draft.passes_on(hop) {
            self.hand = Hand::of(behind(&self.hand, draft.hops[hop].what, &takes, &gives), 0);
        }
        self.value = gives;
    }
}

/// What is at hand behind a hop that doesn't pass on what came. A network stage doesn't make bytes anew: what they were
/// encoded from stays known, so that they are decoded to that and nothing else.
pub(crate) fn behind(hand: &Hand, what: What, takes: &Form, gives: &Form) -> At {
    let carried = hand.find(takes).map(|held| held.at.clone());
    match (what, carried) {
        (What::Net(_), Some(at)) => at,
        _ => At::plain(gives.clone()),
    }
}

/// From the form that the value is shown in to the one that is still at hand.
fn back_to(value: &Form, begins: &Form, coders: &Coders) -> Vec<PhaseStage> {
    if value == begins {
        return Vec::new();
    }
    match coders.shown(value, begins) {
        Some(chain) => lines(&chain),
        None => vec![line("UNCHANGED", value, begins, Mark::Kept)],
    }
}

fn lines(chain: &Chain) -> Vec<PhaseStage> {
    let mark = |kind| match kind {
        Kind::Decode => Mark::Decode,
        Kind::Encode => Mark::Encode,
        Kind::Recast => Mark::Recast,
    };
    chain.steps.iter().map(|(coder, _)| line(&coder.name, &coder.from, &coder.to, mark(coder.kind))).collect()
}

fn line(name: &str, from: &Form, to: &Form, mark: Mark) -> PhaseStage {
    PhaseStage {
        name: name.to_owned(),
        takes: Some(from.name().to_owned()),
        gives: Some(to.name().to_owned()),
        mark,
    }
}

/// Says why a hop's form can't be made: the stage before it, the stage that takes it, both types, what to do.
pub(crate) fn report(draft: &mut Draft<'_>, hop: usize, hand: &Hand, takes: &Form, why: &NoChain) {
    let id = draft.stage_at(hop);
    let stages = [&draft.stages[id - 1], &draft.stages[id]];
    let at_hand = hand.names().join(" or ");
    let for_net = match draft.hops[hop].what {
        What::Net(net) => format!(", which {} between them carries", net.name()),
        What::Declared(_) => String::new(),
    };
    let (wrong, advice) = match why {
        NoChain::Missing { from, to } => {
            let side = if to == takes { String::new() } else { format!(", a side of [{takes}]") };
            let from = if to == takes { at_hand } else { format!("[{from}]") };
            (
                format!("no coder makes [{to}]{side}{for_net} of {from}"),
                format!("register a coder from {from} to [{to}] for this pipeline by `with`, or put a stage between them that makes it"),
            )
        }
        NoChain::DecodeAfterEncode(names) => (
            format!("[{takes}]{for_net} could only be made of {at_hand} by encoding and decoding again ({})", names.join(", ")),
            "name the format between them with `encode_as` and `decode_as` if that is meant, or make the one of the other in a `map`".to_owned(),
        ),
        NoChain::Tie(one, other) => (
            format!(
                "two ways lead from {at_hand} to [{takes}]{for_net} at the same cost: {}; and {}",
                one.join(" + "),
                other.join(" + ")
            ),
            "register the one that is meant for this pipeline by `with`, which wins over the defaults, or name it with `encode_as` or `decode_as`".to_owned(),
        ),
    };
    draft.mistakes.of(&stages, wrong, advice);
}
