//! [`flood`]: fills a queue as fast as the broker takes it. Frames are made by hand, and nothing is confirmed message by
//! message: a client would take most of the time.

use std::io::{BufWriter, Read, Result, Write};
use std::net::TcpStream;

/// A message: the flags of its properties, these as they are sent, and its body.
pub(super) type Raw = (u16, Vec<u8>, String);

/// Puts these into a queue, and returns when all are there.
pub(super) fn flood(port: u16, queue: &str, messages: impl Iterator<Item = Raw>) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"AMQP\0\0\x09\x01")?;
    until(&mut stream, 10, 10)?;
    // No properties of the client; PLAIN; guest, guest; en_US.
    let login = [&[0, 10, 0, 11, 0, 0, 0, 0][..], b"\x05PLAIN", b"\0\0\0\x0c\0guest\0guest", b"\x05en_US"].concat();
    stream.write_all(&frame(1, 0, &login))?;
    until(&mut stream, 10, 30)?;
    // One channel, frames of 128 KiB, no heartbeats; the virtual host `/`.
    stream.write_all(&frame(1, 0, &[0, 10, 0, 31, 0, 1, 0, 2, 0, 0, 0, 0]))?;
    stream.write_all(&frame(1, 0, b"\0\x0a\0\x28\x01/\0\0"))?;
    until(&mut stream, 10, 41)?;
    stream.write_all(&frame(1, 1, &[0, 20, 0, 10, 0]))?;
    until(&mut stream, 20, 11)?;
    let name = [&[u8::try_from(queue.len()).expect("names are short")], queue.as_bytes()].concat();
    let publish = frame(1, 1, &[&[0, 60, 0, 40, 0, 0, 0][..], &name, &[0]].concat());
    let mut out = BufWriter::with_capacity(256 << 10, &stream);
    for (flags, properties, body) in messages {
        let length = (body.len() as u64).to_be_bytes();
        out.write_all(&publish)?;
        out.write_all(&frame(2, 1, &[&[0, 60, 0, 0][..], &length, &flags.to_be_bytes(), &properties].concat()))?;
        out.write_all(&frame(3, 1, body.as_bytes()))?;
    }
    // What is asked behind them is answered behind them: whether the queue is there.
    out.write_all(&frame(1, 1, &[&[0, 50, 0, 10, 0, 0][..], &name, &[1, 0, 0, 0, 0]].concat()))?;
    out.flush()?;
    until(&mut &stream, 50, 11)
}

fn frame(kind: u8, channel: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are short").to_be_bytes();
    [&[kind, 0, channel][..], &length, payload, &[0xce]].concat()
}

/// Reads frames up to this method.
fn until(stream: &mut impl Read, class: u8, method: u8) -> Result<()> {
    loop {
        let mut head = [0; 7];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut rest = vec![0; length as usize + 1];
        stream.read_exact(&mut rest)?;
        if head[0] == 1 && rest[..4] == [0, class, 0, method] {
            return Ok(());
        }
        assert!(head[0] != 1 || rest[3] != 50 && rest[3] != 40, "the broker doesn't take it: {rest:?}");
    }
}
