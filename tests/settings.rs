//! The tables of settings in `docs/` are made of the docs of the Rust types, so that the two can't drift apart. Between
//!
//! ```text
//! <!-- settings: sources/src/file/config.rs Files -->
//! <!-- end of settings -->
//! ```
//!
//! stands a row for each public method of that type by which it is made or changed, for each of its variants, and for each
//! of its public fields. With `members` in the place of `settings` it is a row for each public method, whatever it does.
//! Several files may be named, with blanks between. Run with `MILLSTREAM_UPDATE=1`, this test writes them.

use std::fs;
use std::path::Path;

use syn::{
    Attribute, Expr, Field, Fields, FnArg, GenericArgument, ImplItem, ImplItemFn, Item, Lit, Meta, Pat, PathArguments,
    ReceiverKind, ReturnType, Type, Variant, Visibility,
};

/// What a table shows of a type, and its head.
const KINDS: [(&str, &str); 2] = [("settings", "| setting | |"), ("members", "| | |")];

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
            /// From a file, which has to be there.
            pub fn file(self, path: impl AsRef<Path>) -> Result<Self> { Ok(self) }
            /// Not a setting.
            pub fn len(&self) -> usize { 0 }
            fn hidden(self) -> Self { self }
        }";
    let settings = rows(code, "Thing", false);
    assert_eq!(
        settings,
        [
            "| `Thing::new(path)` | Makes one of `Sink`s, or of \\| none. |",
            "| `records(records)` | So many; 3 by default. |",
            "| `file(path)` | From a file, which has to be there. |"
        ]
    );
    let all = rows(code, "Thing", true);
    assert_eq!(all, [&settings[..], &["| `len()` | Not a setting. |".to_owned()]].concat());
}

#[test]
fn variants_and_fields_are_settings_too() {
    let code = "
        /// When.
        pub enum When {
            /// At once.
            Now,
            /// [In](x) so many seconds.
            In(u64),
        }
        /// What.
        pub struct What {
            /// The name.
            pub name: String,
            hidden: u8,
        }";
    assert_eq!(rows(code, "When", false), ["| `When::Now` | At once. |", "| `When::In(…)` | In so many seconds. |"]);
    assert_eq!(rows(code, "What", false), ["| `name` | The name. |"]);
}

/// The page with its tables as they should be, and how many rows they have.
fn renewed(page: &str, text: &str) -> (String, usize) {
    let (mut out, mut count) = (String::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.extend([line, "\n"]);
        let Some(((kind, head), marked)) = KINDS.iter().find_map(|of| Some((of, marked(line, of.0)?))) else {
            continue;
        };
        let (files, name) = marked.rsplit_once(' ').expect("files and the name of a type");
        let end = format!("<!-- end of {kind} -->");
        assert!(lines.by_ref().any(|line| line == end), "{page}: the table of {name} has no `{end}`");
        let read =
            |file| fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{page}: {file}: {error}"));
        let rows: Vec<String> = files.split(' ').flat_map(|file| rows(&read(file), name, *kind == "members")).collect();
        assert!(!rows.is_empty(), "{page}: {files} has no {kind} of {name}");
        count += rows.len();
        out.extend(["\n", head, "\n|---|---|\n"]);
        rows.iter().for_each(|row| out.extend([row.as_str(), "\n"]));
        out.extend(["\n", &end, "\n"]);
    }
    (out, count)
}

/// What a comment says that begins a table of this kind.
fn marked<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    line.strip_prefix("<!-- ")?.strip_prefix(kind)?.strip_prefix(": ")?.strip_suffix(" -->")
}

/// A row for each variant, for each public field, and for each public method of this type that gives the type itself, or
/// may; or for all of them.
fn rows(code: &str, name: &str, all: bool) -> Vec<String> {
    let file = syn::parse_file(code).expect("code that compiles");
    let parts = file.items.iter().flat_map(|item| match item {
        Item::Enum(of) if of.ident == name => of.variants.iter().map(|variant| variant_row(variant, name)).collect(),
        Item::Struct(of) if of.ident == name => of.fields.iter().filter_map(field_row).collect(),
        _ => Vec::new(),
    });
    let methods = file.items.iter().filter_map(|item| match item {
        Item::Impl(block) if block.trait_.is_none() && is_named(&block.self_ty, name) => Some(&block.items),
        _ => None,
    });
    let methods = methods.flatten().filter_map(|item| match item {
        ImplItem::Fn(method) => Some(method),
        _ => None,
    });
    let methods = methods.filter(|method| is_shown(method) && (all || is_setting(method, name)));
    parts.chain(methods.map(|method| row(method, name))).collect()
}

fn variant_row(variant: &Variant, name: &str) -> String {
    let holds = match &variant.fields {
        Fields::Unit => "",
        Fields::Named(_) => " { … }",
        Fields::Unnamed(_) => "(…)",
    };
    table_row(&format!("{name}::{}{holds}", variant.ident), &variant.attrs)
}

fn field_row(field: &Field) -> Option<String> {
    let ident = field.ident.as_ref().filter(|_| matches!(field.vis, Visibility::Public(_)))?;
    Some(table_row(&ident.to_string(), &field.attrs))
}

fn is_named(of: &Type, name: &str) -> bool {
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

/// What a `Result` is of when it succeeds.
fn succeeding(of: &Type) -> Option<&Type> {
    let Type::Path(path) = of else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Result")?;
    match &last.arguments {
        PathArguments::AngleBracketed(of) => of.args.iter().find_map(|of| match of {
            GenericArgument::Type(of) => Some(of),
            _ => None,
        }),
        _ => None,
    }
}

fn is_setting(method: &ImplItemFn, name: &str) -> bool {
    let by_reference = matches!(method.sig.inputs.first(), Some(FnArg::Receiver(own)) if matches!(own.kind, ReceiverKind::Reference(..)));
    let gives_it = match &method.sig.output {
        ReturnType::Type(_, of) => {
            [Some(&**of), succeeding(of)].into_iter().flatten().any(|of| is_named(of, "Self") || is_named(of, name))
        }
        ReturnType::Default => false,
    };
    gives_it && !by_reference
}

fn is_shown(method: &ImplItemFn) -> bool {
    let hidden = |attribute: &Attribute| matches!(&attribute.meta, Meta::List(list) if list.path.is_ident("doc") && list.tokens.to_string() == "hidden");
    matches!(method.vis, Visibility::Public(_)) && !method.attrs.iter().any(hidden)
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
    table_row(&format!("{of}{call}"), &method.attrs)
}

fn table_row(setting: &str, attributes: &[Attribute]) -> String {
    let says = docs(attributes);
    assert!(!says.is_empty(), "{setting} says nothing");
    format!("| `{setting}` | {says} |")
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
