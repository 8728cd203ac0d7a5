//! Who doesn't belong here gets nothing, is told why, and harms nobody.

use std::time::{Duration, SystemTime};

use millstream_core::contracts::{Cause, Hello, Lane};
use quinn::crypto::rustls::QuicServerConfig;

use super::support::{
    DAY, Node, Stranger, addresses, certificates, free, greeting, hello, made, own, pair, peers, put, reason, signed,
    still_works,
};
use crate::link::certs::{self, Authority};
use crate::link::greeting::{Word, write_preamble, write_word};
use crate::link::identity::provider;

/// Each of these shows something to an instance in a run. The run goes on.
#[tokio::test]
async fn strangers_are_told_why_and_get_nothing() {
    let (list, folder) = (addresses(2), tempfile::tempdir().unwrap());
    let (now, from, until) = (SystemTime::now(), SystemTime::now() - DAY, SystemTime::now() + DAY);
    let ours = made(folder.path(), 0, &certs::name_of(0), from, until);
    put(folder.path(), 1, ours.sign(&certs::name_of(1), from, until).unwrap());
    let theirs = Authority::new(from, until).unwrap();
    let (mut one, mut two) = pair(&list, folder.path()).await;
    for (shown, why) in [
        (None, "no certificate"),
        (None, "certificate"),
        (Some(signed(&theirs, &certs::name_of(0), from, until)), "signed by a foreign authority"),
        (Some(signed(&ours, &certs::name_of(0), now - 3 * DAY, now - DAY)), "has expired on 20"),
        (Some(signed(&ours, &certs::name_of(0), now + DAY, now + 2 * DAY)), "holds only from 20"),
        (Some(signed(&ours, "instance-3.millstream", from, until)), "made out to instance-3.millstream, and to none"),
        (Some(signed(&ours, "example.org", from, until)), "made out to example.org"),
    ] {
        let refusal = Stranger::new(shown).refusal(1, &list[1]).await;
        // TLS itself says that none was shown, in its own words.
        let why = if why == "no certificate" { "peer sent no certificates" } else { why };
        assert!(refusal.contains(why), "expected `{why}`: {refusal}");
        still_works(&mut one, &mut two, (0, 1)).await;
    }
}

#[tokio::test]
async fn one_that_is_dialed_has_to_show_the_right_certificate_too() {
    let (list, folder) = (addresses(2), tempfile::tempdir().unwrap());
    let (now, from, until) = (SystemTime::now(), SystemTime::now() - DAY, SystemTime::now() + DAY);
    let ours = made(folder.path(), 0, &certs::name_of(0), from, until);
    let theirs = Authority::new(from, until).unwrap();
    let mut one = Node::start(&list, 0, folder.path()).await;
    for (shown, why) in [
        (signed(&theirs, &certs::name_of(1), from, until), "signed by a foreign authority"),
        (signed(&ours, &certs::name_of(1), now - 3 * DAY, now - DAY), "has expired on 20"),
        (signed(&ours, &certs::name_of(0), from, until), "made out to instance-1.millstream, not to instance-2"),
    ] {
        let mut server = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(shown.0, shown.1)
            .unwrap();
        server.alpn_protocols = vec![crate::link::tls::ALPN.to_vec()];
        let config = quinn::ServerConfig::with_crypto(std::sync::Arc::new(QuicServerConfig::try_from(server).unwrap()));
        let endpoint = quinn::Endpoint::server(config, list[1].parse().unwrap()).unwrap();
        let error = endpoint.accept().await.unwrap().await.unwrap_err().to_string();
        assert!(error.contains(why), "expected `{why}`: {error}");
        endpoint.close(0_u32.into(), b"");
        drop(endpoint);
        free(&list[1]).await;
    }
    // It goes on trying, and reaches the right one.
    put(folder.path(), 1, ours.sign(&certs::name_of(1), from, until).unwrap());
    let mut two = Node::start(&list, 1, folder.path()).await;
    tokio::join!(one.up(), two.up());
    still_works(&mut one, &mut two, (0, 1)).await;
}

