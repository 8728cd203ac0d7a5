//! Many who never finish what they begin.

use std::collections::BTreeSet;
use std::time::Duration;

use super::support::{Node, Stranger, addresses, certificates, hello, own, peers, reason, still_works};

#[tokio::test]
async fn one_that_never_says_who_it_is_is_dropped() {
    let (list, folder) = (addresses(2), certificates(2));
    let short = |me| peers(&list, me, folder.path()).handshake(Duration::from_millis(1500));
    let mut two = Node::open(&short(1), hello(1, 2)).await.unwrap();
    let silent = Stranger::new(Some(own(folder.path(), 0)));
    let connection = silent.dial(1, &list[1]).await.unwrap();
    // One says nothing at all, one stops within its first word.
    let other = silent.dial(1, &list[1]).await.unwrap();
    let (mut send, _recv) = other.open_bi().await.unwrap();
    send.write_all(b"MLSTRM\x01\x00\xff\x00\x00\x00").await.unwrap();
    tokio::join!(reason(&connection), reason(&other));
    let mut one = Node::open(&short(0), hello(0, 1)).await.unwrap();
    tokio::join!(one.up(), two.up());
    still_works(&mut one, &mut two, (0, 1)).await;
}

/// First packets of connections, as they are on the wire.
async fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let wire = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = wire.local_addr().unwrap();
    let stranger = Stranger::new(None);
    let (mut packets, mut buffer) = (Vec::new(), vec![0; 65_536]);
    while packets.len() < count {
        let name = "instance-2.millstream";
        let connecting = stranger.endpoint.connect_with(stranger.config.clone(), address, name).unwrap();
        let (length, _) = wire.recv_from(&mut buffer).await.unwrap();
        packets.push(buffer[..length].to_vec());
        drop(connecting);
    }
    packets
}

/// How many connections were answered: by the name that the answer gives who is meant.
async fn answered(flood: &tokio::net::UdpSocket) -> usize {
    let (mut names, mut buffer) = (BTreeSet::new(), vec![0; 65_536]);
    while let Ok(Ok(length)) = tokio::time::timeout(Duration::from_millis(300), flood.recv(&mut buffer)).await {
        // A long header: flags, the version, the length of the name, the name.
        let name = buffer[..length].get(6..).and_then(|rest| rest.get(..usize::from(buffer[5])));
        names.extend(name.map(<[u8]>::to_vec));
    }
    names.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_half_open_connections_change_nothing() {
    let (list, folder) = (addresses(3), certificates(3));
    let short = |me| peers(&list, me, folder.path()).handshake(Duration::from_secs(2));
    let mut one = Node::open(&short(0), hello(0, 1)).await.unwrap();
    let mut two = Node::open(&short(1), hello(1, 2)).await.unwrap();
    tokio::join!(one.up(), two.up());
    let packets = first_packets(1000).await;
    for target in &list[..2] {
        let flood = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for packet in &packets {
            flood.send_to(packet, target).await.unwrap();
        }
        let answered = answered(&flood).await;
        println!("{answered} of 1000 half-open connections were answered");
        assert!(answered >= 100, "the packets did not land: this test proves nothing");
    }
    still_works(&mut one, &mut two, (0, 1)).await;
    // And whoever belongs here comes in.
    let mut three = Node::open(&short(2), hello(2, 3)).await.unwrap();
    let (first, second) = tokio::join!(one.up(), two.up());
    assert_eq!((first.instance, second.instance), (2, 2));
    let mut both = [three.up().await.instance, three.up().await.instance];
    both.sort_unstable();
    assert_eq!(both, [0, 1]);
    still_works(&mut one, &mut two, (0, 1)).await;
}
