//! The project's laws, enforced by a test: which modules may import each other, how long code may be, where
//! `unsafe`, printing and third-party types may be used, and which names are banned.
//!
//! The tables come first, then one test per law, then the scanner. A law collects all its breaches, each with
//! file and line, before it fails. The scanner does not parse Rust: it blanks comments and literals, and reads
//! the rest as words and braces.

#![allow(clippy::print_stdout, reason = "the medians are printed for whoever asks for them")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every room of `src/`, with the rooms that it may import. Only `main` imports `cli`, and only `session` and
/// `cli` import `report`.
const ROOMS: &[(&str, &[&str])] = &[
    ("tensor", &[]),
    ("compare", &["tensor"]),
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
    ("case", &["graph", "inputs", "compare", "sim", "engine", "verdict"]),
    ("bundle", &["tensor"]),
    ("shrink", &["tensor", "graph", "inputs", "compare", "bounds", "engine", "walk"]),
    (
        "report",
        &[
            "tensor", "compare", "choice", "graph", "inputs", "engine", "walk", "verdict",
            "shrink", "case", "bundle", "bench", "matrix", "agree",
        ],
    ),
    (
        "session",
        &[
            "tensor", "compare", "choice", "graph", "inputs", "bounds", "engine", "walk", "worker",
            "verdict", "case", "agree", "bundle", "matrix", "report",
        ],
    ),
    ("cli", BELOW_CLI),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// The rooms that `cli` composes.
const BELOW_CLI: &[&str] = &[
    "tensor", "compare", "choice", "graph", "inputs", "sim", "engine", "walk", "worker", "case",
    "verdict", "shrink", "bundle", "bench", "matrix", "agree", "report", "session",
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
    ("statrs", &["src/agree"]),
    ("tar", &["src/bundle"]),
    ("zstd", &["src/bundle"]),
];

/// Where `unsafe` may be used.
const UNSAFE_HOME: &str = "src/worker/child/mnn";
/// Where offby may print and exit.
const PRINTING_HOMES: &[&str] = &["src/cli", "src/main"];
/// The macros that print.
const PRINTING_MACROS: &[&str] = &["println", "print", "eprintln", "eprint", "dbg"];
/// Names that do not describe the content.
const BANNED_NAMES: &[&str] = &["utils", "helpers", "common", "manager", "data", "golden"];
/// Reminders in comments, in two halves so this file does not accuse itself.
const REMINDERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
/// Folders of one machine, also in two halves.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];
/// Folders that the laws do not cover.
const SKIPPED_FOLDERS: &[&str] = &[".git", ".venv", "target"];

/// Lines a source file may have before its tests.
const MAX_FILE: usize = 500;
/// Lines a function may have.
const MAX_FUNCTION: usize = 60;
/// On the line above a function, exempts it from [`MAX_FUNCTION`].
const FLAT_TABLE: &str = "// a flat table";

// --- the laws ---------------------------------------------------------------

#[test]
fn rooms_import_only_what_the_table_allows() {
    let sources = rust_sources(&["src"]);
    let breaches = sources.iter().flat_map(|source| forbidden_imports(source, &sources)).collect();
    keep("a room imports only what the table in tests/tidy.rs allows", breaches);
}

fn forbidden_imports(source: &Source, all: &[Source]) -> Vec<String> {
    let (path, room) = (&source.path, source.room());
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        let remedy = "add it to ROOMS in tests/tidy.rs, with the rooms it may import";
        return vec![format!("{path}: room `{room}` is not in the table: {remedy}")];
    };
    imports(source, all)
        .into_iter()
        .filter(|(_, other)| *other != room && !allowed.contains(other))
        .map(|(at, other)| format!("{}: `{room}` may not import `{other}`", source.place(at)))
        .collect()
}

