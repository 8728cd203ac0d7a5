//! The fault proxy breaks what it is told to break, and nothing else.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::port::Port;
use crate::support::proxy::{Cut, Kind, Protocol, Proxy, To};

const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing comes where nothing may come.
const A_WHILE: Duration = Duration::from_millis(200);

/// A server that gives back what it gets.
fn echo() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || std::io::copy(&mut stream.try_clone().expect("twice"), &mut stream));
        }
    });
    port
}

/// A server that gives back each request of Kafka's protocol once it has it whole.
fn answering() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || while answer(&mut stream).is_ok() {});
        }
    });
    port
}

fn answer(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut request = vec![0; 4];
    stream.read_exact(&mut request)?;
    let length = u32::from_be_bytes(request[..].try_into().expect("4 bytes"));
    request.resize(4 + usize::try_from(length).expect("short"), 0);
    stream.read_exact(&mut request[4..])?;
    stream.write_all(&request)
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).expect("the proxy listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    stream
}

/// Sends a text, and returns what comes back until so many bytes or the end.
fn exchange(stream: &mut TcpStream, text: &str, most: usize) -> String {
    // Whether it was taken shows in what comes back.
    let _ = stream.write_all(text.as_bytes());
    let mut back = Vec::new();
    // A connection that is cut may end in an error as well.
    let _ = stream.take(most as u64).read_to_end(&mut back);
    String::from_utf8(back).expect("what is text stays text")
}

#[test]
fn what_passes_is_counted() {
    let proxy = Proxy::to(echo());
    let mut one = connect(&proxy);
    assert_eq!(exchange(&mut one, "hello", 5), "hello");
    assert_eq!((proxy.connections(), proxy.open(), proxy.cuts()), (1, 1, 0));
    assert_eq!((proxy.bytes(To::Server), proxy.bytes(To::Client)), (5, 5));
    // One that ends by itself isn't cut.
    drop(one);
    wait_until(|| proxy.open() == 0);
    assert_eq!(proxy.cuts(), 0);
}

#[test]
fn all_connections_are_cut_and_new_ones_pass() {
    let proxy = Proxy::to(echo());
    let (mut one, mut other) = (connect(&proxy), connect(&proxy));
    assert_eq!(exchange(&mut one, "one", 3) + &exchange(&mut other, "other", 5), "oneother");
    assert_eq!((proxy.cut(), proxy.cuts(), proxy.open()), (2, 2, 0));
    assert_eq!(exchange(&mut one, "again", 5) + &exchange(&mut other, "again", 5), "");
    assert_eq!(exchange(&mut connect(&proxy), "new", 3), "new");
    assert_eq!(proxy.connections(), 3);
}

#[test]
fn a_connection_is_cut_after_so_many_bytes() {
    let proxy = Proxy::to(echo());
    for to in [To::Server, To::Client] {
        let mut one = connect(&proxy);
        assert_eq!(exchange(&mut one, "ten bytes.", 10), "ten bytes.");
        proxy.cut_after(7, to);
        assert_eq!(exchange(&mut one, "1234", 4), "1234");
        let rest = exchange(&mut one, "5678", 4);
        // What the server got it may still have sent back, or not.
        assert!("567".starts_with(&rest), "{rest}");
        wait_until(|| proxy.open() == 0);
    }
    assert_eq!(proxy.cuts(), 2);
    assert_eq!(proxy.bytes(To::Server), 17 + 18);
    assert_eq!(exchange(&mut connect(&proxy), "passes again", 12), "passes again");
}

#[test]
fn a_stalled_direction_holds_what_comes_until_it_goes_on() {
    let proxy = Proxy::to(echo());
    let mut one = connect(&proxy);
    proxy.stall(To::Client);
    one.set_read_timeout(Some(A_WHILE)).expect("a time-out can be set");
    assert_eq!(exchange(&mut one, "is held", 7), "");
    wait_until(|| proxy.bytes(To::Server) == 7);
    assert_eq!((proxy.bytes(To::Client), proxy.open()), (0, 1));
    proxy.resume();
    one.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    assert_eq!(exchange(&mut one, "", 7), "is held");
    // One that is stalled can be cut.
    proxy.stall(To::Server);
    assert_eq!(proxy.cut(), 1);
    assert_eq!(exchange(&mut one, "gone", 4), "");
}

