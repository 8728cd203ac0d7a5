//! `count_words`, `hello` and `custom_stage`.

use std::io::Write as _;

use crate::process::{run, run_on, start};

/// Words and their totals, in the order in which they came first.
fn totals(text: &str) -> String {
    let mut totals: Vec<(&str, u64)> = Vec::new();
    for word in text.split_whitespace() {
        match totals.iter_mut().find(|(other, _)| *other == word) {
            Some((_, total)) => *total += 1,
            None => totals.push((word, 1)),
        }
    }
    totals.iter().map(|(word, total)| format!("{word}\t{total}\n")).collect()
}

#[test]
fn it_counts_what_stands_between_white_space() {
    let file = "examples/data/README.md";
    let text = std::fs::read_to_string(file).expect("it ships with the examples");
    assert_eq!(run("count_words", &["--input", file]).text(), totals(&text));
    assert_eq!(run("count_words", &["--input", file, file, "--workers", "3"]).text(), totals(&text.repeat(2)));
    assert_eq!(run_on("count_words", &["--input", "-"], b"").text(), "");
    assert_eq!(run_on("count_words", &["--input", "-"], b" \n\n a\tb a\n").text(), "a\t2\nb\t1\n");
}

#[test]
fn it_prints_after_every_so_many_words_those_that_came() {
    let counted = run_on("count_words", &["--input", "-", "--every", "3"], b"a b a\nc c\nc a");
    assert_eq!(counted.text(), "a\t2\nb\t1\nc\t3\na\t3\n");
}

#[test]
fn it_prints_after_every_period_though_the_input_goes_on() {
    let mut counting = start("count_words", &["--input", "-", "--every-ms", "20"]);
    let mut stdin = counting.stdin.take().expect("standard input is piped");
    stdin.write_all(b"a b a\n").expect("it reads");
    assert_eq!([counting.line(), counting.line()], ["a\t2", "b\t1"]);
    stdin.write_all(b"a\n").expect("it reads");
    assert_eq!(counting.line(), "a\t3");
    drop(stdin);
    assert_eq!(counting.end().text(), "");
}

#[test]
fn the_smallest_pipeline_says_hello() {
    assert_eq!(run("hello", &[]).text(), "Hello, Ann!\nHello, Bea!\nHello, Carlos!\n");
}

#[test]
fn stages_of_ones_own_take_less_than_a_hundred_lines() {
    let smoothed: String = (0..12)
        .map(|number: i32| {
            let (before, now) = (f64::from((number - 1).max(0) % 4), f64::from(number % 4));
            format!("{:.1} °C\n", 20.0 + (before + now) / 2.0)
        })
        .collect();
    assert_eq!(run("custom_stage", &[]).text(), smoothed);
    let source = std::fs::read_to_string("examples/custom_stage.rs").expect("the source is there");
    assert!(source.lines().count() < 100, "{} lines", source.lines().count());
}
