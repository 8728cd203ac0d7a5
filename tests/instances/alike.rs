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
fn printed(program: &str, flags: &[&str], input: &str) -> [Vec<u8>; 2] {
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
    println!("{} words, {landed} of 3 asked to end in mid-run, the order is right", totals.len());
    assert!(landed > 0, "all had ended before: this test proves nothing");
}

/// Texts with words that come again, in lines of none to many.
fn words() -> String {
    lines(0..6_000)
}

#[test]
fn examples_print_the_same_on_three_instances_as_on_one() {
    let (words, (orders, _)) = (words(), orders(3_000));
    let jobs: [(&str, &[&str], &str); 4] = [
        ("count_words", &[], &words),
        ("count_words", &["--workers", "2"], &words),
        ("count_words", &["--every", "700"], &words),
        ("xml_filter", &["--record", "order", "--where", "status=paid"], &orders),
    ];
    let mut bytes = 0;
    for (program, flags, input) in jobs {
        let [one, three] = printed(program, flags, input);
        assert!(one.len() > 100, "{program} {flags:?} prints something");
        assert!(one == three, "{program} {flags:?}: three instances print other bytes than one");
        bytes += one.len();
    }
    println!("4 jobs: three instances printed the same {bytes} bytes as one");
}

/// How often each word came, and then how many words came how often.
fn twice_folded(out: &Collect<String>) -> Pipeline {
    let words = words().split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    Pipeline::source(List::new(words))
        .key_by(|word: &String| word.clone())
        .count()
        .map(|total: Kv<String, u64>| format!("{} {}", total.value, total.key))
        .named("TOTAL")
        .key_by(|total: &String| total.split(' ').next().unwrap_or_default().to_owned())
        .fold(String::new(), |all: &mut String, total: String| all.push_str(&total))
        .map(|folded: Kv<String, String>| format!("{}: {}", folded.key, folded.value))
        .named("SHOWN")
        .sink(out.clone())
        .place(Where::Last)
}

fn on_instances(count: usize) -> Vec<String> {
    let out = Collect::<String>::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("it has threads");
    let peers = if count > 1 { loopback(count) } else { vec![String::new()] };
    let run = |me: &String| {
        let network = Peers::new(peers.clone()).me(me).plain_on_loopback_for_tests();
        let exchange = (count > 1).then(|| Arc::new(Instances::over(network)) as Arc<dyn Exchange>);
        let pipeline = twice_folded(&out);
        runtime.spawn(async move {
            let running = pipeline.start(Settings { exchange, ..Settings::default() }).await.expect("it starts");
            running.join().await
        })
    };
    let runs: Vec<_> = peers.iter().map(run).collect();
    for run in runs {
        runtime.block_on(run).expect("it doesn't panic").expect("it ends well");
    }
    out.collected().values()
}

#[test]
fn folds_by_key_behind_each_other_give_the_same_on_three_instances_as_on_one() {
    let one = on_instances(1);
    assert!(one.len() > 5, "{} rows", one.len());
    assert_eq!(one, on_instances(3));
    println!("{} rows, the same on three instances as on one", one.len());
}
