use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::support::{Braces, Lines, Members};

fn lines(folder: &Folder) -> Output {
    Output::create(folder.output(), Lines)
}

/// Opens with a state folder that remembers nothing.
fn open(folder: &Folder) -> Opened {
    Opened::new(lines(folder), &with_state(&[])).unwrap()
}

/// A folder with an output that holds `a` and `b`, committed at 2.
fn begun() -> Folder {
    let folder = Folder::new();
    let mut sink = open(&folder);
    sink.write(&["a", "b"]).unwrap();
    sink.commit(2).unwrap();
    drop(sink);
    folder
}

fn add(path: PathBuf, bytes: &[u8]) {
    fs::File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn what_was_committed_is_gone_on_with_and_the_rest_is_cut_off() {
    let folder = begun();
    let mut sink = open(&folder);
    assert_eq!(sink.at(), Some(2));
    sink.write(&["never committed"]).unwrap();
    sink.flush().unwrap();
    assert_eq!(folder.text(), "a\nb\nnever committed\n");
    drop(sink);
    let mut sink = open(&folder);
    assert_eq!((sink.at(), folder.text().as_str()), (Some(2), "a\nb\n"));
    sink.write(&["c"]).unwrap();
    sink.commit(3).unwrap();
    sink.close().unwrap();
    assert_eq!(folder.text(), "a\nb\nc\n");
    assert_eq!(folder.names(), ["out.txt", "out.txt.millstream-positions"]);
}

#[test]
fn a_commit_is_in_the_file_when_it_returns() {
    let folder = begun();
    assert_eq!(folder.text(), "a\nb\n");
}

#[test]
fn every_moment_of_the_first_start_can_be_its_last() {
    let folder = Folder::new();
    drop(open(&folder));
    let (positions, output) = (fs::read(folder.positions()).unwrap(), fs::read(folder.output()).unwrap());
    assert_eq!(output, b"");
    for (positions, output, half) in [
        (None, None, false),
        (None, None, true),
        (Some(&positions), None, false),
        (Some(&positions), Some(&output), true),
        (None, Some(&output), false),
    ] {
        let folder = Folder::new();
        for (path, bytes) in [(folder.positions(), positions), (folder.output(), output)] {
            if let Some(bytes) = bytes {
                fs::write(path, bytes).unwrap();
            }
        }
        if half {
            fs::write(folder.0.path().join(".out.txt.millstream-positions-new"), "half").unwrap();
            fs::write(folder.0.path().join(".out.txt.millstream-lock"), "").unwrap();
        }
        let mut sink = open(&folder);
        assert_eq!(sink.at(), None);
        sink.write(&["a"]).unwrap();
        sink.commit(1).unwrap();
        sink.close().unwrap();
        assert_eq!(folder.text(), "a\n");
        assert_eq!(folder.names(), ["out.txt", "out.txt.millstream-positions"]);
    }
}

#[test]
fn a_finished_output_stays_byte_for_byte_until_records_come() {
    let folder = Folder::new();
    let output = || Output::create(folder.output(), Braces);
    let mut sink = Opened::new(output(), &with_state(&[])).unwrap();
    sink.write(&["a"]).unwrap();
    sink.commit(1).unwrap();
    sink.close().unwrap();
    let finished = fs::read(folder.positions()).unwrap();
    for _ in 0..2 {
        let mut sink = Opened::new(output(), &with_state(&[1])).unwrap();
        assert_eq!(sink.at(), Some(1));
        sink.commit(1).unwrap();
        sink.close().unwrap();
        assert_eq!((folder.text().as_str(), fs::read(folder.positions()).unwrap()), ("{<a>}", finished.clone()));
    }
    let mut sink = Opened::new(output(), &with_state(&[1])).unwrap();
    sink.write(&["b"]).unwrap();
    sink.commit(2).unwrap();
    sink.close().unwrap();
    assert_eq!(folder.text(), "{<a><b>}");
}

#[test]
fn a_kill_between_the_positions_and_the_cut_of_a_footer_is_gone_on_from() {
    let folder = Folder::new();
    let output = || Output::create(folder.output(), Braces);
    let mut sink = Opened::new(output(), &with_state(&[])).unwrap();
    sink.write(&["a"]).unwrap();
    sink.commit(1).unwrap();
    sink.close().unwrap();
    let mut sink = Opened::new(output(), &with_state(&[1])).unwrap();
    sink.write(&["lost"]).unwrap();
    drop(sink);
    // The positions say that there is no footer, and the footer is still there.
    assert_eq!(folder.text(), "{<a>");
    add(folder.output(), b"}");
    let mut sink = Opened::new(output(), &with_state(&[1])).unwrap();
    assert_eq!((sink.at(), folder.text().as_str()), (Some(1), "{<a>"));
    sink.write(&["b"]).unwrap();
    sink.commit(2).unwrap();
    sink.close().unwrap();
    assert_eq!(folder.text(), "{<a><b>}");
}

#[test]
fn a_lost_output_is_an_error() {
    let folder = begun();
    fs::remove_file(folder.output()).unwrap();
    for committed in [&[][..], &[2]] {
        let error = refused(lines(&folder), &with_state(committed));
        says(&error, Cause::State, &["out.txt is gone", "bring it back, or remove", "to begin anew"]);
        assert_eq!(folder.names(), ["out.txt.millstream-positions"]);
    }
}

#[test]
fn lost_positions_are_an_error_and_nothing_is_overwritten() {
    let folder = begun();
    fs::remove_file(folder.positions()).unwrap();
    says(
        &refused(lines(&folder), &with_state(&[2])),
        Cause::State,
        &["are gone", "was committed (2)", "bring it back"],
    );
    says(&refused(lines(&folder), &with_state(&[])), Cause::State, &["is not overwritten", "move it away or name"]);
    assert_eq!(folder.text(), "a\nb\n");
    assert_eq!(folder.names(), ["out.txt"]);
}

#[test]
fn a_store_that_remembers_what_the_positions_do_not_is_an_error() {
    let folder = Folder::new();
    drop(open(&folder));
    says(&refused(lines(&folder), &with_state(&[2])), Cause::State, &["are gone", "remove the output"]);
    let folder = Folder::new();
    says(&refused(lines(&folder), &with_state(&[1, 2, 3, 4])), Cause::State, &["is gone, and so is", "1, 2, 3, …"]);
    fs::write(folder.output(), "").unwrap();
    says(&refused(lines(&folder), &with_state(&[2])), Cause::State, &["are gone"]);
}

#[test]
fn a_shorter_output_is_an_error() {
    let folder = begun();
    fs::write(folder.output(), "a\nb").unwrap();
    let error = refused(lines(&folder), &with_state(&[2]));
    says(&error, Cause::State, &["out.txt has 3 bytes", "says that 4 were committed", "bring it back"]);
}

#[test]
fn a_replaced_output_is_an_error_and_is_not_cut() {
    let folder = begun();
    fs::write(folder.output(), "another file").unwrap();
    says(&refused(lines(&folder), &with_state(&[2])), Cause::State, &["was changed or replaced", "bring it back"]);
    assert_eq!(folder.text(), "another file");
}

#[test]
fn damaged_positions_are_an_error() {
    let folder = begun();
    let whole = fs::read(folder.positions()).unwrap();
    let mut flipped = whole.clone();
    flipped[30] ^= 1;
    for damaged in [&b""[..], b"something else that is long enough", &whole[..whole.len() - 1], &flipped] {
        fs::write(folder.positions(), damaged).unwrap();
        let error = refused(lines(&folder), &with_state(&[2]));
        says(&error, Cause::State, &["out.txt.millstream-positions is damaged", "bring it back", "to begin anew"]);
    }
    let mut newer = whole;
    newer[8] = 2;
    fs::write(folder.positions(), newer).unwrap();
    says(&refused(lines(&folder), &with_state(&[2])), Cause::State, &["another version", "run that version"]);
    assert_eq!(folder.text(), "a\nb\n");
}

#[test]
fn another_pipeline_and_another_form_are_refused() {
    let folder = begun();
    let other = SinkContext { pipeline: "other".into(), ..with_state(&[]) };
    says(&refused(lines(&folder), &other), Cause::State, &["of the pipeline `copy`, and this one is `other`"]);
    for output in [Output::create(folder.output(), Braces), lines(&folder).compression(Members)] {
        says(&refused(output, &with_state(&[])), Cause::State, &["was begun as lines,", "declare it as it was"]);
    }
    says(&refused(lines(&folder), &without_state()), Cause::State, &["is written exactly-once", "give it that state"]);
    let append = Output::append(folder.output(), Lines);
    says(&refused(append, &with_state(&[])), Cause::State, &["is written exactly-once"]);
    assert_eq!(folder.text(), "a\nb\n");
}

#[test]
fn another_input_is_refused_and_the_same_goes_on() {
    let folder = Folder::new();
    let mut sink = Opened::new(lines(&folder), &over("orders as files")).unwrap();
    sink.write(&["a"]).unwrap();
    sink.commit(1).unwrap();
    drop(sink);
    let positions = fs::read(folder.positions()).unwrap();
    let error = refused(lines(&folder), &over("weather as files"));
    let named = "its input is `orders as files`, and this run's is `weather as files`";
    says(&error, Cause::State, &["out.txt holds", named, "name another output, or read the former input"]);
    assert_eq!((folder.text().as_str(), fs::read(folder.positions()).unwrap()), ("a\n", positions));
    let mut sink = Opened::new(lines(&folder), &over("orders as files")).unwrap();
    assert_eq!(sink.at(), Some(1));
    sink.write(&["b"]).unwrap();
    sink.commit(2).unwrap();
    drop(sink);
    // Where the source is on another instance, the input is neither compared nor forgotten.
    let mut sink = open(&folder);
    sink.write(&["c"]).unwrap();
    sink.commit(3).unwrap();
    sink.close().unwrap();
    says(&refused(lines(&folder), &over("weather as files")), Cause::State, &[named]);
    assert_eq!(folder.text(), "a\nb\nc\n");
}

#[test]
fn an_output_that_says_of_no_input_is_taken_and_remembers_it_with_the_next_commit() {
    let folder = begun();
    let positions = fs::read(folder.positions()).unwrap();
    for input in ["weather", "orders"] {
        let sink = Opened::new(lines(&folder), &over(input)).unwrap();
        assert_eq!((sink.at(), fs::read(folder.positions()).unwrap()), (Some(2), positions.clone()));
    }
    let mut sink = Opened::new(lines(&folder), &over("orders")).unwrap();
    sink.commit(2).unwrap();
    drop(sink);
    says(&refused(lines(&folder), &over("weather")), Cause::State, &["input is `orders`, and this run's is `weather`"]);
    assert_eq!(Opened::new(lines(&folder), &over("orders")).unwrap().at(), Some(2));
}

#[test]
fn an_output_that_holds_nothing_is_nobodys_and_one_that_holds_bytes_or_positions_is_not() {
    let folder = Folder::new();
    drop(Opened::new(lines(&folder), &over("orders")).unwrap());
    let mut sink = Opened::new(lines(&folder), &over("weather")).unwrap();
    // A filter has let nothing through.
    sink.commit(1).unwrap();
    drop(sink);
    says(&refused(lines(&folder), &over("orders")), Cause::State, &["input is `weather`, and this run's is `orders`"]);
    let folder = Folder::new();
    let mut sink = Opened::new(lines(&folder), &over("orders")).unwrap();
    sink.write(&["a"]).unwrap();
    wait(sink.sink.commit(&[])).unwrap();
    drop(sink);
    says(&refused(lines(&folder), &over("weather")), Cause::State, &["input is `orders`, and this run's is `weather`"]);
}

#[test]
fn a_second_run_is_refused_at_once() {
    let folder = begun();
    let first = open(&folder);
    says(&refused(lines(&folder), &with_state(&[])), Cause::State, &["is being written by another run"]);
    drop(first);
    drop(open(&folder));
    assert_eq!(folder.names(), ["out.txt", "out.txt.millstream-positions"]);
}

#[test]
fn closing_over_uncommitted_records_is_not_taken_for_done() {
    let folder = begun();
    let mut sink = open(&folder);
    sink.write(&["c"]).unwrap();
    assert_eq!(sink.close().unwrap_err().cause(), Cause::Bug);
    assert_eq!((open(&folder).at(), folder.text().as_str()), (Some(2), "a\nb\n"));
}

#[test]
fn every_commit_ends_a_member_of_a_compressed_output() {
    let folder = Folder::new();
    let output = || lines(&folder).compression(Members);
    let mut sink = Opened::new(output(), &with_state(&[])).unwrap();
    sink.write(&["a"]).unwrap();
    sink.write(&["b"]).unwrap();
    sink.commit(2).unwrap();
    sink.commit(2).unwrap();
    sink.write(&["torn"]).unwrap();
    drop(sink);
    let mut sink = Opened::new(output(), &with_state(&[])).unwrap();
    sink.write(&["c"]).unwrap();
    sink.commit(3).unwrap();
    sink.close().unwrap();
    assert_eq!(folder.text(), "a\nb\n\0c\n\0");
}

#[test]
fn nothing_compressed_is_still_a_member_and_makes_room_for_records() {
    let folder = Folder::new();
    let output = || lines(&folder).compression(Members);
    for _ in 0..2 {
        Opened::new(output(), &with_state(&[])).unwrap().close().unwrap();
        assert_eq!(folder.text(), "\0");
    }
    let mut sink = Opened::new(output(), &with_state(&[])).unwrap();
    sink.write(&["a"]).unwrap();
    sink.commit(1).unwrap();
    sink.close().unwrap();
    assert_eq!(folder.text(), "a\n\0");
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_can_not_be_written_exactly_once() {
    let error = refused(Output::create("/dev/null", Lines), &with_state(&[]));
    says(&error, Cause::User, &["/dev/null is no file", "name another output"]);
}

/// Fills a small disk until the sink notices. What was committed before is there after, and goes on.
#[test]
fn a_full_disk_ends_it_and_with_room_it_goes_on() {
    let Some(disk) = SmallDisk::new() else { return };
    let (output, ballast) = (disk.path().join("out.txt"), disk.path().join("ballast"));
    fs::write(&ballast, [0; 100 << 10]).unwrap();
    let create = || Output::create(&output, Lines);
    let mut sink = Opened::new(create(), &with_state(&[])).unwrap();
    let mut committed = 0;
    let error = loop {
        let Err(error) = sink.write(&["x".repeat(9_999)]).map_err(|error| written_error(Err(error))) else {
            match sink.commit(committed + 1) {
                Ok(()) => committed += 1,
                Err(error) => break error,
            }
            continue;
        };
        break error;
    };
    says(&error, Cause::Outside, &["can't be written: its disk is full: make room and start again"]);
    assert!(!error.is_retryable());
    assert!(committed > 3, "only {committed} commits found room");
    says(&sink.flush().unwrap_err(), Cause::Outside, &["an earlier write to", "failed"]);
    assert!(sink.commit(99).is_err());
    assert!(sink.write(&["more"]).is_err());
    assert!(sink.close().is_err());
    fs::remove_file(ballast).unwrap();
    let mut sink = Opened::new(create(), &with_state(&[committed])).unwrap();
    assert_eq!(sink.at(), Some(committed));
    sink.write(&["y"]).unwrap();
    sink.commit(committed + 1).unwrap();
    sink.close().unwrap();
    let expected = ("x".repeat(9_999) + "\n").repeat(committed as usize) + "y\n";
    assert!(fs::read_to_string(&output).unwrap() == expected);
}

/// Where the child of the test below writes; without it that child does nothing.
const CHILD: &str = "MILLSTREAM_TEST_OUTPUT";

/// Not a test of its own: the process that the next test kills. Record n is n.
#[test]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut sink = Opened::new(Output::create(path, Lines), &with_state(&[])).unwrap();
    let mut at = sink.at().unwrap_or(0);
    println!("opened");
    loop {
        let records: Vec<_> = (at..at + 7).map(|record| record.to_string()).collect();
        sink.write(&records).unwrap();
        at += 7;
        sink.commit(at).unwrap();
        println!("committed");
    }
}

#[cfg(unix)]
#[test]
fn a_killed_process_leaves_what_it_committed() {
    let folder = Folder::new();
    let (mut landed, mut last) = (0, 0);
    for lines_before in [0, 1, 2, 5, 9] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["file::tests::kept::writes_until_it_is_killed", "--exact", "--nocapture"])
            .env(CHILD, folder.output())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Open until the kill: a child that can't print would end by itself.
        let mut lines_said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(std::io::Result::ok);
        let mut marks = lines_said.by_ref().filter(|line| line.contains("opened") || line == "committed");
        let said = marks.nth(lines_before).unwrap();
        says(&refused(lines(&folder), &with_state(&[])), Cause::State, &["is being written by another run"]);
        child.kill().unwrap();
        landed += u32::from(child.wait().unwrap().code().is_none());
        let at = open(&folder).at().unwrap_or(0);
        assert!(at >= last + 7 * lines_before as u64, "after {said}: {at} from {last}");
        assert_eq!(folder.text(), (0..at).map(|record| format!("{record}\n")).collect::<String>());
        last = at;
    }
    assert_eq!(landed, 5);
}

