//! What the README and the pages in `docs/` show is what there is:
//!
//! - A block marked ```` ```console ```` is run, command by command, in a folder of its own for each page, in which
//!   `examples/` is this repository's. `cargo run --release --example NAME -- …` runs the example as it was built with
//!   this test; a bare `cargo run` runs the example that the last `<!-- cargo run: NAME -->` names. What the commands
//!   print, on either output, has to be what stands there. `[..]` stands for anything within a line, a line `...` for
//!   any lines. A command that fails must be followed by `$ echo $?`.
//! - A block behind `<!-- file: PATH -->` has to be a piece of that file, indented by more or less.
//! - A link to a file of this repository has to lead to one.
//!
//! Blocks marked ```` ```rust ```` are doc tests: see `src/doc_tests.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn the_readme_shows_what_there_is() {
    check("README.md", 1);
}

#[test]
fn the_pages_show_what_there_is() {
    let pages = markdown(Path::new("docs"));
    assert!(pages.len() > 10, "only {} pages were found: this test no longer reads them", pages.len());
    let commands: usize = pages.iter().map(|page| check(page, 0)).sum();
    assert!(commands > 15, "only {commands} commands were found: this test no longer reads the pages");
}

#[test]
fn no_link_to_a_file_is_broken() {
    let mut links = 0;
    for page in
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(str::to_owned).iter().chain(&markdown(Path::new("docs")))
    {
        let folder = root().join(page).parent().expect("a file has a folder").to_owned();
        for target in targets(&read(page)) {
            assert!(folder.join(&target).exists(), "{page} links to {target}, which isn't there");
            links += 1;
        }
    }
    assert!(links > 30, "only {links} links were found: this test no longer reads them");
}

#[test]
fn the_quick_start_has_two_commands() {
    let readme = read("README.md");
    let (_, quick) = readme.split_once("## Quick start\n").expect("the README has a quick start");
    let section = quick.split("\n## ").next().unwrap_or_default();
    let (_, block) = section.split_once("```sh\n").expect("it has a block of commands");
    let block = block.split("```").next().unwrap_or_default();
    assert_eq!(block.lines().count(), 2, "{block}");
    assert!(!section.split("```sh\n").nth(1).is_some_and(|rest| rest.contains("```sh")), "one block");
}

#[test]
fn a_difference_is_found() {
    assert!(matches("a\nb 12 c\n", "a\nb [..] c\n"));
    assert!(matches("a\nb\nc\nd\n", "a\n...\nd\n"));
    assert!(matches("a   b\n", "a b\n"));
    assert!(!matches("a\nb\n", "a\n"));
    assert!(!matches("a\n", "a\nb\n"));
    assert!(!matches("b 12 d\n", "b [..] c\n"));
    assert!(!matches("a\nb\nc\n", "a\n...\nd\n"));
}

/// A command and what stands below it.
struct Shown {
    line: usize,
    command: String,
    expected: String,
}

/// Checks one page; returns how many commands it shows, which are `at_least` so many.
fn check(page: &str, at_least: usize) -> usize {
    let text = read(page);
    let folder = tempfile::tempdir().expect("a folder of its own");
    #[cfg(unix)]
    std::os::unix::fs::symlink(root().join("examples"), folder.path().join("examples"))
        .expect("a link to the examples");
    let (mut example, mut marked, mut code, mut count) = (None, None, 0, 0);
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(name) = comment(line, "cargo run: ") {
            example = Some(name.to_owned());
        } else if let Some(path) = comment(line, "file: ") {
            marked = Some(path.to_owned());
        } else if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            if let Some(path) = marked.take() {
                is_piece(page, number + 1, &block, &path);
            }
            if language == "console" && cfg!(unix) {
                for shown in commands(number + 2, &block) {
                    code = run(page, &shown, example.as_deref(), folder.path(), code);
                    count += 1;
                }
                assert_eq!(code, 0, "{page}:{}: the last command failed: show `echo $?`", number + 1);
            }
        }
    }
    assert!(count >= at_least || !cfg!(unix), "{page} shows {count} commands");
    count
}

fn comment<'a>(line: &'a str, what: &str) -> Option<&'a str> {
    line.strip_prefix("<!-- ")?.strip_prefix(what)?.strip_suffix(" -->")
}

fn commands(first: usize, block: &[&str]) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for (i, line) in block.iter().enumerate() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => {
                all.push(Shown { line: first + i, command: command.to_owned(), expected: String::new() });
            }
            (None, Some(shown)) => match line.strip_prefix("> ").filter(|_| shown.expected.is_empty()) {
                Some(more) => shown.command.extend(["\n", more]),
                None => shown.expected.extend([*line, "\n"]),
            },
            (None, None) => panic!("line {}: a console block begins with `$ `", first + i),
        }
    }
    all
}