#[test]
fn rooms_do_not_import_each_other_in_circles() {
    let sources = rust_sources(&["src"]);
    let mut edges = BTreeMap::<&str, BTreeSet<&str>>::new();
    for source in &sources {
        let others = imports(source, &sources).into_iter().map(|(_, other)| other);
        edges.entry(source.room()).or_default().extend(others.filter(|o| *o != source.room()));
    }
    keep("no import cycles", cycle(&edges).map(|rooms| rooms.join(" -> ")).into_iter().collect());
}

#[test]
fn every_rust_file_says_what_it_is() {
    let sources = rust_sources(&["src", "tests", "benches", "examples"]);
    let headless = sources.iter().filter(|source| !source.text.starts_with("//!"));
    let breaches = headless.map(|source| format!("{}:1: no `//!` head", source.path)).collect();
    keep("every file begins with `//!`", breaches);
}

#[test]
fn files_and_functions_stay_short() {
    let mut breaches = Vec::new();
    let (mut file_sizes, mut function_sizes) = (Vec::new(), Vec::new());
    for source in rust_sources(&["src"]) {
        let lines = line_of(&source.code, source.tests_at()) - 1;
        if lines > MAX_FILE {
            breaches.push(format!("{}:1: {lines} lines without its tests", source.path));
        }
        file_sizes.push(lines);
        for function in functions(&source.code) {
            let Function { name, line, lines } = function;
            if lines > MAX_FUNCTION && !is_flat_table(&source.text, line) {
                breaches.push(format!("{}:{line}: `{name}` has {lines} lines", source.path));
            }
            function_sizes.push(lines);
        }
    }
    println!("lines: median file {}, function {}", median(file_sizes), median(function_sizes));
    keep(&format!("files: {MAX_FILE} lines, functions: {MAX_FUNCTION}"), breaches);
}

#[test]
fn unsafe_code_stays_in_its_room() {
    let law = format!("`unsafe` only under {UNSAFE_HOME}");
    keep(&law, strangers(&rust_sources(&["src"]), "unsafe", &[UNSAFE_HOME]));
}

#[test]
fn only_the_command_line_prints_and_exits() {
    let mut breaches = Vec::new();
    for source in rust_sources(&["src"]) {
        if PRINTING_HOMES.iter().any(|home| source.lives_in(home)) {
            continue;
        }
        for macro_name in PRINTING_MACROS {
            let calls = words(&source.code, macro_name);
            let calls = calls.filter(|at| source.code[at + macro_name.len()..].starts_with('!'));
            breaches.extend(calls.map(|at| format!("{}: {macro_name}!", source.place(at))));
        }
        let exits = words(&source.code, "process::exit");
        breaches.extend(exits.map(|at| format!("{}: process::exit", source.place(at))));
    }
    keep("printing and exiting only in src/cli and src/main.rs", breaches);
}

#[test]
fn nothing_bears_a_name_that_says_nothing() {
    let mut breaches = Vec::new();
    for source in rust_sources(&["src", "tests", "benches", "examples"]) {
        let names = source.path.trim_end_matches(".rs").split('/');
        let banned = names.filter(|name| BANNED_NAMES.contains(name));
        breaches.extend(banned.map(|name| format!("{}: `{name}`", source.path)));
        for at in words(&source.code, "mod") {
            let name = identifier(&source.code[at + "mod".len()..]);
            if BANNED_NAMES.contains(&name) {
                breaches.push(format!("{}: `mod {name}`", source.place(at)));
            }
        }
    }
    keep(&format!("never called any of {BANNED_NAMES:?}"), breaches);
}

#[test]
fn third_party_types_stay_home() {
    let sources = rust_sources(&["src"]);
    for (name, homes) in HOMES {
        let abroad =
            sources.iter().filter(|source| !homes.iter().any(|home| source.lives_in(home)));
        let paths = abroad.flat_map(|source| {
            crate_paths(&source.code, name).map(|at| format!("{}: `{name}`", source.place(at)))
        });
        keep(&format!("`{name}` only in {homes:?}"), paths.collect());
    }
}

