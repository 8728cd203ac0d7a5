//! The examples' programs, beside this test's own. `cargo test` builds them first; `cargo test --test NAME` doesn't, so
//! what is missing or older than the code is built here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The examples that are run as processes.
const EXAMPLES: &[&str] = &[
    #[cfg(feature = "amqp")]
    "amqp_to_file",
    #[cfg(all(feature = "amqp", feature = "kafka"))]
    "amqp_to_kafka",
    #[cfg(feature = "amqp")]
    "amqp_xml_filter",
    "copy_lines",
    "count_words",
    "json_filter",
    #[cfg(all(feature = "kafka", feature = "registry"))]
    "json_to_kafka_avro",
    #[cfg(all(feature = "kafka", feature = "registry"))]
    "kafka_avro_to_json",
    #[cfg(feature = "kafka")]
    "kafka_count",
    #[cfg(feature = "kafka")]
    "kafka_to_file",
    #[cfg(feature = "kafka")]
    "kafka_to_kafka",
    #[cfg(feature = "amqp")]
    "lines_to_amqp",
    #[cfg(feature = "kafka")]
    "lines_to_kafka",
    #[cfg(all(feature = "kafka", feature = "registry"))]
    "registry_to_registry",
    "xml_filter",
];

/// The path of an example's program, which is up to date.
pub(crate) fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let profile = profile_folder();
        let folder = profile.join("examples");
        if EXAMPLES.iter().any(|name| is_old(&program(&folder, name))) {
            build(&profile);
        }
        folder
    });
    program(folder, name)
}

fn program(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// `target/debug`, `target/release`.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(2).expect("tests are built into target/PROFILE/deps").to_owned()
}

fn build(profile: &Path) {
    let (Some(target), Some(name)) = (profile.parent(), profile.file_name()) else {
        panic!("{} is no folder of a profile in a target folder", profile.display())
    };
    let name = if name == "debug" { "dev".as_ref() } else { name };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--locked", "--target-dir"]).arg(target);
    cargo.arg("--profile").arg(name).args(EXAMPLES.iter().flat_map(|example| ["--example", example]));
    if cfg!(feature = "kafka") {
        cargo.args(["--features", "kafka"]);
    }
    assert!(cargo.status().expect("cargo runs").success(), "the examples can't be built");
}

/// Whether a program is not there, or was built before the code was last changed.
fn is_old(program: &Path) -> bool {
    let Ok(built) = modified(program) else { return true };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "core/src", "planner/src", "coders/src", "net/src", "sources/src", "sinks/src", "examples"];
    folders.iter().any(|folder| has_newer(&root.join(folder), built))
}

fn has_newer(folder: &Path, built: SystemTime) -> bool {
    let entries = std::fs::read_dir(folder).expect("the code is there").map(|entry| entry.expect("readable").path());
    entries.into_iter().any(|path| match path.is_dir() {
        true => has_newer(&path, built),
        false => modified(&path).is_ok_and(|modified| modified > built),
    })
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    std::fs::metadata(path)?.modified()
}
