//! The files that are checked, and ways to look at them.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// How much of a file is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// Without comments and tests.
    Product,
    /// Without comments.
    Code,
    All,
}

/// A file of the tree, or an example of one.
pub(crate) struct File {
    /// From the root of the repository.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl From<(&str, &str)> for File {
    fn from((path, text): (&str, &str)) -> Self {
        let (path, text) = (path.to_owned(), text.to_owned());
        Self { path, text }
    }
}

impl File {
    /// The lines of a part, with their numbers.
    pub(crate) fn lines(&self, part: Part) -> impl Iterator<Item = (usize, String)> {
        let is_manifest = self.path.ends_with(".toml");
        let comment = if is_manifest { "#" } else { "//" };
        let is_test = self.path.contains("tests/") || self.path.ends_with("/tests.rs");
        let is_product = move |line| !is_test && line != "#[cfg(test)]";
        let lines = self.text.lines().enumerate();
        lines
            .take_while(move |(_, line)| !matches!(part, Part::Product) || is_product(*line))
            .map(move |(i, line)| {
                let mut line = line.to_owned();
                if !matches!(part, Part::All)
                    && let Some(at) = line.find(comment)
                    && (at == 0 || line[..at].ends_with(' '))
                {
                    line.truncate(at);
                }
                if is_manifest {
                    // As code spells the names of crates.
                    line = line.replace('-', "_");
                }
                (i + 1, line)
            })
    }

    pub(crate) fn finding(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    pub(crate) fn folder(&self) -> &str {
        self.path.rsplit_once('/').unwrap().0
    }

    /// Whether Cargo begins to compile here.
    pub(crate) fn is_root(&self) -> bool {
        let words: Vec<&str> = self.path.split('/').collect();
        matches!(
            words[..],
            ["src", "lib.rs" | "main.rs"]
                | [_, "src", "lib.rs" | "main.rs"]
                | ["tests", _]
                | [_, "tests", _]
                | ["tests", _, "main.rs"]
                | [_, "tests", _, "main.rs"]
        )
    }
}

/// All Rust files of the workspace, and the manifests of its crates.
pub(crate) static TREE: LazyLock<Vec<File>> = LazyLock::new(read_tree);

fn read_tree() -> Vec<File> {
    fn walk(root: &Path, path: &str, files: &mut Vec<File>) {
        let full = root.join(path);
        if full.is_dir() {
            let mut names: Vec<_> = fs::read_dir(&full)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            for name in names {
                walk(root, &format!("{path}/{name}"), files);
            }
        } else if path.ends_with(".rs") || path.ends_with("Cargo.toml") && full.exists() {
            let (path, text) = (path.to_owned(), fs::read_to_string(&full).unwrap());
            files.push(File { path, text });
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = manifest
        .lines()
        .find(|line| line.starts_with("members = "))
        .unwrap();
    let mut files = Vec::new();
    for member in members.split('"').skip(1).step_by(2) {
        for part in ["Cargo.toml", "src", "tests"] {
            let path = format!("{member}/{part}");
            walk(root, path.trim_start_matches("./"), &mut files);
        }
    }
    assert!(files.len() > 150, "only {} files found", files.len());
    files
}

pub(crate) fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path.ends_with(".rs"))
}

/// What a check says about each line of Rust.
pub(crate) fn each_line(files: &[File], check: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for file in rust(files) {
        for (number, line) in file.lines(Part::All) {
            findings.extend(check(&line).map(|what| file.finding(number, &what)));
        }
    }
    findings
}

/// What a check says about all that begins a line with one of `starts`, which ends with a bracket.
/// It is given the code before, all up to the closing bracket, and the code behind.
pub(crate) fn statements(
    files: &[File],
    starts: &[&str],
    check: impl Fn(&str, &str, &str) -> Option<String>,
) -> Vec<String> {
    let mut findings = Vec::new();
    for file in rust(files) {
        let lines: Vec<String> = file.lines(Part::Code).map(|(_, line)| line).collect();
        for (i, line) in lines.iter().enumerate() {
            let line = line.trim_start();
            if !starts.iter().any(|start| line.starts_with(start)) {
                continue;
            }
            let rest = format!("{line}\n{}", lines[i + 1..].join("\n"));
            let mut depth = 0;
            let end = rest.find(|letter| {
                depth += i32::from(letter == '(') - i32::from(letter == ')');
                letter == ')' && depth == 0
            });
            let (statement, behind) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            let before = lines[..i].join("\n");
            if let Some(what) = check(before.trim_end(), statement, behind) {
                findings.push(file.finding(i + 1, &what));
            }
        }
    }
    findings
}
