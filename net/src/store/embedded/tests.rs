use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use millstream_core::contracts::{Cause, Checkpoint, Error, Key, Opened, Result, Store, StoreFactory};
use millstream_core::data::{Partition, Position};

use super::Embedded;

fn opened() -> Opened {
    Opened { pipeline: "copy".into(), fingerprint: "FILE | lines".into(), input: "in.txt as lines".into() }
}

fn checkpoint(partition: &str, at: u64) -> Checkpoint {
    let key = Key { pipeline: "copy".into(), stage: "FILE".into(), partition: Partition::new(partition) };
    Checkpoint { key, position: Position::new(at.to_le_bytes().to_vec(), format!("{partition}:{at}")).unwrap() }
}

/// Runs on tokio, as the engine does.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn open(folder: &Path) -> Result<Box<dyn Store>> {
    open_by(folder, &opened())
}

fn open_by(folder: &Path, by: &Opened) -> Result<Box<dyn Store>> {
    wait(Embedded::at(folder).open(by))
}

fn refused(folder: &Path, by: &Opened) -> Error {
    open_by(folder, by).err().expect("the store is refused")
}

fn load(store: &mut Box<dyn Store>) -> Vec<Checkpoint> {
    wait(store.load()).unwrap()
}

fn save(store: &mut Box<dyn Store>, checkpoints: &[Checkpoint]) {
    wait(store.save(checkpoints)).unwrap();
}

/// A folder with a store that holds these.
fn folder_with(checkpoints: &[Checkpoint]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    save(&mut open(folder.path()).unwrap(), checkpoints);
    folder
}

#[test]
fn what_was_saved_is_loaded_after_a_restart_and_the_last_one_wins() {
    let folder = folder_with(&[checkpoint("a", 1), checkpoint("b", 2)]);
    save(&mut open(folder.path()).unwrap(), &[checkpoint("a", 3)]);
    let mut store = open(folder.path()).unwrap();
    assert_eq!(load(&mut store), [checkpoint("a", 3), checkpoint("b", 2)]);
}

#[test]
fn a_new_store_is_empty_and_its_folder_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("deep/state");
    assert_eq!(load(&mut open(&state).unwrap()), []);
    assert!(!state.join("checkpoints.redb.new").exists());
}

#[test]
fn it_works_without_a_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let embedded = Embedded::at(folder.path());
    let mut opening = embedded.open(&opened());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(store) = opening.as_mut().poll(&mut context) else { panic!("it waits for nothing") };
    assert!(store.is_ok());
}

#[test]
fn a_second_open_is_refused_at_once_and_names_who_has_it() {
    let folder = folder_with(&[]);
    let first = open(folder.path()).unwrap();
    let error = refused(folder.path(), &opened());
    assert_eq!(error.cause(), Cause::State);
    assert!(error.message().contains(&format!("in use by process {}", std::process::id())), "{error}");
    drop(first);
    assert!(open(folder.path()).is_ok());
}

#[test]
fn another_pipeline_other_settings_and_another_input_are_refused_and_nothing_is_touched() {
    let folder = folder_with(&[checkpoint("a", 1)]);
    let file = folder.path().join("checkpoints.redb");
    let before = fs::read(&file).unwrap();
    for (by, says) in [
        (Opened { pipeline: "other".into(), ..opened() }, "of the pipeline `copy`, and this one is `other`"),
        (Opened { fingerprint: "FILE | xml".into(), ..opened() }, "did `FILE | lines`, and now does `FILE | xml`"),
        (
            Opened { input: "b.txt as lines".into(), ..opened() },
            "is `in.txt as lines`, and this run's is `b.txt as lines`",
        ),
    ] {
        let error = refused(folder.path(), &by);
        assert_eq!(error.cause(), Cause::State);
        assert!(error.message().contains(says), "{error}");
        assert!(error.message().contains("remove the folder to begin anew"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), before);
    }
    assert_eq!(load(&mut open(folder.path()).unwrap()), [checkpoint("a", 1)]);
}

#[test]
fn a_store_of_another_run_that_committed_nothing_is_taken_over() {
    let folder = folder_with(&[]);
    let by = Opened { input: "b.txt as lines".into(), ..opened() };
    let mut store = open_by(folder.path(), &by).expect("it is nobody's");
    wait(store.save(&[checkpoint("a", 1)])).unwrap();
    drop(store);
    assert!(refused(folder.path(), &opened()).message().contains("is `b.txt as lines`"));
}

#[test]
fn an_empty_file_and_a_foreign_one_are_damage_and_are_not_created_over() {
    for content in [&b""[..], b"no database", &[0; 4096], &[0; 1 << 20]] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("checkpoints.redb");
        fs::write(&file, content).unwrap();
        let error = refused(folder.path(), &opened());
        assert_eq!(error.cause(), Cause::State);
        assert!(error.message().contains("is damaged: bring back a copy"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), content);
    }
}

#[test]
fn a_file_cut_short_is_damage() {
    let folder = folder_with(&[checkpoint("a", 1)]);
    let file = folder.path().join("checkpoints.redb");
    let whole = fs::read(&file).unwrap();
    for len in [1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..len]).unwrap();
        let error = refused(folder.path(), &opened());
        assert!(error.message().contains("is damaged"), "cut to {len}: {error}");
    }
}

