//! What all examples have in common: plans, quiet, help, and what is refused.

use serde_json::Value;

use crate::process::{Folder, example, run, run_on};

const USERS_FILE: &str = "examples/data/users.jsonl";
const ORDERS_FILE: &str = "examples/data/orders.xml";

/// Every example with the least it takes.
const EXAMPLES: [(&str, &[&str]); 6] = [
    ("xml_filter", &["--input", ORDERS_FILE, "--record", "order"]),
    ("json_filter", &["--input", USERS_FILE]),
    ("copy_lines", &["--input", USERS_FILE, "--output", "-"]),
    ("count_words", &["--input", USERS_FILE]),
    ("hello", &[]),
    ("custom_stage", &[]),
];

/// A connector's example with the least it takes, and what its plan says: which guarantee, and where records go from and
/// to. Nobody listens where they are told to look, and no schema registry has to answer for a plan.
struct OfServers {
    name: &'static str,
    args: &'static [&'static str],
    guarantee: &'static str,
    ends: [&'static str; 2],
}

const fn of_servers(
    name: &'static str,
    args: &'static [&'static str],
    guarantee: &'static str,
    ends: [&'static str; 2],
) -> OfServers {
    OfServers { name, args, guarantee, ends }
}

const OF_SERVERS: &[OfServers] = &[
    #[cfg(feature = "amqp")]
    of_servers(
        "amqp_xml_filter",
        &["--url", AMQP, "--queue", "q", "--where", "status=paid"],
        "at-least-once",
        ["AMQP-QUEUE", "STD-OUT"],
    ),
    #[cfg(feature = "amqp")]
    of_servers(
        "amqp_to_file",
        &["--url", AMQP, "--queue", "q", "--output", "missing/out", "--state", "missing/state"],
        "at-least-once",
        ["AMQP-QUEUE", "FILE"],
    ),
    #[cfg(feature = "amqp")]
    of_servers(
        "lines_to_amqp",
        &["--input", USERS_FILE, "--url", AMQP, "--exchange", "e", "--routing-key", "k"],
        "at-least-once",
        ["FILE", "AMQP-EXCHANGE"],
    ),
    #[cfg(all(feature = "amqp", feature = "kafka"))]
    of_servers(
        "amqp_to_kafka",
        &["--url", AMQP, "--queue", "q", "--brokers", NOWHERE, "--topic", "t"],
        "at-least-once",
        ["AMQP-QUEUE", "KAFKA"],
    ),
    #[cfg(feature = "kafka")]
    of_servers(
        "kafka_to_kafka",
        &["--brokers", NOWHERE, "--from", "a", "--to", "b", "--group", "g", "--where", "status=paid", "--exactly-once"],
        "exactly-once",
        ["KAFKA", "KAFKA"],
    ),
    #[cfg(feature = "kafka")]
    of_servers(
        "kafka_to_file",
        &["--brokers", NOWHERE, "--topic", "t", "--group", "g", "--output", "missing/out", "--state", "missing/state"],
        "exactly-once",
        ["KAFKA", "FILE"],
    ),
    #[cfg(feature = "kafka")]
    of_servers(
        "lines_to_kafka",
        &["--input", USERS_FILE, "--brokers", NOWHERE, "--topic", "t", "--exactly-once", "--state", "missing/state"],
        "exactly-once",
        ["FILE", "KAFKA"],
    ),
    #[cfg(feature = "kafka")]
    of_servers(
        "kafka_count",
        &["--brokers", NOWHERE, "--topic", "t", "--group", "g", "--every-ms", "100"],
        "at-least-once",
        ["KAFKA", "STD-OUT"],
    ),
    #[cfg(all(feature = "kafka", feature = "registry"))]
    of_servers(
        "kafka_avro_to_json",
        &["--brokers", NOWHERE, "--topic", "t", "--group", "g", "--registry", REGISTRY, "--output", "missing/out"],
        "at-least-once",
        ["KAFKA", "FILE"],
    ),
    #[cfg(all(feature = "kafka", feature = "registry"))]
    of_servers(
        "json_to_kafka_avro",
        &[
            "--input",
            "examples/data/weather.json",
            "--brokers",
            NOWHERE,
            "--topic",
            "t",
            "--registry",
            REGISTRY,
            "--schema",
            "examples/data/weather.avsc",
        ],
        "at-least-once",
        ["FILE", "KAFKA"],
    ),
    #[cfg(all(feature = "kafka", feature = "registry"))]
    of_servers(
        "registry_to_registry",
        &[
            "--brokers",
            NOWHERE,
            "--from",
            "a",
            "--to",
            "b",
            "--group",
            "g",
            "--registry",
            REGISTRY,
            "--to-registry",
            REGISTRY,
        ],
        "at-least-once",
        ["KAFKA", "KAFKA"],
    ),
    #[cfg(feature = "avro")]
    of_servers(
        "avro_to_json",
        &["--input", "examples/data/weather.avro", "--output", "-"],
        "at-least-once",
        ["FILE", "STD-OUT"],
    ),
    #[cfg(feature = "avro")]
    of_servers(
        "json_to_avro",
        &[
            "--schema",
            "examples/data/weather.avsc",
            "--input",
            "examples/data/weather.json",
            "--output",
            "missing/out",
            "--state",
            "missing/state",
        ],
        "exactly-once",
        ["FILE", "FILE"],
    ),
];

