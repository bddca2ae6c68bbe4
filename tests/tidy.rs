//! The project's laws, enforced by a test: which rooms may import each other, that no files import each other in
//! circles, how long code may be, where third-party types may be used, and which names are banned.
//!
//! The tables come first, then one test per law, then the reading of sources with `syn`. A law collects all its
//! breaches before it fails. Printing, exits and `unsafe` are laws of the compiler (`[workspace.lints]`).

#![allow(clippy::print_stdout, reason = "the medians are printed for whoever asks for them")]

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{ImplItemFn, Item, ItemFn, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// Every room of `src/`, with the rooms that it may import. Only `main` imports `cli`, and only `session` and
/// `cli` import `report`.
const ROOMS: &[(&str, &[&str])] = &[
    ("tensor", &[]),
    ("compare", &["tensor"]),
    ("close", &["tensor", "compare"]),
    ("graph", &["tensor"]),
    ("inputs", &["tensor", "graph"]),
    ("kernels", &["tensor", "graph"]),
    ("bounds", &["tensor", "graph", "kernels"]),
    ("sim", &["tensor", "graph", "inputs", "kernels", "bounds"]),
    ("engine", &["tensor", "graph", "inputs", "kernels", "bounds", "sim"]),
    ("walk", &["tensor", "graph", "inputs", "compare", "bounds", "engine"]),
    ("choice", &["tensor", "graph", "inputs", "compare", "engine"]),
    ("worker", &["tensor", "graph", "inputs", "bounds", "sim", "engine", "compare", "walk"]),
    ("verdict", &["tensor", "compare", "walk", "engine"]),
    ("bench", &["tensor", "graph", "engine"]),
    ("matrix", &["tensor", "graph", "engine", "walk", "verdict"]),
    ("agree", &["tensor", "compare", "choice", "graph", "inputs", "engine", "verdict", "matrix"]),
    ("determinism", &["tensor", "graph", "engine", "verdict"]),
    ("quantised", &["tensor", "graph", "engine", "verdict"]),
    ("decode", &["tensor", "compare", "graph", "inputs", "engine", "verdict", "matrix"]),
    ("case", &["tensor", "graph", "inputs", "compare", "sim", "engine", "verdict"]),
    ("bundle", &["tensor"]),
    ("shrink", &["tensor", "graph", "inputs", "compare", "bounds", "engine", "walk"]),
    (
        "report",
        &[
            "tensor",
            "compare",
            "bounds",
            "choice",
            "graph",
            "inputs",
            "engine",
            "walk",
            "verdict",
            "shrink",
            "case",
            "bundle",
            "bench",
            "matrix",
            "agree",
            "decode",
            "determinism",
            "quantised",
        ],
    ),
    (
        "session",
        &[
            "tensor",
            "compare",
            "choice",
            "graph",
            "inputs",
            "bounds",
            "engine",
            "walk",
            "worker",
            "verdict",
            "case",
            "agree",
            "decode",
            "determinism",
            "quantised",
            "bench",
            "bundle",
            "matrix",
            "report",
        ],
    ),
    ("cli", BELOW_CLI),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// The rooms that `cli` composes.
const BELOW_CLI: &[&str] = &[
    "tensor",
    "compare",
    "choice",
    "graph",
    "inputs",
    "sim",
    "engine",
    "walk",
    "worker",
    "case",
    "verdict",
    "shrink",
    "bundle",
    "bench",
    "matrix",
    "agree",
    "decode",
    "determinism",
    "quantised",
    "report",
    "session",
];

/// Third-party crates that may be used only in their homes. A home is a folder or the file of its name.
const HOMES: &[(&str, &[&str])] = &[
    ("tract_onnx", &["src/engine/tract", "src/graph"]),
    ("prettytable", &["src/cli", "src/report"]),
    ("indicatif", &["src/cli", "src/report"]),
    ("mnn_sys", &["src/worker/child/mnn"]),
    ("ort", &["src/worker/child/ort"]),
    ("serde_yaml", &["src/case"]),
    ("shell_words", &["src/engine/place"]),
    ("quick_junit", &["src/report"]),
    ("rapidhash", &["src/walk/fingerprint"]),
    ("statrs", &["src/agree"]),
    ("tar", &["src/bundle"]),
    ("zstd", &["src/bundle"]),
];

/// Names that do not describe the content.
const BANNED_NAMES: &[&str] = &["utils", "helpers", "common", "manager", "data", "golden"];
/// Reminders in comments, in two halves so this file does not accuse itself.
const REMINDERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
/// Folders of one machine, also in two halves.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];
/// Folders that the laws do not cover.
const SKIPPED_FOLDERS: &[&str] = &[".git", ".venv", "target"];

/// The folders of the library's modules. Paths below them are paths of modules.
const ROOTS: &[&str] = &["src/", "crates/compare/src/"];
/// All folders with Rust code.
const FOLDERS: &[&str] = &["src", "crates", "tests", "examples"];

/// Lines a source file may have before its tests.
const MAX_FILE: usize = 500;
/// Lines a function may have.
const MAX_FUNCTION: usize = 60;
/// On the line above a function, exempts it from [`MAX_FUNCTION`].
const FLAT_TABLE: &str = "// a flat table";

// --- the laws ---------------------------------------------------------------

#[test]
fn rooms_import_only_what_the_table_allows() {
    let house = House::read();
    let mut breaches = Vec::new();
    for source in &house.sources {
        let room = source.room();
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            breaches
                .push(format!("{}: add the room `{room}` to ROOMS in tests/tidy.rs", source.path));
            continue;
        };
        for (line, path) in &source.paths {
            let Some(other) =
                path.first().filter(|other| ROOMS.iter().any(|(name, _)| name == other))
            else {
                continue;
            };
            if other != room && !allowed.contains(&other.as_str()) && room != "lib" {
                breaches.push(format!("{}:{line}: `{room}` may not import `{other}`", source.path));
            }
        }
    }
    keep("a room imports only what the table in tests/tidy.rs allows", breaches);
}

/// A type that other files see has a name of its own, so a reader need not ask which one is meant.
#[test]
fn no_two_visible_types_have_one_name() {
    let mut homes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in House::read().sources {
        let file = syn::parse_file(&source.text).unwrap();
        for (name, visibility) in file.items.iter().filter_map(type_of) {
            if !matches!(visibility, syn::Visibility::Inherited) {
                homes.entry(name.to_string()).or_default().push(source.path.clone());
            }
        }
    }
    let breaches = homes.into_iter().filter(|(_, files)| files.len() > 1);
    let breaches = breaches.map(|(name, files)| format!("`{name}`: {}", files.join(", ")));
    keep("no two visible types have one name", breaches.collect());
}

/// A room's table has only rooms above it, so no rooms import each other.
#[test]
fn the_table_has_no_circles() {
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        for other in *allowed {
            let above = ROOMS[..at].iter().any(|(name, _)| name == other);
            assert!(above, "`{room}` may import `{other}`, which is not above it");
        }
    }
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let house = House::read();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in &house.sources {
        for (_, path) in source.paths.iter().filter(|_| source.room() != "lib") {
            if let Some(other) = house.file_of(path).filter(|other| *other != source.path) {
                edges.entry(&source.path).or_default().insert(other);
            }
        }
    }
    let breaches = circles(&edges).into_iter().map(|files| files.join(" <-> ")).collect();
    keep("no files import each other in circles", breaches);
}

