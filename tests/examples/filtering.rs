//! `xml_filter` and `json_filter` against naive filters.

use std::io::Write as _;

use serde_json::Value;

use crate::process::{Folder, ORDERS, USERS, run, run_on};

const ORDERS_FILE: &str = "examples/data/orders.xml";
const USERS_FILE: &str = "examples/data/users.jsonl";

/// The orders that ship with the examples, as their lines show them.
fn orders() -> Vec<&'static str> {
    let (open, close) = ("\n  <order ", "\n  </order>");
    let mut orders = Vec::new();
    let mut rest = ORDERS;
    while let Some(start) = rest.find(open) {
        let end = rest.find(close).expect("an order ends") + close.len();
        orders.push(&rest[start + 3..end]);
        rest = &rest[end..];
    }
    assert_eq!(orders.len(), 3_000);
    orders
}

fn lines<'a>(records: impl IntoIterator<Item = &'a str>) -> String {
    records.into_iter().map(|record| format!("{record}\n")).collect()
}

/// The orders that fit these expressions, by the program.
fn filtered(expressions: &[&str]) -> String {
    let mut args = vec!["--input", ORDERS_FILE, "--record", "order", "--quiet"];
    args.extend(expressions.iter().flat_map(|expression| ["--where", expression]));
    run("xml_filter", &args).text().to_owned()
}

fn fitting(fits: impl Fn(&str) -> bool) -> String {
    let kept = lines(orders().into_iter().filter(|order| fits(order)));
    assert!(!kept.is_empty() && kept.len() < lines(orders()).len(), "a filter that keeps some");
    kept
}

#[test]
fn without_a_condition_every_record_passes_byte_for_byte() {
    assert_eq!(filtered(&[]), lines(orders()));
}

#[test]
fn xml_values_are_compared_as_the_expressions_say() {
    assert_eq!(filtered(&["status=paid"]), fitting(|order| order.contains("<status>paid<")));
    assert_eq!(filtered(&["status!=paid"]), fitting(|order| !order.contains("<status>paid<")));
    assert_eq!(filtered(&["customer/city/@country=PT"]), fitting(|order| order.contains("country=\"PT\"")));
    assert_eq!(filtered(&["customer/city=Łódź"]), fitting(|order| order.contains(">Łódź<")));
    assert_eq!(filtered(&["note"]), fitting(|order| order.contains("<note")));
    assert_eq!(filtered(&["@channel"]), fitting(|order| order.contains(" channel=")));
    assert_eq!(filtered(&["ship:method/@ship:days=2"]), fitting(|order| order.contains("ship:days=\"2\"")));
}

#[test]
fn entities_and_cdata_are_decoded_before_they_are_compared() {
    let deaf = fitting(|order| order.contains("<![CDATA[customer wrote: \"</order>\" ]]>"));
    assert_eq!(filtered(&["note=customer wrote: \"</order>\" "]), deaf);
    assert_eq!(filtered(&["items/item=Cup, blue <matt>"]), fitting(|order| order.contains("blue &lt;matt&gt;")));
}

#[test]
fn any_of_several_values_on_a_path_may_fit() {
    assert_eq!(filtered(&["items/item/@sku=POT-1"]), fitting(|order| order.contains("sku=\"POT-1\"")));
    // Orders of something else too, and not orders without a pot.
    let other = |order: &str| order.matches("sku=").count() > order.matches("sku=\"POT-1\"").count();
    assert_eq!(filtered(&["items/item/@sku!=POT-1"]), fitting(other));
}

#[test]
fn all_conditions_have_to_hold() {
    let both = |order: &str| order.contains("<status>open<") && order.contains("channel=\"web\"");
    assert_eq!(filtered(&["status=open", "@channel=web"]), fitting(both));
    assert_eq!(filtered(&["status=open", "status=paid"]), "");
}

#[test]
fn a_value_begins_after_the_first_equals_sign() {
    let input = b"<a x='1=2'/>\n<a x='1'/>\n<a x='!'/>\n<a x=''/>\n";
    let kept = |expression| run_on("xml_filter", &["--input", "-", "--where", expression], input).text().to_owned();
    assert_eq!(kept("@x=1=2"), "<a x='1=2'/>\n");
    assert_eq!(kept("@x!=1=2"), "<a x='1'/>\n<a x='!'/>\n<a x=''/>\n");
    assert_eq!(kept("@x=!"), "<a x='!'/>\n");
    assert_eq!(kept("@x="), "<a x=''/>\n");
}

#[test]
fn workers_keep_the_order() {
    let args = ["--input", ORDERS_FILE, "--record", "order", "--where", "status!=open", "--workers", "3"];
    assert_eq!(run("xml_filter", &args).text(), fitting(|order| !order.contains("<status>open<")));
    let args = ["--input", USERS_FILE, "--where", "likejazz=true", "--workers", "3"];
    assert_eq!(run("json_filter", &args).text(), users(|user| user["likejazz"] == true));
}

