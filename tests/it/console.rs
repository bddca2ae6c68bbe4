//! Every console block of README and docs is what offby prints.
//!
//! A block begins with `$ COMMAND`. `[..]` stands for any text within a line, and a line of `...` for any lines.

use crate::support::need;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders of the repository that the commands read.
const FOLDERS: [&str; 4] = ["debug-models", "examples", "fixtures", "tests"];
const TARGETS: [&str; 3] = ["mnn:cpu", "mnn:vulkan:low", "mnn:opencl"];

/// A command of a page and the lines that should follow it.
struct Block {
    page: PathBuf,
    line: usize,
    command: String,
    expected: String,
}

#[test]
#[ignore = "needs Vulkan and OpenCL"]
fn console_blocks_are_what_offby_prints() {
    TARGETS.iter().for_each(|target| need(target));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|end| end == "md")));
    pages.sort();
    let blocks: Vec<Block> = pages.iter().flat_map(|page| blocks_of(page)).collect();
    assert!(blocks.len() >= 5, "only {} console blocks were found", blocks.len());
    let mut wrong = Vec::new();
    for block in &blocks {
        let printed = printed(root, &block.command);
        if std::env::var_os("OFFBY_RENEW").is_some() && !block.expected.contains("[..]") {
            renew(block, &printed);
        } else if !matches(&block.expected, &printed) {
            let Block { page, line, command, .. } = block;
            wrong.push(format!("{}:{line}: $ {command}\n{printed}", page.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} blocks are not what offby prints:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The console blocks of a page; each has one command.
fn blocks_of(page: &Path) -> Vec<Block> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line != "```console" {
            continue;
        }
        let inside: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let (first, rest) = inside.split_first().expect("a console block has a command");
        let command = first.strip_prefix("$ ").expect("a console block begins with `$ `");
        let expected = rest.iter().map(|line| format!("{line}\n")).collect();
        blocks.push(Block {
            page: page.to_owned(),
            line: at + 2,
            command: command.to_owned(),
            expected,
        });
    }
    blocks
}

/// What a command prints in a folder that has the repository's networks, without spaces at the ends of lines.
fn printed(root: &Path, command: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    for name in FOLDERS {
        symlink(root.join(name), folder.path().join(name)).unwrap();
    }
    let program = assert_cmd::cargo::cargo_bin("offby");
    let path =
        format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{command} 2>&1")]).current_dir(folder.path());
    shell.env("PATH", path).env("NO_COLOR", "1").env_remove("COLUMNS");
    let text = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn renew(block: &Block, printed: &str) {
    let text = fs::read_to_string(&block.page).unwrap();
    let old = format!("```console\n$ {}\n{}```", block.command, block.expected);
    let new = format!("```console\n$ {}\n{printed}```", block.command);
    fs::write(&block.page, text.replacen(&old, &new, 1)).unwrap();
}

/// Whether a text is as a pattern wants it.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<&str>, Vec<&str>) =
        (pattern.lines().collect(), text.lines().collect());
    match_lines(&pattern, &text)
}

fn match_lines(pattern: &[&str], text: &[&str]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((&"...", rest)) => (0..=text.len()).any(|skip| match_lines(rest, &text[skip..])),
        Some((first, rest)) => text
            .split_first()
            .is_some_and(|(line, others)| match_line(first, line) && match_lines(rest, others)),
    }
}

fn match_line(pattern: &str, line: &str) -> bool {
    match pattern.split_once("[..]") {
        None => pattern == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .any(|skip| rest.is_char_boundary(skip) && match_line(after, &rest[skip..]))
        }),
    }
}

#[test]
fn wildcards_stand_for_text_and_lines() {
    assert!(matches("a\n...\nd [..] s\n", "a\nb\nc\nd 6.4 s\n"));
    assert!(!matches("a\nd [..] s\n", "a\nb\nd 1 s\n"));
    assert!(matches("...\n", ""));
}
