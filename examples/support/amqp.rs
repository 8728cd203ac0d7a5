//! The flags that say which queue of an AMQP broker is read: `--url`, `--queue`, `--prefetch`.

use millstream::amqp::Queue;

/// Which queue is read.
#[derive(clap::Args)]
pub(crate) struct FromQueue {
    /// The broker: amqp[s]://[user[:password]@]host[:port][/vhost]
    #[arg(long, value_name = "U")]
    url: String,
    /// The queue; it has to be there, and to have a single active consumer where there are several instances
    #[arg(long = "queue", value_name = "Q")]
    name: String,
    /// The most messages that may be in flight
    #[arg(long, value_name = "N")]
    prefetch: Option<u32>,
}

impl FromQueue {
    pub(crate) fn queue(self) -> Queue {
        let queue = Queue::new(self.url, self.name);
        match self.prefetch {
            Some(messages) => queue.prefetch(messages),
            None => queue,
        }
    }
}
