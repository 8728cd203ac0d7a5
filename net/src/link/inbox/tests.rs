use tokio::sync::Semaphore;

use super::*;

/// An inbox of two peers whose links are words, and room without end.
struct Setup {
    inbox: Arc<Inbox<&'static str>>,
    room: Arc<Semaphore>,
}

impl Setup {
    fn new() -> Self {
        Self { inbox: Inbox::new(2), room: Arc::new(Semaphore::new(100)) }
    }

    fn frame(&self, peer: PeerId, id: LinkId, lane: Lane, frame: &'static [u8]) {
        let room = self.room.clone().try_acquire_owned().unwrap();
        self.inbox.frame(peer, id, lane, Bytes::from_static(frame), room);
    }

    /// All that can be taken now, in words.
    fn all(&self) -> Vec<String> {
        std::iter::from_fn(|| self.inbox.take())
            .map(|taken| match taken {
                Taken::Up(peer, link) => format!("{peer} up {link}"),
                Taken::Down(peer, why) => format!("{peer} down {why}"),
                Taken::Frame(peer, _, frame) => format!("{peer} {}", String::from_utf8_lossy(&frame)),
                Taken::Unreached(peer, why) => format!("{peer:?} unreached {why}"),
                Taken::Fatal(error) => panic!("{error}"),
            })
            .collect()
    }
}

#[test]
fn a_link_is_up_then_gives_its_frames_then_is_down() {
    let setup = Setup::new();
    setup.inbox.up(0, 1, "first");
    setup.frame(0, 1, Lane::Control, b"a");
    setup.inbox.gone(0, 1, "left".to_owned());
    setup.frame(0, 1, Lane::Control, b"b");
    assert_eq!(setup.all(), ["0 up first", "0 a", "0 b", "0 down left"]);
    setup.frame(0, 1, Lane::Control, b"late");
    assert_eq!(setup.all(), [""; 0], "nothing comes behind its end");
    assert_eq!(setup.room.available_permits(), 100, "all room is given back");
}

#[test]
fn a_reason_that_nobody_has_looked_at_gives_way_to_the_next_and_to_the_link() {
    let setup = Setup::new();
    let unreached = |peer, why: &str| setup.inbox.unreached(peer, why.to_owned());
    unreached(Some(0), "expired");
    unreached(Some(0), "foreign");
    unreached(None, "no certificate");
    unreached(Some(1), "expired");
    setup.inbox.up(1, 1, "first");
    assert_eq!(setup.all(), ["None unreached no certificate", "Some(0) unreached foreign", "1 up first"]);
    unreached(Some(0), "foreign");
    assert_eq!(setup.all(), ["Some(0) unreached foreign"]);
}

#[test]
fn the_next_link_is_up_only_when_the_one_before_is_down() {
    let setup = Setup::new();
    setup.inbox.up(0, 1, "first");
    assert_eq!(setup.all(), ["0 up first"]);
    setup.inbox.up(0, 2, "second");
    setup.frame(0, 2, Lane::Control, b"of second");
    setup.frame(0, 1, Lane::Control, b"of first");
    assert_eq!(setup.all(), ["0 of first"]);
    setup.inbox.gone(0, 1, "replaced".to_owned());
    assert_eq!(setup.all(), ["0 down replaced", "0 up second", "0 of second"]);
}

#[test]
fn links_that_come_and_go_unseen_are_forgotten() {
    let setup = Setup::new();
    for id in 0..1000 {
        setup.inbox.up(0, id, "another");
        setup.inbox.gone(0, id, "gone".to_owned());
    }
    assert_eq!(setup.all(), ["0 up another", "0 down gone"]);
}

#[test]
fn peers_and_lanes_have_turns() {
    let setup = Setup::new();
    setup.inbox.up(0, 1, "");
    setup.inbox.up(1, 2, "");
    for frame in [&b"r1"[..], b"r2", b"r3"] {
        setup.frame(0, 1, Lane::Records(0), frame);
    }
    setup.frame(0, 1, Lane::Control, b"c1");
    setup.frame(1, 2, Lane::Records(0), b"s1");
    setup.frame(1, 2, Lane::Records(0), b"s2");
    assert_eq!(setup.all(), ["0 up ", "1 up ", "0 r1", "1 s1", "0 c1", "1 s2", "0 r2", "0 r3"]);
}

#[tokio::test]
async fn whoever_waits_is_woken_and_an_end_comes_before_all_else() {
    let setup = Setup::new();
    let inbox = setup.inbox.clone();
    let waiting = tokio::spawn(async move { matches!(inbox.next().await, Taken::Up(0, "first")) });
    tokio::task::yield_now().await;
    setup.inbox.up(0, 1, "first");
    assert!(waiting.await.unwrap());
    setup.frame(0, 1, Lane::Control, b"a");
    setup.inbox.fail(Cause::User, "first reason".to_owned());
    setup.inbox.fail(Cause::Bug, "second reason".to_owned());
    for _ in 0..2 {
        let Taken::Fatal(error) = setup.inbox.next().await else { panic!("it ends") };
        assert_eq!((error.cause(), error.message()), (Cause::User, "first reason"));
    }
}
