//! The table as a document.

use std::fmt::Write as _;

use super::table::{DIRECTIVES, Directive, Meaning, REFUSED_STATEMENTS, When};
use super::value::Kind;

/// Markdown: a table of the directives that have an effect, then what is accepted without one and
/// what is refused, each group with its reason.
pub(crate) fn describe() -> String {
    let mut text = String::from(
        "| directive | value | default | `CONFIG SET` | meaning |\n|---|---|---|---|---|\n",
    );
    for directive in of(Meaning::Here) {
        let Directive {
            name,
            default,
            doc,
            when,
            kind,
            ..
        } = directive;
        let default = if default.is_empty() { "\"\"" } else { default };
        let settable = match when {
            When::Runtime => "yes",
            When::Startup => "no",
        };
        let value = shape(*kind);
        writeln!(
            text,
            "| `{name}` | {value} | `{default}` | {settable} | {doc} |"
        )
        .expect("a string takes any text");
    }
    text.push_str("\nAccepted, stored and shown, without effect:\n\n");
    text.push_str(&reasons(
        of(Meaning::Accepted).map(|directive| (directive.name, directive.doc)),
    ));
    text.push_str("\nRefused, unless set to their defaults:\n\n");
    let statements = REFUSED_STATEMENTS.iter().copied();
    let fixed = of(Meaning::Fixed).map(|directive| (directive.name, directive.doc));
    text.push_str(&reasons(fixed.chain(statements)));
    text
}

fn of(meaning: Meaning) -> impl Iterator<Item = &'static Directive> {
    DIRECTIVES
        .iter()
        .filter(move |directive| directive.meaning == meaning)
}

/// A list of the reasons, each with the names that have it.
fn reasons(rows: impl Iterator<Item = (&'static str, &'static str)>) -> String {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, reason) in rows {
        let name = format!("`{name}`");
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name),
            None => groups.push((reason, vec![name])),
        }
    }
    groups.sort();
    groups
        .into_iter()
        .map(|(reason, names)| format!("- {reason}: {}\n", names.join(", ")))
        .collect()
}

/// What may stand behind a directive's name.
fn shape(kind: Kind) -> String {
    let bound = |max: i64| {
        if max == i64::MAX {
            String::new()
        } else {
            max.to_string()
        }
    };
    match kind {
        Kind::Bool => "`yes`, `no`".to_owned(),
        Kind::Choice(choices) => choices
            .iter()
            .map(|choice| format!("`{choice}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Form(_) | Kind::Words => "words".to_owned(),
        Kind::Int { min, max } => format!("{min}..{}", bound(max)),
        Kind::Memory { min, max } => format!("bytes, {min}..{}", bound(max)),
        Kind::MemoryOrPercent => "bytes or a percentage".to_owned(),
        Kind::Text => "text".to_owned(),
    }
}
