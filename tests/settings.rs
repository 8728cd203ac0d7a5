//! The tables of settings in `docs/` are made of the docs of the Rust types, so that the two can't drift apart. Between
//!
//! ```text
//! <!-- settings: sources/src/file/config.rs Files -->
//! <!-- end of settings -->
//! ```
//!
//! stands a row for each public method of that type by which it is made or changed. Run with `MILLSTREAM_UPDATE=1`, this
//! test writes them.

use std::fs;
use std::path::Path;

use syn::{
    Attribute, Expr, FnArg, ImplItem, ImplItemFn, Item, Lit, Meta, Pat, ReceiverKind, ReturnType, Type, Visibility,
};

const END: &str = "<!-- end of settings -->";

#[test]
fn the_tables_of_settings_say_what_the_types_say() {
    let (mut rows, mut stale) = (0, Vec::new());
    for entry in fs::read_dir(root().join("docs")).expect("the pages are there") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a page is text");
        let page = path.display().to_string();
        let (renewed, count) = renewed(&page, &text);
        rows += count;
        if renewed == text {
            continue;
        }
        match std::env::var_os("MILLSTREAM_UPDATE") {
            Some(_) => fs::write(&path, renewed).expect("a page can be written"),
            None => stale.push(page),
        }
    }
    assert!(stale.is_empty(), "run this test with MILLSTREAM_UPDATE=1: the settings have changed on {stale:?}");
    assert!(rows >= 8, "only {rows} settings were found: this test no longer reads them");
}

#[test]
fn a_table_is_made_of_the_docs() {
    let code = "
        /// A thing.
        pub struct Thing;
        impl Thing {
            /// Makes one of [`Sink`](crate::Sink)s,
            /// or [of | none](x).
            ///
            /// # Errors
            /// None.
            pub fn new(path: impl Into<PathBuf>) -> Self { Self }
            /// So many; 3 by default.
            #[must_use]
            pub fn records(mut self, records: usize) -> Self { self }
            /// Not a setting.
            pub fn len(&self) -> usize { 0 }
            fn hidden(self) -> Self { self }
        }";
    let rows = rows(code, "Thing");
    assert_eq!(
        rows,
        [
            "| `Thing::new(path)` | Makes one of `Sink`s, or of \\| none. |",
            "| `records(records)` | So many; 3 by default. |"
        ]
    );
}

/// The page with its tables as they should be, and how many rows they have.
fn renewed(page: &str, text: &str) -> (String, usize) {
    let (mut out, mut count) = (String::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.extend([line, "\n"]);
        let Some(marked) = line.strip_prefix("<!-- settings: ").and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let (file, name) = marked.rsplit_once(' ').expect("a file and the name of a type");
        let ended = lines.by_ref().any(|line| line == END);
        assert!(ended, "{page}: the table of {name} has no `{END}`");
        let code = fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{page}: {file}: {error}"));
        let rows = rows(&code, name);
        assert!(!rows.is_empty(), "{page}: {file} has no settings of {name}");
        count += rows.len();
        out.push_str("\n| setting | |\n|---|---|\n");
        rows.iter().for_each(|row| out.extend([row.as_str(), "\n"]));
        out.extend(["\n", END, "\n"]);
    }
    (out, count)
}

/// A row for each public method of this type that gives the type itself.
fn rows(code: &str, name: &str) -> Vec<String> {
    let file = syn::parse_file(code).expect("code that compiles");
    let methods = file.items.iter().filter_map(|item| match item {
        Item::Impl(block) if block.trait_.is_none() && is_named(&block.self_ty, name) => Some(&block.items),
        _ => None,
    });
    let methods = methods.flatten().filter_map(|item| match item {
        ImplItem::Fn(method) => Some(method),
        _ => None,
    });
    methods.filter(|method| is_setting(method, name)).map(|method| row(method, name)).collect()
}

fn is_named(of: &Type, name: &str) -> bool {
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

fn is_setting(method: &ImplItemFn, name: &str) -> bool {
    let by_reference = matches!(method.sig.inputs.first(), Some(FnArg::Receiver(own)) if matches!(own.kind, ReceiverKind::Reference(..)));
    let gives_it = match &method.sig.output {
        ReturnType::Type(_, of) => is_named(of, "Self") || is_named(of, name),
        ReturnType::Default => false,
    };
    matches!(method.vis, Visibility::Public(_)) && gives_it && !by_reference
}

fn row(method: &ImplItemFn, name: &str) -> String {
    let made = !matches!(method.sig.inputs.first(), Some(FnArg::Receiver(_)));
    let arguments = method.sig.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(ident) => Some(ident.ident.to_string()),
            _ => Some("_".to_owned()),
        },
        FnArg::Receiver(_) => None,
    });
    let call = format!("{}({})", method.sig.ident, arguments.collect::<Vec<_>>().join(", "));
    let of = if made { format!("{name}::") } else { String::new() };
    let says = docs(&method.attrs);
    assert!(!says.is_empty(), "{name}::{call} says nothing");
    format!("| `{of}{call}` | {says} |")
}

/// The docs up to the first heading or block of code, as one line without links.
fn docs(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let text = attributes.iter().filter_map(line).take_while(|line| !line.starts_with('#') && !line.starts_with("```"));
    let text = text.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    without_links(&text).replace('|', "\\|")
}

fn without_links(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, link)) = rest.split_once('[') {
        let Some((shown, after)) = link.split_once(']') else { break };
        out.extend([before, shown]);
        let target = after.strip_prefix('(').and_then(|target| target.split_once(')'));
        rest = target.map_or(after, |(_, after)| after);
    }
    out + rest
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
