//! The third pass: a chain of coders wherever a stage takes a form that isn't at hand.
//!
//! What runs and what is shown differ in one thing. A filter that looks at a view leaves the value as it came, so what
//! runs goes on from the form that is cheapest to go on from, most often the bytes. What is shown lets the value pass
//! through the filter, as the notation has it: it comes out as what the filter looked at, and a coder leads back to the
//! form that really goes on. The pass over what runs leaves that one out and says so.

use millstream_core::contracts::Kind;
use millstream_core::data::Form;
use millstream_core::plan::{Mark, Phase, PhaseStage, Stage};

use crate::carry::{Stuck, carry, made};
use crate::draft::{Draft, What, net_name};
use crate::hand::Hand;
use crate::paths::{At, Chain, Coders, NoChain};

pub(crate) fn run(draft: &mut Draft<'_>) {
    let Some(given) = draft.hops[0].gives.clone() else { return };
    let mut walk =
        Walk { hand: Hand::of(At::plain(given.clone()), 0), value: given, missing: Vec::new(), stuck: false };
    let mut shown = vec![Vec::new()];
    draft.carried = vec![None; draft.hops.len()];
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
    /// The forms that could not be made of what is at hand, and have been reported.
    missing: Vec<Form>,
    /// Whether any could not be made.
    stuck: bool,
}

impl Walk {
    /// The coders that are shown before a hop; at hand is then what is at hand behind it.
    fn step(&mut self, draft: &mut Draft<'_>, hop: usize) -> Vec<PhaseStage> {
        let Some(takes) = draft.hops[hop].takes.clone() else { return Vec::new() };
        if let What::Net(_) = draft.hops[hop].what {
            return self.cross(draft, hop, &takes);
        }
        let shown = match self.hand.reach(&takes, &draft.coders) {
            Ok(chain) => self.take(&chain, &takes, &draft.coders),
            Err(why) => {
                self.stuck = true;
                if !self.missing.contains(&takes) {
                    report(draft, hop, &self.hand, &takes, &why);
                    self.missing.push(takes.clone());
                }
                Vec::new()
            }
        };
        self.pass(draft, hop);
        shown
    }

    /// The coders that are shown before a network stage; behind it only what it carries is at hand.
    fn cross(&mut self, draft: &mut Draft<'_>, hop: usize, takes: &Form) -> Vec<PhaseStage> {
        match carry(draft, hop, &self.hand, takes) {
            Ok(chain) => {
                let carried = made(&self.hand, &chain);
                let shown = self.take(&chain, takes, &draft.coders);
                self.hand = Hand::of(carried.clone(), 0);
                self.missing.clear();
                draft.carried[hop] = Some(carried);
                shown
            }
            // What is at hand stays so: the stages behind are looked at as if the value had come through.
            Err(why) => {
                self.stuck = true;
                match why {
                    Stuck::NoWayBack(form) => report_no_way_back(draft, hop, &self.hand.current().at.form, &form),
                    Stuck::NoChain(why) => report(draft, hop, &self.hand, takes, &why),
                    Stuck::Behind => {}
                }
                Vec::new()
            }
        }
    }

    /// The value is now shown in the form that is taken.
    fn take(&mut self, chain: &Chain, takes: &Form, coders: &Coders) -> Vec<PhaseStage> {
        let mut shown = back_to(&self.value, &self.hand.at(chain.start).at, coders);
        shown.extend(lines(chain));
        for (coder, origin) in &chain.steps {
            self.hand.add(At { form: coder.to.clone(), origin: origin.clone() }, 0);
        }
        self.value = takes.clone();
        shown
    }

    fn pass(&mut self, draft: &Draft<'_>, hop: usize) {
        let Some(gives) = draft.hops[hop].gives.clone().filter(|_| !draft.passes_on(hop)) else { return };
        self.hand = Hand::of(At::plain(gives.clone()), 0);
        self.missing.clear();
        self.value = gives;
    }
}