#[cfg(feature = "amqp")]
const AMQP: &str = "amqp://me:s3cret@127.0.0.1:9";
#[cfg(feature = "kafka")]
const NOWHERE: &str = "127.0.0.1:9";
#[cfg(all(feature = "kafka", feature = "registry"))]
const REGISTRY: &str = "http://127.0.0.1:9";

#[test]
fn every_example_of_a_server_explains_itself_and_reaches_nobody() {
    for OfServers { name, args, guarantee, ends: [source, sink] } in OF_SERVERS {
        let plan = run(name, &[args, &["--explain"][..]].concat());
        let text = plan.text();
        assert!(text.starts_with("Declared pipeline:\n"), "{name}: {text}");
        assert!(text.contains(&format!("Guarantee\n\n    {guarantee}")), "{name}: {text}");
        assert!(!text.contains("s3cret"), "{name}: {text}");
        assert_eq!(plan.err, "", "{name}");
        let json = run(name, &[args, &["--explain=json"][..]].concat());
        let json: Value = serde_json::from_str(json.text()).expect("it is JSON");
        let located = json["located"].as_array().expect("a list");
        let stage = |at: Option<&Value>| at.expect("a stage")["stage"].as_str().expect("a name").to_owned();
        let (first, last) = (stage(located.first()), stage(located.last()));
        assert!(first.starts_with(source) && last.starts_with(sink), "{name}: from {first} to {last}");
        for flag in ["--explain", "--instances", "--quiet", "--on-error", "--peers"] {
            assert!(run(name, &["--help"]).text().contains(flag), "{name} has {flag}");
        }
        assert_eq!(run(name, &[]).code, Some(2), "{name} takes flags");
    }
    assert!(!std::path::Path::new("missing").exists(), "a plan made something");
}

#[test]
fn every_example_explains_itself_and_runs_nothing() {
    for (name, args) in EXAMPLES {
        let plan = run(name, &[args, &["--explain"]].concat());
        assert!(plan.text().starts_with("Declared pipeline:\n"), "{name}: {}", plan.text());
        assert!(plan.text().contains("Guarantee\n\n    at-least-once"), "{name}: {}", plan.text());
        assert_eq!(plan.err, "", "{name}");
        assert_eq!(run(name, &[args, &["--explain=text"]].concat()).text(), plan.text(), "{name}");
        let json = run(name, &[args, &["--explain=json", "--instances", "1"]].concat());
        let json: Value = serde_json::from_str(json.text()).expect("it is JSON");
        assert_eq!(json["instances"], 1, "{name}");
    }
}

#[test]
fn a_plan_for_several_instances_has_network_stages() {
    let args = ["--input", ORDERS_FILE, "--record", "order", "--explain", "--instances", "3"];
    let plan = run("xml_filter", &args);
    assert!(plan.text().contains("NET-SPLIT") && plan.text().contains("NET-MERGE-SORT"), "{}", plan.text());
}