#[derive(Debug, Clone)]
enum Act {
    Write(Vec<String>),
    Commit,
    /// The end of the process, with these bytes written and not committed, and perhaps files half written.
    Crash(Vec<u8>, bool),
    /// The end of a run, which begins again.
    Close,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => prop::collection::vec("[a-z]{0,6}", 0..4).prop_map(Act::Write),
        3 => Just(Act::Commit),
        2 => (prop::collection::vec(any::<u8>(), 0..9), any::<bool>()).prop_map(|(torn, half)| Act::Crash(torn, half)),
        1 => Just(Act::Close),
    ]
}

/// What an output has to hold, in the plainest words.
#[derive(Debug, Clone, Default)]
struct Model {
    records: Vec<String>,
    headed: bool,
    footed: bool,
}

impl Model {
    fn bytes(&self, braces: bool) -> String {
        let record = |record: &String| if braces { format!("<{record}>") } else { format!("{record}\n") };
        let header = if braces && self.headed { "{" } else { "" };
        let footer = if braces && self.footed { "}" } else { "" };
        format!("{header}{}{footer}", self.records.iter().map(record).collect::<String>())
    }
}

/// An output and what it has to be.
struct Pair {
    folder: Folder,
    braces: bool,
    compressed: bool,
    sink: Option<Opened>,
    now: Model,
    committed: Model,
}

