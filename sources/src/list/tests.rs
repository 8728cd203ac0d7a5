use millstream_core::contracts::{Cause, Ends, Held, SourceFactory};
use millstream_core::data::{Partition, Position};

use super::List;
use crate::testing::batches;

fn held(position: Position) -> Held {
    Held::new([(Partition::new("list"), position)])
}

fn rest(list: &List<u64>, held: &Held) -> Vec<u64> {
    let all = batches(&mut list.make(), held).expect("read");
    all.iter().flat_map(|chunk| chunk.column.as_slice().to_vec()).collect()
}

#[test]
fn the_records_come_in_order_and_in_batches() {
    let items: Vec<u64> = (0..2_500).map(|number| number * 3).collect();
    let list = List::new(items.clone());
    assert_eq!(rest(&list, &Held::default()), items);
    let all = batches(&mut list.make(), &Held::default()).expect("read");
    assert_eq!(all.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [1_024, 1_024, 452]);
    assert_eq!(all[1].marks.place(2, &[], 0), "list record 1026");
    let traits = list.traits();
    assert_eq!((traits.input.as_str(), traits.ends), ("a list of 2500 U64", Ends::Bounded));
}

#[test]
fn after_any_record_exactly_the_rest_is_given() {
    let list = List::new((0..1_100).collect::<Vec<u64>>());
    let mut done = 0;
    for chunk in batches(&mut list.make(), &Held::default()).expect("read") {
        for count in (0..=chunk.len()).filter(|count| count % 61 < 2 || *count == chunk.len()) {
            let position = chunk.marks.position(count as u32).expect("made").expect("one");
            assert_eq!(rest(&list, &held(position)), ((done + count) as u64..1_100).collect::<Vec<_>>());
        }
        done += chunk.len();
    }
    assert_eq!(done, 1_100);
}

#[test]
fn texts_are_packed() {
    let list = List::new(vec!["one".to_owned(), "two".to_owned()]);
    let all = batches(&mut list.make(), &Held::default()).expect("read");
    assert_eq!((all[0].column.text(0), all[0].column.text(1)), ("one", "two"));
}

#[test]
fn an_empty_list_ends() {
    assert!(rest(&List::new(Vec::new()), &Held::default()).is_empty());
}

#[test]
fn a_list_of_another_length_and_a_strange_position_are_refused() {
    let chunk = batches(&mut List::new(vec![1_u64, 2, 3]).make(), &Held::default()).expect("read").remove(0);
    let position = chunk.marks.position(2).expect("made").expect("one");
    let shorter = List::new(vec![1_u64, 2]);
    let error = batches(&mut shorter.make(), &held(position.clone())).err().expect("refused");
    assert_eq!(error.cause(), Cause::State);
    assert!(error.message().contains("expected 3 records, found 2"), "{error}");
    for bytes in [&[][..], &[2], &[1], &position.bytes()[..16], &[position.bytes(), &[0][..]].concat()] {
        let strange = Position::new(bytes.to_vec(), "strange").expect("small");
        let error = batches(&mut shorter.make(), &held(strange)).err().expect("refused");
        assert!(error.message().contains("(strange) can't be read"), "{error}");
    }
}
