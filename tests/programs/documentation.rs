//! README and docs/ agree with the programs and with the repository: command lines parse, flags,
//! links and anchors exist. Their Rust code is tested by the doctests of `src/lib.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::certificates::Authority;
use crate::common::process::Process;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SERVER: &str = env!("CARGO_BIN_EXE_server");
const CLIENT: &str = env!("CARGO_BIN_EXE_client");

/// A Markdown file of the repository.
struct Page {
    path: PathBuf,
    text: String,
}

impl Page {
    fn read(path: PathBuf) -> Page {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Page { path, text }
    }

    fn name(&self) -> String {
        let path = self.path.strip_prefix(ROOT).unwrap();
        path.display().to_string()
    }

    /// The lines outside fenced code.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut fenced = false;
        self.text.lines().filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
    }

    /// The code of each block with the language `language`.
    fn blocks(&self, language: &str) -> Vec<&str> {
        let fence = format!("```{language}\n");
        let starts = self.text.match_indices(&fence);
        starts
            .map(|(at, _)| {
                let code = &self.text[at + fence.len()..];
                &code[..code.find("```").expect("the end of the block")]
            })
            .collect()
    }

    /// The anchors that GitHub gives to the headings.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().filter(|line| line.starts_with('#'));
        headings
            .map(|line| anchor(line.trim_start_matches('#').trim()))
            .collect()
    }

    /// The targets of links and images, except those in code spans.
    fn links(&self) -> Vec<String> {
        let prose: Vec<_> = self.prose().collect();
        let prose = prose.join("\n");
        // Every second part is code.
        let text: Vec<_> = prose.split('`').step_by(2).collect();
        let text = text.join("code");
        let targets = text.split("](").skip(1);
        targets
            .map(|rest| rest.split(')').next().unwrap().into())
            .collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// README and docs/.
fn pages() -> Vec<Page> {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let readme = Path::new(ROOT).join("README.md");
    docs.chain([readme]).map(Page::read).collect()
}

/// Runs `program`, and returns the lines of its output.
#[track_caller]
fn succeed(program: &str, arguments: &[&str]) -> Vec<String> {
    let ended = Process::start(program, arguments).end();
    assert_eq!(ended.code, Some(0), "{program} {arguments:?}: {ended:?}");
    ended.output
}

/// The long flags in `text`.
fn flags(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("--").filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '-')
    });
    let names = starts.map(|(at, _)| {
        let rest = &text[at + 2..];
        let end = rest
            .find(|c: char| !c.is_ascii_lowercase() && c != '-')
            .unwrap_or(rest.len());
        &rest[..end]
    });
    let names = names.filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    names.map(|name| format!("--{name}")).collect()
}

/// The flags that the help of the programs lists.
fn listed_flags() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (program, command) in [
        (SERVER, ""),
        (CLIENT, ""),
        (CLIENT, "health"),
        (CLIENT, "list"),
        (CLIENT, "describe"),
    ] {
        let arguments = [command, "--help"];
        let help = succeed(
            program,
            arguments[usize::from(command.is_empty())..].as_ref(),
        );
        let entries = help.iter().map(|line| line.trim_start());
        for entry in entries.filter(|line| line.starts_with('-')) {
            all.extend(flags(entry.split("  ").next().unwrap()));
        }
    }
    assert!(all.len() > 50, "{all:?}");
    all
}

#[test]
fn readme_has_fewer_than_200_lines() {
    let readme = Page::read(Path::new(ROOT).join("README.md"));
    assert!(readme.text.lines().count() < 200);
}

#[test]
fn every_flag_in_a_table_exists() {
    let known = listed_flags();
    for page in pages() {
        for row in page.prose().filter(|line| line.starts_with('|')) {
            // Every second part is code.
            let code = row.split('`').skip(1).step_by(2);
            let ours = ["-", "server ", "client "];
            for code in code.filter(|code| ours.iter().any(|start| code.starts_with(start))) {
                for flag in flags(code) {
                    assert!(known.contains(&flag), "{}: {flag} in {row}", page.name());
                }
            }
        }
    }
}

#[test]
fn every_flag_is_documented() {
    let operating = Page::read(Path::new(ROOT).join("docs/operating.md"));
    let described = flags(&operating.text);
    let missing: Vec<_> = listed_flags().difference(&described).cloned().collect();
    assert!(missing.is_empty(), "not in docs/operating.md: {missing:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let benches = Path::new(ROOT).join("benches/README.md");
    let benches = benches.exists().then(|| Page::read(benches)); // if not, README's link is dead
    let mut dead = Vec::new();
    for page in pages().iter().chain(&benches) {
        let links = page.links();
        for link in links.iter().filter(|link| !link.contains("://")) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.path.clone(),
                path => page.path.parent().unwrap().join(path),
            };
            if !target.exists()
                || !anchor.is_empty() && !Page::read(target).anchors().contains(anchor)
            {
                dead.push(format!("{}: {link}", page.name()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

/// Each command line runs as written, with `--check-config`, which binds nothing and connects to
/// nothing, in a directory that has the files that it names.
#[test]
fn every_command_line_is_valid() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let files = Authority::new().issue_files(here, "made", &["localhost"]);
    fs::copy(&files.certificate, here.join("server.pem")).unwrap();
    fs::copy(&files.key, here.join("server.key")).unwrap();
    fs::write(here.join("tokens"), "a-token\n").unwrap();
    fs::create_dir(here.join("logs")).unwrap();
    fs::write(here.join("key"), [7; 32]).unwrap();
    fs::write(here.join("server.toml"), "step = \"250ms\"\n").unwrap();

    let mut checked = 0;
    for page in pages() {
        for block in page.blocks("sh") {
            for line in block.replace("\\\n", " ").lines() {
                let command = line
                    .split(" #")
                    .next()
                    .unwrap()
                    .trim_end_matches([' ', '&']);
                // Its output may go to a directory that does not exist here.
                let command = command.split(" > ").next().unwrap();
                let mut words = command
                    .split_whitespace()
                    .skip_while(|word| word.contains('='));
                let program = match words.next() {
                    Some("server") => SERVER,
                    Some("client") => CLIENT,
                    _ => continue,
                };
                let name = Path::new(program).file_name().unwrap().to_str().unwrap();
                let check = match command.contains("--check-config") {
                    true => "",
                    false => "--check-config",
                };
                let function = format!("{name}() {{ '{program}' {check} \"$@\"; }}");
                let script = format!("cd '{}' && {function} && {command}", here.display());
                let ended = Process::start("sh", ["-c", &script]).end();
                assert_eq!(ended.code, Some(0), "{}: {line}: {ended:?}", page.name());
                checked += 1;
            }
        }
    }
    assert!(checked > 12, "only {checked} command lines");
}

/// `build.rs` can't be a doctest here, where fanstream-build is no dependency of the library. So
/// the blocks that are not compiled must be those that the doctests of fanstream-build compile.
#[test]
fn code_that_is_not_compiled_here_is_compiled_elsewhere() {
    let codegen = Page::read(Path::new(ROOT).join("proto/codegen/src/lib.rs"));
    let lines = codegen.text.lines().map(str::trim_start);
    let comments = lines.filter_map(|line| {
        let header = line.strip_prefix("//! ");
        header.or_else(|| line.strip_prefix("/// "))
    });
    let text: Vec<_> = comments.collect();
    let text = text.join("\n");
    for page in pages() {
        for block in page.blocks("rust,ignore") {
            assert!(
                text.contains(&format!("```no_run\n{block}```")),
                "{}: {block}",
                page.name()
            );
        }
    }
}
