//! A malformed record in mid-file: nothing is lost but what the policy says, that is counted, and the error names line
//! and byte.

use serde_json::Value;

use crate::process::{Folder, Ran, run};

/// Lines of JSON, and in line 1,235 something else; and what they are without it.
fn broken_json() -> (String, String, usize) {
    let line = |number: usize| format!("{{\"number\": {number}}}\n");
    let (before, after) = ((0..1_234).map(line).collect::<String>(), (1_235..3_000).map(line).collect::<String>());
    (format!("{before}{BAD}\n{after}"), before, 1_234)
}

const BAD: &str = "{\"number\": 1234,}";

fn filter(input: &str, more: &[&str]) -> Ran {
    run("json_filter", &[&["--input", input][..], more].concat())
}

#[test]
fn to_fail_ends_the_run_before_the_record() {
    let (text, before, lines) = broken_json();
    let folder = Folder::new();
    for workers in ["1", "3"] {
        let ran = filter(&folder.put("in", &text), &["--workers", workers]);
        let place = format!("in line {}, byte {}", lines + 1, before.len());
        assert!(ran.fails(1).contains(&place), "{place}: {}", ran.err);
        assert_eq!(String::from_utf8_lossy(&ran.out), before);
        assert!(
            ran.err.contains("\nfailed: records in ") && ran.err.contains(&format!(" out {lines}, ")),
            "{}",
            ran.err
        );
        assert!(ran.err.contains(&format!("in:{}", before.len() - 1)) || ran.err.contains("committed"), "{}", ran.err);
    }
}

#[test]
fn to_skip_leaves_the_record_out_and_counts_it() {
    let (text, _, _) = broken_json();
    let folder = Folder::new();
    for workers in ["1", "3"] {
        let ran = filter(&folder.put("in", &text), &["--on-error", "skip", "--workers", workers]);
        assert_eq!(ran.text(), text.replace(&format!("{BAD}\n"), ""));
        assert!(ran.err.contains("records in 3000, out 2999, filtered 0, skipped 1, dead-lettered 0"), "{}", ran.err);
    }
}

#[test]
fn a_dead_letter_says_where_and_why_and_holds_the_record() {
    let (text, before, lines) = broken_json();
    let folder = Folder::new();
    let letters = format!("dead-letter:{}", folder.path("letters"));
    let ran = filter(&folder.put("in", &text), &["--on-error", &letters]);
    assert_eq!(ran.text(), text.replace(&format!("{BAD}\n"), ""));
    assert!(ran.err.contains("records in 3000, out 2999, filtered 0, skipped 0, dead-lettered 1"), "{}", ran.err);
    let letters = folder.get("letters");
    let [letter] = letters.lines().collect::<Vec<_>>()[..] else { panic!("one letter: {letters}") };
    let letter: Value = serde_json::from_str(letter).expect("letters are JSON");
    assert_eq!(letter["text"], BAD);
    assert_eq!((&letter["source"], &letter["stage"]), (&Value::from("FILE"), &Value::from("JSON-DECODER")));
    let position = letter["position"].as_str().expect("a text");
    assert!(position.ends_with(&format!("in line {}, byte {}", lines + 1, before.len())), "{position}");
    assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains("expected")), "{letter}");
    assert!(letter["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{letter}");
}

#[test]
fn what_is_no_text_is_in_the_letter_too() {
    let folder = Folder::new();
    let letters = format!("dead-letter:{}", folder.path("letters"));
    let input = folder.put("in", b"a b\n\xff\xfe\nc\n");
    assert_eq!(run("count_words", &["--input", &input, "--on-error", &letters]).text(), "a\t1\nb\t1\nc\t1\n");
    let letter: Value = serde_json::from_str(&folder.get("letters")).expect("letters are JSON");
    assert_eq!((&letter["base64"], &letter["text"]), (&Value::from("//4="), &Value::Null));
}

#[test]
fn a_run_that_failed_goes_on_once_the_policy_lets_it() {
    let (text, before, _) = broken_json();
    let folder = Folder::new();
    let (input, output, state) = (folder.put("in", &text), folder.path("out"), folder.path("state"));
    let ends = ["--output", &*output, "--state", &*state];
    for _ in 0..2 {
        filter(&input, &ends).fails(1);
        assert_eq!(folder.get("out"), before);
    }
    let ran = filter(&input, &[&ends[..], &["--on-error", "skip"]].concat());
    assert!(
        ran.text().is_empty() && ran.err.contains("records in 1766, out 1765, filtered 0, skipped 1"),
        "{}",
        ran.err
    );
    assert_eq!(folder.get("out"), text.replace(&format!("{BAD}\n"), ""));
}

#[test]
fn xml_records_that_are_broken_are_left_out_and_the_next_are_read() {
    let folder = Folder::new();
    let (good, bad) = ("<order><id>1</id></order>", "<order><id>2</no></order>");
    let document = format!("<orders>\n{good}\n{bad}\n{good}\n</orders>\n");
    let input = folder.put("in.xml", &document);
    let args = ["--input", &input, "--record", "order"];
    let failed = run("xml_filter", &args);
    let place = format!("in.xml line 3, byte {}", document.find(bad).expect("it is there"));
    assert!(failed.fails(1).contains(&place), "{place}: {}", failed.err);
    let skipped = run("xml_filter", &[&args[..], &["--on-error", "skip"]].concat());
    assert_eq!(skipped.text(), format!("{good}\n{good}\n"));
    assert!(skipped.err.contains(" skipped 1,"), "{}", skipped.err);
}

#[test]
fn a_document_that_breaks_off_fails_under_every_policy() {
    let folder = Folder::new();
    let input = folder.put("in.xml", "<orders><order/><order/><order");
    for policy in ["fail", "skip"] {
        let ran = run("xml_filter", &["--input", &input, "--record", "order", "--on-error", policy]);
        assert!(ran.fails(1).contains("in.xml line 1, byte "), "{}", ran.err);
        assert_eq!(ran.out, b"<order/>\n<order/>\n");
    }
}

#[test]
fn a_line_that_is_too_long_meets_the_policy_of_the_source() {
    let folder = Folder::new();
    let mut text = b"one\n".to_vec();
    text.resize(text.len() + (16 << 20) + 1, b'x');
    text.extend_from_slice(b"\nthree\n");
    let input = folder.put("in", text);
    let failed = run("copy_lines", &["--input", &input, "--output", "-"]);
    assert!(failed.fails(1).contains("in line 2, byte 4") && failed.err.contains("16777216 bytes"), "{}", failed.err);
    assert_eq!(failed.out, b"one\n");
    let skipped = run("copy_lines", &["--input", &input, "--output", "-", "--on-error", "skip"]);
    assert_eq!(skipped.text(), "one\nthree\n");
    assert!(skipped.err.contains("records in 3, out 2, filtered 0, skipped 1"), "{}", skipped.err);
}