#[test]
fn every_rust_file_says_what_it_is() {
    let headless = rust_files(FOLDERS).into_iter().filter(|(_, text)| !text.starts_with("//!"));
    keep("every file begins with `//!`", headless.map(|(path, _)| path).collect());
}

#[test]
fn files_and_functions_stay_short() {
    let (mut breaches, mut file_sizes, mut function_sizes) = (Vec::new(), Vec::new(), Vec::new());
    for source in House::read().sources {
        if source.lines > MAX_FILE {
            breaches.push(format!("{}: {} lines without its tests", source.path, source.lines));
        }
        file_sizes.push(source.lines);
        for Function { name, line, lines } in &source.functions {
            let is_table = source.text.lines().nth(line.saturating_sub(2));
            let is_table = is_table.is_some_and(|above| above.trim_start().starts_with(FLAT_TABLE));
            if *lines > MAX_FUNCTION && !is_table {
                breaches.push(format!("{}:{line}: `{name}` has {lines} lines", source.path));
            }
            function_sizes.push(*lines);
        }
    }
    println!("lines: median file {}, function {}", median(file_sizes), median(function_sizes));
    keep(&format!("files: {MAX_FILE} lines, functions: {MAX_FUNCTION}"), breaches);
}

#[test]
fn nothing_bears_a_name_that_says_nothing() {
    let named = |(path, _): &(String, String)| {
        path.trim_end_matches(".rs").split('/').any(|name| BANNED_NAMES.contains(&name))
    };
    let breaches = rust_files(FOLDERS).into_iter().filter(named).map(|(path, _)| path).collect();
    keep(&format!("never called any of {BANNED_NAMES:?}"), breaches);
}