#[test]
fn the_summary_counts_what_was_filtered() {
    let kept = orders().iter().filter(|order| order.contains("<status>paid<")).count();
    let ran = run("xml_filter", &["--input", ORDERS_FILE, "--record", "order", "--where", "status=paid"]);
    assert_eq!(ran.code, Some(0));
    let counts =
        format!("records in 3000, out {kept}, filtered {}, skipped 0, dead-lettered 0, retried 0\n", 3_000 - kept);
    assert!(ran.err.starts_with(&format!("done: {counts}")), "{}", ran.err);
    assert!(ran.err.contains(" bytes ") && ran.err.contains(", time ") && ran.err.contains(" records a second "));
    assert!(ran.err.contains(&format!("committed files: {ORDERS_FILE}")), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 3, "the summary and nothing else: {}", ran.err);
}

/// The users that fit, by a naive filter.
fn users(fits: impl Fn(&Value) -> bool) -> String {
    lines(USERS.lines().filter(|line| fits(&serde_json::from_str(line).expect("they are JSON"))))
}

#[test]
fn json_values_are_compared_decoded_or_as_they_are_written() {
    let kept = |expressions: &[&str]| {
        let mut args = vec!["--input", USERS_FILE, "--quiet"];
        args.extend(expressions.iter().flat_map(|expression| ["--where", expression]));
        run("json_filter", &args).text().to_owned()
    };
    assert_eq!(kept(&[]), USERS);
    assert_eq!(kept(&["state=WA"]), users(|user| user["state"] == "WA"));
    assert_eq!(kept(&["state!=WA", "likejazz=true"]), users(|user| user["state"] != "WA" && user["likejazz"] == true));
    assert_eq!(kept(&["userid=77"]), users(|user| user["userid"] == 77));
    assert_eq!(kept(&["city"]), USERS);
    assert_eq!(kept(&["country"]), "");
    assert_eq!(kept(&["country!=x"]), "");
}

#[test]
fn json_paths_lead_into_objects_and_arrays() {
    let input =
        b"{\"a\":{\"b\":[\"x\\u0041\",2.50,null]}}\n{\"a\":{\"b\":[]}}\n{\"a\":{\"b\":{\"0\":\"xA\"}}}\n{\"a\":1}\n";
    let kept = |expression| {
        let text = run_on("json_filter", &["--input", "-", "--where", expression], input).text().to_owned();
        let all = String::from_utf8_lossy(input).into_owned();
        let numbers = text.lines().map(|line| all.lines().position(|other| other == line).expect("it is one of them"));
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(kept("a.b.0=xA"), [0, 2]);
    assert_eq!(kept("a.b.1=2.50"), [0]);
    assert!(kept("a.b.1=2.5").is_empty());
    assert_eq!(kept("a.b.2=null"), [0]);
    assert_eq!(kept("a.b.2"), [0]);
    assert_eq!(kept("a.b"), [0, 1, 2]);
    assert_eq!(kept("a!=2"), [3]);
}

#[test]
fn comparisons_of_other_languages_are_refused() {
    for expression in ["state==WA", "age>5", "age<5", "state = WA", "state= WA", "state!==WA"] {
        let ran = run("json_filter", &["--input", USERS_FILE, "--where", expression]);
        let said = ran.fails(2);
        assert!(said.contains("without spaces around one `=`"), "{expression}: {said}");
    }
}

#[test]
fn several_inputs_are_read_in_order_compressed_or_not() {
    let folder = Folder::new();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(USERS.as_bytes()).expect("memory takes it");
    let packed = folder.put("users.gz", gzip.finish().expect("memory takes it"));
    let plain = folder.put("more.jsonl", "{\"userid\":0}\n");
    let both = run("json_filter", &["--input", &packed, &plain]);
    assert_eq!(both.text(), format!("{USERS}{{\"userid\":0}}\n"));
    let both = run("json_filter", &["--input", &plain, "--input", &packed]);
    assert_eq!(both.text(), format!("{{\"userid\":0}}\n{USERS}"));
}

#[test]
fn an_output_is_written_whole_and_beside_nothing_else() {
    let folder = Folder::new();
    let output = folder.put("out.jsonl", "what was there before\n");
    let ran = run("json_filter", &["--input", USERS_FILE, "--where", "state=WA", "--output", &output]);
    assert_eq!(ran.text(), "");
    assert_eq!(folder.get("out.jsonl"), users(|user| user["state"] == "WA"));
    let names = folder.names().into_iter().filter(|name| !name.to_string_lossy().ends_with("lock"));
    assert_eq!(names.collect::<Vec<_>>(), ["out.jsonl"].map(std::path::PathBuf::from));
}

#[test]
fn an_xml_filter_goes_on_over_its_state_and_another_is_refused() {
    let folder = Folder::new();
    let (output, state) = (folder.path("out"), folder.path("state"));
    let with = |condition: &str| {
        let ends = ["--input", ORDERS_FILE, "--record", "order", "--output", &output, "--state", &state];
        run("xml_filter", &[&ends[..], &["--where", condition]].concat())
    };
    let paid = fitting(|order| order.contains("<status>paid<"));
    with("status=paid").text();
    assert_eq!(folder.get("out"), paid);
    let again = with("status=paid");
    assert!(again.text().is_empty() && again.err.starts_with("done: records in 0, out 0,"), "{}", again.err);
    assert_eq!(folder.get("out"), paid);
    let other = with("status=open");
    assert!(other.fails(1).contains("status=open"), "{}", other.err);
    assert_eq!(folder.get("out"), paid);
}
