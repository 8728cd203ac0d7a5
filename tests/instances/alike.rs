//! Three instances put out what one does, byte for byte: the examples as processes, and folds in a row in this one.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use millstream::contracts::Exchange;
use millstream::link::Certs;
use millstream::prelude::*;

use crate::built::example;
use crate::cluster::loopback;
use crate::inputs::{lines, orders};

/// What the program prints as one instance, and what it prints as three, all of them together.
fn printed(program: &str, flags: &[&str], input: &[u8]) -> [Vec<u8>; 2] {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let (file, tls) = (folder.path().join("input"), folder.path().join("tls"));
    std::fs::write(&file, input).expect("an input can be written");
    Certs::new(&tls, 3).write().expect("certificates can be made");
    let start = |more: &[&str]| {
        let mut command = Command::new(example(program));
        command.args(["--quiet", "--input"]).arg(&file).args(flags).args(more);
        Read::start(command)
    };
    let (peers, tls) = (loopback(3), tls.to_string_lossy().into_owned());
    let list = peers.join(",");
    let three: Vec<_> = peers.iter().map(|me| start(&["--peers", &list, "--listen", me, "--tls", &tls])).collect();
    let one = start(&[]);
    [one.printed(), three.into_iter().flat_map(Read::printed).collect()]
}

/// A process that is read as it prints: one that finds its pipe full holds up the others.
struct Read {
    pid: u32,
    ended: JoinHandle<Output>,
}

impl Read {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("an example starts");
        let pid = child.id();
        Self { pid, ended: std::thread::spawn(|| child.wait_with_output().expect("it is our child")) }
    }

    /// What it has printed, once it has ended well.
    fn printed(self) -> Vec<u8> {
        let Output { status, stdout, stderr } = self.ended.join().expect("it is read");
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        stdout
    }
}

/// Starts `count_words` on this folder's input as this instance.
fn counting(folder: &Path, peers: &[String], me: usize) -> Read {
    let mut command = Command::new(example("count_words"));
    command.args(["--quiet", "--input"]).arg(folder.join("input")).args(["--peers", &peers.join(",")]);
    command.args(["--listen", &peers[me]]).arg("--tls").arg(folder.join("tls"));
    Read::start(command)
}

#[test]
fn whoever_is_asked_to_end_while_folds_have_it_all_does_and_the_order_holds_after_it_is_back() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    // Many words, and few that are others.
    let line = |at: u64| format!("w{} the x{} of w{}\n", at * 7_919 % 5_003, at % 97, at / 200);
    let text: String = (0..250_000).map(line).collect();
    std::fs::write(folder.path().join("input"), &text).expect("an input can be written");
    Certs::new(folder.path().join("tls"), 3).write().expect("certificates can be made");
    let peers = loopback(3);
    let mut running: Vec<_> = (0..3).map(|me| counting(folder.path(), &peers, me)).collect();
    let (mut printed, mut landed) = (Vec::new(), 0);
    for me in [0, 2, 1] {
        std::thread::sleep(Duration::from_millis(900));
        let leaves = running.remove(me);
        landed += u32::from(!leaves.ended.is_finished());
        let _ = Command::new("kill").args(["-TERM", &leaves.pid.to_string()]).status().expect("kill is there");
        printed.extend(leaves.printed());
        running.insert(me, counting(folder.path(), &peers, me));
    }
    running.into_iter().for_each(|instance| printed.extend(instance.printed()));
    let (mut totals, mut order) = (HashMap::<&str, u64>::new(), Vec::new());
    for word in text.split_whitespace() {
        *totals.entry(word).or_insert_with(|| {
            order.push(word);
            0
        }) += 1;
    }
    let expected: String = order.iter().map(|word| format!("{word}\t{}\n", totals[word])).collect();
    assert!(printed == expected.as_bytes(), "{} bytes are printed, {} expected", printed.len(), expected.len());
    told!("{} words, {landed} of 3 asked to end in mid-run, the order is right", totals.len());
    assert!(landed > 0, "all had ended before: this test proves nothing");
}

/// Texts with words that come again, in lines of none to many.
fn words() -> String {
    lines(0..6_000)
}

/// The schema that an object container file begins with.
fn schema_within(file: &[u8]) -> &[u8] {
    let name = b"avro.schema";
    let at = file.windows(name.len()).position(|window| window == name).expect("it has a schema") + name.len();
    let (mut length, mut shift, mut from) = (0_usize, 0, at);
    while file[from] >= 0x80 {
        length |= usize::from(file[from] & 0x7f) << shift;
        (shift, from) = (shift + 7, from + 1);
    }
    length |= usize::from(file[from]) << shift;
    // Zigzag.
    &file[from + 1..from + 1 + length / 2]
}

#[test]
fn examples_print_the_same_on_three_instances_as_on_one() {
    let (words, (orders, _)) = (words(), orders(3_000));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data");
    let weather = std::fs::read(data.join("weather.avro")).expect("it is there");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let schema = folder.path().join("weather.avsc");
    std::fs::write(&schema, schema_within(&weather)).expect("a schema can be written");
    let schema = schema.display().to_string();
    let (words, orders) = (words.as_bytes(), orders.as_bytes());
    let jobs: [(&str, &[&str], &[u8]); 5] = [
        ("count_words", &[], words),
        ("count_words", &["--workers", "2"], words),
        ("count_words", &["--every", "700"], words),
        ("xml_filter", &["--record", "order", "--where", "status=paid"], orders),
        ("avro_to_json", &["--output", "-", "--writer-schema", &schema], &weather),
    ];
    let mut bytes = 0;
    for (program, flags, input) in jobs {
        let [one, three] = printed(program, flags, input);
        assert!(one.len() > 100, "{program} {flags:?} prints something");
        assert!(one == three, "{program} {flags:?}: three instances print other bytes than one");
        bytes += one.len();
    }
    told!("5 jobs: three instances printed the same {bytes} bytes as one");
}

