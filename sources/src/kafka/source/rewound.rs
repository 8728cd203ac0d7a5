//! Partitions that go on before what was read of them: their topic was made anew, or their end was lost with a leader. Where
//! `on_expired` says to go on, they are read from there, as partitions that are opened anew, once all that was read has
//! settled: so no commit of that comes behind.

use millstream_core::contracts::Result;
use millstream_net::kafka::{Answer, Place};
use rdkafka::Offset;
use tokio::time::Instant;

use super::{AGAIN, KafkaSource};
use crate::kafka::begin::{self, Begin, From};
use crate::kafka::form::Form;
use crate::kafka::known::{Floor, Stored};
use crate::kafka::opened::Reading;

/// Partitions that are being sought where they go on.
#[derive(Default)]
pub(super) struct Rewinding {
    asked: Option<(Vec<Place>, Answer<Result<()>>)>,
    pub(super) again: Option<Instant>,
}

impl Rewinding {
    /// Waits until partitions have been sought: which. For ever, if none are. May be dropped at any time.
    pub(super) async fn heard(&mut self) -> Vec<Place> {
        let answer = match &mut self.asked {
            Some((_, answer)) => answer.await,
            None => std::future::pending().await,
        };
        let places = self.asked.take().map(|(places, _)| places).unwrap_or_default();
        match answer {
            Ok(Ok(())) => places,
            failed => {
                let error = failed.ok().and_then(Result::err).map(|error| error.chain());
                tracing::warn!(error, "partitions could not be sought where they go on: trying again");
                self.again = Some(Instant::now() + AGAIN);
                Vec::new()
            }
        }
    }
}

impl<T: Form> KafkaSource<T> {
    /// Seeks partitions that go on before what was read of them, once that has settled, and then opens them anew.
    pub(super) fn rewind_what_has_settled(&mut self) -> Result<()> {
        self.hear_of_commit()?;
        let sought = self.settled_rewinds().find(|reading| reading.rewound.is_sought());
        if let Some(place) = sought.map(|reading| reading.place.clone())
            && self.topics.shared.lets_go(std::slice::from_ref(&place))
        {
            return self.open_anew(&place);
        }
        if self.rewinding.asked.is_some() || self.rewinding.again.is_some_and(|again| again > Instant::now()) {
            return Ok(());
        }
        self.rewinding.again = None;
        let unsought = self.settled_rewinds().filter_map(|it| Some((it.place.clone(), it.rewound.unsought()?)));
        let unsought: Vec<_> = unsought.collect();
        if !unsought.is_empty() {
            let places = unsought.iter().map(|(place, _)| place.clone()).collect();
            let answer = self.member()?.ask(move |consumer| {
                begin::go_back(consumer, unsought.iter().map(|(place, offset)| (place, Offset::Offset(*offset))))
            });
            self.rewinding.asked = Some((places, answer));
        }
        Ok(())
    }

    fn settled_rewinds(&self) -> impl Iterator<Item = &Reading> {
        let rewound = self.open.iter().filter(|reading| reading.rewound.offset().is_some());
        rewound.filter(|reading| reading.is_settled() && !self.is_revoked(reading))
    }

    /// What comes of this partition from now on comes from where it goes on.
    fn open_anew(&mut self, place: &Place) -> Result<()> {
        let at = self.open.iter().position(|reading| reading.place == *place);
        let Some((at, offset)) = at.and_then(|at| Some((at, self.open[at].rewound.offset()?))) else { return Ok(()) };
        let reading = self.open.remove(at);
        let (stored, end) = (reading.stored, reading.end);
        self.close_reading(reading, false);
        // What the group has of it was of what is gone.
        let before = Some(Stored { offset: stored, mark: self.topics.shared.mark().to_owned() });
        self.known.floors.insert(place.clone(), Floor { offset, end, before, given_back: None });
        let stable = end.unwrap_or(offset);
        let from = From::Offset(offset);
        self.read_from(vec![Begin { place: place.clone(), from, offset, end, stable, committed: None }])?;
        if let (false, Some(reading)) = (self.topics.shared.has_transactions(), self.open.last_mut()) {
            reading.wanted = offset;
        }
        Ok(())
    }
}
