//! Peers that are gone, and return.

use std::path::Path;
use std::time::Duration;

use millstream_core::contracts::{Lane, Links, Network, PeerId};

use super::support::{Node, addresses, certificates, hello, pair, peers, still_works};
use crate::testkit::{Faults, UdpProxy};

#[tokio::test]
async fn a_peer_that_is_cut_off_is_down_and_then_up_again() {
    let (real, folder) = (addresses(2), certificates(2));
    let proxy = UdpProxy::start("127.0.0.1:0", real[1].parse().unwrap(), Faults::default()).await.unwrap();
    let list = vec![real[0].clone(), proxy.address().to_string()];
    let second = Duration::from_secs(1);
    let mut one = Node::open(&peers(&list, 0, folder.path()).detection(second), hello(0, 1)).await.unwrap();
    let behind = peers(&list, 1, folder.path()).detection(second).listen(&real[1]);
    let mut two = Node::open(&behind, hello(1, 2)).await.unwrap();
    tokio::join!(one.up(), two.up());
    for _ in 0..2 {
        proxy.cut();
        let ((first, why), (second, _)) = tokio::join!(one.down(), two.down());
        assert_eq!((first, second), (1, 0));
        assert!(why.contains("nothing has come from it for 1s"), "{why}");
        proxy.heal();
        let (first, second) = tokio::join!(one.up(), two.up());
        assert_eq!((first, second), (hello(1, 2), hello(0, 1)), "the same epochs are back");
        still_works(&mut one, &mut two, (0, 1)).await;
    }
}

#[tokio::test]
async fn a_quiet_link_stays_up() {
    let (list, folder) = (addresses(2), certificates(2));
    let short = Duration::from_millis(400);
    let mut one = Node::open(&peers(&list, 0, folder.path()).detection(short), hello(0, 1)).await.unwrap();
    let mut two = Node::open(&peers(&list, 1, folder.path()).detection(short), hello(1, 2)).await.unwrap();
    tokio::join!(one.up(), two.up());
    tokio::time::sleep(short * 4).await;
    still_works(&mut one, &mut two, (0, 1)).await;
}

/// An instance in a process of its own, as far as that goes: it can be killed without a word.
struct Doomed {
    runtime: tokio::runtime::Runtime,
    links: Box<dyn Links>,
}

impl Doomed {
    /// Starts it, once its address is free.
    async fn start(list: &[String], me: PeerId, epoch: u64, folder: &Path) -> Self {
        let declared = peers(list, me, folder);
        let started = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            loop {
                match runtime.block_on(declared.open(hello(me, epoch))) {
                    Ok(links) => return Self { runtime, links },
                    Err(error) if error.message().contains("another process") => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        started.await.unwrap()
    }

    /// Its tasks are gone before its links could say anything.
    async fn kill(self) {
        let Self { runtime, links } = self;
        let stopped = tokio::task::spawn_blocking(|| runtime.shutdown_timeout(Duration::from_secs(60)));
        stopped.await.unwrap();
        drop(links);
    }
}

#[tokio::test]
async fn one_that_dialed_and_was_killed_is_replaced_by_its_next_start() {
    let (list, folder) = (addresses(2), certificates(2));
    let mut two = Node::start(&list, 1, folder.path()).await;
    let one = Doomed::start(&list, 0, 5, folder.path()).await;
    assert_eq!(two.up().await, hello(0, 5));
    one.kill().await;
    let one = Doomed::start(&list, 0, 6, folder.path()).await;
    // Long before its silence would tell: it was asked, and did not answer.
    let (peer, why) = two.down().await;
    assert!(peer == 0 && why.contains("started anew"), "{why}");
    assert_eq!(two.up().await, hello(0, 6));
    one.kill().await;
}

#[tokio::test]
async fn one_that_was_dialed_and_killed_says_so_when_it_starts_anew() {
    let (list, folder) = (addresses(2), certificates(2));
    let mut one = Node::start(&list, 0, folder.path()).await;
    let two = Doomed::start(&list, 1, 5, folder.path()).await;
    assert_eq!(one.up().await, hello(1, 5));
    two.kill().await;
    let two = Doomed::start(&list, 1, 6, folder.path()).await;
    one.send(1, Lane::Control, &[7; 100]);
    // Long before its silence would tell: it answers that it does not know the link.
    let (peer, why) = one.down().await;
    assert!(peer == 1 && why.contains("started anew"), "{why}");
    assert_eq!(one.up().await, hello(1, 6));
    two.kill().await;
}

#[tokio::test]
async fn a_second_process_of_an_instance_that_dials_is_refused() {
    let (list, folder) = (addresses(2), certificates(2));
    let (mut one, mut two) = pair(&list, folder.path()).await;
    // As if on another machine: with another address of its own, which nobody else knows.
    let elsewhere = peers(&list, 0, folder.path()).listen(addresses(1).remove(0));
    let mut twin = Node::open(&elsewhere, hello(0, 77)).await.unwrap();
    let error = twin.error().await;
    assert_eq!(error.message(), format!("instance 1 ({}) is already running: stop it first", list[0]));
    still_works(&mut one, &mut two, (0, 1)).await;
}

#[tokio::test]
async fn a_second_process_of_an_instance_that_is_dialed_is_refused() {
    let (list, folder) = (addresses(2), certificates(2));
    let (mut one, mut two) = pair(&list, folder.path()).await;
    let elsewhere = peers(&list, 1, folder.path()).listen(addresses(1).remove(0));
    let mut twin = Node::open(&elsewhere, hello(1, 77)).await.unwrap();
    let error = twin.error().await;
    assert_eq!(error.message(), format!("instance 2 ({}) is already running: stop it first", list[1]));
    still_works(&mut one, &mut two, (0, 1)).await;
}
