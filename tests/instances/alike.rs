//! Three instances put out what one does, byte for byte: the examples as processes, and folds in a row in this one.

use std::process::{Command, Stdio};
use std::sync::Arc;

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
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("an example starts");
        // Each is read as it prints: one that finds its pipe full holds up the others.
        std::thread::spawn(|| child.wait_with_output().expect("it is our child"))
    };
    let (peers, tls) = (loopback(3), tls.to_string_lossy().into_owned());
    let list = peers.join(",");
    let three: Vec<_> = peers.iter().map(|me| start(&["--peers", &list, "--listen", me, "--tls", &tls])).collect();
    let all = std::iter::once(start(&[])).chain(three).map(|child| {
        let ended = child.join().expect("it is read");
        assert!(ended.status.success(), "{program} {flags:?}: {}", String::from_utf8_lossy(&ended.stderr));
        ended.stdout
    });
    let mut all = all.collect::<Vec<_>>().into_iter();
    let one = all.next().unwrap_or_default();
    [one, all.flatten().collect()]
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