/// Runs a command where the last one ended with `before`; returns its exit code.
fn run(page: &str, shown: &Shown, example: Option<&str>, folder: &Path, before: i32) -> i32 {
    let at = format!("{page}:{}", shown.line);
    let status = shown.command == "echo $?";
    assert!(before == 0 || status, "{at}: the command before failed with {before}: show `echo $?`");
    let program = |name: &str| built(name).display().to_string();
    let mut command = String::new();
    for line in shown.command.lines() {
        let mut line = line.to_owned();
        while let Some((head, tail)) = line.split_once("cargo run --release --example ") {
            let (name, rest) = tail.split_once(' ').unwrap_or((tail, ""));
            line = format!("{head}{} {}", program(name), rest.strip_prefix("-- ").unwrap_or(rest));
        }
        if let Some((head, rest)) = line.split_once("cargo run") {
            let name = example.unwrap_or_else(|| panic!("{at}: no `<!-- cargo run: NAME -->` says which example"));
            line = format!("{head}{} {}", program(name), rest.strip_prefix(" --").unwrap_or(rest));
        }
        command.extend([&line, "\n"]);
    }
    let script = format!("exec 2>&1\n(exit {before})\n{command}");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).current_dir(folder).env_remove("RUST_LOG").stdin(Stdio::null());
    let done = shell.output().unwrap_or_else(|error| panic!("{at}: no shell: {error}"));
    let printed = String::from_utf8_lossy(&done.stdout);
    let printed = example.map_or_else(|| printed.to_string(), |example| as_main(&printed, example));
    assert!(
        matches(&printed, &shown.expected),
        "{at}: `{}` printed\n{printed}\nand the page shows\n{}",
        shown.command,
        shown.expected
    );
    if status { 0 } else { done.status.code().unwrap_or(-1) }
}

/// A page speaks of a crate of the reader's own, whose `src/main.rs` is the example without its head.
fn as_main(printed: &str, example: &str) -> String {
    let (file, marker) = (format!("examples/{example}.rs"), format!("examples/{example}.rs:"));
    let head = read(&file).lines().take_while(|line| !line.starts_with("use ")).count();
    let mut parts = printed.split(&marker);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let line: usize = part[..digits].parse().expect("the number of a line");
        shown.push_str(&format!("src/main.rs:{}{}", line - head, &part[digits..]));
    }
    shown
}

/// Whether this was printed, blanks aside. `[..]` stands for anything in a line, a line `...` for any lines.
fn matches(printed: &str, expected: &str) -> bool {
    let plain = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    lines_match(&plain(printed), &plain(expected))
}

fn lines_match(printed: &[String], expected: &[String]) -> bool {
    match (printed, expected) {
        ([], []) => true,
        (_, [any, rest @ ..]) if any == "..." => (0..=printed.len()).any(|skip| lines_match(&printed[skip..], rest)),
        ([line, others @ ..], [like, rest @ ..]) => line_matches(line, like) && lines_match(others, rest),
        _ => false,
    }
}

fn line_matches(line: &str, like: &str) -> bool {
    let parts: Vec<&str> = like.split("[..]").collect();
    let [first, .., last] = &parts[..] else { return line == like };
    let Some(mut rest) = line.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    parts[1..parts.len() - 1].iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// A block has to be a piece of a file.
fn is_piece(page: &str, line: usize, block: &[&str], path: &str) {
    let file = read(path);
    let trimmed = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let block = trimmed(&block.join("\n"));
    assert!(
        !block.is_empty() && trimmed(&file).contains(&block),
        "{page}:{line}: this is no piece of {path}, which reads\n{file}"
    );
}

/// Where the links lead that lead into this repository, without what is behind `#`.
fn targets(text: &str) -> Vec<String> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let files = ends.filter(|target| !target.contains("://") && !target.starts_with('#'));
    files.filter_map(|target| target.split('#').next()).map(str::to_owned).collect()
}

/// All pages in a folder and those below it.
fn markdown(folder: &Path) -> Vec<String> {
    let mut pages = Vec::new();
    for entry in
        fs::read_dir(root().join(folder)).expect("the folder of the pages").map(|entry| entry.expect("readable"))
    {
        let path = folder.join(entry.file_name());
        match path.extension() {
            _ if entry.path().is_dir() => pages.extend(markdown(&path)),
            Some(extension) if extension == "md" => pages.push(path.to_str().expect("a plain name").to_owned()),
            _ => {}
        }
    }
    pages.sort();
    pages
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An example, where cargo puts those that it builds with this test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let profile = test.parent().and_then(Path::parent).expect("it stands in a folder of its profile");
    let program = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let fresh = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    assert!(
        fresh(&program) > fresh(&root().join(format!("examples/{name}.rs"))),
        "the example {name} is not there, or older than its source: run `cargo test`, or `cargo build --examples`"
    );
    program
}
