//! Why a connection is no more, in words, and what that means.

use std::time::Duration;

use quinn::{ConnectionError, VarInt};

use super::tls;

/// Texts of others are cut to so many characters.
const MAX_TEXT: usize = 1000;

/// The code that a connection ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// The instance has left.
    Left = 0,
    /// The links were dropped without leave.
    GivenUp = 1,
    /// Another version of this protocol.
    Protocol = 2,
    /// Another pipeline, or another plan of it.
    Pipeline = 3,
    /// Another list of peers.
    Peers = 4,
    /// Settings that have to be the same are not.
    Settings = 5,
    /// It is not the instance that it says, or that is meant.
    Identity = 6,
    /// The instance runs already.
    Live = 7,
    /// What came is not what it should be.
    Malformed = 8,
    /// There is a newer connection to the same instance.
    Replaced = 9,
    /// It doesn't answer.
    Silent = 10,
    /// It has started before another process of the same instance, as its clock has it.
    Clock = 11,
}

impl Code {
    const ALL: [Self; 12] = [
        Self::Left,
        Self::GivenUp,
        Self::Protocol,
        Self::Pipeline,
        Self::Peers,
        Self::Settings,
        Self::Identity,
        Self::Live,
        Self::Malformed,
        Self::Replaced,
        Self::Silent,
        Self::Clock,
    ];

    pub(super) fn on_wire(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    fn of_wire(code: VarInt) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.on_wire() == code)
    }
}

/// What follows from the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may come back.
    Lost,
    /// The peer refuses this instance: it can't join.
    Unfit,
    /// This instance runs already, elsewhere.
    Twin,
    /// This side has refused the peer.
    Refused,
    /// Its name can't be looked up.
    Unknown,
}

/// Why a connection is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

impl Why {
    pub(super) fn lost(text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Lost, text: text.into() }
    }

    /// Reads it off the error. `silence`: the time after which silence counts as a loss.
    pub(super) fn of(error: &ConnectionError, silence: Duration) -> Self {
        match error {
            ConnectionError::TimedOut => Self::lost(format!("nothing has come from it for {silence:?}")),
            ConnectionError::Reset => Self::lost("it has started anew"),
            ConnectionError::LocallyClosed => Self::lost("the link was closed"),
            ConnectionError::ApplicationClosed(closed) => Self::of_close(closed.error_code, &closed.reason),
            ConnectionError::ConnectionClosed(closed) => {
                let code = u64::from(closed.error_code);
                Self::of_transport(code, &clean(&closed.reason), true)
            }
            ConnectionError::TransportError(error) => Self::of_transport(u64::from(error.code), &error.reason, false),
            other => Self::lost(other.to_string()),
        }
    }

    fn of_close(code: VarInt, reason: &[u8]) -> Self {
        let text = clean(reason);
        let verdict = match Code::of_wire(code) {
            Some(Code::Protocol | Code::Pipeline | Code::Peers | Code::Settings | Code::Identity | Code::Clock) => {
                Verdict::Unfit
            }
            Some(Code::Live) => Verdict::Twin,
            Some(Code::Left) if text.is_empty() => return Self::lost("it has left"),
            _ => Verdict::Lost,
        };
        let text = if text.is_empty() { format!("it has closed the link (code {code})") } else { text };
        Self { verdict, text }
    }

    /// An end by QUIC itself, or by TLS. `theirs`: the peer has found the error.
    fn of_transport(code: u64, reason: &str, theirs: bool) -> Self {
        /// QUIC's codes of TLS alerts begin here (RFC 9001, 4.8).
        const ALERTS: u64 = 0x100;
        const BAD_CERTIFICATE: u64 = ALERTS + 42;
        const UNKNOWN_CA: u64 = ALERTS + 48;
        const CERTIFICATE_REQUIRED: u64 = ALERTS + 116;
        const NO_APPLICATION_PROTOCOL: u64 = ALERTS + 120;
        const REFUSED: u64 = 2;
        let verdict = if theirs { Verdict::Unfit } else { Verdict::Refused };
        let whose = if theirs { "this instance's certificate" } else { "its certificate" };
        let text = match code {
            NO_APPLICATION_PROTOCOL => {
                "the two speak different versions of the protocol: run the same version of the program everywhere"
                    .to_owned()
            }
            CERTIFICATE_REQUIRED => format!("{whose} was not shown"),
            BAD_CERTIFICATE..=UNKNOWN_CA => match tls::verdict(reason) {
                Some(verdict) => verdict.replacen(tls::THE_CERTIFICATE, whose, 1),
                None => format!("{whose} is not accepted ({reason})"),
            },
            REFUSED if theirs => return Self::lost("it takes no connections at the moment"),
            _ if reason.is_empty() => return Self::lost(format!("QUIC has ended with code {code:#x}")),
            _ => return Self::lost(format!("QUIC has ended with code {code:#x} ({reason})")),
        };
        Self { verdict, text }
    }
}

/// A text of others, fit to be shown: bounded, and without control characters.
pub(super) fn clean(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.chars().take(MAX_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart_on_the_wire() {
        for code in Code::ALL {
            assert_eq!(Code::of_wire(code.on_wire()), Some(code));
        }
        assert_eq!(Code::of_wire(VarInt::from_u32(99)), None);
    }

    #[test]
    fn a_refusal_is_told_from_a_loss() {
        let close = |code: Code| Why::of_close(code.on_wire(), b"because").verdict;
        assert_eq!(close(Code::Pipeline), Verdict::Unfit);
        assert_eq!(close(Code::Clock), Verdict::Unfit);
        assert_eq!(close(Code::Live), Verdict::Twin);
        assert_eq!(close(Code::Replaced), Verdict::Lost);
        assert_eq!(Why::of_close(Code::Left.on_wire(), b""), Why::lost("it has left"));
    }

    #[test]
    fn a_text_of_others_is_bounded_and_shows_as_one_line() {
        let text = clean("a\u{1b}[31m\nb".repeat(1000).as_bytes());
        assert_eq!(text.chars().count(), MAX_TEXT);
        assert!(!text.chars().any(char::is_control));
    }
}