#[tokio::test]
async fn an_instance_whose_certificate_others_refuse_can_not_join() {
    let (list, folder, other) = (addresses(2), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, until) = (SystemTime::now() - DAY, SystemTime::now() + DAY);
    let ours = made(folder.path(), 1, &certs::name_of(1), from, until);
    // It believes both authorities, and is signed by the one that nobody else believes.
    let theirs = made(other.path(), 0, &certs::name_of(0), from, until);
    std::fs::write(other.path().join(certs::AUTHORITY), ours.pem() + &theirs.pem()).unwrap();
    let _two = Node::start(&list, 1, folder.path()).await;
    let error = Node::start(&list, 0, other.path()).await.error().await;
    assert_eq!(error.cause(), Cause::User);
    let text =
        format!("instance 2 ({}) refuses this instance: this instance's certificate is signed by a foreign", list[1]);
    assert!(error.message().starts_with(&text), "{error}");
}

#[tokio::test]
async fn who_is_refused_and_who_refuses_are_told_once_what_is_wrong() {
    let (list, folder, other) = (addresses(2), certificates(2), certificates(2));
    let mut one = Node::start(&list, 0, folder.path()).await;
    let mut two = Node::start(&list, 1, other.path()).await;
    let (told_one, told_two) = tokio::join!(one.unreached(), two.unreached());
    let foreign = "certificate is signed by a foreign authority (not by that of ca.pem)";
    assert_eq!(told_one, (Some(1), format!("refused instance 2 ({}): its {foreign}", list[1])));
    let dialer = format!("somebody at the address of instance 1 ({}) refuses this instance", list[0]);
    assert_eq!(told_two, (None, format!("{dialer}: this instance's {foreign}")));
    // Many tries later.
    let long = Duration::from_secs(1);
    tokio::join!(one.quiet(long), two.quiet(long));
    // The right one comes, and later the wrong one again.
    two.end(&list[1]).await;
    let mut right = Node::start(&list, 1, folder.path()).await;
    assert_eq!((one.up().await.instance, right.up().await.instance), (1, 0));
    right.end(&list[1]).await;
    one.down().await;
    let _two = Node::start(&list, 1, other.path()).await;
    assert_eq!(one.unreached().await, told_one);
}

#[tokio::test]
async fn a_dialer_that_is_refused_is_told_of_and_its_neighbour_goes_on() {
    let (list, folder) = (addresses(2), tempfile::tempdir().unwrap());
    let (now, from, until) = (SystemTime::now(), SystemTime::now() - DAY, SystemTime::now() + DAY);
    let ours = made(folder.path(), 1, &certs::name_of(1), from, until);
    let mut two = Node::start(&list, 1, folder.path()).await;
    let shown = signed(&ours, &certs::name_of(0), now - 3 * DAY, now - DAY);
    let stranger = Stranger::new(Some(shown));
    stranger.refusal(1, &list[1]).await;
    let from = stranger.endpoint.local_addr().unwrap();
    let (peer, why) = two.unreached().await;
    assert_eq!(peer, None);
    assert!(why.starts_with(&format!("refused a connection from {from}: its certificate has expired on 20")), "{why}");
}

#[tokio::test]
async fn one_at_another_place_of_the_list_is_told_of() {
    let (mut list, folder) = (addresses(2), certificates(2));
    let mut one = Node::start(&list, 0, folder.path()).await;
    list.reverse();
    let mut other = Node::start(&list, 0, folder.path()).await;
    let (first, second) = tokio::join!(one.unreached(), other.unreached());
    for (peer, why) in [first, second] {
        let place = "is made out to instance-1.millstream, not to instance-2.millstream (have both the same list of";
        assert!(peer == Some(1) && why.contains(place) || peer.is_none() && why.contains("instance-1"), "{why}");
    }
}

#[tokio::test]
async fn one_that_does_not_fit_is_told_of_by_those_in_the_run() {
    let (list, folder) = (addresses(3), certificates(3));
    let (mut one, mut two) = pair(&list, folder.path()).await;
    let other = Hello { plan: "List >> Collect".to_owned(), ..hello(2, 3) };
    let mut three = Node::open(&peers(&list, 2, folder.path()), other).await.unwrap();
    three.error().await;
    three.links.close().await;
    // Each has dialed it, and whoever was first has ended it.
    let (peer, why) = tokio::select! {
        told = one.unreached() => told,
        told = two.unreached() => told,
    };
    assert_eq!(peer, Some(2));
    assert!(why.contains(&format!("instance 3 ({})", list[2])) && why.contains("the plans differ: stage 2"), "{why}");
}

