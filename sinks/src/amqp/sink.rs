//! [`ExchangeSink`]: publishes, reconnects, publishes again.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, ErrorKind, ExchangeKind};
use millstream_core::commit::Ticket;
use millstream_core::contracts::{Cause, Checkpoint, Error, Result, Sink, SinkContext, WAITS, WriteError, guarded};
use millstream_core::data::Records;
use millstream_net::amqp::{Link, Refusal, Unfit, short, wrong};

use super::ahead::{Ahead, Rows};
use super::config::Settings;
use super::record::{Outgoing, Record};
use super::returned::{Returned, matched};

/// After so long without a confirm it is said that they are awaited.
const SLOW: Duration = Duration::from_secs(10);

/// Publishes what an [`Exchange`](super::Exchange) is given.
pub struct ExchangeSink<T> {
    settings: Settings<T>,
    /// The properties of records that have none.
    usual: Result<BasicProperties, Unfit>,
    live: Option<Live>,
    ahead: Ahead,
    /// How often a connection was tried in vain, or lost before anything was confirmed on it.
    tries: u32,
    /// So many are published one by one, because of one among them: it may be that others fail before it is found.
    singly: usize,
}

/// A channel that confirms.
struct Live {
    channel: Channel,
    link: Link,
}

/// What became of a message.
enum Fate {
    Taken,
    /// The broker refused it, for reasons of its own.
    Refused,
    /// No queue takes it; the broker's words, and where it was to go.
    Returned(String),
}

impl Fate {
    /// Why it was not taken. Of a full queue the record isn't guilty: a policy for bad records would throw away all that
    /// comes until there is room.
    fn error(&self) -> Option<Error> {
        let refused = "the broker did not take the message: its queue is full, or it could not store it; make room, or let \
                       the stage `retry` for as long as that takes";
        let returned =
            "the broker returned the message, which no queue takes: bind one, or declare `unroutable_is_fine`";
        match self {
            Self::Taken => None,
            Self::Refused => Some(Error::new(Cause::Outside, refused)),
            Self::Returned(why) => Some(Error::new(Cause::Record, format!("{returned} ({why})")).retryable(true)),
        }
    }
}

/// A message that is on its way, until its confirm has come.
type Sent<'a> = Pin<Box<dyn Future<Output = lapin::Result<Confirmation>> + Send + 'a>>;

impl<T: Record> Sink for ExchangeSink<T> {
    type In = T;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        self.live = Some(self.connect().await?);
        Ok(None)
    }

    async fn write(&mut self, records: Records<'_, T::Column>, _: &mut Option<Ticket>) -> Result<(), WriteError> {
        let Rows { left: rows, known } = self.ahead.rows(records.len(), records.stamps());
        let mut done = 0;
        while done < rows.len() {
            let window = if self.singly > 0 { 1 } else { self.settings.window };
            let these = &rows[done..rows.len().min(done + window)];
            let (outgoing, unfit) = self.outgoing(&records, these);
            let count = outgoing.len();
            let confirms = self.publish(outgoing).await;
            let failed = match confirms.map(|confirms| self.fates(&records, these, confirms)) {
                Ok(None) => {
                    tracing::warn!(
                        "a message came back, and which one can't be told: all are published again, one by one"
                    );
                    self.singly = count;
                    continue;
                }
                Ok(Some(fates)) => {
                    self.tries = 0;
                    self.singly = self.singly.saturating_sub(1);
                    self.judge(&records, these, &known, fates)
                }
                Err(error) => match self.lost(error, count).await? {
                    Lost::Again => continue,
                    // Which of them it was shows one by one.
                    Lost::OneByOne => {
                        self.singly = count;
                        continue;
                    }
                    Lost::Record(error) => return Err(self.left_out(&records, these[0], &known, error)),
                },
            };
            if let Some((row, error)) = failed {
                return Err(WriteError::Row { row, error });
            }
            if let Some((row, error)) = unfit {
                return Err(self.left_out(&records, row, &known, error));
            }
            done += these.len();
        }
        Ok(())
    }

    /// Whatever was written has been confirmed.
    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if let Some(live) = self.live.take() {
            live.link.close().await;
        }
        Ok(())
    }
}

/// What to do when a window was lost.
enum Lost {
    /// Publish it again.
    Again,
    /// Publish it again, one by one.
    OneByOne,
    /// The one message of the window is not one that the broker takes.
    Record(Error),
}

impl<T: Record> ExchangeSink<T> {
    pub(super) fn new(settings: Settings<T>) -> Self {
        let usual = settings.properties.to_client();
        Self { settings, usual, live: None, ahead: Ahead::default(), tries: 0, singly: 0 }
    }

    /// Opens a connection, with a channel that confirms.
    async fn connect(&self) -> Result<Live> {
        let Settings { broker, exchange, declared, .. } = &self.settings;
        let link = broker.connect().await?;
        let channel = link.channel().await?;
        match declared {
            Some(declared) => declared.declare(&channel, exchange).await?,
            None if exchange.is_empty() => {}
            None => self.look(&channel).await?,
        }
        let confirms = channel.confirm_select(ConfirmSelectOptions::default()).await;
        confirms.map_err(|error| wrong(format!("{broker} does not confirm what is published"), error))?;
        Ok(Live { channel, link })
    }