/// Where a path begins at a crate, or the crate itself is imported; one of our own items may share its name.
fn crate_paths<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    words(code, name).filter(move |&at| {
        let (before, after) = (code[..at].trim_end(), code[at + name.len()..].trim_start());
        let imported = before.ends_with("use") || before.ends_with("extern crate");
        let ours = before.strip_suffix("::").is_some_and(|path| path.ends_with(is_word));
        !ours && (after.starts_with("::") || imported)
    })
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
    let reminders = REMINDERS.iter().filter(move |word| words(line, word).next().is_some());
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

/// Fails with all breaches of a law.
#[track_caller]
fn keep(law: &str, breaches: Vec<String>) {
    assert!(breaches.is_empty(), "{law}; but\n  {}\n", breaches.join("\n  "));
}

/// Where a word is used outside its homes.
fn strangers(sources: &[Source], word: &str, homes: &[&str]) -> Vec<String> {
    let abroad = sources.iter().filter(|source| !homes.iter().any(|home| source.lives_in(home)));
    abroad
        .flat_map(|source| words(&source.code, word).map(|at| source.place(at)))
        .map(|place| format!("{place}: `{word}`"))
        .collect()
}

// --- files ------------------------------------------------------------------

/// A Rust file; `code` is its text with comments and literals blanked, line for line.
struct Source {
    path: String,
    text: String,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Source { path: path.to_owned(), text: text.to_owned(), code: code_of(text) }
    }

    /// The first folder below `src/`, or the file that represents it.
    fn room(&self) -> &str {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inside.split('/').next().unwrap_or(inside)
    }

    /// How many modules deep the file is: 0 for `src/lib.rs`, 2 for `src/tensor/index.rs`.
    fn depth(&self) -> usize {
        let path = self.path.trim_end_matches("/mod.rs");
        if matches!(path, "src/lib.rs" | "src/main.rs") { 0 } else { path.matches('/').count() }
    }

    fn lives_in(&self, home: &str) -> bool {
        let rest = self.path.strip_prefix(home);
        rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// Where the trailing `#[cfg(test)] mod tests` begins, or the end of the file.
    fn tests_at(&self) -> usize {
        let is_tests = |(at, _): &(usize, &str)| {
            let mut lines = self.code[*at..].lines().map(str::trim);
            let item = lines.find(|line| !line.is_empty() && !line.starts_with("#["));
            item.is_some_and(|item| item.starts_with("mod tests"))
        };
        let tests = self.code.match_indices("#[cfg(test)]").find(is_tests);
        tests.map_or(self.code.len(), |(at, _)| at)
    }

    fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, line_of(&self.code, at))
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A path relative to the repository, with `/` on every system.
fn shown(path: &Path) -> String {
    let path = path.strip_prefix(repository()).unwrap_or(path);
    path.display().to_string().replace('\\', "/")
}

/// The Rust files under folders of the repository; a law about no files would always hold.
fn rust_sources(folders: &[&str]) -> Vec<Source> {
    let files = folders.iter().flat_map(|folder| files_under(&repository().join(folder)));
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a Rust file is readable UTF-8");
        Source::new(&shown(&path), &text)
    };
    let sources: Vec<Source> = rust.map(read).collect();
    assert!(!sources.is_empty(), "no Rust file under {folders:?}");
    sources
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

// --- imports ----------------------------------------------------------------

/// The rooms that a file names, in `use` or inside an expression, and where.
fn imports<'a>(source: &'a Source, all: &'a [Source]) -> Vec<(usize, &'a str)> {
    let trees = root_paths(source);
    let named = trees.flat_map(|at| heads(&source.code[at..]).into_iter().map(move |n| (at, n)));
    named.map(|(at, name)| (at, owner(name, all))).collect()
}

