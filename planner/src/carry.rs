//! What a network stage carries.
//!
//! The bytes that a value came from travel as they are. Else a value is made into bytes before the network stage and made
//! of them again behind it: by a coder to the wire and back, or by the coders of a format, whichever costs less and leads
//! back to what the stages behind take. Where they take nothing but those bytes, the format's bytes travel, so that
//! they are made where there are many instances and not behind a merge.

use millstream_core::data::Form;

use crate::draft::{Draft, What};
use crate::hand::Hand;
use crate::paths::{At, Chain, Coders, NoChain, Origin};

/// Why nothing can be carried.
pub(crate) enum Stuck {
    /// No coders lead from this form to bytes and back.
    NoWayBack(Form),
    /// Coders do, and it can't be told by which.
    NoChain(NoChain),
    /// What the stage behind takes can't be made, network or not: it is to be reported there.
    Behind,
}

/// The chain that makes of what is at hand what network stage `hop` carries.
pub(crate) fn carry(draft: &Draft<'_>, hop: usize, hand: &Hand, wire: &Form) -> Result<Chain, Stuck> {
    let kept = |at: &At| at.form == *wire && (at.origin == Origin::Plain || at.origin.is_wire());
    if let Some(start) = hand.all().position(kept) {
        return Ok(Chain { start, ..Chain::default() });
    }
    let needs = needs(draft, hop);
    let by_format = hand.reach(wire, &draft.coders);
    if needs.iter().all(|need| need == wire) {
        return by_format.map_err(|_| Stuck::Behind);
    }
    let by_wire = draft.coders.to_wire(&hand.current().at, wire);
    let way = |chain| Way::new(hand, chain, &needs, &draft.coders);
    // Of a pair each side takes the cheaper of the two, and the whole remembers what pair it was.
    let by_format = if wire.sides().is_some() { by_wire.clone() } else { by_format };
    let best = match (by_format.map(way), by_wire.map(way)) {
        // Of two that are as good and cost the same the format.
        (Ok(format), Ok(wire)) => {
            if wire.is_better_than(&format) {
                wire
            } else {
                format
            }
        }
        (Ok(way), Err(_)) | (Err(_), Ok(way)) => way,
        (Err(_), Err(NoChain::Missing { from, .. })) => return Err(Stuck::NoWayBack(from)),
        (Err(_), Err(why)) => return Err(Stuck::NoChain(why)),
    };
    match best.lost {
        Some(form) => Err(Stuck::NoWayBack(form)),
        None => Ok(best.chain),
    }
}

/// What a chain has made in the end.
pub(crate) fn made(hand: &Hand, chain: &Chain) -> At {
    let made = chain.steps.last().map(|(coder, origin)| At { form: coder.to.clone(), origin: origin.clone() });
    made.unwrap_or_else(|| hand.at(chain.start).at.clone())
}

/// The forms that stages behind a network stage take, until one makes the value anew.
fn needs(draft: &Draft<'_>, hop: usize) -> Vec<Form> {
    let mut needs = Vec::new();
    for next in hop + 1..draft.hops.len() {
        if let What::Net(_) = draft.hops[next].what {
            continue;
        }
        needs.extend(draft.hops[next].takes.clone());
        if !draft.passes_on(next) {
            break;
        }
    }
    needs
}

/// A way to carry a value.
struct Way {
    chain: Chain,
    /// How many of the forms that are taken behind it can be made again.
    found: usize,
    /// What can be made of what is at hand and no longer of what travels.
    lost: Option<Form>,
}

impl Way {
    fn new(hand: &Hand, chain: Chain, needs: &[Form], coders: &Coders) -> Self {
        let mut behind = Hand::of(made(hand, &chain), 0);
        let (mut found, mut lost) = (0, None);
        for need in needs {
            match behind.reach(need, coders) {
                Ok(back) => {
                    found += 1;
                    behind.add(made(&behind, &back), 0);
                }
                Err(NoChain::Missing { to, .. }) if hand.reach(need, coders).is_ok() => {
                    let value = &hand.current().at.form;
                    let of_pairs = value.sides().is_some() && need.sides().is_some();
                    lost = lost.or_else(|| Some(if of_pairs { to } else { value.clone() }));
                }
                Err(_) => {}
            }
        }
        Self { chain, found, lost }
    }

    fn is_better_than(&self, other: &Self) -> bool {
        let rank = |way: &Self| (way.lost.is_some(), std::cmp::Reverse(way.found), way.chain.cost());
        rank(self) < rank(other)
    }
}
