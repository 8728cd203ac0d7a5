//! [`Deciding`]: partitions of which all was read that is committed, while a transaction is open before their end. Asks the
//! brokers, and so blocks its thread.
//!
//! A bounded run ends at the high watermark, and who reads committed messages gets no further than the last stable offset:
//! brokers have taken a commit before its partitions are told. That the client has come to what was committed then says
//! nothing of what has been decided since; so once all of it is, the partition is sought again where it is read, and the
//! next end that the client tells is true.

use std::time::Duration;

use millstream_core::contracts::{Result, WAITS};
use millstream_net::kafka::{Answer, Place, failed, partition_name};
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::time::Instant;

use super::begin::go_back;
use super::inbox::Context;
use super::member::Member;

/// How long an answer of the brokers is waited for: commits wait behind it.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long after one answer it is asked again, at first and in the end.
const AGAIN: Duration = Duration::from_millis(50);
const AT_MOST: Duration = Duration::from_secs(2);

/// How long it is waited before that is told, and told again.
const LONG: Duration = Duration::from_secs(2);
const LONGER: Duration = Duration::from_secs(60);

/// A partition with an open transaction before its end.
#[derive(Debug, Clone)]
pub(super) struct Undecided {
    pub(super) place: Place,
    pub(super) end: i64,
    /// What is to be read next.
    pub(super) next: Offset,
}

/// What is known of them.
#[derive(Default)]
pub(super) struct Deciding {
    asked: Option<Answer<Result<Vec<Place>>>>,
    again: Option<Instant>,
    wait: Duration,
    /// When it is told that it is waited for.
    tells: Option<Instant>,
}

impl Deciding {
    /// Asks whether some of these are decided, if that is due. Until it is [heard](Self::heard) nothing may be taken of them.
    pub(super) fn ask(&mut self, member: &Member, undecided: impl Iterator<Item = Undecided>) {
        if self.asked.is_some() || self.again.is_some_and(|again| again > Instant::now()) {
            return;
        }
        let undecided = Vec::from_iter(undecided);
        let Some(first) = undecided.first() else {
            *self = Self::default();
            return;
        };
        let now = Instant::now();
        if *self.tells.get_or_insert(now + LONG) <= now {
            self.tells = Some(now + LONGER);
            tracing::warn!(
                target: WAITS,
                partition = %partition_name(&first.place.topic, first.place.partition),
                "a transaction of another producer is open before the end: waiting until it is committed or aborted, by the \
                 brokers after its `transaction.timeout.ms`; one that hangs is found and aborted by Kafka's own tools \
                 (`kafka-transactions`)"
            );
        }
        self.again = None;
        self.asked = Some(member.ask(move |consumer| decided(consumer, undecided)));
    }

    /// Whether it is being asked.
    pub(super) fn asks(&self) -> bool {
        self.asked.is_some()
    }

    /// When it is to be asked again.
    pub(super) fn again(&self) -> Option<Instant> {
        self.again
    }

    /// Waits for the answer: what has been decided, and is being read again. For ever, if nothing was asked. May be dropped
    /// at any time.
    pub(super) async fn heard(&mut self) -> Vec<Place> {
        let answer = match &mut self.asked {
            Some(asked) => asked.await,
            None => std::future::pending().await,
        };
        self.asked = None;
        self.wait = (self.wait * 2).clamp(AGAIN, AT_MOST);
        self.again = Some(Instant::now() + self.wait);
        match answer {
            Ok(Ok(decided)) => decided,
            Ok(Err(error)) => {
                tracing::warn!(error = error.chain(), "it isn't known whether transactions are open: asking again");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }
}

/// Which of these are decided; they are read from where they stand, from now on.
fn decided(consumer: &BaseConsumer<Context>, undecided: Vec<Undecided>) -> Result<Vec<Place>> {
    let mut decided = Vec::new();
    for Undecided { place, end, next } in undecided {
        let stable = consumer.fetch_watermarks(&place.topic, place.partition, PATIENCE);
        let (_, stable) = stable.map_err(|error| failed("can't ask where partitions end", error))?;
        if stable >= end {
            decided.push((place, next));
        }
    }
    go_back(consumer, decided.iter().map(|(place, next)| (place, *next)))?;
    Ok(decided.into_iter().map(|(place, _)| place).collect())
}
