//! What the README and the pages in `docs/` show is what there is:
//!
//! - A block marked ```` ```console ```` is run, command by command, in a folder of its own for each page, in which
//!   `examples/` is this repository's. `cargo run --release --example NAME -- …` runs the example as it was built with
//!   this test; a bare `cargo run` runs the example that the last `<!-- cargo run: NAME -->` names. What the commands
//!   print, on either output, has to be what stands there. `[..]` stands for anything within a line, a line `...` for
//!   any lines. A command that fails must be followed by `$ echo $?`. `cargo run --release --bin millstream -- …` runs
//!   the command `millstream`. What takes longer than a minute is killed, and is a failure.
//! - The N blocks behind `<!-- together: N -->` are run at the same time, each with a shell of its own, as in N
//!   terminals that are open in the page's folder.
//! - A block behind `<!-- file: PATH -->` has to be a piece of that file, indented by more or less.
//! - A link to a file of this repository has to lead to one.
//!
//! Blocks marked ```` ```rust ```` are doc tests: see `src/doc_tests.rs`.

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The longest that a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Pages name a test by its file, a colon, and then the names of functions in it.
#[test]
fn tests_that_pages_name_are_there() {
    let (mut found, mut gone) = (0, Vec::new());
    let page = read("docs/delivery.md");
    for row in page.lines().filter(|line| line.contains("`tests/")) {
        let mut source = String::new();
        for name in row.split('`').skip(1).step_by(2).skip_while(|name| !name.starts_with("tests/")) {
            match name.strip_prefix("tests/") {
                Some(_) => source = read(name),
                None if source.contains(&format!("fn {name}(")) => found += 1,
                None => gone.push(name.to_owned()),
            }
        }
    }
    assert!(gone.is_empty(), "docs/delivery.md names tests that are not there: {gone:?}");
    assert!(found > 10, "only {found} tests were found: this test no longer reads them");
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

#[test]
#[cfg(unix)]
fn blocks_that_run_together_are_judged_each_by_itself() {
    for (first, second, wrong) in [("yes", "yes", ""), ("no", "yes", "page:5: "), ("yes", "no", "page:9: ")] {
        // Each waits for the other: one after the other they would never end.
        let text = format!(
            "<!-- together: 2 -->\n\n\
             ```console\n$ echo yes > a; until [ -s b ]; do sleep 0.01; done\n$ cat b\n{first}\n```\n\
             ```console\n$ until [ -s a ]; do sleep 0.01; done; echo yes > b; cat a\n{second}\n```\n"
        );
        let folder = tempfile::tempdir().expect("a folder of its own");
        let together = blocks("page", &text);
        assert_eq!(together.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
        let found = run_together("page", &together[0], folder.path()).err().unwrap_or_default();
        assert_eq!(found.is_empty(), wrong.is_empty(), "{found}");
        assert!(found.starts_with(wrong) && found.matches("page:").count() <= 1, "{found}");
    }
}

#[test]
#[cfg(unix)]
fn what_hangs_is_killed_with_all_that_it_has_started() {
    let folder = tempfile::tempdir().expect("a folder of its own");
    let beat = folder.path().join("beat");
    let script = "(while sleep 0.01; do echo > beat; done) & echo begun; wait";
    let hangs = shell(script, folder.path(), Duration::from_secs(1)).expect_err("it hangs");
    assert!(hangs.contains("was killed") && hangs.contains("begun"), "{hangs}");
    fs::remove_file(&beat).expect("what it has started was at work");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!beat.exists(), "what it has started still is at work");
}

/// A command and what stands below it.
struct Shown {
    line: usize,
    command: String,
    expected: String,
}

/// The commands of a block, and what they are run in.
struct Block {
    line: usize,
    commands: Vec<Shown>,
    example: Option<String>,
}

/// Checks one page; returns how many commands it shows, which are `at_least` so many.
fn check(page: &str, at_least: usize) -> usize {
    let folder = tempfile::tempdir().expect("a folder of its own");
    #[cfg(unix)]
    std::os::unix::fs::symlink(root().join("examples"), folder.path().join("examples"))
        .expect("a link to the examples");
    let mut count = 0;
    for together in blocks(page, &read(page)) {
        if let Err(wrong) = run_together(page, &together, folder.path()) {
            panic!("{wrong}");
        }
        count += together.iter().map(|block| block.commands.len()).sum::<usize>();
    }
    assert!(count >= at_least || !cfg!(unix), "{page} shows {count} commands");
    count
}

/// The blocks of commands of a page, each in a list of those that are run at the same time. Its other blocks are checked.
fn blocks(page: &str, text: &str) -> Vec<Vec<Block>> {
    let (mut example, mut marked, mut all, mut wanted) = (None, None, Vec::<Vec<Block>>::new(), 0);
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(name) = comment(line, "cargo run: ") {
            example = Some(name.to_owned());
        } else if let Some(path) = comment(line, "file: ") {
            marked = Some(path.to_owned());
        } else if let Some(many) = comment(line, "together: ") {
            assert_eq!(wanted, 0, "{page}:{}: so many blocks are missing of those before", number + 1);
            wanted = many.parse().expect("a number of blocks");
            all.push(Vec::new());
        } else if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            if let Some(path) = marked.take() {
                is_piece(page, number + 1, &block, &path);
            }
            if language == "console" && cfg!(unix) {
                if wanted == 0 {
                    all.push(Vec::new());
                }
                wanted = usize::saturating_sub(wanted, 1);
                let commands = commands(number + 2, &block);
                let block = Block { line: number + 1, commands, example: example.clone() };
                all.last_mut().expect("one was pushed").push(block);
            }
        }
    }
    assert!(wanted == 0 || !cfg!(unix), "{page}: {wanted} blocks are missing of those that are run together");
    all
}