/// Where paths continue after the crate's root: after `crate::`, `offby::` or enough `super::`.
fn root_paths(source: &Source) -> impl Iterator<Item = usize> {
    let (code, tests_at) = (&source.code, source.tests_at());
    let absolute = ["crate::", "offby::"].into_iter().flat_map(move |root| {
        words(code, root.trim_end_matches(':'))
            .filter(move |&at| code[at..].starts_with(root))
            .map(move |at| at + root.len())
    });
    let first_super = |at: &usize| !code[..*at].ends_with("super::");
    let climbing = words(code, "super").filter(first_super).filter_map(move |at| {
        let rest = code[at..].trim_start_matches("super::");
        let climbed = (code.len() - at - rest.len()) / "super::".len();
        let depth = source.depth() + usize::from(at >= tests_at);
        (climbed > 0 && climbed >= depth).then_some(code.len() - rest.len())
    });
    absolute.chain(climbing)
}

/// The first names of a use tree: `a` of `a::b`, `a` and `b` of `{a::c, b::{d, e}}`.
fn heads(tree: &str) -> Vec<&str> {
    let Some(group) = tree.strip_prefix('{') else { return vec![head(tree)] };
    let (mut heads, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            ',' | '}' if depth == 0 => {
                heads.push(head(&group[start..at]));
                start = at + 1;
            }
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == '}' && start == at + 1 {
            break;
        }
    }
    heads.retain(|name| !name.is_empty() && *name != "self");
    heads
}

/// The first name of a path; `*` is kept, because it imports every room.
fn head(path: &str) -> &str {
    let path = path.trim_start();
    if path.starts_with('*') { "*" } else { identifier(path) }
}

/// The room of a name at the crate's root: itself, or the room that exports it as a macro.
fn owner<'a>(name: &'a str, all: &'a [Source]) -> &'a str {
    let definition = format!("macro_rules! {name}");
    let exports = |source: &&Source| words(&source.code, &definition).next().is_some();
    let is_room = all.iter().any(|source| source.room() == name);
    if is_room { name } else { all.iter().find(exports).map_or(name, Source::room) }
}

/// A cycle among the rooms, its first room repeated at the end.
fn cycle<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    edges.keys().find_map(|&room| cycle_after(vec![room], edges))
}

fn cycle_after<'a>(
    path: Vec<&'a str>,
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
) -> Option<Vec<&'a str>> {
    let nexts = path.last().and_then(|last| edges.get(last))?;
    nexts.iter().find_map(|next| {
        let longer = [&path[..], &[*next]].concat();
        match path.iter().position(|room| room == next) {
            Some(start) => Some(longer[start..].to_vec()),
            None => cycle_after(longer, edges),
        }
    })
}

// --- code as words and braces -----------------------------------------------

/// A function with a body; `lines` counts from `fn` to its closing brace.
struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

fn functions(code: &str) -> Vec<Function<'_>> {
    let function = |at: usize| {
        let rest = &code[at..];
        let name = identifier(rest["fn".len()..].trim_start());
        let body = body_at(rest)?;
        let end = body + block_length(&rest[body..]);
        let (line, last) = (line_of(code, at), line_of(code, at + end));
        (!name.is_empty()).then_some(Function { name, line, lines: last - line + 1 })
    };
    words(code, "fn").filter_map(function).collect()
}

/// Where the body's brace opens; `None` for a signature that ends in `;`.
fn body_at(signature: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in signature.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Bytes from an opening brace up to the one that closes it.
fn block_length(block: &str) -> usize {
    let mut depth = 0;
    for (at, c) in block.char_indices() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            return at;
        }
    }
    block.len()
}

fn is_flat_table(text: &str, line: usize) -> bool {
    let above = text.lines().nth(line.saturating_sub(2));
    above.is_some_and(|above| above.trim_start().starts_with(FLAT_TABLE))
}

/// The text with the characters of comments and literals blanked; lines stay lines.
fn code_of(text: &str) -> String {
    let (mut code, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let dead = not_code(rest);
        let (taken, left) = rest.split_at(dead.max(first.len_utf8()));
        let blank = |c: char| if dead > 0 && c != '\n' { ' ' } else { c };
        code.extend(taken.chars().map(blank));
        rest = left;
    }
    code
}