#[test]
fn third_party_types_stay_home() {
    let house = House::read();
    for (name, homes) in HOMES {
        let at_home = |path: &str| {
            homes.iter().any(|home| {
                path.strip_prefix(home).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            })
        };
        let abroad = house.sources.iter().filter(|source| !at_home(&source.path));
        let used = abroad.filter(|source| source.crates.contains(*name));
        keep(
            &format!("`{name}` only in {homes:?}"),
            used.map(|source| source.path.clone()).collect(),
        );
    }
}

#[test]
fn every_dependency_is_used() {
    let house = House::read();
    let mut breaches = Vec::new();
    for (manifest, folder) in [("Cargo.toml", "src/"), ("crates/compare/Cargo.toml", "crates/")] {
        let text = fs::read_to_string(repository().join(manifest)).expect("a manifest is readable");
        let (_, after) =
            text.split_once("\n[dependencies]\n").expect("a manifest has dependencies");
        let lines = after.lines().take_while(|line| !line.starts_with('['));
        let names = lines.filter_map(|line| Some(line.split_once(" = ")?.0));
        for name in names {
            // The only package whose crate has a different name.
            let name = if name == "prettytable-rs" { "prettytable" } else { name };
            let name = name.replace('-', "_");
            let used = |source: &&Source| source.text.contains(&format!("{name}::"));
            if !house
                .sources
                .iter()
                .filter(|one| one.path.starts_with(folder))
                .any(|one| used(&one))
            {
                breaches.push(format!("{manifest}: `{name}`"));
            }
        }
    }
    keep("every dependency is used", breaches);
}

#[test]
fn no_reminders_and_no_paths_of_one_machine() {
    let mut breaches = Vec::new();
    for path in files_under(&repository()) {
        // A file that is not UTF-8 is no text: an ONNX file, an .npy.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (line, content) in (1..).zip(text.lines()) {
            breaches.extend(remarks(content).map(|r| format!("{}:{line}: {r}", shown(&path))));
        }
    }
    keep("no reminders and no paths of one machine in tracked files", breaches);
}

fn remarks(line: &str) -> impl Iterator<Item = &'static str> {
    let reminders = REMINDERS.iter().filter(move |word| {
        line.match_indices(**word).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + word.len()..]);
            !before.ends_with(is_word) && !after.starts_with(is_word)
        })
    });
    let paths = MACHINE_PATHS.iter().filter(move |path| has_absolute(line, path));
    reminders.chain(paths).copied()
}

/// Whether a path begins with `folder`, and does not merely contain it.
fn has_absolute(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| is_word(c) || matches!(c, '.' | '-' | '}' | '~' | '*'))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Fails with all breaches of a law.
#[track_caller]
fn keep(law: &str, breaches: Vec<String>) {
    assert!(breaches.is_empty(), "{law}; but\n  {}\n", breaches.join("\n  "));
}