impl Pair {
    fn new(braces: bool, compressed: bool) -> Self {
        let (now, committed) = (Model::default(), Model::default());
        let mut pair = Self { folder: Folder::new(), braces, compressed, sink: None, now, committed };
        pair.reopen();
        pair
    }

    fn reopen(&mut self) {
        drop(self.sink.take());
        let path = self.folder.output();
        let output = if self.braces { Output::create(path, Braces) } else { Output::create(path, Lines) };
        let output = if self.compressed { output.compression(Members) } else { output };
        let sink = Opened::new(output, &with_state(&[])).unwrap();
        // The ends of the members are the only zeros.
        assert_eq!(self.folder.text().replace('\0', ""), self.committed.bytes(self.braces));
        assert_eq!(sink.at().unwrap_or(0), self.committed.records.len() as u64);
        self.now = self.committed.clone();
        self.sink = Some(sink);
    }

    fn act(&mut self, act: Act) {
        let sink = self.sink.as_mut().unwrap();
        match act {
            Act::Write(records) => {
                sink.write(&records).unwrap();
                if !records.is_empty() {
                    (self.now.headed, self.now.footed) = (true, false);
                    // The footer goes with the first record; what else was committed stays.
                    self.committed.footed = false;
                    self.now.records.extend(records);
                }
            }
            Act::Commit => {
                sink.commit(self.now.records.len() as u64).unwrap();
                self.committed = self.now.clone();
            }
            Act::Crash(torn, half) => {
                drop(self.sink.take());
                add(self.folder.output(), &torn);
                if half {
                    fs::write(self.folder.0.path().join(".out.txt.millstream-positions-new"), &torn).unwrap();
                    fs::write(self.folder.0.path().join(".out.txt.millstream-lock"), "").unwrap();
                }
                self.reopen();
            }
            Act::Close => {
                self.act(Act::Commit);
                self.sink.take().unwrap().close().unwrap();
                (self.committed.headed, self.committed.footed) = (true, true);
                self.reopen();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn it_holds_what_the_naive_model_holds(
        braces in any::<bool>(),
        compressed in any::<bool>(),
        acts in prop::collection::vec(act(), 0..24),
    ) {
        let mut pair = Pair::new(braces, compressed);
        for act in acts {
            pair.act(act);
        }
        pair.act(Act::Close);
        let finished = fs::read(pair.folder.output()).unwrap();
        pair.act(Act::Close);
        prop_assert_eq!(fs::read(pair.folder.output()).unwrap(), finished);
    }
}
