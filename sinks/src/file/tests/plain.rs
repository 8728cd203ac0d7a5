use super::*;
use crate::support::{Braces, Lines, Members};

#[test]
fn an_output_is_replaced_at_the_end_and_not_before() {
    let folder = Folder::new();
    fs::write(folder.output(), "old").unwrap();
    let mut sink = Opened::new(Output::create(folder.output(), Lines), &without_state()).unwrap();
    assert_eq!(sink.held, None);
    sink.write(&["a", "b"]).unwrap();
    sink.flush().unwrap();
    assert_eq!(folder.text(), "old");
    sink.close().unwrap();
    assert_eq!(folder.text(), "a\nb\n");
    assert_eq!(folder.names(), ["out.txt"]);
}

#[test]
fn a_run_that_fails_leaves_the_old_output_and_nothing_else() {
    let folder = Folder::new();
    fs::write(folder.output(), "old").unwrap();
    let mut sink = Opened::new(Output::create(folder.output(), Lines), &without_state()).unwrap();
    sink.write(&["a"]).unwrap();
    drop(sink);
    assert_eq!((folder.text().as_str(), folder.names()), ("old", vec!["out.txt".to_owned()]));
}

#[test]
fn what_a_killed_run_left_is_written_over() {
    let folder = Folder::new();
    fs::write(folder.0.path().join(".out.txt.millstream-partial"), "left behind by a killed run").unwrap();
    fs::write(folder.0.path().join(".out.txt.millstream-lock"), "").unwrap();
    let mut sink = Opened::new(Output::create(folder.output(), Braces), &without_state()).unwrap();
    sink.write(&["a"]).unwrap();
    sink.close().unwrap();
    assert_eq!((folder.text().as_str(), folder.names()), ("{<a>}", vec!["out.txt".to_owned()]));
}

#[test]
fn nothing_written_is_an_output_too() {
    for (output, expected) in [(Lines.into_output(), ""), (Braces.into_output(), "{}")] {
        let folder = Folder::new();
        Opened::new(output(folder.output()), &without_state()).unwrap().close().unwrap();
        assert_eq!(folder.text(), expected);
        Opened::new(output(folder.output()).compression(Members), &without_state()).unwrap().close().unwrap();
        assert_eq!(folder.text().replace('\0', ""), expected);
        assert!(folder.text().contains('\0'));
    }
}

/// An output in this framing, at a path that comes later.
trait IntoOutput {
    fn into_output(self) -> Box<dyn Fn(PathBuf) -> Output>;
}

impl<F: millstream_core::contracts::Framing + Copy> IntoOutput for F {
    fn into_output(self) -> Box<dyn Fn(PathBuf) -> Output> {
        Box::new(move |path| Output::create(path, self))
    }
}

