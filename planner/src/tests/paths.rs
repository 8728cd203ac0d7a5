//! The search against a naive model: all chains without a form twice, the cheapest of them.

use millstream_core::contracts::{Coder, Kind};
use millstream_core::data::{Data, Form, Typed};
use proptest::prelude::*;

use super::doubles::coder_of;
use crate::paths::{At, Coders, NoChain};

/// Forms that differ by number.
struct Numbered<const N: usize>;

impl<const N: usize> Data for Numbered<N> {
    const NAME: &'static str = "N";
    type Column = Typed<Self>;

    fn form() -> Form {
        Form::of::<Self>(format!("N{N}").into(), None)
    }
}

const FORMS: usize = 6;

fn form(number: usize) -> Form {
    let forms: [fn() -> Form; FORMS] = [
        Numbered::<0>::form,
        Numbered::<1>::form,
        Numbered::<2>::form,
        Numbered::<3>::form,
        Numbered::<4>::form,
        Numbered::<5>::form,
    ];
    forms[number]()
}

/// From, to, kind, cost.
type Edge = (usize, usize, Kind, u32);

fn edge() -> impl Strategy<Value = Edge> {
    let kinds = prop::sample::select(vec![Kind::Decode, Kind::Encode, Kind::Recast]);
    (0..FORMS, 0..FORMS, kinds, 1..4u32)
}

/// The costs of all chains from `at` to `to` that visit no form twice and decode nothing after they encoded.
fn costs(edges: &[Edge], path: &mut Vec<usize>, to: usize, encoded: bool, cost: u64, found: &mut Vec<u64>) {
    let at = path[path.len() - 1];
    if at == to {
        return found.push(cost);
    }
    for &(_, next, kind, more) in edges.iter().filter(|edge| edge.0 == at) {
        if !(path.contains(&next) || encoded && kind == Kind::Decode) {
            path.push(next);
            costs(edges, path, to, encoded || kind == Kind::Encode, cost + u64::from(more), found);
            path.pop();
        }
    }
}

fn coders(edges: &[Edge]) -> Vec<Coder> {
    let named =
        |(i, &(from, to, kind, cost)): (usize, &Edge)| coder_of(&i.to_string(), form(from), form(to), kind, cost);
    edges.iter().enumerate().map(named).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_search_finds_the_one_cheapest_chain(
        edges in prop::collection::vec(edge(), 0..14),
        hand in prop::collection::btree_set(0..FORMS, 1..3),
        to in 0..FORMS,
    ) {
        prop_assume!(!hand.contains(&to));
        let mut found = Vec::new();
        hand.iter().for_each(|&from| costs(&edges, &mut vec![from], to, false, 0, &mut found));
        let least = found.iter().min();
        let ways = found.iter().filter(|cost| Some(*cost) == least).count();

        let at_hand: Vec<At> = hand.iter().map(|&from| At::plain(form(from))).collect();
        let coders = Coders::new(&coders(&edges), &[]);
        match coders.cheapest(&at_hand, &form(to)) {
            Ok(chain) => {
                let cost = chain.steps.iter().map(|(coder, _)| u64::from(coder.cost)).sum::<u64>();
                prop_assert_eq!((Some(&cost), ways), (least, 1));
                let mut at = at_hand[chain.start].form.clone();
                for (coder, _) in &chain.steps {
                    prop_assert_eq!(&coder.from, &at);
                    at = coder.to.clone();
                }
                prop_assert_eq!(at, form(to));
            }
            Err(NoChain::Tie(one, other)) => {
                prop_assert!(ways > 1, "{:?} and {:?}", one, other);
                prop_assert_ne!(one, other);
            }
            Err(NoChain::DecodeAfterEncode(names)) => {
                prop_assert_eq!(ways, 0);
                prop_assert!(!names.is_empty());
            }
            Err(NoChain::Missing { .. }) => prop_assert_eq!(ways, 0),
        }
    }

    #[test]
    fn coders_to_the_wire_change_no_chain_between_stages(
        edges in prop::collection::vec(edge(), 0..10),
        wires in prop::collection::vec((0..FORMS, 0..FORMS, any::<bool>(), 1..4u32), 1..6),
        to in 1..FORMS,
    ) {
        let kind = |back| if back { Kind::WireDecode } else { Kind::WireEncode };
        let wires = wires.into_iter().map(|(from, to, back, cost)| (from, to, kind(back), cost));
        let all: Vec<Edge> = edges.iter().copied().chain(wires).collect();
        let search = |edges: &[Edge]| {
            let chain = Coders::new(&coders(edges), &[]).cheapest(&[At::plain(form(0))], &form(to));
            chain.map(|chain| chain.names()).map_err(|why| std::mem::discriminant(&why))
        };
        prop_assert_eq!(search(&edges), search(&all));
    }

    #[test]
    fn the_order_of_registration_does_not_matter(edges in prop::collection::vec(edge(), 0..10), to in 1..FORMS) {
        let forward = coders(&edges);
        let backward: Vec<Coder> = forward.iter().rev().cloned().collect();
        let search = |coders: &[Coder]| {
            let chain = Coders::new(coders, &[]).cheapest(&[At::plain(form(0))], &form(to));
            chain.map(|chain| chain.names()).map_err(|why| std::mem::discriminant(&why))
        };
        prop_assert_eq!(search(&forward), search(&backward));
    }
}
