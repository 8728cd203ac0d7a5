//! From a queue of RabbitMQ to a file.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use millstream::amqp::Queue;
use millstream::prelude::*;
use tokio::time::Instant;

use crate::by_hand;
use crate::measure::in_turn;
use crate::report::{Report, Target, Unit};
use crate::support::rabbitmq::RabbitMq;
use crate::{Bench, Failure};

/// How many messages are read.
const MESSAGES: u64 = 100_000;

/// How many may be unacknowledged: the default of the engine.
const PREFETCH: u16 = 20_000;

/// Both sides make what is written durable and acknowledge it as often as this.
const COMMITS: Duration = Duration::from_millis(250);

/// Messages of 100 bytes.
pub(crate) fn to_file(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let Some(broker) = RabbitMq::shared() else { return Ok(()) };
    let (url, messages) = (broker.url(), bench.scaled(MESSAGES));
    let queues: Vec<_> = (0..bench.runs * 2).map(|number| format!("bench-{number}")).collect();
    bench.runtime.block_on(fill(&url, &queues, messages))?;
    let next = Cell::new(0);
    let queue = || queues[next.replace(next.get() + 1)].as_str();
    let (engine, hand) = (bench.path("amqp-engine.txt"), bench.path("amqp-hand.txt"));
    let pipeline = || {
        let source = Queue::new(&url, queue()).prefetch(PREFETCH.into());
        let state = bench.path(&format!("amqp-state-{}", next.get()));
        let file = Output::create(&engine, Lines::default());
        Pipeline::source(source).limit(messages).sink(file).store(Embedded::at(state))
    };
    let run = || {
        let _ = std::fs::remove_file(&engine);
        let _ = std::fs::remove_file(engine.with_extension("txt.millstream-positions"));
        bench.run(pipeline()).map(drop)
    };
    let by_hand = || bench.runtime.block_on(read(&url, queue(), messages, &hand));
    let taken = in_turn(bench.runs, &[&run, &by_hand], || by_hand::same(&engine, &[&hand]))?;
    let against = "a lapin consumer: same prefetch; each 250 ms the file is synced and one multi-ack sent";
    report.ratio("amqp-file", against, &taken[0], &taken[1], Unit::Millis, Target::Either(0.9));
    Ok(())
}

async fn open(url: &str) -> Result<(Connection, Channel), Failure> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn fill(url: &str, queues: &[String], messages: u64) -> Result<(), Failure> {
    let (connection, channel) = open(url).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let body = |number: u64| format!("{number:0>100}");
    for queue in queues {
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await?;
        for first in (0..messages).step_by(1_000) {
            let bodies: Vec<_> = (first..messages.min(first + 1_000)).map(body).collect();
            let sent = bodies.iter().map(|body| {
                let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
                channel.basic_publish("".into(), queue.as_str().into(), options, body.as_bytes(), properties)
            });
            for confirm in futures_util::future::join_all(sent).await {
                confirm?.await?;
            }
        }
    }
    connection.close(200, "filled".into()).await?;
    Ok(())
}

async fn read(url: &str, queue: &str, messages: u64, output: &Path) -> Result<(), Failure> {
    let (connection, channel) = open(url).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
    let mut file = BufWriter::with_capacity(256 << 10, File::create(output)?);
    let (mut count, mut due) = (0, Instant::now() + COMMITS);
    while let Some(message) = consumer.next().await {
        let message = message?;
        file.write_all(&message.data)?;
        file.write_all(b"\n")?;
        count += 1;
        if count == messages || Instant::now() >= due {
            file.flush()?;
            file.get_ref().sync_data()?;
            channel.basic_ack(message.delivery_tag, BasicAckOptions { multiple: true }).await?;
            due = Instant::now() + COMMITS;
        }
        if count == messages {
            break;
        }
    }
    connection.close(200, "read".into()).await?;
    Ok(())
}