// --- the house ---------------------------------------------------------------

/// All modules of the library.
struct House {
    sources: Vec<Source>,
}

/// A module's file.
struct Source {
    path: String,
    text: String,
    /// The path of the module, empty for the root.
    module: Vec<String>,
    /// The names that the file hands on from other modules, with their full paths.
    exports: Vec<(String, Vec<String>)>,
    /// The full paths of the library that the code names outside its tests, with their lines.
    paths: Vec<(usize, Vec<String>)>,
    /// First names of all other paths: crates, types and modules in scope.
    crates: BTreeSet<String>,
    functions: Vec<Function>,
    /// Lines before the tests.
    lines: usize,
}

/// A function with a body; `lines` counts from `fn` to its closing brace.
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

impl House {
    fn read() -> Self {
        let files = rust_files(&["src", "crates"]);
        let modules = files.into_iter().filter_map(|(path, text)| {
            let inside = ROOTS.iter().find_map(|root| path.strip_prefix(root))?.to_owned();
            Some(Source::read(path, text, &inside))
        });
        let sources: Vec<Source> = modules.collect();
        assert!(sources.len() > 100, "a law about no files would always hold");
        House { sources }
    }

    /// The file that defines what a full path names. A `mod.rs` that only hands a name on is passed through.
    fn file_of(&self, path: &[String]) -> Option<&str> {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let module = (0..=path.len()).rev().find_map(|length| {
                self.sources.iter().find(|source| source.module == path[..length])
            })?;
            let next = path.get(module.module.len());
            let handed_on =
                next.and_then(|next| module.exports.iter().find(|(name, _)| name == next));
            match handed_on {
                Some((_, origin)) => {
                    let rest = path.split_off(module.module.len() + 1);
                    path = [origin.clone(), rest].concat();
                }
                None => return Some(&module.path),
            }
        }
        None
    }
}

/// The name and the visibility of an item that is a type or a trait.
fn type_of(item: &Item) -> Option<(&syn::Ident, &syn::Visibility)> {
    match item {
        Item::Struct(item) => Some((&item.ident, &item.vis)),
        Item::Enum(item) => Some((&item.ident, &item.vis)),
        Item::Trait(item) => Some((&item.ident, &item.vis)),
        Item::Type(item) => Some((&item.ident, &item.vis)),
        _ => None,
    }
}

impl Source {
    fn read(path: String, text: String, inside: &str) -> Self {
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let trimmed = inside.trim_end_matches(".rs").trim_end_matches("/mod");
        let module: Vec<String> = match trimmed {
            "lib" | "main" => Vec::new(),
            inner => inner.split('/').map(str::to_owned).collect(),
        };
        let children = file.items.iter().filter_map(|item| match item {
            Item::Mod(item) if item.content.is_none() => Some(item.ident.to_string()),
            _ => None,
        });
        let mut reader = Reader {
            children: children.collect(),
            inside: module.clone(),
            exports: Vec::new(),
            paths: Vec::new(),
            crates: BTreeSet::new(),
            functions: Vec::new(),
            tests_at: text.lines().count() + 1,
        };
        reader.visit_file(&file);
        let Reader { exports, paths, crates, functions, tests_at, .. } = reader;
        let lines = tests_at - 1;
        Source { path, text, module, exports, paths, crates, functions, lines }
    }

    /// The first folder below the root, or the file that represents it.
    fn room(&self) -> &str {
        let root = if self.path.ends_with("main.rs") { "main" } else { "lib" };
        self.module.first().map_or(root, String::as_str)
    }
}

/// Reads a file's paths and functions, and leaves its tests out.
struct Reader {
    children: BTreeSet<String>,
    inside: Vec<String>,
    exports: Vec<(String, Vec<String>)>,
    paths: Vec<(usize, Vec<String>)>,
    crates: BTreeSet<String>,
    functions: Vec<Function>,
    tests_at: usize,
}