/// From the form that the value is shown in to the one that is still at hand.
fn back_to(value: &Form, begins: &At, coders: &Coders) -> Vec<PhaseStage> {
    if *value == begins.form {
        return Vec::new();
    }
    match coders.shown(value, begins) {
        Some(chain) => lines(&chain),
        None => vec![line("UNCHANGED", value, &begins.form, Mark::Kept)],
    }
}

fn lines(chain: &Chain) -> Vec<PhaseStage> {
    let mark = |kind| match kind {
        Kind::Decode | Kind::WireDecode => Mark::Decode,
        Kind::Encode | Kind::WireEncode => Mark::Encode,
        Kind::Recast => Mark::Recast,
    };
    chain.steps.iter().map(|(coder, _)| line(&coder.name, &coder.from, &coder.to, mark(coder.kind))).collect()
}

fn line(name: &str, from: &Form, to: &Form, mark: Mark) -> PhaseStage {
    PhaseStage { name: name.to_owned(), takes: Some(from.name().to_owned()), gives: Some(to.name().to_owned()), mark }
}

/// Says why a hop's form can't be made: the stage before it, the stage that takes it, both types, what to do.
pub(crate) fn report(draft: &mut Draft<'_>, hop: usize, hand: &Hand, takes: &Form, why: &NoChain) {
    let at_hand = hand.names().join(" or ");
    let wanted = format!("[{takes}]");
    let (wrong, advice) = match why {
        NoChain::Missing { to, .. } if to == takes => missing(&wanted, &at_hand, hand.current().at.value(), to),
        NoChain::Missing { from, to } => {
            missing(&format!("[{to}], a side of {wanted}"), &format!("[{from}]"), from, to)
        }
        NoChain::DecodeAfterEncode(names) => (
            format!("{wanted} could only be made of {at_hand} by decoding what was encoded ({})", names.join(" + ")),
            "if that is meant, name the format between the two stages with `encode_as` or `decode_as`; if not, make the \
             one of the other in a `map`"
                .to_owned(),
        ),
        NoChain::Tie(one, other) => (
            format!(
                "two ways lead from {at_hand} to {wanted} at the same cost: {}, and {}",
                one.join(" + "),
                other.join(" + ")
            ),
            "register the one that is meant for this pipeline by `with`, which wins over the defaults, or name it with \
             `encode_as` or `decode_as`"
                .to_owned(),
        ),
    };
    draft.mistakes.of(&around(&draft.stages, draft.stage_at(hop)), wrong, advice);
}

/// Says that a network stage can't carry `value`, because of `form`: it or a side of it.
fn report_no_way_back(draft: &mut Draft<'_>, hop: usize, value: &Form, form: &Form) {
    let What::Net(net) = draft.hops[hop].what else { return };
    let side = if form == value { String::new() } else { format!(", a side of [{value}],") };
    let wrong = format!(
        "{} between them carries bytes, and no coders make bytes of [{form}]{side} and [{form}] of them again",
        net_name(net)
    );
    let advice = if form.sides().is_some() {
        "put a `map` before it that makes a type of your own of that pair, and register coders for that".to_owned()
    } else {
        format!(
            "register them for this pipeline: by `with(wire::of::<{form}>())` if serde knows the type, or by `with` and a \
             format that reads what it writes"
        )
    };
    draft.mistakes.of(&around(&draft.stages, draft.stage_at(hop)), wrong, advice);
}

/// A stage and the one before it.
fn around(stages: &[Stage], id: usize) -> [&Stage; 2] {
    [&stages[id - 1], &stages[id]]
}

fn missing(wanted: &str, at_hand: &str, from: &Form, to: &Form) -> (String, String) {
    (
        format!("no coder makes {wanted} of {at_hand}"),
        format!(
            "register a coder from [{from}] to [{to}] for this pipeline by `with`, or put a stage between them that \
             makes the one of the other"
        ),
    )
}
