//! `SENTINEL GET-MASTER-ADDR-BY-NAME`: where a master is now, which is what clients ask.

use super::{MASTER_NAME, subcommand, text};
use crate::command::{Args, Body, Cx, Halt, Outcome, Spec};

pub(super) static GET_MASTER: Spec = subcommand(
    "get-master-addr-by-name",
    "Returns where a master is.",
    "2.8.4",
    "O(1)",
    &[MASTER_NAME],
    run,
);

pub(super) static GET_PRIMARY: Spec = Spec {
    name: "get-primary-addr-by-name",
    body: Body::Run(run),
    ..GET_MASTER
};

fn run(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = text(args)?;
    match cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.address(&name))
    {
        Some(address) => {
            cx.out.array(2);
            cx.out.bulk(address.host.as_bytes());
            cx.out.bulk(address.port.to_string().as_bytes());
        }
        None => cx.out.null_array(),
    }
    Ok(Outcome::Done)
}
