//! `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`: names, with those of
//! the subcommands.

use crate::command::facts::category;
use crate::command::{Args, Command, Cx, Halt, Outcome, Table};
use crate::glob::{self, Case};
use crate::refusal::Refusal;

pub(super) fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let names: Vec<&str> = filtered(cx.server.table, args)?
        .map(|command| command.full_name.as_str())
        .collect();
    cx.out.array(names.len());
    for name in names {
        cx.out.bulk(name.as_bytes());
    }
    Ok(Outcome::Done)
}

fn filtered<'a>(
    table: &'static Table,
    args: &mut Args<'a>,
) -> Result<Box<dyn Iterator<Item = &'static Command> + 'a>, Refusal> {
    let all = table.all.iter();
    if args.is_empty() {
        return Ok(Box::new(all));
    }
    if args.left() != 3 || !args.eat("FILTERBY") {
        return Err(Refusal::Syntax);
    }
    if args.eat("MODULE") {
        args.skip(1);
        return Ok(Box::new(std::iter::empty()));
    }
    if args.eat("ACLCAT") {
        let category = category(args.word()?);
        return Ok(Box::new(all.filter(move |command| {
            category.is_some_and(|category| command.categories().contains(&category))
        })));
    }
    if args.eat("PATTERN") {
        let pattern = args.word()?;
        return Ok(Box::new(all.filter(move |command| {
            glob::matches(pattern, command.full_name.as_bytes(), Case::Ignored)
        })));
    }
    Err(Refusal::Syntax)
}