/// Lines of two words that come again and a number that doesn't.
fn source() -> Stream<String, impl Sized> {
    let line = |at: u64| format!("w{} x{} {at}", at * 7_919 % 701, at * at % 53);
    Pipeline::source(List::new((0..3_000).map(line).collect::<Vec<_>>()))
}

fn word(line: &str, at: usize) -> String {
    line.split(' ').nth(at).unwrap_or_default().to_owned()
}

fn join(all: &mut String, line: String) {
    all.push_str(&line);
    all.push(';');
}

fn shown(folded: Kv<String, String>) -> String {
    format!("{} {}", folded.key, folded.value)
}

/// Lets a line in so many not pass.
fn not_each(times: usize) -> impl Fn(&str) -> bool + Send + Sync + 'static {
    move |line| line.len() % times != 0
}

/// What is put out the same however many instances there are: a pipeline each, by name.
fn pipelines(out: &Collect<String>) -> Vec<(&'static str, Pipeline)> {
    let by_first =
        || source().key_by(|line: &String| word(line, 0)).fold(String::new(), join).map(shown).named("SHOWN");
    let words = |line: &str, words: &mut Emit<'_, String>| line.split([' ', ';']).for_each(|word| words.text(word));
    let every_other = || source().filter(not_each(2)).named("HALF");
    let whole = || source().fold(String::new(), join);
    vec![
        ("a fold by key", put(out, by_first())),
        (
            "two in a row",
            put(
                out,
                by_first().key_by(|line: &String| word(line, 1)).fold(String::new(), join).map(shown).named("AGAIN"),
            ),
        ),
        (
            "with a filter and several rows a record between",
            put(
                out,
                by_first()
                    .filter(not_each(3))
                    .named("SOME")
                    .flat_map(words)
                    .named("WORDS")
                    .key_by(String::clone)
                    .fold(String::new(), join)
                    .map(shown)
                    .named("AGAIN"),
            ),
        ),
        (
            "one by count, another behind it",
            put(
                out,
                source()
                    .key_by(|line: &String| word(line, 0))
                    .fold(String::new(), join)
                    .trigger_each(70)
                    .map(shown)
                    .named("SHOWN")
                    .key_by(|line: &String| word(line, 1))
                    .fold(String::new(), join)
                    .map(shown)
                    .named("AGAIN"),
            ),
        ),
        ("a limit before one", put(out, limited(every_other().limit(777)))),
        ("a limit that is not reached", put(out, limited(every_other().limit(77_777)))),
        ("a limit behind one", put(out, by_first().limit(99).map(|line: String| line).named("SAME"))),
        ("a limit", put(out, every_other().limit(555).map(|line: String| line).named("SAME"))),
        ("one without a key, where the source is", put(out, limited(whole().trigger_each(7)))),
        ("one without a key, placed first", put(out, whole().place(Where::First).map(|all: String| all).named("SAME"))),
    ]
}

/// Into the sink, which is on the last.
fn put<M>(out: &Collect<String>, stream: Stream<String, M>) -> Pipeline {
    stream.sink(out.clone()).place(Where::Last)
}

/// Folds what comes by key.
fn limited<M>(stream: Stream<String, M>) -> Stream<String, impl Sized + use<M>> {
    stream.key_by(|line: &String| word(line, 0)).fold(String::new(), join).map(shown).named("FOLDED")
}

fn on_instances(count: usize, number: usize) -> Vec<String> {
    let out = Collect::<String>::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("it has threads");
    let peers = if count > 1 { loopback(count) } else { vec![String::new()] };
    let run = |me: &String| {
        let network = Peers::new(peers.clone()).me(me).plain_on_loopback_for_tests();
        let exchange = (count > 1).then(|| Arc::new(Instances::over(network)) as Arc<dyn Exchange>);
        let (_, pipeline) = pipelines(&out).swap_remove(number);
        runtime.spawn(async move {
            let running = pipeline.start(Settings { exchange, ..Settings::default() }).await.expect("it starts");
            tokio::time::timeout(Duration::from_secs(60), running.join()).await.expect("it ends by itself")
        })
    };
    let runs: Vec<_> = peers.iter().map(run).collect();
    for run in runs {
        runtime.block_on(run).expect("it doesn't panic").expect("it ends well");
    }
    out.collected().values()
}

#[test]
fn folds_and_limits_give_the_same_on_three_instances_as_on_one() {
    let mut rows = 0;
    let all: Vec<&str> = pipelines(&Collect::new()).iter().map(|(name, _)| *name).collect();
    for (number, name) in all.iter().enumerate() {
        let one = on_instances(1, number);
        assert!(!one.is_empty(), "{name}: there are rows");
        assert!(one == on_instances(3, number), "{name}: three instances put out other rows than one");
        rows += one.len();
    }
    told!("{} pipelines: {rows} rows, the same on three instances as on one", all.len());
}
