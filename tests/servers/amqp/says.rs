//! What messages say of themselves where their records say nothing.

use millstream::amqp::{Exchange, Properties};
use millstream::prelude::*;

use super::client::{Client, unique};
use crate::support::rabbitmq::RabbitMq;

#[test]
fn messages_say_what_their_exchange_is_told() {
    let Some(broker) = RabbitMq::shared() else { return };
    let queue = unique("says");
    Client::new(&broker.url()).queue(&queue, &[]);
    let of_all = Properties { priority: Some(3), message_id: Some("all".into()), ..Properties::default() };
    let sink = Exchange::new(broker.url(), "").routing_key(&queue).properties(of_all);
    let sink = sink.content_type("text/plain").header("from", "here").transient();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    let written =
        runtime.block_on(Pipeline::source(List::new(vec!["one".to_owned(), "two".to_owned()])).sink(sink).run());
    assert_eq!(written.expect("they are published").records_out, 2);
    let taken = broker.take(&queue, 3);
    for message in &taken {
        let properties = &message["properties"];
        assert_eq!((&properties["delivery_mode"], &properties["priority"]), (&1.into(), &3.into()), "{properties}");
        assert_eq!((&properties["message_id"], &properties["content_type"]), (&"all".into(), &"text/plain".into()));
        assert_eq!(properties["headers"]["from"], "here", "{properties}");
    }
    told!("{} messages say so", taken.len());
    assert_eq!(taken.len(), 2);
}
