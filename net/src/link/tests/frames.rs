//! What is sent arrives.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use millstream_core::contracts::{Cause, Lane, Network, PeerId};

use super::support::{Node, addresses, certificates, hello, pair, peers, still_works};
use crate::link::Peers;
use crate::testkit::{Faults, UdpProxy};

/// Sizes around all that may matter: nothing, a length's, a packet's, a piece's, a buffer's.
const SIZES: [usize; 13] = [0, 1, 3, 4, 1452, 4095, 4096, 4097, 65_535, 65_536, 70_000, 300_000, 3_000_000];
const LANES: [Lane; 4] = [Lane::Control, Lane::Outcomes, Lane::Records(0), Lane::Records(700)];

/// A frame of this size that no other looks like.
fn patterned(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 251 + at + seed * 31) as u8).collect()
}

/// What one sends to another, by lane.
fn letters(from: PeerId, to: PeerId) -> Vec<(Lane, Vec<u8>)> {
    let seed = from * 7 + to;
    let sized =
        SIZES.iter().enumerate().map(|(at, size)| (LANES[(at + seed) % LANES.len()], patterned(*size, seed + at)));
    let small = (0..300).map(|at| (LANES[at % 2], patterned(at % 40, at)));
    small.chain(sized).collect()
}

async fn exchanged(node: &mut Node, me: PeerId, others: &[PeerId]) {
    for other in others {
        for (lane, frame) in letters(me, *other) {
            let half = frame.len() / 3;
            let pieces = vec![Bytes::copy_from_slice(&frame[..half]), Bytes::copy_from_slice(&frame[half..])];
            node.links.send(*other, lane, pieces);
        }
    }
    let mut wanted: BTreeMap<(PeerId, Lane), Vec<Vec<u8>>> = BTreeMap::new();
    for other in others {
        for (lane, frame) in letters(*other, me) {
            wanted.entry((*other, lane)).or_default().insert(0, frame);
        }
    }
    while wanted.values().any(|frames| !frames.is_empty()) {
        let (peer, lane, frame) = node.frame().await;
        let next = wanted.get_mut(&(peer, lane)).and_then(Vec::pop).expect("nothing comes that was not sent");
        assert!(frame == next, "a frame of {} bytes came, not that of {} whose turn it is", frame.len(), next.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_all_sizes_arrive_whole_and_in_order_between_three() {
    let (list, folder) = (addresses(3), certificates(3));
    let mut nodes = Vec::new();
    for me in 0..3 {
        nodes.push(Node::start(&list, me, folder.path()).await);
    }
    for node in &mut nodes {
        node.up().await;
        node.up().await;
    }
    let [one, two, three] = nodes.as_mut_slice() else { panic!("three") };
    tokio::join!(exchanged(one, 0, &[1, 2]), exchanged(two, 1, &[0, 2]), exchanged(three, 2, &[0, 1]));
}

#[tokio::test]
async fn a_full_lane_does_not_stop_the_others() {
    const FRAMES: usize = 32;
    let (list, folder) = (addresses(2), certificates(2));
    let (mut one, mut two) = pair(&list, folder.path()).await;
    let large = Bytes::from(vec![7; 1 << 20]);
    for _ in 0..FRAMES {
        one.links.send(1, Lane::Records(0), vec![large.clone()]);
    }
    // Nothing is taken until the lane has long been full.
    tokio::time::sleep(Duration::from_millis(300)).await;
    one.send(1, Lane::Control, b"make way");
    let mut before = 0;
    while two.frame().await.1 != Lane::Control {
        before += 1;
    }
    assert!(before < FRAMES, "control came behind all records");
    for _ in before..FRAMES {
        assert_eq!(two.frame().await.2.len(), large.len());
    }
}

#[tokio::test]
async fn what_was_sent_arrives_before_the_links_end() {
    let (list, folder) = (addresses(2), certificates(2));
    let (mut one, mut two) = pair(&list, folder.path()).await;
    for size in SIZES {
        one.send(1, Lane::Records(3), &patterned(size, 1));
    }
    one.send(1, Lane::Control, b"done");
    let received = async {
        let mut sizes = Vec::new();
        let mut control = 0;
        while sizes.len() < SIZES.len() || control == 0 {
            match two.frame().await {
                (0, Lane::Records(3), frame) => sizes.push(frame.len()),
                (0, Lane::Control, _) => control += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(sizes, SIZES);
        two.down().await
    };
    let ((), (peer, why)) = tokio::join!(one.links.close(), received);
    assert_eq!((peer, why.as_str()), (0, "it has left"));
}

#[tokio::test]
async fn one_that_gives_up_is_down_at_once() {
    let (list, folder) = (addresses(2), certificates(2));
    let (one, mut two) = pair(&list, folder.path()).await;
    drop(one);
    assert_eq!(two.down().await, (0, "it has given up".to_owned()));
}

#[tokio::test]
async fn a_link_that_is_cut_comes_up_anew() {
    let (list, folder) = (addresses(2), certificates(2));
    let (mut one, mut two) = pair(&list, folder.path()).await;
    two.links.cut(0, "it speaks in riddles");
    let (first, second) = tokio::join!(one.down(), two.down());
    assert_eq!((first, second), ((1, "it speaks in riddles".to_owned()), (0, "it speaks in riddles".to_owned())));
    let (first, second) = tokio::join!(one.up(), two.up());
    assert_eq!((first, second), (hello(1, 2), hello(0, 1)));
    still_works(&mut one, &mut two, (0, 1)).await;
}

#[tokio::test]
async fn a_frame_that_nobody_may_send_ends_the_run_where_it_is_sent() {
    let (list, folder) = (addresses(2), certificates(2));
    let small = |me| peers(&list, me, folder.path()).max_frame(1 << 20);
    let mut one = Node::open(&small(0), hello(0, 1)).await.unwrap();
    let mut two = Node::open(&small(1), hello(1, 2)).await.unwrap();
    tokio::join!(one.up(), two.up());
    one.send(1, Lane::Records(0), &[0; 1 << 20]);
    assert_eq!(two.frame().await.2.len(), 1 << 20);
    one.send(1, Lane::Records(0), &[0; (1 << 20) + 1]);
    let error = one.error().await;
    assert_eq!(error.cause(), Cause::User);
    let expected = format!("instance 2 ({}) takes 1048577 bytes, and at most 1048576 can be sent", list[1]);
    assert!(error.message().contains(&expected) && error.message().contains("raise `max_frame`"), "{error}");
}

#[tokio::test]
async fn what_is_sent_to_nobody_is_dropped() {
    let (list, folder) = (addresses(2), certificates(2));
    let mut one = Node::start(&list, 0, folder.path()).await;
    one.send(1, Lane::Control, b"too early");
    let mut two = Node::start(&list, 1, folder.path()).await;
    tokio::join!(one.up(), two.up());
    still_works(&mut one, &mut two, (0, 1)).await;
}

#[tokio::test]
async fn without_certificates_instances_of_one_machine_reach_each_other() {
    let list = addresses(2);
    let plain = |me: PeerId| Peers::new(&list).me(&list[me]).plain_on_loopback_for_tests();
    assert_eq!(plain(0).check(), Vec::<String>::new());
    let mut one = Node::open(&plain(0), hello(0, 1)).await.unwrap();
    let mut two = Node::open(&plain(1), hello(1, 2)).await.unwrap();
    tokio::join!(one.up(), two.up());
    still_works(&mut one, &mut two, (0, 1)).await;
}

#[tokio::test]
async fn an_address_is_listened_on_once() {
    let (list, folder) = (addresses(2), certificates(2));
    let _one = Node::start(&list, 0, folder.path()).await;
    let again = Node::open(&peers(&list, 0, folder.path()), hello(0, 9)).await;
    let error = again.err().expect("it is taken");
    assert_eq!(error.cause(), Cause::User);
    assert!(error.message().contains(&list[0]) && error.message().contains("another process"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_network_changes_nothing() {
    let (real, folder) = (addresses(2), certificates(2));
    let faults = Faults {
        seed: 4711,
        delay: Duration::from_millis(1),
        jitter: Duration::from_millis(2),
        loss: 0.03,
        reorder: 0.05,
        duplicate: 0.05,
        ..Faults::default()
    };
    let proxy = UdpProxy::start("127.0.0.1:0", real[1].parse().unwrap(), faults).await.unwrap();
    let list = vec![real[0].clone(), proxy.address().to_string()];
    let mut one = Node::start(&list, 0, folder.path()).await;
    let behind = peers(&list, 1, folder.path()).listen(&real[1]);
    let mut two = Node::open(&behind, hello(1, 2)).await.unwrap();
    tokio::join!(one.up(), two.up());
    tokio::join!(exchanged(&mut one, 0, &[1]), exchanged(&mut two, 1, &[0]));
    let did = proxy.counts();
    assert!(did.passed > 500 && did.lost > 10 && did.reordered > 10 && did.duplicated > 10, "{did:?}");
}