impl Reader {
    /// A path as the code writes it, from the library's root; `None` for other paths.
    fn full(&self, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" | "offby" | "offby_compare" => Some(rest.to_vec()),
            "self" => Some([&self.inside, rest].concat()),
            "super" => {
                let climbs = path.iter().take_while(|name| *name == "super").count();
                let kept = self.inside.len().checked_sub(climbs)?;
                Some([&self.inside[..kept], &path[climbs..]].concat())
            }
            child if self.children.contains(child) => Some([&self.inside, path].concat()),
            _ => None,
        }
    }

    fn note(&mut self, line: usize, path: Vec<String>) {
        match self.full(&path) {
            Some(full) => self.paths.push((line, full)),
            None => self.crates.extend(path.into_iter().next()),
        }
    }

    /// Paths inside a macro's arguments, which `syn` does not parse.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons): (Vec<String>, usize) = (Vec::new(), 0);
        let mut line = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if path.is_empty() || colons == 2 => {
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && colons < 2 => colons += 1,
                other => {
                    self.end(line, &mut path);
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.end(line, &mut path);
    }

    fn end(&mut self, line: usize, path: &mut Vec<String>) {
        if path.len() > 1 {
            self.note(line, path.clone());
        }
        path.clear();
    }

    fn function(&mut self, name: &syn::Ident, from: usize, to: usize) {
        self.functions.push(Function { name: name.to_string(), line: from, lines: to - from + 1 });
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let is_test = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|what| what.is_ident("test"))
        });
        if is_test {
            self.tests_at = self.tests_at.min(item.span().start().line);
            return;
        }
        if item.content.is_some() {
            self.inside.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.inside.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        for (path, name) in leaves(&item.tree, &[]) {
            match self.full(&path) {
                Some(full) if is_public => self.exports.push((name, full)),
                _ => self.note(item.span().start().line, path),
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|one| one.ident.to_string()).collect();
        if names.len() > 1 {
            self.note(path.span().start().line, names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig.ident, item.sig.span().start().line, item.block.span().end().line);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig.ident, item.sig.span().start().line, item.block.span().end().line);
        visit::visit_impl_item_fn(self, item);
    }
}

/// The full paths of a use tree, each with the name that it brings into scope.
fn leaves(tree: &UseTree, before: &[String]) -> Vec<(Vec<String>, String)> {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident)),
        UseTree::Name(name) if name.ident == "self" => {
            vec![(before.to_vec(), before.last().cloned().unwrap_or_default())]
        }
        UseTree::Name(name) => vec![(with(&name.ident), name.ident.to_string())],
        UseTree::Rename(name) => vec![(with(&name.ident), name.rename.to_string())],
        UseTree::Glob(_) => vec![(before.to_vec(), "*".to_owned())],
        UseTree::Group(group) => group.items.iter().flat_map(|item| leaves(item, before)).collect(),
    }
}

/// The groups of files that reach each other.
fn circles<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<Vec<&'a str>> {
    let reached = |from: &'a str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            let next = edges.get(file).into_iter().flatten().copied();
            open.extend(next.filter(|other| seen.insert(*other)));
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<&str>> =
        edges.keys().map(|file| (*file, reached(file))).collect();
    let mut groups = BTreeSet::new();
    for (file, seen) in &all {
        if seen.contains(file) {
            let back = |other: &&&str| all.get(**other).is_some_and(|seen| seen.contains(file));
            groups.insert(seen.iter().filter(back).copied().collect::<Vec<_>>());
        }
    }
    groups.into_iter().collect()
}

// --- files ------------------------------------------------------------------

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A path relative to the repository, with `/` on every system.
fn shown(path: &Path) -> String {
    let path = path.strip_prefix(repository()).unwrap_or(path);
    path.display().to_string().replace('\\', "/")
}