#[test]
fn two_runs_on_one_output_are_refused_whatever_they_do_with_it() {
    let folder = Folder::new();
    for create_first in [true, false] {
        let (create, append) = (Output::create(folder.output(), Lines), Output::append(folder.output(), Lines));
        let (first, second) = if create_first { (create, append) } else { (append, create) };
        let first = Opened::new(first, &without_state()).unwrap();
        says(&refused(second.clone(), &without_state()), Cause::State, &["is being written by another run"]);
        drop(first);
        assert!(Opened::new(second, &without_state()).is_ok());
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_the_rights_of_the_old_output_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = Folder::new();
    let real = folder.0.path().join("real.txt");
    fs::write(&real, "old").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.txt", folder.output()).unwrap();
    let mut sink = Opened::new(Output::create(folder.output(), Lines), &without_state()).unwrap();
    sink.write(&["a"]).unwrap();
    sink.close().unwrap();
    assert!(fs::symlink_metadata(folder.output()).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "a\n");
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(folder.names(), ["out.txt", "real.txt"]);
}

#[test]
fn paths_that_can_not_be_written_are_errors_that_say_what_to_do() {
    let folder = Folder::new();
    let file = folder.0.path().join("file");
    fs::write(&file, "").unwrap();
    for context in [without_state(), with_state(&[])] {
        for make in [|path| Output::create(path, Lines), |path: PathBuf| Output::append(path, Lines)] {
            says(&refused(make(folder.0.path().into()), &context), Cause::User, &["it is a folder: name a file"]);
            let missing = folder.0.path().join("missing/out.txt");
            says(&refused(make(missing), &context), Cause::User, &["missing/out.txt can't be", "make it first"]);
            says(&refused(make(file.join("out.txt")), &context), Cause::User, &["a part of its path is no folder"]);
        }
    }
    assert_eq!(folder.names(), ["file"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_written_to_as_it_is() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/dev/full", folder.output()).unwrap();
    for output in [Output::create(folder.output(), Lines), Output::append(folder.output(), Lines)] {
        let mut sink = Opened::new(output, &without_state()).unwrap();
        let error = written_error(sink.write(&["a"]));
        says(&error, Cause::Outside, &["its disk is full: make room and start again"]);
        assert!(sink.flush().is_err());
        assert!(sink.close().is_err());
    }
    let mut sink = Opened::new(Output::create("/dev/null", Lines), &without_state()).unwrap();
    sink.write(&["a"]).unwrap();
    sink.flush().unwrap();
    sink.close().unwrap();
    assert_eq!(folder.names(), ["out.txt"]);
}

#[test]
fn a_full_disk_leaves_the_old_output() {
    let Some(disk) = SmallDisk::new() else { return };
    let output = disk.path().join("out.txt");
    fs::write(&output, "old").unwrap();
    let mut sink = Opened::new(Output::create(&output, Lines), &without_state()).unwrap();
    let error = written_error(sink.write(&["x".repeat(300 << 10)]));
    says(&error, Cause::Outside, &["its disk is full"]);
    assert!(sink.close().is_err());
    assert_eq!(fs::read_to_string(&output).unwrap(), "old");
    assert_eq!(fs::read_dir(disk.path()).unwrap().count(), 1);
}

#[test]
fn appending_goes_on_behind_what_is_there_and_is_in_the_file_after_a_flush() {
    let folder = Folder::new();
    for (round, expected) in ["a\n", "a\na\n"].into_iter().enumerate() {
        let context = if round == 0 { without_state() } else { with_state(&[1]) };
        let mut sink = Opened::new(Output::append(folder.output(), Lines), &context).unwrap();
        assert_eq!(sink.held, None);
        sink.write(&["a"]).unwrap();
        sink.flush().unwrap();
        assert_eq!(folder.text(), expected);
        drop(sink);
    }
    assert_eq!(folder.names(), ["out.txt"]);
}

#[test]
fn a_torn_last_line_is_ended_before_more_is_appended() {
    for (before, after) in [("", "b\n"), ("a\n", "a\nb\n"), ("a\nto", "a\nto\nb\n"), ("t", "t\nb\n"), ("\n", "\nb\n")] {
        let folder = Folder::new();
        fs::write(folder.output(), before).unwrap();
        let mut sink = Opened::new(Output::append(folder.output(), Lines), &without_state()).unwrap();
        sink.write(&["b"]).unwrap();
        sink.close().unwrap();
        assert_eq!(folder.text(), after);
    }
}

#[test]
fn mistakes_are_found_before_anything_is_opened() {
    let check = |output: Output| DynSinkFactory::check(&output);
    assert_eq!(check(Output::create("a/out.txt", Braces).compression(Members)), [""; 0]);
    assert_eq!(check(Output::append("out.txt", Lines)), [""; 0]);
    assert!(check(Output::create("..", Lines))[0].contains("names no file"));
    assert!(check(Output::append("out.txt", Braces))[0].contains("as braces: that takes a framing"));
    assert!(check(Output::append("out.txt", Lines).compression(Members))[0].contains("leave the compression away"));
}

#[test]
fn it_says_what_it_can_do() {
    let traits = |output: Output, keeps| DynSinkFactory::traits(&output, keeps);
    let kept = traits(Output::create("out.gz", Lines).compression(Members), true);
    assert_eq!((kept.kind.as_str(), kept.output.as_str()), ("FILE", "out.gz (lines, members)"));
    assert_eq!((kept.transactional, kept.local_state, kept.ordered, kept.blocking), (Ok(()), true, true, true));
    let replaced = traits(Output::create("out", Lines), false);
    assert!(replaced.transactional.unwrap_err().starts_with("without a state folder"));
    for keeps in [true, false] {
        let appended = traits(Output::append("out", Lines), keeps);
        assert!(appended.transactional.is_err() && !appended.local_state);
    }
}

#[test]
fn a_sink_that_is_not_open_is_an_error() {
    let folder = Folder::new();
    let mut sink = DynSinkFactory::make(&Output::create(folder.output(), Lines));
    assert_eq!(wait(sink.flush()).unwrap_err().cause(), Cause::Bug);
    assert_eq!(folder.names(), [""; 0]);
}
