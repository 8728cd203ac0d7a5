//! The flags that say how a Kafka cluster is reached: `--brokers`, `--property`.

use millstream::kafka::{Cluster, Topics};

/// How a Kafka cluster is reached.
#[derive(clap::Args)]
pub(crate) struct Brokers {
    /// Brokers of the cluster, HOST:PORT each, with commas between
    #[arg(long, value_name = "A,B")]
    brokers: String,
    /// A property of the client library, such as security.protocol=SSL or ssl.ca.location=FILE; may be given several
    /// times
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,
}

impl Brokers {
    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::new(&self.brokers).properties(self.properties.iter().cloned())
    }
}

/// Which consumer group reads.
#[derive(clap::Args)]
pub(crate) struct Group {
    /// Consumer group
    #[arg(long = "group", value_name = "G")]
    pub(crate) name: String,
    /// The name that the group is to know this member by over restarts
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// End when all has been read that was there at the start
    #[arg(long)]
    until_end: bool,
}

impl Group {
    /// Reads this topic as a member of the group.
    pub(crate) fn read(self, brokers: &Brokers, topic: String) -> Topics {
        let mut topics = Topics::new(brokers.cluster(), [topic], self.name);
        if let Some(member) = self.member {
            topics = topics.static_member(member);
        }
        if self.until_end { topics.until_end() } else { topics }
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