/// The Rust files under folders of the repository, with their text.
fn rust_files(folders: &[&str]) -> Vec<(String, String)> {
    let files = folders.iter().flat_map(|folder| files_under(&repository().join(folder)));
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| {
        let text = fs::read_to_string(&path).expect("a Rust file is readable UTF-8");
        (shown(&path), text)
    })
    .collect()
}

/// All files under a folder that may be missing, in order; links are not followed.
fn files_under(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.expect("a folder that opens can be listed");
        let kind = entry.file_type().expect("a listed file has a type");
        // In a linked worktree `.git` is a file that contains the repository's path.
        if SKIPPED_FOLDERS.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if kind.is_file() {
            files.push(entry.path());
        } else if kind.is_dir() {
            files.extend(files_under(&entry.path()));
        }
    }
    files.sort();
    files
}

fn median(mut sizes: Vec<usize>) -> usize {
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().unwrap_or_default()
}

// --- the reading on samples ---------------------------------------------------

fn source(path: &str, text: &str) -> Source {
    let inside = path.trim_start_matches("src/").to_owned();
    Source::read(path.to_owned(), text.to_owned(), &inside)
}

#[test]
fn imports_are_seen_however_they_are_written() {
    for (path, text, seen) in [
        ("src/walk/a.rs", "use crate::graph::Cut; // crate::cli", "graph::Cut"),
        ("src/walk/a.rs", "use crate::{graph::{self, Cut}, case};", "graph graph::Cut case"),
        ("src/walk/a.rs", "fn f() { print!(\"{}\", crate::case::x()) }", "case::x"),
        ("src/walk/a.rs", "use super::Walk; use super::super::graph;", "walk::Walk graph"),
        ("src/walk/mod.rs", "mod a; use a::B; use super::graph;", "walk::a::B graph"),
        ("src/walk/mod.rs", "#[cfg(test)]\nmod tests { use super::*; }", ""),
        ("src/main.rs", "use offby::cli; fn main() { my_offby::x() }", "cli"),
    ] {
        let read = source(path, text);
        let found: Vec<String> = read.paths.iter().map(|(_, path)| path.join("::")).collect();
        assert_eq!(found.join(" "), seen, "{text}");
    }
}

#[test]
fn a_face_hands_names_on() {
    let sources = vec![
        source("src/walk/mod.rs", "mod a; pub use a::B; pub struct C;"),
        source("src/walk/a.rs", "pub struct B;"),
    ];
    let house = House { sources };
    let file = |path: &str| {
        let path: Vec<String> = path.split("::").map(str::to_owned).collect();
        house.file_of(&path).map(str::to_owned)
    };
    assert_eq!(file("walk::B::new").as_deref(), Some("src/walk/a.rs"));
    assert_eq!(file("walk::C").as_deref(), Some("src/walk/mod.rs"));
}

#[test]
fn functions_are_counted_from_fn_to_brace() {
    let text = "fn a() {}\nfn b(\n    x: [u8; 2],\n) {\n    if x { \"}\" }\n}\ntrait T {\n    fn c();\n}\n";
    let seen: Vec<(String, usize, usize)> = source("src/walk/a.rs", text)
        .functions
        .into_iter()
        .map(|f| (f.name, f.line, f.lines))
        .collect();
    assert_eq!(seen, [("a".to_owned(), 1, 1), ("b".to_owned(), 2, 5)]);
}

#[test]
fn circles_are_found_as_groups() {
    let edges = [("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["b"]), ("d", vec!["a"])];
    let edges = edges.into_iter().map(|(from, to)| (from, to.into_iter().collect())).collect();
    assert_eq!(circles(&edges), [vec!["b", "c"]]);
}

#[test]
fn only_absolute_paths_are_remarked() {
    let folder = MACHINE_PATHS[0];
    assert!(has_absolute(&format!("cd {folder}main"), folder));
    assert!(has_absolute(&format!("file://{folder}main"), folder));
    assert!(!has_absolute(&format!("$HOME{folder} ../x{folder}"), folder));
}
