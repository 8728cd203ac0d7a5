//! The house's import arrows, read off `cargo metadata` and the `use` lines: a package, or a module of core, that
//! imports against them fails here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each package and what it may import of the workspace.
const PACKAGES: [(&str, &[&str]); 7] = [
    ("millstream-core", &[]),
    ("millstream-planner", &["core"]),
    ("millstream-coders", &["core"]),
    ("millstream-net", &["core"]),
    ("millstream-sources", &["core", "net"]),
    ("millstream-sinks", &["core", "net"]),
    ("millstream", &["core", "planner", "coders", "net", "sources", "sinks"]),
];

/// Each module of core and what it may import of the others. The testkit sees all.
const MODULES: [(&str, &[&str]); 7] = [
    ("data", &[]),
    ("commit", &["data"]),
    ("contracts", &["data", "commit"]),
    ("transforms", &["data", "contracts"]),
    ("plan", &["data", "contracts"]),
    ("declare", &["data", "contracts", "transforms", "plan"]),
    ("runtime", &["data", "commit", "contracts", "plan"]),
];

#[test]
fn packages_import_along_the_arrows() {
    let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec().expect("cargo metadata answers");
    let mut seen = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let (_, allowed) = PACKAGES
            .iter()
            .find(|(package, _)| *package == name)
            .unwrap_or_else(|| panic!("{name} is not in the list of packages: say what it may import"));
        seen.insert(name.to_owned());
        // A test may use whatever it likes: what is shipped may not.
        let imports =
            package.dependencies.iter().filter(|dependency| dependency.kind == cargo_metadata::DependencyKind::Normal);
        for import in imports.filter_map(|dependency| dependency.name.strip_prefix("millstream-")) {
            assert!(allowed.contains(&import), "{name} imports millstream-{import}: the arrows allow {allowed:?}");
        }
    }
    assert_eq!(seen.len(), PACKAGES.len(), "every package of the list is in the workspace: {seen:?}");
}

#[test]
fn modules_of_core_import_along_the_arrows() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/src");
    let mut checked = 0;
    for (module, allowed) in MODULES {
        for file in sources(&core, module) {
            let text = std::fs::read_to_string(&file).expect("a source file is readable");
            for import in imports(&text) {
                let known = MODULES.iter().any(|(name, _)| *name == import) || import == "testkit";
                let fine = import == module || allowed.contains(&import.as_str()) || !known;
                assert!(fine, "{} imports `{import}`: {module} may import {allowed:?}", file.display());
                checked += usize::from(known);
            }
        }
    }
    assert!(checked > 50, "only {checked} imports were found: this test no longer reads the code");
}

#[test]
fn an_import_against_the_arrows_is_found() {
    let text = "use crate::runtime::Summary;\nuse crate::{data::Batch, plan::{Graph, Op}};\nlet x = crate::declare::Pipeline;\n";
    assert_eq!(imports(text), ["data", "declare", "plan", "runtime"].map(str::to_owned).into());
    assert!(imports("// crate::runtime is only named here\n").is_empty());
}

/// The file of a module and all files below it, tests left out.
fn sources(core: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = vec![core.join(format!("{module}.rs"))];
    let mut folders = vec![core.join(module)];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).expect("a module has a folder").map(|entry| entry.expect("readable").path())
        {
            match entry.file_name().and_then(|name| name.to_str()) {
                Some("tests" | "tests.rs") => {}
                _ if entry.is_dir() => folders.push(entry),
                _ => files.push(entry),
            }
        }
    }
    files
}

/// The modules of the crate that a file names, in `use` lines and in paths; comments and inline tests left out.
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` stands in macros, which expand where they are called.
        if code[..at].ends_with('$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_heads(group)),
            None => found.extend(head(rest)),
        }
    }
    found
}

/// The first names of the paths in a braced group.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut fresh) = (1, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            c if fresh && (c.is_alphabetic() || c == '_') => {
                heads.extend(head(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn head(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}
