use proptest::prelude::*;

use super::*;
use crate::data::column::tests::{acts, agree};
use crate::data::{Bytes, Data, Packed, Typed};

fn pair(seed: u8) -> Kv<String, u64> {
    Kv::new(seed.to_string(), u64::from(seed) * 3)
}

proptest! {
    #[test]
    fn pairs_are_like_a_vector(acts in acts()) {
        agree::<KvColumn<String, u64>>(acts, pair);
    }

    #[test]
    fn pairs_of_pairs_are_like_a_vector(acts in acts()) {
        agree::<KvColumn<Kv<String, u64>, Bytes>>(acts, |seed| Kv::new(pair(seed), vec![seed; 3].into()));
    }

    #[test]
    fn sides_are_taken_apart_and_put_together(seeds in prop::collection::vec(any::<u8>(), 0..20)) {
        let form = Kv::<String, u64>::form();
        let sides = form.sides().unwrap();
        let mut column = form.empty();
        for &seed in &seeds {
            column.cast_mut::<KvColumn<String, u64>>().unwrap().push(pair(seed));
        }
        let (keys, values) = (sides.split)(column);
        prop_assert_eq!(keys.cast::<Packed<String>>().unwrap().len(), seeds.len());
        prop_assert_eq!(values.cast::<Typed<u64>>().unwrap().as_slice().len(), seeds.len());
        let mut joined = (sides.join)(keys, values);
        let found: Vec<_> = joined.cast_mut::<KvColumn<String, u64>>().unwrap().drain().collect();
        prop_assert_eq!(found, seeds.into_iter().map(pair).collect::<Vec<_>>());
    }
}

#[test]
fn sides_are_looked_at_filled_and_copied_where_they_stand() {
    let form = Kv::<String, u64>::form();
    let sides = form.sides().unwrap();
    let (mut from, mut to) = (KvColumn::<String, u64>::default(), form.empty());
    for seed in [1, 2, 3] {
        from.push(pair(seed));
    }
    for _ in 0..2 {
        let (keys, values) = (sides.look)(&from).unwrap();
        let (new_keys, new_values) = (sides.fill)(&mut *to).unwrap();
        (sides.copy_keys)(keys, new_keys);
        (sides.copy_values)(values, new_values);
    }
    let to: Vec<_> = to.cast_mut::<KvColumn<String, u64>>().unwrap().drain().collect();
    assert_eq!(to, [1, 2, 3, 1, 2, 3].map(pair));
    let mut other = Typed::from(vec![1u64]);
    assert!((sides.look)(&other).is_none() && (sides.fill)(&mut other).is_none());
}

#[test]
fn the_form_names_both_sides() {
    let form = Kv::<String, Kv<Bytes, u64>>::form();
    assert_eq!(form.name(), "Kv<Text, Kv<Bytes, U64>>");
    let sides = form.sides().unwrap();
    assert!(sides.key.is::<String>() && sides.value.is::<Kv<Bytes, u64>>());
    assert_ne!(form, Kv::<String, u64>::form());
}

#[test]
fn weight_counts_both_sides() {
    let mut column = KvColumn::<u32, u64>::default();
    column.push(Kv::new(1, 2));
    column.push(Kv::new(3, 4));
    assert_eq!(column.weight(), 2 * (4 + 8));
}
