//! The house rules that a program can check, and the tables in README.md.
//!
//! Every check is first shown an example that breaks it, so that it is known to be able to fail,
//! and then the tree. A finding says where, what and why, as `file:line: ...`.
//!
//! The checks read text, not syntax. That is enough because the tree is plain: `rustfmt` has laid
//! it out, tests stand at the end of a file, and imports are spelled out (a rule below).
//! `UPDATE=1 cargo test --test tidy` rewrites the tables in README.md.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests, too")]

#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use rules::{RULES, broken, unneeded};
use tree::{File, TREE, each_line, rust, statements};

#[test]
fn words_stand_where_they_belong() {
    for rule in RULES {
        sees(|files| broken(rule, files), &[rule.example]);
    }
    let all = RULES.iter().flat_map(|rule| broken(rule, &TREE));
    no_findings(&all.collect::<Vec<_>>());
}

#[test]
fn exceptions_are_needed() {
    fn check(files: &[File]) -> Vec<String> {
        let unneeded = RULES.iter().flat_map(|rule| unneeded(rule, files));
        unneeded.collect()
    }
    hold(check, &[("src/clock.rs", "//! Reads no clock.")]);
}

#[test]
fn lines_fit_into_a_hundred_columns() {
    fn check(files: &[File]) -> Vec<String> {
        each_line(files, |line| {
            let columns = line.chars().count();
            (columns > 100).then(|| format!("{columns} columns, wrap it at 100"))
        })
    }
    hold(check, &[("src/new.rs", &"/".repeat(101))]);
}

#[test]
fn sources_are_ascii() {
    fn check(files: &[File]) -> Vec<String> {
        each_line(files, |line| {
            let odd = line.chars().find(|letter| !letter.is_ascii())?;
            Some(format!("write `{odd}` in ASCII, or escape it"))
        })
    }
    hold(check, &[("src/new.rs", "// na\u{ef}ve")]);
}

#[test]
fn every_module_begins_by_saying_what_it_is() {
    fn check(files: &[File]) -> Vec<String> {
        rust(files)
            .filter(|file| !file.text.starts_with("//! "))
            .map(|file| file.finding(1, "begin with `//!` and what the module is"))
            .collect()
    }
    hold(check, &[("src/new.rs", "use std::io;\n\n//! Too late.")]);
}

#[test]
fn modules_are_named_after_what_they_are() {
    fn check(files: &[File]) -> Vec<String> {
        let odd = files.iter().filter(|file| file.path.ends_with("/mod.rs"));
        odd.map(|file| file.finding(1, "move `foo/mod.rs` to `foo.rs`"))
            .collect()
    }
    hold(check, &[("src/command/mod.rs", "")]);
}

#[test]
fn who_silences_a_lint_says_why() {
    fn check(files: &[File]) -> Vec<String> {
        let starts = ["#[allow(", "#[expect(", "#![allow(", "#![expect("];
        statements(files, &starts, |_, attribute, _| {
            (!attribute.contains("reason = \"")).then(|| "add `reason = \"...\"`".to_owned())
        })
    }
    hold(
        check,
        &[("src/new.rs", "    #[expect(\n        dead_code\n    )]\n")],
    );
}

#[test]
fn no_answer_of_matches_is_thrown_away() {
    fn check(files: &[File]) -> Vec<String> {
        statements(files, &["matches!("], |before, _, behind| {
            let begins = before.is_empty() || before.ends_with([';', '{', '}']);
            let dropped = begins && behind.starts_with(';');
            dropped.then(|| "nobody looks at the answer, put `assert!` around it".to_owned())
        })
    }
    let example = "fn test() {\n    matches!(\n        result,\n        Err(_)\n    );\n}\n";
    hold(check, &[("src/new.rs", example)]);
}

#[test]
fn every_file_is_compiled() {
    hold(
        unreached,
        &[
            ("src/lib.rs", "mod a;\n"),
            ("src/a.rs", ""),
            ("src/b.rs", ""),
        ],
    );
}

/// The files to which no `mod` leads from where Cargo begins.
fn unreached(files: &[File]) -> Vec<String> {
    let mut reached = BTreeSet::new();
    // Each with the folder of its children.
    let mut open: Vec<(String, String)> = rust(files)
        .filter(|file| file.is_root())
        .map(|file| (file.path.clone(), file.folder().to_owned()))
        .collect();
    while let Some((path, children)) = open.pop() {
        let Some(file) = files.iter().find(|file| file.path == path) else {
            continue;
        };
        if !reached.insert(path) {
            continue;
        }
        let mut elsewhere = None;
        for line in file.text.lines() {
            let module = line
                .strip_suffix(';')
                .and_then(|line| line.rsplit_once("mod "));
            if let Some(path) = line.strip_prefix("#[path = \"") {
                elsewhere = Some(path.trim_end_matches("\"]"));
            } else if let Some((visibility, name)) = module
                && (visibility.is_empty() || visibility.starts_with("pub"))
            {
                open.push(match elsewhere.take() {
                    // Its children are beside it, as those of a root are.
                    Some(path) => {
                        let path = format!("{}/{path}", file.folder());
                        let folder = path.rsplit_once('/').unwrap().0.to_owned();
                        (path, folder)
                    }
                    None => (
                        format!("{children}/{name}.rs"),
                        format!("{children}/{name}"),
                    ),
                });
            }
        }
    }
    rust(files)
        .filter(|file| !reached.contains(&file.path))
        .map(|file| file.finding(1, "no `mod` leads here: declare it or remove it"))
        .collect()
}

#[test]
fn readme_has_the_tables_that_the_program_prints() {
    let old = "<!-- commands -->\nold\n<!-- /commands -->\n";
    let new = "<!-- commands -->\n\nnew\n\n<!-- /commands -->\n";
    assert_eq!(with_table(old, "commands", "new\n"), new);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    // Behind the first table of the directives come those without an effect.
    let directives = printed("--directives");
    let directives = &directives[..=directives.find("\n\n").unwrap()];
    let expected = with_table(&readme, "commands", &printed("--commands"));
    let expected = with_table(&expected, "directives", directives);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, expected).unwrap();
    } else {
        assert!(
            readme == expected,
            "README.md: run `UPDATE=1 cargo test --test tidy`"
        );
    }
}

/// The text with this table between the marks `<!-- name -->` and `<!-- /name -->`.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let (before, rest) = text
        .split_once(&begin)
        .expect("README.md marks where the table begins");
    let (_, behind) = rest
        .split_once(&end)
        .expect("README.md marks where the table ends");
    format!("{before}{begin}\n{table}\n{end}{behind}")
}

fn printed(option: &str) -> String {
    let program = env!("CARGO_BIN_EXE_headwater");
    let output = Command::new(program).arg(option).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Shows a check an example that it must find fault with, and then the tree.
fn hold(check: impl Fn(&[File]) -> Vec<String>, example: &[(&str, &str)]) {
    sees(&check, example);
    no_findings(&check(&TREE));
}

fn sees(check: impl Fn(&[File]) -> Vec<String>, example: &[(&str, &str)]) {
    let files: Vec<File> = example.iter().copied().map(File::from).collect();
    assert!(!check(&files).is_empty(), "nothing is found in {example:?}");
}

fn no_findings(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