/// An instance that says this of itself can't join a run of two, which goes on.
async fn misfit(change: impl Fn(&mut Hello), why: &[&str]) {
    let (list, folder) = (addresses(3), certificates(3));
    let (mut one, mut two) = pair(&list, folder.path()).await;
    let mut other = hello(2, 3);
    change(&mut other);
    let mut three = Node::open(&peers(&list, 2, folder.path()), other).await.unwrap();
    let error = three.error().await;
    for part in why {
        assert!(error.message().contains(part), "expected `{part}`: {error}");
    }
    assert_eq!(error.cause(), Cause::User);
    three.links.close().await;
    still_works(&mut one, &mut two, (0, 1)).await;
}

#[tokio::test]
async fn another_plan_can_not_join_and_is_told_where_it_differs() {
    let plan = "List >> MAP treble >> Collect";
    let differs = ["the plans differ: stage 2 is", "`MAP treble` on instance 3", "`MAP double` on instance"];
    misfit(|hello| hello.plan = plan.to_owned(), &differs).await;
}

#[tokio::test]
async fn another_pipeline_can_not_join() {
    misfit(|hello| hello.pipeline = "invoices".to_owned(), &["`invoices`", "`orders`"]).await;
}

#[tokio::test]
async fn two_of_different_plans_both_end_when_neither_has_joined() {
    let (list, folder) = (addresses(2), certificates(2));
    let mut one = Node::start(&list, 0, folder.path()).await;
    let other = Hello { plan: "List >> Collect".to_owned(), ..hello(1, 2) };
    let mut two = Node::open(&peers(&list, 1, folder.path()), other).await.unwrap();
    let (first, second) = tokio::join!(one.error(), two.error());
    for error in [first, second] {
        assert!(error.message().contains("stage 2 is"), "{error}");
    }
}

#[tokio::test]
async fn another_list_of_peers_can_not_join() {
    let (list, folder) = (addresses(3), certificates(3));
    let (mut one, mut two) = pair(&list, folder.path()).await;
    let mut other = list.clone();
    other[0] = addresses(1).remove(0);
    let error = Node::start(&other, 2, folder.path()).await.error().await;
    assert!(error.message().contains("the lists of peers differ: place 1 is"), "{error}");
    still_works(&mut one, &mut two, (0, 1)).await;
}

#[tokio::test]
async fn other_settings_can_not_join() {
    let (list, folder) = (addresses(3), certificates(3));
    let (mut one, mut two) = pair(&list, folder.path()).await;
    let other = peers(&list, 2, folder.path()).max_frame(5 << 20);
    let error = Node::open(&other, hello(2, 3)).await.unwrap().error().await;
    assert!(error.message().contains("5242880 bytes on instance 3"), "{error}");
    still_works(&mut one, &mut two, (0, 1)).await;
}

#[tokio::test]
async fn another_version_of_the_protocol_is_told_so() {
    let (list, folder) = (addresses(3), certificates(3));
    let mut two = Node::start(&list, 1, folder.path()).await;
    let mut three = Node::start(&list, 2, folder.path()).await;
    tokio::join!(two.up(), three.up());
    let other = Stranger::speaking(Some(own(folder.path(), 0)), b"millstream/2", false);
    let refusal = other.refusal(1, &list[1]).await;
    assert!(refusal.contains("error 120") || refusal.contains("protocol"), "{refusal}");
    // One whose TLS says the same, and whose first words don't.
    let other = Stranger::new(Some(own(folder.path(), 0)));
    let connection = other.dial(1, &list[1]).await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(b"MLSTRM\x02\x00what version 2 says").await.unwrap();
    let refusal = reason(&connection).await;
    assert!(refusal.contains("different versions of the protocol, 2 and 1"), "{refusal}");
    still_works(&mut two, &mut three, (1, 2)).await;
}

#[tokio::test]
async fn what_an_instance_says_has_to_agree_with_its_certificate() {
    let (list, folder) = (addresses(3), certificates(3));
    let mut two = Node::start(&list, 1, folder.path()).await;
    let mut three = Node::start(&list, 2, folder.path()).await;
    tokio::join!(two.up(), three.up());
    let liar = Stranger::new(Some(own(folder.path(), 0)));
    for (greeting, why) in [
        (greeting(&list, 1, 2, 9), "its certificate is made out to instance 1"),
        (greeting(&list, 0, 1, 9), "meant to reach instance 2"),
        (greeting(&list, 77, 2, 9), "there is no instance 78"),
    ] {
        let connection = liar.dial(2, &list[2]).await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        write_preamble(&mut send).await.unwrap();
        write_word(&mut send, &Word::Greeting(greeting)).await.unwrap();
        let refusal = reason(&connection).await;
        assert!(refusal.contains(why), "expected `{why}`: {refusal}");
        still_works(&mut two, &mut three, (1, 2)).await;
    }
}

