//! The blocks of Rust in the README and in `docs/`, as doc tests. Compiled for nothing else.

/// Makes an item that a page's doc tests belong to.
macro_rules! pages {
    ($($name:ident: $path:literal),+ $(,)?) => {
        $(#[doc = include_str!($path)] struct $name;)+
    };
}

pages! {
    Readme: "../README.md",
    GettingStarted: "../docs/getting-started.md",
    Declaring: "../docs/declaring.md",
    Planning: "../docs/planning.md",
    Running: "../docs/running.md",
    Delivery: "../docs/delivery.md",
    Errors: "../docs/errors.md",
    Files: "../docs/files.md",
    Formats: "../docs/formats.md",
    WritingAConnector: "../docs/writing-a-connector.md",
    WritingACoder: "../docs/writing-a-coder.md",
    Performance: "../docs/performance.md",
}

#[cfg(feature = "amqp")]
pages! {
    Amqp: "../docs/amqp.md",
}

#[cfg(feature = "kafka")]
pages! {
    Avro: "../docs/avro.md",
    Kafka: "../docs/kafka.md",
    FromKafkaConnect: "../docs/from-kafka-connect.md",
}
