//! The table as a document.

use crate::command::{COMMANDS, COMMANDS_OF_A_MONITOR, Group, Spec};

/// Markdown: a table with one row per chapter, and in it the commands with their subcommands.
pub(crate) fn describe() -> String {
    let mut text = String::from("| chapter | commands |\n|---|---|\n");
    for (group, title) in CHAPTERS {
        // What both know is in the first of the tables.
        let table = match group {
            Group::Sentinel => COMMANDS_OF_A_MONITOR,
            _ => COMMANDS,
        };
        let commands: Vec<String> = table
            .iter()
            .filter(|spec| spec.group == group)
            .map(|spec| describe_one(spec))
            .collect();
        text.push_str(&format!("| {title} | {} |\n", commands.join(", ")));
    }
    text
}

/// In the order in which people ask for them.
const CHAPTERS: [(Group, &str); 7] = [
    (Group::Stream, "Streams"),
    (Group::Generic, "Generic"),
    (Group::Transactions, "Transactions"),
    (Group::Pubsub, "Publish and subscribe"),
    (Group::Connection, "Connections"),
    (Group::Server, "Server"),
    (Group::Sentinel, "Monitor"),
];

/// The name, and in brackets what may follow it.
fn describe_one(spec: &Spec) -> String {
    let subcommands: Vec<String> = spec.subcommands().iter().map(|sub| name(sub)).collect();
    if subcommands.is_empty() {
        name(spec)
    } else {
        format!("{} ({})", name(spec), subcommands.join(", "))
    }
}

fn name(spec: &Spec) -> String {
    format!("`{}`", spec.name.to_uppercase())
}