    /// Whether the exchange is there.
    async fn look(&self, channel: &Channel) -> Result<()> {
        let Settings { broker, exchange, .. } = &self.settings;
        let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let name = short(exchange, "the exchange's name")?;
        let found = channel.exchange_declare(name, ExchangeKind::Direct, options, FieldTable::default()).await;
        found.map_err(|error| wrong(format!("there is no exchange {exchange} to publish to at {broker}"), error))
    }

    /// The messages that these rows become, up to the first one that is none.
    fn outgoing<'a>(
        &self,
        records: &Records<'a, T::Column>,
        rows: &[usize],
    ) -> (Vec<Outgoing<'a>>, Option<(usize, Error)>) {
        let mut all = Vec::with_capacity(rows.len());
        for &row in rows {
            let time = || records.stamp(row).time;
            let error = || Error::new(Cause::Record, "the record can't be a message of AMQP");
            let error = match guarded(|| self.settings.outgoing(&self.usual, records.column(), row, time)) {
                Ok(Ok(outgoing)) => {
                    all.push(outgoing);
                    continue;
                }
                Ok(Err(unfit)) => error().because(unfit),
                Err(panicked) => error().because(panicked),
            };
            return (all, Some((row, error)));
        }
        (all, None)
    }

    /// What became of the messages of these rows. They are made again where some came back, and not kept for it.
    fn fates(
        &self,
        records: &Records<'_, T::Column>,
        rows: &[usize],
        confirms: Vec<Confirmation>,
    ) -> Option<Vec<Fate>> {
        let came_back =
            |confirm: &Confirmation| matches!(confirm, Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)));
        let outgoing = if confirms.iter().any(came_back) { self.outgoing(records, rows).0 } else { Vec::new() };
        fates(&outgoing, confirms)
    }

    /// Publishes these, and waits for all confirms.
    async fn publish(&mut self, outgoing: Vec<Outgoing<'_>>) -> lapin::Result<Vec<Confirmation>> {
        let Some(live) = &self.live else {
            return Err(std::io::Error::from(std::io::ErrorKind::NotConnected).into());
        };
        let options = BasicPublishOptions { mandatory: self.settings.mandatory, ..BasicPublishOptions::default() };
        let mut sent: Vec<Sent<'_>> = Vec::with_capacity(outgoing.len());
        for Outgoing { exchange, key, properties, body } in outgoing {
            let channel = &live.channel;
            let mut publishing: Sent<'_> =
                Box::pin(async move { channel.basic_publish(exchange, key, options, body, properties).await?.await });
            // The first poll puts it into the queue of what is to be sent; what follows waits.
            match futures_util::poll!(publishing.as_mut()) {
                std::task::Poll::Pending => sent.push(publishing),
                std::task::Poll::Ready(done) => sent.push(Box::pin(async { done })),
            }
        }
        live.confirms(sent).await
    }

    /// This row can't be published: what was confirmed behind it before stays remembered.
    fn left_out(&mut self, records: &Records<'_, T::Column>, row: usize, known: &[usize], error: Error) -> WriteError {
        let behind = known.iter().filter(|known| **known > row).map(|row| records.stamp(*row));
        self.ahead.remember(records.stamp(row), behind);
        WriteError::Row { row, error }
    }

    /// The first row that the broker did not take, and why. What was confirmed behind it, now or before, is remembered.
    fn judge(
        &mut self,
        records: &Records<'_, T::Column>,
        rows: &[usize],
        known: &[usize],
        fates: Vec<Fate>,
    ) -> Option<(usize, Error)> {
        let (at, error) = fates.iter().enumerate().find_map(|(at, fate)| Some((at, fate.error()?)))?;
        let taken = rows.iter().zip(&fates).filter(|(_, fate)| matches!(fate, Fate::Taken)).map(|(row, _)| *row);
        let mut behind: Vec<_> = taken.chain(known.iter().copied()).filter(|row| *row > rows[at]).collect();
        behind.sort_unstable();
        self.ahead.remember(records.stamp(rows[at]), behind.into_iter().map(|row| records.stamp(row)));
        Some((rows[at], error))
    }

    /// The channel is lost while a window of so many was under way: opens another one, however long that takes.
    async fn lost(&mut self, error: lapin::Error, window: usize) -> Result<Lost> {
        let Settings { broker, exchange, exchange_by, .. } = &self.settings;
        self.live = None;
        let blamed = blames(&error);
        let fatal = match Refusal::of(&error) {
            Some(Refusal::NotFound | Refusal::Access) => exchange_by.is_none(),
            _ => false,
        };
        if fatal {
            return Err(wrong(format!("exchange {exchange} of {broker} can't be published to"), error));
        }
        tracing::warn!(exchange, %error, "the channel is lost: what was not confirmed is published again");
        self.reconnect().await?;
        Ok(match (blamed, window) {
            (false, _) => Lost::Again,
            (true, 1) => {
                self.singly = 0;
                Lost::Record(Error::new(Cause::Record, "the broker does not take this message").because(error))
            }
            (true, _) => Lost::OneByOne,
        })
    }

    async fn reconnect(&mut self) -> Result<()> {
        loop {
            tokio::time::sleep(self.settings.broker.waits().wait(self.tries)).await;
            self.tries = self.tries.saturating_add(1);
            match self.connect().await {
                Ok(live) => {
                    tracing::info!(exchange = self.settings.exchange, "the broker is back");
                    self.live = Some(live);
                    return Ok(());
                }
                Err(error) if error.is_retryable() => {
                    let wait = self.settings.broker.waits().wait(self.tries);
                    tracing::warn!(target: WAITS, error = error.chain(), ?wait, "the broker is not back yet");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether the broker ended the channel or the connection because of what was published.
fn blames(error: &lapin::Error) -> bool {
    /// The broker shuts down, is out of something, or is broken.
    const ITS_OWN: [u16; 3] = [320, 506, 541];
    matches!(error.kind(), ErrorKind::ProtocolError(error) if !ITS_OWN.contains(&error.get_id()))
}

impl Live {
    /// The confirms of what was sent. Of several errors the one that says most.
    async fn confirms(&self, sent: Vec<Sent<'_>>) -> lapin::Result<Vec<Confirmation>> {
        let (mut confirms, mut failed) = (Vec::with_capacity(sent.len()), None);
        for mut one in sent {
            let confirm = loop {
                match tokio::time::timeout(SLOW, one.as_mut()).await {
                    Ok(confirm) => break confirm,
                    Err(_) => tracing::warn!(blocked = self.link.is_blocked(), "the broker is slow to confirm"),
                }
            };
            match confirm {
                Ok(confirm) => confirms.push(confirm),
                Err(error) if matches!(error.kind(), ErrorKind::ProtocolError(_)) => return Err(error),
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
        failed.map_or(Ok(confirms), Err)
    }
}

/// What became of each: a message that came back is told apart by what it holds. `None`: one of several can't be.
fn fates(outgoing: &[Outgoing<'_>], confirms: Vec<Confirmation>) -> Option<Vec<Fate>> {
    let mut fates: Vec<_> = confirms.iter().map(fate).collect();
    let acknowledged: Vec<_> = confirms.iter().map(Confirmation::is_ack).collect();
    let returned: Vec<_> = confirms.into_iter().filter_map(Confirmation::take_message).map(Returned::from).collect();
    for (at, returned) in matched(outgoing, &acknowledged, &returned).into_iter().zip(returned) {
        // Of a single one that is under way it is the one that came back, whatever it looks like by now.
        let only = (outgoing.len() == 1).then_some(0);
        *fates.get_mut(at.or(only)?)? = Fate::Returned(returned.why);
    }
    Some(fates)
}

fn fate(confirm: &Confirmation) -> Fate {
    match confirm {
        Confirmation::Nack(_) => Fate::Refused,
        Confirmation::Ack(_) | Confirmation::NotRequested => Fate::Taken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::message::{BasicReturnMessage, Delivery};

    fn outgoing(body: &[u8]) -> Outgoing<'_> {
        Outgoing { exchange: "e".into(), key: "k".into(), properties: BasicProperties::default(), body }
    }

    fn back(body: &[u8]) -> Option<BasicReturnMessage> {
        let delivery = Delivery::mock(0, "e".into(), "k".into(), false, body.to_vec());
        Some(BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() })
    }

    #[test]
    fn a_message_that_came_back_with_the_confirm_of_another_is_the_one_that_was_returned() {
        let published = [outgoing(b"a"), outgoing(b"b"), outgoing(b"c")];
        let confirms = vec![Confirmation::Ack(back(b"c")), Confirmation::Ack(back(b"a")), Confirmation::Ack(None)];
        let fates = fates(&published, confirms).expect("each can be told");
        assert!(matches!(fates[..], [Fate::Returned(_), Fate::Taken, Fate::Returned(_)]));
    }

    #[test]
    fn what_no_queue_takes_is_the_records_fault_and_a_full_queue_is_not() {
        let published = [outgoing(b"a"), outgoing(b"b"), outgoing(b"c")];
        let confirms = vec![Confirmation::Nack(None), Confirmation::Ack(back(b"b")), Confirmation::Ack(None)];
        let fates = fates(&published, confirms).expect("each can be told");
        let errors: Vec<_> = fates.iter().map(Fate::error).collect();
        let causes: Vec<_> = errors.iter().map(|error| error.as_ref().map(Error::cause)).collect();
        assert_eq!(causes, [Some(Cause::Outside), Some(Cause::Record), None]);
        assert!(errors.iter().flatten().all(Error::is_retryable));
    }

    #[test]
    fn a_stranger_is_none_of_several_and_the_only_one_of_one() {
        let published = [outgoing(b"a"), outgoing(b"b")];
        let stranger = || Confirmation::Ack(back(b"x"));
        assert!(fates(&published, vec![stranger(), Confirmation::Ack(None)]).is_none());
        let fates = fates(&published[..1], vec![stranger()]).expect("it is this one");
        assert!(matches!(fates[..], [Fate::Returned(_)]));
    }
}