/// The length in bytes of the comment or literal that the text begins with, or 0.
fn not_code(text: &str) -> usize {
    match text.as_bytes() {
        [b'/', b'/', ..] => text.find('\n').unwrap_or(text.len()),
        [b'/', b'*', ..] => block_comment_length(text),
        [b'"', ..] => quoted_length(text, '"'),
        [b'r', b'"' | b'#', ..] => raw_string_length(text),
        [b'\'', ..] => character_length(text),
        _ => 0,
    }
}

fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let pair = text.as_bytes().get(at..at + 2);
        match pair {
            Some(b"/*") => depth += 1,
            Some(b"*/") => depth -= 1,
            _ => {}
        }
        at += if matches!(pair, Some(b"/*" | b"*/")) { 2 } else { 1 };
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a literal between two `quote`s, with its backslash escapes.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// The length of `r#"..."#`; 0 for a raw identifier.
fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    let open = 1 + hashes;
    if !text[open..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    text[open + 1..].find(&close).map_or(text.len(), |at| open + 1 + at + close.len())
}

/// The length of `'x'` or `'\n'`; 0 for a lifetime.
fn character_length(text: &str) -> usize {
    let mut inside = text.chars().skip(1);
    let is_literal = inside.next() == Some('\\') || inside.next() == Some('\'');
    if is_literal { quoted_length(text, '\'') } else { 0 }
}