#[tokio::test]
async fn a_frame_that_is_too_long_closes_the_link_and_no_other() {
    let (list, folder) = (addresses(3), certificates(3));
    let mut two = Node::start(&list, 1, folder.path()).await;
    let mut three = Node::start(&list, 2, folder.path()).await;
    tokio::join!(two.up(), three.up());
    for (bytes, why) in [
        (&b"\x02\x00\x00\xff\xff\xff\xff"[..], "a frame of 4294967295 bytes is longer than any may be"),
        (&b"\x09\x00\x00"[..], "there is no lane"),
        (&b"\x00\x00\x00\x05\x00\x00\x00abc"[..], "ends within a frame"),
        (&b"\x00\x00\x00\x05\x00"[..], "ends within a length"),
    ] {
        let enemy = Stranger::new(Some(own(folder.path(), 0)));
        let (connection, _control) = enemy.join(&list[1], &greeting(&list, 0, 1, 9)).await;
        assert_eq!(two.up().await, hello(0, 9));
        let mut lane = connection.open_uni().await.unwrap();
        lane.write_all(bytes).await.unwrap();
        lane.finish().unwrap();
        let (peer, text) = two.down().await;
        assert!(peer == 0 && text.contains(why), "expected `{why}`: {text}");
        assert!(connection.closed().await.to_string().contains(why));
        still_works(&mut two, &mut three, (1, 2)).await;
    }
}

#[tokio::test]
async fn a_lane_is_opened_once() {
    let (list, folder) = (addresses(2), certificates(2));
    let mut two = Node::start(&list, 1, folder.path()).await;
    let enemy = Stranger::new(Some(own(folder.path(), 0)));
    let (connection, _control) = enemy.join(&list[1], &greeting(&list, 0, 1, 9)).await;
    two.up().await;
    let mut lanes = Vec::new();
    for _ in 0..2 {
        let mut lane = connection.open_uni().await.unwrap();
        lane.write_all(b"\x02\x07\x00\x01\x00\x00\x00x").await.unwrap();
        lanes.push(lane);
    }
    let (_, why) = two.down().await;
    assert!(why.contains("Records(7) is opened twice"), "{why}");
}

#[tokio::test]
async fn early_data_is_off() {
    let (list, folder) = (addresses(2), certificates(2));
    let mut one = Node::start(&list, 1, folder.path()).await;
    let hasty = Stranger::speaking(Some(own(folder.path(), 0)), crate::link::tls::ALPN, true);
    for epoch in [9, 9] {
        let address = list[1].parse().unwrap();
        let connecting = hasty.endpoint.connect_with(hasty.config.clone(), address, &certs::name_of(1)).unwrap();
        assert!(connecting.into_0rtt().is_err(), "nothing can be sent before the handshake");
        // The whole of a link in between, so that anything to resume by would have come.
        let (connection, _control) = hasty.join(&list[1], &greeting(&list, 0, 1, epoch)).await;
        assert_eq!(one.up().await.epoch, epoch);
        one.send(0, Lane::Control, b"x");
        connection.accept_uni().await.unwrap();
        connection.close(0_u32.into(), b"");
        one.down().await;
    }
}

#[tokio::test]
async fn a_name_that_can_not_be_looked_up_is_said_ones_own_too() {
    let (mut list, folder) = (addresses(2), certificates(2));
    let port = list[0].rsplit_once(':').unwrap().1.to_owned();
    list[1] = format!("nosuch.invalid:{port}");
    let unknown = |why: &str, who: &str| {
        assert!(why.starts_with("can't look up nosuch.invalid: ") && why.ends_with(who), "{why}");
    };
    let mut one = Node::start(&list, 0, folder.path()).await;
    let (peer, why) = one.unreached().await;
    assert_eq!(peer, Some(1));
    unknown(&why, &format!("(that is instance 2 ({}))", list[1]));
    drop(one);
    let listening = peers(&list, 1, folder.path()).listen(list[0].clone());
    free(&list[0]).await;
    let (peer, why) = Node::open(&listening, hello(1, 2)).await.unwrap().unreached().await;
    assert_eq!(peer, Some(1));
    unknown(&why, &format!("(that is instance 2 ({}), this one)", list[1]));
}