#[test]
fn explaining_opens_nothing() {
    let folder = Folder::new();
    let (missing, output, state) = (folder.path("missing"), folder.path("out"), folder.path("state"));
    let args = ["--input", &missing, "--output", &output, "--state", &state, "--explain"];
    let plan = run("copy_lines", &args);
    assert!(plan.text().contains("exactly-once"), "{}", plan.text());
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn the_plan_shows_the_workers() {
    let args = ["--input", USERS_FILE, "--explain=json", "--workers", "3"];
    let plan: Value = serde_json::from_str(run("json_filter", &args).text()).expect("it is JSON");
    let workers = plan["located"].as_array().expect("a list").iter().find(|stage| stage["stage"] == "JSON-FILTER");
    assert_eq!(workers.expect("the filter is located")["workers"], 3, "{plan:#}");
}

#[test]
fn quiet_says_nothing_and_does_the_same() {
    for (name, args) in EXAMPLES {
        let (told, quiet) = (run(name, args), run(name, &[args, &["--quiet"]].concat()));
        assert_eq!(quiet.text(), told.text(), "{name}");
        assert_eq!(quiet.err, "", "{name}");
        assert!(told.err.starts_with("done: records in "), "{name}: {}", told.err);
    }
}

#[test]
fn quiet_still_says_what_went_wrong() {
    let folder = Folder::new();
    let ran = run("json_filter", &["--input", &folder.put("in", "{}\n{\n"), "--quiet"]);
    assert_eq!(ran.fails(1).lines().count(), 1, "{}", ran.err);
}

#[test]
fn help_and_version_are_no_errors() {
    for (name, _) in EXAMPLES {
        let help = run(name, &["--help"]);
        for flag in ["--explain", "--instances", "--quiet", "--help", "--version"] {
            assert!(help.text().contains(flag), "{name} has {flag}");
        }
        assert!(run(name, &["--version"]).text().contains(env!("CARGO_PKG_VERSION")), "{name}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_done() {
    let refused: [(&str, &[&str]); 24] = [
        ("xml_filter", &[]),
        ("xml_filter", &["--input"]),
        ("xml_filter", &["--input", ORDERS_FILE, "--record", "order", "--where", ""]),
        ("xml_filter", &["--input", ORDERS_FILE, "--record", "order", "--where", "=paid"]),
        ("xml_filter", &["--input", ORDERS_FILE, "--record", "order", "--where", "/status=paid"]),
        ("xml_filter", &["--input", ORDERS_FILE, "--record", "order", "--where", "items//@sku"]),
        ("xml_filter", &["--input", ORDERS_FILE, "--record", "order", "--where", "@sku/item=1"]),
        ("xml_filter", &["--input", ORDERS_FILE, "--record", "a b"]),
        ("xml_filter", &["--input", ORDERS_FILE, "--record", ""]),
        ("xml_filter", &["--input", ORDERS_FILE, "--record", "order", "--workers", "0"]),
        ("xml_filter", &["--input", ORDERS_FILE, "--record", "order", "--workers", "some"]),
        ("json_filter", &["--input", USERS_FILE, "--where", "=1"]),
        ("json_filter", &["--input", USERS_FILE, "--on-error", "ignore"]),
        ("json_filter", &["--input", USERS_FILE, "--on-error", "dead-letter:"]),
        ("json_filter", &["--input", "-", "--state", "state"]),
        ("json_filter", &["--input", USERS_FILE, "-"]),
        ("json_filter", &["--input", USERS_FILE, "--explain=xml"]),
        ("json_filter", &["--input", USERS_FILE, "--instances", "2"]),
        ("json_filter", &["--input", USERS_FILE, "--explain", "--instances", "0"]),
        ("copy_lines", &["--input", USERS_FILE]),
        ("copy_lines", &["--input", USERS_FILE, "--output", "-", "--limit", "0"]),
        ("copy_lines", &["--input", USERS_FILE, "--output", "-", "--throttle", "0"]),
        ("count_words", &["--input", USERS_FILE, "--every", "0"]),
        ("count_words", &["--input", USERS_FILE, "--every-ms", "0"]),
    ];
    for (name, args) in refused {
        let ran = run(name, args);
        assert_eq!(ran.code, Some(2), "{name} {args:?}: {}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.out.is_empty(), "{name} {args:?}: {}", ran.err);
    }
}

#[cfg(feature = "kafka")]
#[test]
fn a_property_that_is_none_is_not_repeated() {
    for property in ["sasl.password:hunter2", "hunter2"] {
        let flags = ["--brokers", "a:1", "--from", "a", "--to", "b", "--group", "g", "--property", property];
        let ran = run("kafka_to_kafka", &flags);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains("NAME=VALUE") && !ran.err.contains("hunter2"), "{}", ran.err);
    }
}

#[test]
fn flags_are_only_where_they_act() {
    for (name, flag) in
        [("hello", "--input"), ("copy_lines", "--workers"), ("count_words", "--state"), ("hello", "--state")]
    {
        let args = EXAMPLES.iter().find(|(other, _)| *other == name).expect("it is one of them").1;
        assert_eq!(run(name, &[args, &[flag, "1"]].concat()).code, Some(2), "{name} {flag}");
    }
}

#[test]
fn logs_are_written_only_when_asked_for() {
    let folder = Folder::new();
    let input = folder.put("in", "{}\n{\n{}\n");
    let args = ["--input", &input, "--on-error", "skip", "--quiet"];
    assert_eq!(run_on("json_filter", &args, b"").err, "");
    let logging = example("json_filter").args(args).env("RUST_LOG", "warn").output().expect("it runs");
    let logs = String::from_utf8(logging.stderr).expect("logs are text");
    assert!(logs.contains("WARN") && logs.contains("a record is skipped") && logs.contains("line 2"), "{logs}");
}

#[test]
fn a_file_is_not_read_and_written_at_once() {
    let folder = Folder::new();
    let file = folder.put("in.txt", "a\nb\n");
    let said = run("copy_lines", &["--input", &file, "--output", &file, "--limit", "1"]);
    assert!(said.fails(2).contains("is read and written in the same run; write to another file"), "{}", said.err);
    assert_eq!(folder.get("in.txt"), "a\nb\n");
}
