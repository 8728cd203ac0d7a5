//! The flags that say how a Kafka cluster is reached: `--brokers`, `--property`.

use millstream::kafka::Cluster;

/// How a Kafka cluster is reached.
#[derive(clap::Args)]
pub(crate) struct Brokers {
    /// Brokers of the cluster, HOST:PORT each, with commas between
    #[arg(long, value_name = "A,B")]
    brokers: String,
    /// A property of the client library, such as security.protocol=SSL; may be given several times
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
}

impl Brokers {
    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::new(&self.brokers).properties(self.properties.iter().cloned())
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
