//! The flags that say how a Kafka cluster is reached: `--brokers`, `--property`.

use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};
use millstream::kafka::{Cluster, Topics};

/// How a Kafka cluster is reached.
#[derive(clap::Args)]
pub(crate) struct Brokers {
    /// Brokers of the cluster, HOST:PORT each, with commas between
    #[arg(long, value_name = "A,B")]
    brokers: String,
    /// A property of the client library, such as security.protocol=SSL or ssl.ca.location=FILE; may be given several
    /// times
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = Property)]
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

/// NAME=VALUE. What is no such is not repeated: it may hold a password.
#[derive(Clone)]
struct Property;

impl TypedValueParser for Property {
    type Value = (String, String);

    fn parse_ref(&self, _: &Command, _: Option<&Arg>, text: &OsStr) -> Result<Self::Value, clap::Error> {
        let split = text.to_str().and_then(|text| text.split_once('='));
        let (name, value) = split.ok_or_else(|| {
            let message = "a --property that is not NAME=VALUE, such as security.protocol=SSL (it isn't shown)\n";
            clap::Error::raw(ErrorKind::ValueValidation, message)
        })?;
        Ok((name.to_owned(), value.to_owned()))
    }
}
