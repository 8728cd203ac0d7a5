//! What the compiler says of a pipeline that doesn't compile: what is wrong, and what to write. The programs are given to
//! the compiler that built this test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A program that declares a pipeline, and what the compiler has to say of it.
struct Case {
    program: &'static str,
    says: &'static [&'static str],
}

const CASES: [Case; 12] = [
    // A type without `Data`.
    Case {
        program: "struct Parcel; Pipeline::source(List::new([1_u64])).map(|_: u64| Parcel);",
        says: &[
            "`Parcel` can't travel through a pipeline",
            "impl Data for Parcel { const NAME: &'static str = \"…\"; type Column = Typed<Self>; }",
            "data!(Parcel);",
        ],
    },
    Case {
        program: "struct Parcel; Pipeline::source(List::new([1_u64])).filter(|_: &Parcel| true);",
        says: &[
            "a stage can't look at `Parcel`",
            "for a type of your own write: impl Data for Parcel",
            "data!(Parcel);",
        ],
    },
    // A reference to a value that is taken, and a result for a value that is given.
    Case {
        program: "Pipeline::source(List::new([1_u64])).map(|n: &u64| n + 1);",
        says: &["`&u64` can't travel through a pipeline", "to look at a reference use `map_ref` or `filter`"],
    },
    Case {
        program: "Pipeline::source(List::new([1_u64])).map(|n: u64| n.checked_sub(1).ok_or(\"none left\"));",
        says: &["`Result<u64, &str>` can't travel through a pipeline", "to return a `Result` use `try_map`"],
    },
    // What is no view of anything, and what can't be guessed.
    Case {
        program: "Pipeline::source(List::new([1_u64])).filter(|_: &std::path::PathBuf| true);",
        says: &["PathBuf`: it isn't a view of pipeline data", "annotate the closure's argument, e.g. `|line: &str| …`"],
    },
    Case {
        program: "Pipeline::source(List::new([1_u64])).filter(|_| true);",
        says: &["type annotations needed", "consider giving this closure parameter an explicit type"],
    },
    Case {
        program: "Pipeline::source(List::new([String::new()])).filter(|line| line.is_empty());",
        says: &["error[E0282]: type annotations needed", "consider giving this closure parameter an explicit type"],
    },
    // Options that a kind of stage can't have.
    Case {
        program: "Pipeline::source(List::new([1_u64])).par(2);",
        says: &["this stage can't be run by several workers", "`par` needs an element-wise stage before it"],
    },
    Case {
        program: "Pipeline::source(List::new([1_u64])).fold(0, |sum: &mut u64, n: u64| *sum += n).par(2);",
        says: &["this stage can't be run by several workers", "sources and folds run on one worker"],
    },
    Case {
        program: "Pipeline::source(List::new([1_u64])).filter(|_: &u64| true).trigger_each(2);",
        says: &["this stage has no trigger", "need a fold or a sink before them"],
    },
    Case {
        program: "struct Socket; data!(Socket); \
                  Pipeline::source(Generate::with(|_| Socket)).map(|_: Socket| 1_u64).retry(3);",
        says: &["`Socket: Clone` is not satisfied", "consider annotating `Socket` with `#[derive(Clone)]`"],
    },
    Case {
        program: "Pipeline::source(List::new([1_u64])).count().retry(3);",
        says: &["this stage's failed records can't run again", "`retry` needs an element-wise stage before it"],
    },
];

#[test]
fn the_compiler_says_what_to_write() {
    let compiler = Compiler::find();
    for Case { program, says } in CASES {
        let output = compiler.check(program);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "it should not compile: {program}");
        for text in says {
            assert!(said.contains(text), "of\n{program}\nthe compiler should say\n{text}\nand says\n{said}");
        }
        // One mistake, one error; the other is the compiler's last word.
        assert_eq!(said.matches("\nerror").count() + usize::from(said.starts_with("error")), 2, "{said}");
    }
}

/// The compiler, and the library as it was built for this test.
struct Compiler {
    folder: TempDir,
    dependencies: PathBuf,
    library: PathBuf,
}

impl Compiler {
    /// Libraries of earlier builds may lie beside the one that this test was built with, whose name nobody tells: it is
    /// the newest that a program without mistakes compiles against.
    fn find() -> Self {
        let test = std::env::current_exe().expect("a test is a file");
        let dependencies = test.parent().expect("it is in a folder").to_owned();
        let folder = tempfile::tempdir().expect("a folder for what the compiler writes");
        let mut compiler = Self { folder, dependencies, library: PathBuf::new() };
        let mut said = String::new();
        for library in libraries(&compiler.dependencies) {
            compiler.library = library;
            let output = compiler.check("Pipeline::source(List::new([1_u64])).filter(|n: &u64| *n > 0);");
            if output.status.success() {
                return compiler;
            }
            said = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        panic!("no library in {} that a good program compiles against: {said}", compiler.dependencies.display());
    }

    /// Checks a program of these statements.
    fn check(&self, program: &str) -> Output {
        let source = self.folder.path().join("program.rs");
        let text = format!("use millstream::prelude::*;\nfn main() {{\n    {program}\n}}\n");
        fs::write(&source, text).expect("the folder is writable");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        Command::new(rustc)
            .args(["--edition", "2024", "--emit", "metadata", "--out-dir"])
            .arg(self.folder.path())
            .arg("--extern")
            .arg(format!("millstream={}", self.library.display()))
            .arg("-L")
            .arg(format!("dependency={}", self.dependencies.display()))
            .arg(source)
            .output()
            .expect("the compiler runs")
    }
}

/// The builds of the library in a folder, newest first.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libmillstream-") && name.ends_with(".rlib")
    };
    let entries = fs::read_dir(folder).expect("the folder of the test is readable");
    let mut libraries: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(named).collect();
    libraries.sort_by_key(|path| fs::metadata(path).and_then(|about| about.modified()).ok());
    libraries.reverse();
    libraries
}
