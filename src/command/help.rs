//! `<container> HELP`: the subcommands, told by the table itself.
//!
//! The shape is Redis' (a line for the syntax, an indented one for the meaning); the texts are the
//! syntax trees and summaries of the [`Spec`]s, so that no help is ever out of date.

use crate::command::{Access, Arg, Args, Body, Cx, Group, Halt, Kind, Outcome, Spec, Traits};

/// The HELP of a container.
pub(crate) const fn help(group: Group, since: &'static str) -> Spec {
    Spec {
        name: "help",
        summary: "Lists the subcommands.",
        since,
        complexity: "O(1)",
        group,
        access: Access::Neither,
        traits: Traits::LOADING.and(Traits::STALE),
        tips: &[],
        args: &[],
        body: Body::Run(run),
    }
}

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let Some(container) = cx.server.table.find(args.request().word(0)) else {
        unreachable!("the container was looked up to get here")
    };
    let subcommands = container.spec.subcommands();
    cx.out.array(1 + 2 * subcommands.len());
    cx.out.simple(&format!(
        "{} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        container.spec.name.to_ascii_uppercase()
    ));
    for spec in subcommands {
        cx.out.simple(&format!(
            "{}{}",
            spec.name.to_ascii_uppercase(),
            syntax(spec.args)
        ));
        cx.out.simple(&format!("    {}", spec.summary));
    }
    Ok(Outcome::Done)
}

/// The words after a name, each with a space before it.
pub(crate) fn syntax(args: &[Arg]) -> String {
    args.iter()
        .map(|arg| format!(" {}", arg_syntax(arg)))
        .collect()
}

fn arg_syntax(arg: &Arg) -> String {
    let once = match arg.kind {
        Kind::PureToken => String::new(),
        Kind::Block(parts) => syntax(parts).trim_start().to_owned(),
        Kind::OneOf(parts) => {
            let parts: Vec<String> = parts.iter().map(choice_syntax).collect();
            let choice = parts.join("|");
            // Brackets of its own would only stand in those of what can be left out.
            let is_bracketed = arg.optional && arg.token.is_none() && !arg.multiple;
            if is_bracketed {
                choice
            } else {
                format!("({choice})")
            }
        }
        Kind::Integer
        | Kind::Key(_)
        | Kind::Pattern
        | Kind::ShardChannel
        | Kind::String
        | Kind::UnixTime => {
            format!("<{}>", arg.display.unwrap_or(arg.name))
        }
    };
    let with_token = match arg.token {
        Some(token) => format!("{token} {once}").trim_end().to_owned(),
        None => once.clone(),
    };
    let text = match (arg.multiple, arg.multiple_token) {
        (false, _) => with_token,
        (true, false) => format!("{with_token} [{once} ...]"),
        (true, true) => format!("{with_token} [{with_token} ...]"),
    };
    if arg.optional {
        format!("[{text}]")
    } else {
        text
    }
}

/// One of several: that it could be left out means nothing, for one of them is given.
fn choice_syntax(arg: &Arg) -> String {
    let text = arg_syntax(arg);
    match text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
    {
        Some(given) if arg.optional => given.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_reads_like_the_manual() {
        const ARGS: &[Arg] = &[
            Arg::string("group"),
            Arg::one_of(
                "id-selector",
                &[Arg::string("id"), Arg::flag("new-id", "$")],
            ),
            Arg::flag("mkstream", "MKSTREAM").optional(),
            Arg::one_of(
                "mode",
                &[Arg::flag("write", "WRITE"), Arg::flag("all", "ALL")],
            )
            .optional(),
            Arg::int("count")
                .display("number")
                .token("COUNT")
                .optional(),
            Arg::string("name").many(),
            Arg::string("prefix").token("PREFIX").many_tokens(),
        ];
        assert_eq!(
            syntax(ARGS),
            " <group> (<id>|$) [MKSTREAM] [WRITE|ALL] [COUNT <number>] <name> [<name> ...] \
             PREFIX <prefix> [PREFIX <prefix> ...]"
        );
    }
}
