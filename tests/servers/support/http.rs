//! [`Http`]: asks a server of this machine something over HTTP/1.0, and waits for the answer.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// The longest that an answer takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a port of loopback.
pub(crate) struct Http {
    port: u16,
    /// Headers of every request, each with its end of line.
    headers: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Http {
    /// The server on this port, which is told these headers.
    pub(crate) fn new(port: u16, headers: &[(&str, &str)]) -> Self {
        Self { port, headers: headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect() }
    }

    /// Asks; an error if there is nobody, or if what came back is no HTTP.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        self.ask_text(method, path, &body.map(Value::to_string).unwrap_or_default())
    }

    /// Asks with this JSON, which may be deeper than a value should be.
    pub(crate) fn ask_text(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(self.request(method, path, body).as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        parse(&String::from_utf8_lossy(&answer))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP"))
    }

    /// Asks, and panics unless the answer is a success. Returns what it holds; null if that is nothing.
    #[track_caller]
    pub(crate) fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body);
        if answer.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{method} {path}: {error}: {}", answer.body))
    }

    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let headers = &self.headers;
        let length = body.len();
        format!("{method} {path} HTTP/1.0\r\nhost: 127.0.0.1\r\n{headers}content-length: {length}\r\n\r\n{body}")
    }
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

/// A piece of a path, with what has a meaning there as `%` and two digits.
pub(crate) fn escaped(piece: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    piece.bytes().map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") }).collect()
}
