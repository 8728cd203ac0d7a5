use millstream_core::contracts::{Ends, SourceFactory};
use millstream_core::data::{Marks, Partition};
use millstream_net::kafka::decode;

use super::marks::OffsetMarks;
use super::*;

fn orders() -> Topics {
    Topics::new("127.0.0.1:9", ["orders"], "billing")
}

#[test]
fn it_says_what_it_is_and_never_a_secret() {
    let secret = orders().property("sasl.password", "s3cret").keyed();
    let traits = secret.traits();
    assert_eq!(traits.input, "orders at 127.0.0.1:9 as billing; keys and values");
    assert!(traits.keeps_positions && traits.ends == Ends::Unbounded);
    assert_eq!(secret.until_end().traits().ends, Ends::Bounded);
    assert!(!format!("{:?}", orders().property("sasl.password", "s3cret")).contains("s3cret"));
}

#[test]
fn mistakes_are_found_before_anything_is_opened() {
    assert!(orders().check().is_empty());
    let wrong = |topics: Topics, what: &str| {
        let found = topics.check();
        assert!(found.len() == 1 && found[0].contains(what), "{what}: {found:?}");
    };
    wrong(Topics::new("a:1", Vec::<String>::new(), "g"), "no topic");
    wrong(Topics::new("a:1", [""], "g"), "an empty topic");
    wrong(Topics::new("a:1", ["^orders"], "g"), "Topics::matching");
    wrong(Topics::matching("a:1", "orders", "g"), "does not begin with ^");
    wrong(Topics::new("a:1", ["orders"], " "), "no group");
    wrong(Topics::new("", ["orders"], "g"), "no broker");
    wrong(orders().static_member(""), "static member");
    wrong(orders().batch_records(0), "1,024");
    wrong(orders().batch_bytes(0), "1 MiB");
    wrong(orders().revoke_wait(std::time::Duration::from_secs(300)), "max.poll.interval.ms");
    wrong(orders().property("auto.offset.reset", "earliest"), "on_expired");
    wrong(orders().property("no.such", "x"), "no.such");
    wrong(orders().property("partition.assignment.strategy", "range"), "cooperative-sticky");
    wrong(orders().until_end().property("client.rack", "a"), "client.rack");
}

#[test]
fn positions_stand_behind_their_record_over_gaps_too() {
    for offsets in [vec![7, 8, 9], vec![7, 9, 20]] {
        let marks = OffsetMarks::new(Partition::new("orders/3"), "".into(), &offsets);
        let at = |count| decode(&marks.position(count).unwrap().unwrap()).unwrap();
        assert_eq!(at(0), 7);
        for (index, offset) in offsets.iter().enumerate() {
            assert_eq!(at(index as u32 + 1), offset + 1);
            assert_eq!(marks.place(index as u32, &[], 0), format!("orders/3 offset {offset}"));
        }
    }
}

/// Without brokers.
#[test]
fn a_membership_goes_with_its_declaration() {
    let topics = orders();
    let member = super::member::Member::new(
        &topics.client_config(),
        std::time::Duration::from_secs(20),
        std::sync::Arc::downgrade(&topics.shared),
    );
    topics.shared.park(Box::new(member.expect("a client can be made")));
    let shared = std::sync::Arc::downgrade(&topics.shared);
    drop(topics);
    let began = std::time::Instant::now();
    while shared.upgrade().is_some() {
        assert!(began.elapsed().as_secs() < 20, "what it is kept in is still held");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