/// Runs blocks at the same time, and says all that is wrong with what they print.
fn run_together(page: &str, blocks: &[Block], folder: &Path) -> Result<(), String> {
    let results: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let all: Vec<_> = blocks.iter().map(|block| scope.spawn(move || run_block(page, block, folder))).collect();
        all.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let wrong: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n\n")) }
}

fn run_block(page: &str, block: &Block, folder: &Path) -> Result<(), String> {
    let mut code = 0;
    for shown in &block.commands {
        code = run(page, shown, block.example.as_deref(), folder, code)?;
    }
    if code == 0 { Ok(()) } else { Err(format!("{page}:{}: the last command failed: show `echo $?`", block.line)) }
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
fn run(page: &str, shown: &Shown, example: Option<&str>, folder: &Path, before: i32) -> Result<i32, String> {
    let at = format!("{page}:{}", shown.line);
    let status = shown.command == "echo $?";
    if before != 0 && !status {
        return Err(format!("{at}: the command before failed with {before}: show `echo $?`"));
    }
    let script = format!("exec 2>&1\n(exit {before})\n{}", with_programs(&at, &shown.command, example)?);
    let (code, printed) =
        shell(&script, folder, PATIENCE).map_err(|why| format!("{at}: `{}`: {why}", shown.command))?;
    let printed = example.map_or_else(|| printed.clone(), |example| as_main(&printed, example));
    if !matches(&printed, &shown.expected) {
        let Shown { command, expected, .. } = shown;
        return Err(format!("{at}: `{command}` printed\n{printed}\nand the page shows\n{expected}"));
    }
    Ok(if status { 0 } else { code })
}

/// The command, with the programs that are built in the place of cargo.
fn with_programs(at: &str, command: &str, example: Option<&str>) -> Result<String, String> {
    let mut script = String::new();
    for line in command.lines() {
        let mut line = line.replace("cargo run --release --bin millstream --", &program().display().to_string());
        while let Some((head, tail)) = line.split_once("cargo run --release --example ") {
            let (name, rest) = tail.split_once(' ').unwrap_or((tail, ""));
            line = format!("{head}{} {}", built(name).display(), rest.strip_prefix("-- ").unwrap_or(rest));
        }
        if let Some((head, rest)) = line.split_once("cargo run") {
            let name = example.ok_or_else(|| format!("{at}: no `<!-- cargo run: NAME -->` says which example"))?;
            line = format!("{head}{} {}", built(name).display(), rest.strip_prefix(" --").unwrap_or(rest));
        }
        script.extend([&line, "\n"]);
    }
    Ok(script)
}

/// Runs a script to its end; returns its exit code and what it has printed. It is killed where it takes longer.
fn shell(script: &str, folder: &Path, patience: Duration) -> Result<(i32, String), String> {
    let printed = tempfile::NamedTempFile::new().expect("there is room for what is printed");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).current_dir(folder).env_remove("RUST_LOG").stdin(Stdio::null());
    shell.stdout(File::create(printed.path()).expect("it is there"));
    // All that it starts can be ended with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    let ended = shell.spawn().map(|child| end_of(child, patience)).map_err(|error| format!("no shell: {error}"))?;
    let printed = fs::read(printed.path()).expect("what was printed");
    let printed = String::from_utf8_lossy(&printed).into_owned();
    match ended {
        Some(status) => Ok((status.code().unwrap_or(-1), printed)),
        None => Err(format!("it has not ended in {patience:?}, and was killed; it printed\n{printed}")),
    }
}

/// Waits for the end of a process; `None`: it was killed, and whatever it has started.
fn end_of(mut child: Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let group = format!("kill -KILL -{}", child.id());
    let _ = Command::new("sh").args(["-c", &group]).status();
    let _ = child.kill();
    let _ = child.wait();
    None
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

/// The command `millstream`, as it was built with this test.
fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_millstream"))
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
