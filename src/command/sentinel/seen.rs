//! `SENTINEL MASTERS`, `MASTER`, `REPLICAS`, `SENTINELS`, `INFO-CACHE`: all that is known of those
//! under watch.

use std::collections::BTreeSet;

use headwater_resp::Writer;

use super::{MASTER_NAME, NO_MASTER, subcommand, text, texts, write_pairs};
use crate::command::{Arg, Args, Body, Cx, Data, Halt, Outcome, Spec};
use crate::sentinel::Fields;

pub(super) static MASTERS: Spec = subcommand(
    "masters",
    "Describes all masters.",
    "2.8.4",
    "O(N) for N masters.",
    &[],
    masters,
);

pub(super) static PRIMARIES: Spec = Spec {
    name: "primaries",
    body: Body::Run(masters),
    ..MASTERS
};

pub(super) static MASTER: Spec = subcommand(
    "master",
    "Describes a master.",
    "2.8.4",
    "O(1)",
    &[MASTER_NAME],
    master,
);

pub(super) static PRIMARY: Spec = Spec {
    name: "primary",
    body: Body::Run(master),
    ..MASTER
};

pub(super) static REPLICAS: Spec = subcommand(
    "replicas",
    "Describes the replicas of a master.",
    "5.0.0",
    "O(N) for N replicas.",
    &[MASTER_NAME],
    replicas,
);

pub(super) static SLAVES: Spec = Spec {
    name: "slaves",
    since: "2.8.0",
    body: Body::Run(replicas),
    ..REPLICAS
};

pub(super) static SENTINELS: Spec = subcommand(
    "sentinels",
    "Describes the other monitors of a master.",
    "2.8.4",
    "O(N) for N monitors.",
    &[MASTER_NAME],
    sentinels,
);

pub(super) static INFO_CACHE: Spec = subcommand(
    "info-cache",
    "Returns what masters and their replicas said of themselves last.",
    "3.2.0",
    "O(N) for N instances.",
    &[Arg::string("nodename").many()],
    info_cache,
);

fn masters(cx: &mut Cx<'_>, _: &mut Args<'_>) -> Result<Outcome, Halt> {
    let shown = cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.show_masters());
    write_all(&mut cx.out, &shown);
    Ok(Outcome::Done)
}

fn master(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = text(args)?;
    let shown = cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.show_master(&name));
    write_pairs(&mut cx.out, &shown.ok_or(NO_MASTER)?);
    Ok(Outcome::Done)
}

fn replicas(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = text(args)?;
    let shown = cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.show_replicas(&name));
    write_all(&mut cx.out, &shown.ok_or(NO_MASTER)?);
    Ok(Outcome::Done)
}

fn sentinels(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = text(args)?;
    let shown = cx
        .server
        .sentinel()
        .with(|monitor, _| monitor.show_others(&name));
    write_all(&mut cx.out, &shown.ok_or(NO_MASTER)?);
    Ok(Outcome::Done)
}

fn write_all(out: &mut Writer<'_>, all: &[Fields]) {
    out.array(all.len());
    for one in all {
        write_pairs(out, one);
    }
}

fn info_cache(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let names = texts(args);
    let Data { server, out, .. } = &mut cx.data;
    server.sentinel().with(|monitor, _| {
        let cached = |name| Some((name, monitor.info_cache(name)?));
        // Once each, in whatever order Redis has them.
        let names: BTreeSet<&str> = names.iter().map(AsRef::as_ref).collect();
        let found: Vec<(&str, _)> = names.into_iter().filter_map(cached).collect();
        out.array(2 * found.len());
        for (name, nodes) in found {
            out.bulk(name.as_bytes());
            out.array(nodes.len());
            for (age_ms, text) in nodes {
                out.array(2);
                out.int(age_ms.cast_signed());
                match text {
                    Some(text) => out.bulk(text.as_bytes()),
                    None => out.null(),
                }
            }
        }
    });
    Ok(Outcome::Done)
}
