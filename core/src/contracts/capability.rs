//! What a source or a sink can do, as data for the planner.

/// Which instances a stage runs on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Where {
    /// On every instance.
    #[default]
    Everywhere,
    /// On the first of the list of peers.
    First,
    /// On the last of the list of peers: stable over restarts.
    Last,
    /// On the instance that joined last: where the user looks.
    LastJoined,
    /// On the peer of this name.
    Named(String),
}

/// Whether input ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// It ends by itself.
    Bounded,
    /// It runs for ever.
    Unbounded,
}

/// Which of the instances that a source runs on get records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Active {
    /// Each gets a part (partitions, shards).
    Each,
    /// One at a time, chosen by the broker.
    One,
}

/// Where a source may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Places {
    /// On every instance.
    Everywhere(Active),
    /// On one instance, whose local input it reads.
    Exclusive(Where),
}

/// What a source acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commits {
    /// Everything up to a position (optimistic).
    Optimistic,
    /// Each record by itself (pessimistic).
    Pessimistic,
    /// Nothing: what it read can't be read again.
    None,
}

/// What a source can do.
#[derive(Debug, Clone)]
pub struct SourceTraits {
    /// The kind of source, which names its stage unless the user does: `FILE`, `AMQP-QUEUE`.
    pub kind: String,
    /// What it reads, for people and for telling one input from another: paths and framing, a topic. Never a secret.
    pub input: String,
    /// What a state folder, and a sink that keeps positions, knows this input by, where `input` says more than that,
    /// such as how a server is reached.
    pub identity: Option<String>,
    /// Whether input ends.
    pub ends: Ends,
    /// What it acknowledges.
    pub commits: Commits,
    /// Whether its positions are kept by the server, so that no checkpoint store is needed.
    pub keeps_positions: bool,
    /// Which server that is, for a source whose positions a sink of the same server can commit in one transaction with
    /// its data ([`SinkTraits::commits_at`]): `kafka 127.0.0.1:9092`.
    pub server: Option<String>,
    /// Whether a later run can go to a position that this one gave. The delivery tags of AMQP die with their channel: the
    /// server then gives again what was not acknowledged, and nobody can tell that from what is new.
    pub resumable: bool,
    /// Where it may run.
    pub places: Places,
    /// The most records it may have unacknowledged (an AMQP prefetch), if there is such a bound of its own.
    pub unacknowledged: Option<u64>,
    /// How long a record stays invisible to others unless extended, for pessimistic sources that have such a time.
    pub visibility: Option<std::time::Duration>,
    /// Whether its reads block their thread (files): it then runs on a thread of its own.
    pub blocking: bool,
}

impl SourceTraits {
    /// Those of a small source, to be changed where it is another: bounded, nothing to acknowledge, on the first
    /// instance, its reads don't block.
    ///
    /// ```
    /// use millstream_core::contracts::{Ends, SourceTraits};
    ///
    /// let ticks = SourceTraits { ends: Ends::Unbounded, ..SourceTraits::new("TICKS", "a clock") };
    /// ```
    pub fn new(kind: impl Into<String>, input: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            input: input.into(),
            identity: None,
            ends: Ends::Bounded,
            commits: Commits::None,
            keeps_positions: false,
            server: None,
            resumable: true,
            places: Places::Exclusive(Where::First),
            unacknowledged: None,
            visibility: None,
            blocking: false,
        }
    }
}

/// What a sink can do.
#[derive(Debug, Clone)]
pub struct SinkTraits {
    /// The kind of sink, which names its stage unless the user does: `FILE`, `STD-OUT`.
    pub kind: String,
    /// Where it writes, for people. Never a secret.
    pub output: String,
    /// Where it runs unless the user says otherwise.
    pub place: Where,
    /// Whether it cares for the order of what it gets.
    pub ordered: bool,
    /// Whether it stores positions in one transaction with its data; if not, why what a crash repeats appears twice, as
    /// half a sentence: `standard output can't take back what it printed`.
    pub transactional: Result<(), String>,
    /// Where those positions stand, under the pipeline's name, if they don't go with its output: `the topic positions`.
    pub positions_in: Option<String>,
    /// The server at which it commits a source's positions in one transaction with its data, if the source's are kept
    /// there ([`SourceTraits::server`]): both are then on one instance, with no network stage between them.
    pub commits_at: Option<String>,
    /// Whether what was flushed survives a crash only once the sink is closed, because the output is put in its place at
    /// the end: a source that acknowledges upstream would then lose what it has acknowledged.
    pub durable_at_close: bool,
    /// Whether its state is on the instance's own disk, so that it has to run on the same instance every time.
    pub local_state: bool,
    /// Whether its writes block their thread (files): it then runs on a thread of its own.
    pub blocking: bool,
}

impl SinkTraits {
    /// Those of a small sink, to be changed where it is another: on the last instance, in order, not transactional for
    /// the reason given (half a sentence, such as `standard output can't take back what it printed`), no state on disk,
    /// its writes don't block.
    pub fn new(kind: impl Into<String>, output: impl Into<String>, repeats: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            output: output.into(),
            place: Where::Last,
            ordered: true,
            transactional: Err(repeats.into()),
            positions_in: None,
            commits_at: None,
            local_state: false,
            durable_at_close: false,
            blocking: false,
        }
    }

    /// Whether it commits this source's positions at their own server, in one transaction with its data.
    pub fn commits_for(&self, source: &SourceTraits) -> bool {
        self.commits_at.is_some() && self.commits_at == source.server
    }

    /// What it can do behind this source.
    #[must_use]
    pub fn behind(mut self, source: &SourceTraits) -> Self {
        if self.commits_for(source) {
            self.transactional = Ok(());
        }
        self
    }
}
