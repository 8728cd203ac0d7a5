//! What went wrong at the broker, classified: who has to act, and whether it is worth another try.

use lapin::ErrorKind;
use millstream_core::contracts::{Cause, Error};

/// What a broker answers when it takes what was asked for wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 403: the user may not do it, or the login is wrong.
    Access,
    /// 404: there is no such queue, exchange or virtual host.
    NotFound,
    /// 405: another connection has it for itself.
    Locked,
    /// 406: it is declared otherwise, or a time-out or a limit of the broker was passed.
    Precondition,
    /// 530: the virtual host doesn't exist or can't be used.
    NotAllowed,
}

impl Refusal {
    /// What the broker refused, if that is what the error says.
    pub fn of(error: &lapin::Error) -> Option<Self> {
        let ErrorKind::ProtocolError(error) = error.kind() else { return None };
        if error.get_message().as_str().contains("home node") {
            // A node of the cluster is away: the queue is not gone for that.
            return None;
        }
        match error.get_id() {
            403 => Some(Self::Access),
            404 => Some(Self::NotFound),
            405 => Some(Self::Locked),
            406 => Some(Self::Precondition),
            530 => Some(Self::NotAllowed),
            _ => None,
        }
    }

    /// What to do about it.
    fn advice(self) -> &'static str {
        match self {
            Self::Access => "check user and password, and what the user may do",
            Self::NotFound => "declare it at the broker, or by `.declare(…)`",
            Self::Locked => "another connection has it for itself: end that",
            Self::Precondition => "declare it as it is at the broker, or leave `.declare(…)` out",
            Self::NotAllowed => "check the virtual host's name",
        }
    }
}

/// An error of the client as one of the pipeline: `what` could not be done. What the broker refuses is the user's to mend;
/// all else is outside, and may go away.
pub fn wrong(what: impl Into<String>, error: lapin::Error) -> Error {
    let what = what.into();
    match (Refusal::of(&error), error.kind()) {
        (Some(refusal), _) => {
            Error::new(Cause::User, format!("{what}; {}", refusal.advice())).because(error.to_string())
        }
        (None, ErrorKind::AuthProviderError(_) | ErrorKind::InvalidProtocolVersion(_)) => {
            Error::new(Cause::User, what).because(error.to_string())
        }
        _ => Error::new(Cause::Outside, what).because(error.to_string()),
    }
}
