//! [`Said`]: what the client library says goes into the log, and the last of it into errors.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_core::contracts::{Cause, Error, Result, WAITS};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::failure::{failed, meaning};
use super::questions::{Answer, unanswered};

/// How long all brokers have to have refused this client: one that is just being started may do so for a moment.
const REFUSED: Duration = Duration::from_secs(3);

/// After how long it is told that an answer is waited for. That all brokers refuse this client is an error by then.
const LONG: Duration = Duration::from_secs(5);

/// What the client library has said last, for errors that would only say that nothing came in time. What somebody has to
/// do something about, such as a wrong password, is not forgotten for what follows from it.
#[derive(Debug, Default)]
pub struct Said {
    last: Mutex<Last>,
    /// All brokers refuse this client.
    refused: Notify,
}

#[derive(Debug, Default)]
struct Last {
    error: Option<(KafkaError, String)>,
    refusal: Refusal,
}

/// What was heard since the last answer of a broker.
///
/// A broker may have more than one address, of which one refuses the client and another refuses connections; each is tried
/// in its turn. The library says once that no broker is left, and not again before one is there.
#[derive(Debug, Clone, Copy, Default)]
struct Refusal {
    /// No broker is left.
    all_down: bool,
    /// When a broker said first what somebody has to do something about.
    since: Option<Instant>,
    /// That was the last word.
    telling: bool,
}

impl Refusal {
    fn hear(&mut self, error: &KafkaError) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.all_down = true;
        } else {
            self.telling = is_telling(error);
            if self.telling {
                self.since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Since when all brokers refuse this client, if they do.
    fn since(self) -> Option<Instant> {
        self.since.filter(|_| self.all_down && self.telling)
    }
}

fn is_telling(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(|code| meaning(code).cause != Cause::Outside)
}

/// How much an error says: that no broker is left says less than why one is away.
fn weight(error: &KafkaError) -> u8 {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::AllBrokersDown) => 1,
        _ if is_telling(error) => 3,
        _ => 2,
    }
}

impl Said {
    /// A line of the library's log.
    pub fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "millstream::kafka", facility, "{text}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "millstream::kafka", facility, "{text}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "millstream::kafka", facility, "{text}"),
        }
    }

    /// An error that belongs to no call. The library tries again by itself.
    pub fn error(&self, error: &KafkaError, reason: &str) {
        let mut last = self.last();
        // While no broker answers it is said over and over that none is left.
        if weight(error) > 1 || !last.refusal.all_down {
            tracing::warn!(target: "millstream::kafka", "{error}: {reason}");
        }
        let told = last.error.as_ref().map_or(0, |(last, _)| weight(last));
        if weight(error) >= told {
            last.error = Some((error.clone(), reason.to_owned()));
        }
        last.refusal.hear(error);
        if last.refusal.since().is_some() {
            self.refused.notify_waiters();
        }
    }

    /// What was heard last of what went wrong, for people.
    pub fn last_word(&self) -> Option<String> {
        self.last().error.as_ref().map(|(_, reason)| reason.clone())
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer of the brokers, but not once all of them refuse this client: they would go on refusing it, for
    /// as long as it is waited for. An error says `what` could not be done, and why.
    pub async fn hear<T>(&self, what: &str, answer: Answer<T>) -> Result<T> {
        tokio::select! {
            biased;
            answer = answer => {
                self.last().refusal = Refusal::default();
                answer.map_err(unanswered)
            }
            error = self.refusal(what) => Err(error),
            never = self.tell_of_waiting(what) => match never {},
        }
    }

    async fn tell_of_waiting(&self, what: &str) -> Infallible {
        sleep(LONG).await;
        tracing::warn!(target: WAITS, last = self.last_word(), "{what} yet: there is no answer");
        std::future::pending().await
    }

    async fn refusal(&self, what: &str) -> Error {
        let asked = Instant::now();
        loop {
            let refused = self.refused.notified();
            let Some(since) = self.last().refusal.since() else {
                refused.await;
                continue;
            };
            sleep_until(since.max(asked) + REFUSED).await;
            if let Some(error) = self.refused_since(since) {
                return self.failed(what, error);
            }
        }
    }

    fn refused_since(&self, since: Instant) -> Option<KafkaError> {
        let last = self.last();
        last.error.as_ref().filter(|_| last.refusal.since() == Some(since)).map(|(error, _)| error.clone())
    }

    /// An error that says `what` could not be done: because of `error`, or of what was said before and is behind it.
    pub fn failed(&self, what: &str, error: KafkaError) -> Error {
        match &self.last().error {
            None => failed(what, error),
            Some((last, reason)) => {
                let behind = if is_telling(last) && !is_telling(&error) { last.clone() } else { error };
                failed(format!("{what} (the last word on it was: {reason})"), behind)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn a_wrong_password_is_told_and_not_what_follows_from_it() {
        let said = Said::default();
        said.error(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        said.error(&KafkaError::Global(Code::Authentication), "SASL authentication error: no");
        said.error(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        let error = said.failed("can't ask", KafkaError::MetadataFetch(Code::OperationTimedOut));
        assert_eq!((error.cause(), error.is_retryable()), (Cause::User, false));
        assert!(error.message().contains("SASL authentication error"), "{error}");
    }

    #[test]
    fn why_a_broker_is_away_is_told_and_not_that_none_is_left() {
        let said = Said::default();
        down(&said);
        is_away(&said);
        down(&said);
        let error = said.failed("can't ask", KafkaError::MetadataFetch(Code::BrokerTransportFailure));
        assert!(error.message().contains("connection refused"), "{error}");
    }

    fn down(said: &Said) {
        said.error(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
    }

    fn is_away(said: &Said) {
        said.error(&KafkaError::Global(Code::BrokerTransportFailure), "connection refused");
    }

    fn refuses(said: &Said) {
        said.error(&KafkaError::Global(Code::SSL), "certificate verify failed");
    }

    /// What is heard within so long, where no broker answers.
    async fn heard(said: &Said, within: Duration) -> Option<String> {
        let (_asked, answer) = tokio::sync::oneshot::channel::<()>();
        let heard = tokio::time::timeout(within, said.hear("can't ask", answer)).await.ok()?;
        Some(heard.expect_err("nobody answers").message().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_by_all_brokers_waits_for_no_answer() {
        let said = Said::default();
        down(&said);
        assert_eq!(heard(&said, 2 * REFUSED).await, None, "they may come back");
        let answered = said.hear("can't ask", tokio::sync::oneshot::channel::<()>().1);
        assert!(answered.await.is_err(), "nobody is there to answer");
        refuses(&said);
        assert_eq!(heard(&said, 2 * REFUSED).await, None, "another broker may be another");
        down(&said);
        is_away(&said);
        assert_eq!(heard(&said, 2 * REFUSED).await, None, "it was in the middle of a restart");
        refuses(&said);
        let error = heard(&said, 2 * REFUSED).await.expect("there is no other");
        assert!(error.contains("certificate verify failed"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_at_one_address_and_finds_nobody_at_another_waits_for_no_answer() {
        let said = Said::default();
        let addresses = async {
            is_away(&said);
            down(&said);
            loop {
                refuses(&said);
                tokio::time::sleep(Duration::from_millis(300)).await;
                is_away(&said);
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        };
        let error = tokio::select! {
            error = heard(&said, 2 * REFUSED) => error.expect("there is no other"),
            () = addresses => unreachable!("it goes on for ever"),
        };
        assert!(error.contains("certificate verify failed"), "{error}");
    }
}
