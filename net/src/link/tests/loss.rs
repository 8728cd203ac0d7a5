//! Peers that are gone, and return.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use millstream_core::contracts::{Lane, Links, Network, PeerId};
use tokio::net::UdpSocket;

use super::support::{Node, addresses, certificates, hello, pair, peers, still_works};
use crate::link::Peers;
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

#[tokio::test]
async fn an_instance_whose_clock_was_set_back_is_told_so_and_comes_back_once_it_is_right() {
    for back in 0..2 {
        let (list, folder) = (addresses(2), certificates(2));
        let (one, two) = pair(&list, folder.path()).await;
        let (mut stays, goes) = if back == 0 { (two, one) } else { (one, two) };
        goes.end(&list[back]).await;
        stays.down().await;
        let again = async |epoch| Node::open(&peers(&list, back, folder.path()), hello(back, epoch)).await;
        let mut wrong = again(0).await.unwrap();
        let error = wrong.error().await;
        assert!(error.message().contains("its clock was set back"), "{error}");
        if back == 1 {
            // Whoever dials may be in the middle of it, and hear nothing more for as long as silence takes.
            continue;
        }
        wrong.end(&list[back]).await;
        let _right = again(9).await.unwrap();
        assert_eq!(stays.up().await, hello(back, 9));
    }
}

#[tokio::test]
async fn unless_told_otherwise_a_silence_of_five_seconds_is_a_loss() {
    let (real, folder) = (addresses(2), certificates(2));
    let proxy = UdpProxy::start("127.0.0.1:0", real[1].parse().unwrap(), Faults::default()).await.unwrap();
    let list = vec![real[0].clone(), proxy.address().to_string()];
    let declared = |me: PeerId| Peers::new(&list).me(&list[me]).tls(folder.path());
    assert_eq!(declared(0).detection, Duration::from_secs(5));
    let mut one = Node::open(&declared(0), hello(0, 1)).await.unwrap();
    let mut two = Node::open(&declared(1).listen(&real[1]), hello(1, 2)).await.unwrap();
    tokio::join!(one.up(), two.up());
    proxy.cut();
    let ((first, why), (second, _)) = tokio::join!(one.down(), two.down());
    assert_eq!((first, second), (1, 0));
    assert!(why.contains("nothing has come from it for 5s"), "{why}");
}

/// What has passed, both ways: packets, and their bytes.
#[derive(Default)]
struct Passed(AtomicU64, AtomicU64);

impl Passed {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(1, Relaxed);
        self.1.fetch_add(bytes as u64, Relaxed);
    }

    fn so_far(&self) -> (u64, u64) {
        (self.0.load(Relaxed), self.1.load(Relaxed))
    }
}

/// Passes on what one sends to another and what that answers, and counts it.
async fn counts(front: UdpSocket, to: SocketAddr, passed: Arc<Passed>) {
    let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (mut sender, mut there, mut here) = (None, vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            Ok((bytes, from)) = front.recv_from(&mut there) => {
                sender = Some(from);
                passed.add(bytes);
                back.send_to(&there[..bytes], to).await.unwrap();
            }
            Ok((bytes, _)) = back.recv_from(&mut here) => {
                passed.add(bytes);
                front.send_to(&here[..bytes], sender.expect("it is answered")).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn keep_alives_are_few_and_small() {
    let (real, folder) = (addresses(2), certificates(2));
    let proxy = UdpProxy::start("127.0.0.1:0", real[1].parse().unwrap(), Faults::default()).await.unwrap();
    let (front, passed) = (UdpSocket::bind("127.0.0.1:0").await.unwrap(), Arc::<Passed>::default());
    let list = vec![real[0].clone(), front.local_addr().unwrap().to_string()];
    let counting = tokio::spawn(counts(front, proxy.address(), passed.clone()));
    let second = Duration::from_secs(1);
    let mut one = Node::open(&peers(&list, 0, folder.path()).detection(second), hello(0, 1)).await.unwrap();
    let behind = peers(&list, 1, folder.path()).detection(second).listen(&real[1]);
    let mut two = Node::open(&behind, hello(1, 2)).await.unwrap();
    tokio::join!(one.up(), two.up());
    // The first packets find out how long others may be.
    tokio::time::sleep(second).await;
    let (before, began, at_proxy) = (passed.so_far(), Instant::now(), proxy.counts().passed);
    tokio::time::sleep(second * 3).await;
    let (after, quarters) = (passed.so_far(), began.elapsed().as_millis() as u64 / 250);
    let (packets, bytes) = (after.0 - before.0, after.1 - before.1);
    let at_proxy = proxy.counts().passed - at_proxy;
    // One of each side, and its acknowledgement; and one that was under way at each end.
    assert!((6..=4 * (quarters + 2)).contains(&packets), "{packets} packets in {quarters} quarters");
    assert!(packets.abs_diff(at_proxy) <= 2, "{packets} packets, and {at_proxy} at the proxy");
    assert!(bytes <= 50 * packets, "{bytes} bytes in {packets} packets");
    still_works(&mut one, &mut two, (0, 1)).await;
    counting.abort();
}