#[test]
fn a_flipped_bit_is_damage_or_changes_nothing() {
    let saved = [checkpoint("a", 1), checkpoint("b", 2)];
    let folder = folder_with(&saved);
    let file = folder.path().join("checkpoints.redb");
    let whole = fs::read(&file).unwrap();
    let used: Vec<_> = (0..whole.len()).filter(|&at| whole[at] != 0).collect();
    let mut damaged = 0;
    for at in used.iter().copied().step_by(used.len() / 60 + 1) {
        let mut content = whole.clone();
        content[at] ^= 0x10;
        fs::write(&file, &content).unwrap();
        match open(folder.path()) {
            Ok(mut store) => assert_eq!(load(&mut store), saved, "byte {at}"),
            Err(error) => {
                assert_eq!(error.cause(), Cause::State, "byte {at}: {}", error.chain());
                damaged += 1;
            }
        }
    }
    assert!(damaged >= 5, "only {damaged} of the flips were noticed");
}

#[test]
fn a_half_made_store_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("checkpoints.redb.new"), "half").unwrap();
    assert_eq!(load(&mut open(folder.path()).unwrap()), []);
    assert!(!folder.path().join("checkpoints.redb.new").exists());
}

#[test]
fn a_path_that_is_no_folder_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = refused(&path, &opened());
        assert_eq!(error.cause(), Cause::User);
        assert!(error.message().contains(&format!("the state folder {} can't be used", path.display())), "{error}");
    }
}

#[test]
fn an_end_is_kept_over_restarts_until_it_is_taken_back() {
    let folder = folder_with(&[checkpoint("a", 1)]);
    for ended in [false, true, true, false] {
        wait(open(folder.path()).unwrap().set_ended(ended)).unwrap();
        let mut store = open(folder.path()).unwrap();
        assert_eq!(wait(store.ended()).unwrap(), ended);
        assert_eq!(load(&mut store), [checkpoint("a", 1)]);
        save(&mut store, &[checkpoint("a", 1)]);
        assert_eq!(wait(store.ended()).unwrap(), ended);
    }
}

#[test]
fn a_store_without_the_mark_is_of_an_input_that_has_not_ended() {
    // As it was written before there was a mark.
    let folder = folder_with(&[checkpoint("a", 1)]);
    let mut store = open(folder.path()).unwrap();
    assert!(!wait(store.ended()).unwrap());
    assert_eq!(load(&mut store), [checkpoint("a", 1)]);
}

#[test]
fn a_mark_of_another_version_and_one_that_is_damaged_are_refused() {
    for (value, says) in [(&[2, 1][..], "another version of this program"), (&[1, 7], "had ended is damaged")] {
        let folder = folder_with(&[checkpoint("a", 1)]);
        let database = redb::Database::open(folder.path().join("checkpoints.redb")).unwrap();
        super::file::put_mark(&database, value).unwrap();
        drop(database);
        let error = wait(open(folder.path()).unwrap().ended()).expect_err("it is refused");
        assert_eq!(error.cause(), Cause::State);
        assert!(error.message().contains(says), "{error}");
    }
}

#[test]
fn a_store_that_is_taken_over_has_not_seen_the_end() {
    let folder = folder_with(&[]);
    wait(open(folder.path()).unwrap().set_ended(true)).unwrap();
    let by = Opened { input: "b.txt as lines".into(), ..opened() };
    assert!(!wait(open_by(folder.path(), &by).unwrap().ended()).unwrap());
}

/// Where the child of the test below finds its folder; without it that child does nothing.
const CHILD: &str = "MILLSTREAM_TEST_STATE_FOLDER";

/// Not a test of its own: the process that the next test kills.
#[test]
fn saves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(CHILD) else { return };
    let mut store = open(Path::new(&folder)).unwrap();
    for at in 0..u64::MAX {
        save(&mut store, &[checkpoint("a", at), checkpoint("b", at)]);
        println!("saved {at}");
    }
}

#[cfg(unix)]
#[test]
fn a_killed_process_loses_no_save_and_halves_none() {
    let folder = folder_with(&[]);
    let mut landed = 0;
    for saves in [1, 3, 8] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::embedded::tests::saves_until_it_is_killed", "--exact", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Open until the kill: a child that can't print would end by itself.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(std::io::Result::ok);
        let saved =
            lines.by_ref().filter_map(|line| line.strip_prefix("saved ")?.parse::<u64>().ok()).nth(saves).unwrap();
        let error = refused(folder.path(), &opened());
        assert!(error.message().contains(&format!("in use by process {}", child.id())), "{error}");
        child.kill().unwrap();
        landed += u64::from(child.wait().unwrap().code().is_none());
        let held = load(&mut open(folder.path()).unwrap());
        let at = u64::from_le_bytes(held[0].position.bytes()[..].try_into().unwrap());
        assert!(at >= saved, "{saved} was saved, and the store has {at}");
        assert_eq!(held, [checkpoint("a", at), checkpoint("b", at)]);
    }
    assert_eq!(landed, 3);
}