/// Where `word` occurs as a whole word.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The identifier that the text begins with, after spaces; empty if there is none.
fn identifier(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    &text[..end]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line of a position, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

fn median(mut sizes: Vec<usize>) -> usize {
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().unwrap_or_default()
}

// --- the scanner on samples -------------------------------------------------

fn imported<'a>(source: &'a Source, all: &'a [Source]) -> Vec<&'a str> {
    imports(source, all).into_iter().map(|(_, room)| room).collect()
}

#[test]
fn comments_and_literals_are_blanked() {
    for (text, code) in [
        ("a // unsafe\nb", "a b"),
        ("a /* /* { */ } */ b", "a b"),
        (r#"("\"{", '{', '\'', b'"')"#, "( , , , b )"),
        (r###"r#"{"# r#fn br"\" x"###, "r#fn b x"),
        ("fn f<'a>(x: &'a str) { 'l: loop {} }", "fn f<'a>(x: &'a str) { 'l: loop {} }"),
        ("\"a\nb\" c", "c"),
    ] {
        let left = code_of(text);
        assert_eq!(left.split_whitespace().collect::<Vec<_>>().join(" "), code, "{text}");
        assert_eq!((left.len(), left.lines().count()), (text.len(), text.lines().count()));
    }
}

#[test]
fn functions_are_counted_from_fn_to_brace() {
    let code = code_of("fn a() {}\nfn b(\n    x: [u8; 2],\n) -> fn(u8) {\n    if x { \"}\" }\n}\n");
    let seen = functions(&code).iter().map(|f| (f.name, f.line, f.lines)).collect::<Vec<_>>();
    assert_eq!(seen, [("a", 1, 1), ("b", 2, 5)]);
    let bodiless = "trait T {\n    fn only_declared(&self);\n}\ntype F = fn(u8);\n";
    assert!(functions(bodiless).is_empty());
}

#[test]
fn a_marker_above_exempts_a_table() {
    let text = "/// Docs.\n// a flat table: one row per op\nfn table() {}\nfn other() {}\n";
    assert!(is_flat_table(text, 3));
    assert!(!is_flat_table(text, 4) && !is_flat_table(text, 1));
}

#[test]
fn trailing_tests_do_not_count() {
    let text = "//! Head.\nfn a() {}\n\n#[cfg(test)]\n#[allow(dead_code)]\nmod tests {\n}\n";
    let source = Source::new("src/tensor/index.rs", text);
    assert_eq!(line_of(&source.code, source.tests_at()), 4);
    let hidden = Source::new("src/tensor/index.rs", "#[cfg(test)]\nuse a::b;\n");
    assert_eq!(hidden.tests_at(), hidden.code.len());
}

#[test]
fn imports_are_seen_however_they_are_written() {
    let tensor = Source::new("src/tensor/value.rs", "macro_rules! with_array { () => {} }");
    let all = [tensor, Source::new("src/graph/mod.rs", "")];
    for (path, text, rooms) in [
        ("src/walk/a.rs", "use crate::graph::Cut; // crate::cli", vec!["graph"]),
        ("src/walk/a.rs", "use crate::{\n graph::{self, Cut},\n case, };", vec!["graph", "case"]),
        ("src/walk/a.rs", "fn f() { crate::with_array!(t, a => a.len()) }", vec!["tensor"]),
        ("src/walk/a.rs", "use crate::*; pub(crate) fn f() {}", vec!["*"]),
        ("src/walk/a.rs", "use super::Walk; use super::super::graph;", vec!["graph"]),
        ("src/walk/mod.rs", "use super::graph;", vec!["graph"]),
        ("src/walk/mod.rs", "#[cfg(test)]\nmod tests { use super::*; }", vec![]),
        ("src/main.rs", "use offby::cli; fn main() { my_offby::x() }", vec!["cli"]),
    ] {
        assert_eq!(imported(&Source::new(path, text), &all), rooms, "{text}");
    }
}

#[test]
fn an_unknown_room_is_told_to_join_the_table() {
    let all = [Source::new("src/attic/mod.rs", "")];
    assert!(forbidden_imports(&all[0], &all)[0].contains("add it to ROOMS"));
    let all = [Source::new("src/tensor/mod.rs", "\nuse crate::graph::Cut;")];
    let breach = "src/tensor/mod.rs:2: `tensor` may not import `graph`";
    assert_eq!(forbidden_imports(&all[0], &all), [breach]);
}

#[test]
fn the_table_itself_is_sound() {
    let edges: BTreeMap<_, BTreeSet<_>> =
        ROOMS.iter().map(|(room, others)| (*room, others.iter().copied().collect())).collect();
    assert_eq!(cycle(&edges), None);
    let knows = |room| edges.iter().filter(move |(_, others)| others.contains(room));
    assert!(knows("cli").all(|(room, _)| *room == "main"));
    assert!(knows("report").all(|(room, _)| ["session", "cli", "main"].contains(room)));
}

#[test]
fn a_cycle_is_named_room_by_room() {
    let edges = [("a", ["b"]), ("b", ["c"]), ("c", ["b"])].map(|(from, to)| (from, to.into()));
    assert_eq!(cycle(&edges.into()), Some(vec!["b", "c", "b"]));
}

#[test]
fn crates_are_known_by_their_paths() {
    for (code, count) in [
        ("use tar::Archive; fn f() { tar::Builder::new() }", 2),
        ("use tar as t; extern crate tar;", 2),
        ("let x: &tar :: Header = ::tar::of();", 2),
        ("use super::tar; struct S { tar: u8 } fn tar() { super::tar::open(self.tar) }", 0),
    ] {
        assert_eq!(crate_paths(code, "tar").count(), count, "{code}");
    }
}

#[test]
fn homes_are_folders_or_the_file_of_that_name() {
    for (path, home) in [("src/cli.rs", true), ("src/cli/run.rs", true), ("src/client.rs", false)] {
        assert_eq!(Source::new(path, "").lives_in("src/cli"), home, "{path}");
    }
}

#[test]
fn only_absolute_paths_are_remarked() {
    let folder = MACHINE_PATHS[0];
    assert!(has_absolute(&format!("cd {folder}main"), folder));
    assert!(has_absolute(&format!("file://{folder}main"), folder));
    assert!(!has_absolute(&format!("$HOME{folder} ../x{folder}"), folder));
}