#[test]
fn new_connections_are_refused_and_old_ones_stay() {
    let proxy = Proxy::to(echo());
    let mut one = connect(&proxy);
    assert_eq!(exchange(&mut one, "one", 3), "one");
    proxy.refuse();
    assert_eq!(exchange(&mut connect(&proxy), "refused", 7), "");
    assert_eq!(exchange(&mut one, "stays", 5), "stays");
    assert_eq!((proxy.connections(), proxy.refused()), (1, 1));
    proxy.resume();
    assert_eq!(exchange(&mut connect(&proxy), "taken", 5), "taken");
}

#[test]
fn a_proxy_without_a_server_closes_what_comes() {
    let nobody = Port::free();
    let proxy = Proxy::to(nobody.number());
    assert_eq!(exchange(&mut connect(&proxy), "anybody?", 8), "");
    assert_eq!(proxy.connections(), 0);
}

/// A request of Kafka's protocol, as long as its text says.
fn request(kind: Kind, text: &str) -> Vec<u8> {
    let length = u32::try_from(2 + text.len()).expect("short").to_be_bytes();
    [&length[..], &u16::try_from(kind.0).expect("an api").to_be_bytes(), text.as_bytes()].concat()
}

/// A frame of AMQP; the payload of a method begins with its number.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&[kind, 0, 1][..], &length, payload, &[0xCE]].concat()
}

/// Sends bytes in pieces of this size, so that frames are torn. Returns what comes back, until so much or the end.
fn torn(stream: &mut TcpStream, bytes: &[u8], piece: usize, most: usize) -> Vec<u8> {
    stream.set_nodelay(true).expect("an option can be set");
    // Whether it was taken shows in what comes back.
    bytes.chunks(piece).for_each(|piece| drop(stream.write_all(piece)));
    let mut back = Vec::new();
    // A connection that is cut may end in an error as well.
    let _ = stream.take(most as u64).read_to_end(&mut back);
    back
}

#[test]
fn a_connection_is_cut_at_a_request_of_kafka() {
    let produce = request(Kind::PRODUCE, "a record");
    let commit = request(Kind::OFFSET_COMMIT, "an offset");
    let all = [&produce[..], &commit, &commit, &produce].concat();
    let before = produce.len() + commit.len();
    for piece in [1, 5, 1000] {
        for (cut, passes) in
            [(Cut::Within, before + 6), (Cut::Behind, before + commit.len()), (Cut::Unanswered, before + commit.len())]
        {
            let proxy = Proxy::to(answering()).speaks(Protocol::Kafka);
            proxy.cut_at(Kind::OFFSET_COMMIT, 1, cut);
            let mut other = connect(&proxy);
            assert_eq!(torn(&mut other, &produce, piece, produce.len()), produce);
            let back = torn(&mut connect(&proxy), &all, piece, all.len());
            assert!(all.starts_with(&back), "{back:?}");
            wait_until(|| proxy.cuts() == 1);
            let sent = proxy.bytes(To::Server) - produce.len() as u64;
            match cut {
                // All that was answered before has come back.
                Cut::Unanswered => assert!(back.len() == before && sent >= passes as u64, "{} {sent}", back.len()),
                _ => assert!(back.len() <= passes && sent == passes as u64, "{} {sent}", back.len()),
            }
            assert!(proxy.frames(Kind::OFFSET_COMMIT) >= 2 && proxy.frames(Kind::PRODUCE) >= 2);
            assert_eq!(torn(&mut other, &commit, piece, commit.len()), commit, "the other connection stays");
        }
    }
}

#[test]
fn a_connection_is_cut_at_a_frame_of_amqp() {
    let publish = frame(1, &[0, 60, 0, 40, 1, 2, 3]);
    let (properties, body, beat) = (frame(2, b"properties"), frame(3, b"a body"), frame(8, b""));
    let frames = [&b"AMQP\0\0\x09\x01"[..], &beat, &publish, &properties, &body, &publish, &properties, &body].concat();
    let within_the_last = frames.len() - body.len() + 7;
    let within_the_first = 8 + beat.len() + 11;
    for piece in [1, 5, 1000] {
        for (kind, before, passes) in [(Kind::BODY, 1, within_the_last), (Kind::BASIC_PUBLISH, 0, within_the_first)] {
            let proxy = Proxy::to(echo()).speaks(Protocol::Amqp);
            proxy.cut_at(kind, before, Cut::Within);
            let back = torn(&mut connect(&proxy), &frames, piece, frames.len());
            assert!(frames.starts_with(&back) && back.len() <= passes);
            wait_until(|| proxy.cuts() == 1);
            assert_eq!((proxy.bytes(To::Server), proxy.frames(kind)), (passes as u64, before + 1));
        }
    }
}

fn wait_until(mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "this has not come about in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
