//! The flags that say how an AMQP broker is reached, `--url` and `--ca`, and which of its queues is read: `--queue`,
//! `--prefetch`.

use std::path::PathBuf;

use millstream::amqp::{Broker, Queue};

/// How a broker is reached.
#[derive(clap::Args)]
pub(crate) struct At {
    /// The broker: amqp[s]://[user[:password]@]host[:port][/vhost]
    #[arg(long, value_name = "U")]
    url: String,
    /// File with the certificates (PEM) of authorities that the broker's certificate is trusted by, in place of the
    /// system's; for amqps://
    #[arg(long, value_name = "F")]
    ca: Option<PathBuf>,
}

impl At {
    pub(crate) fn broker(self) -> Broker {
        let broker = Broker::at(self.url);
        match self.ca {
            Some(file) => broker.ca(file),
            None => broker,
        }
    }
}

/// Which queue is read.
#[derive(clap::Args)]
pub(crate) struct FromQueue {
    #[command(flatten)]
    at: At,
    /// The queue; it has to be there, and to have a single active consumer where there are several instances
    #[arg(long = "queue", value_name = "Q")]
    name: String,
    /// The most messages that may be in flight; 20,000 unless said otherwise
    #[arg(long, value_name = "N")]
    prefetch: Option<u32>,
}

impl FromQueue {
    pub(crate) fn queue(self) -> Queue {
        let queue = Queue::new(self.at.broker(), self.name);
        match self.prefetch {
            Some(messages) => queue.prefetch(messages),
            None => queue,
        }
    }
}
