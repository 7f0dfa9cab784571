//! `BACKUP name`: a copy of all data, made while the server goes on.
//!
//! * Ours, not Redis'. The directory `name` appears in `backup-dir`, whole, when all of it is on
//!   the disk; it is one that a server can be started with.
//! * It holds everything that was acknowledged before the command was sent. Nobody else waits.
//! * The reply comes when it is made: the end of its log, its files, their bytes, and how many of
//!   these take space of their own. A connection that is closed does not end it.

use std::path::PathBuf;

use headwater_store::backup::BackupError;

use crate::command::{
    Access, Arg, Args, Body, Cx, Group, Halt, Outcome, Park, Served, Spec, Traits,
};
use crate::config;
use crate::refusal::Refusal;

/// A file system takes no longer names.
const NAME_MAX: usize = 200;

pub(crate) static BACKUP: Spec = Spec {
    name: "backup",
    summary: "Copies all data to a directory of that name, and returns when it is on disk.",
    since: "7.2.4",
    complexity: "O(N) for N files, and for the bytes that have to be copied.",
    group: Group::Server,
    access: Access::Neither,
    traits: Traits::ADMIN
        .and(Traits::NO_SCRIPT)
        .and(Traits::NO_ASYNC_LOADING)
        .and(Traits::NO_MULTI),
    tips: &[],
    args: &[Arg::string("name")],
    body: Body::Run(backup),
};

fn backup(cx: &mut Cx<'_>, args: &mut Args<'_>) -> Result<Outcome, Halt> {
    let name = args.word()?;
    let dir = cx.server.config.text(config::BACKUP_DIR);
    if dir.is_empty() {
        let text = "ERR There is no place for backups; set backup-dir and start again";
        return Err(Refusal::Command(text).into());
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let name = str::from_utf8(name)
        .ok()
        .filter(|name| (1..=NAME_MAX).contains(&name.len()) && name.as_bytes().iter().all(plain));
    let Some(name) = name else {
        let text = "ERR The name of a backup is made of letters, digits, - and _";
        return Err(Refusal::Command(text).into());
    };
    let target = PathBuf::from(dir).join(name);
    let Some(making) = cx.server.backups.begin(cx.opened(), target) else {
        return Err(Refusal::Command("ERR A backup is being made already").into());
    };
    let until = making.clone();
    let park = Park::idle(0, move |data| {
        let made = match making.made() {
            None => return Ok(Served::NotYet),
            Some(Ok(made)) => made,
            Some(Err(BackupError::Taken { .. })) => {
                let text = "ERR There is a backup of that name already";
                return Err(Refusal::Command(text).into());
            }
            Some(Err(_)) => {
                let text = "ERR The backup failed; the server's log lines say why";
                return Err(Refusal::Command(text).into());
            }
        };
        let facts = [
            ("lsn", made.lsn.get()),
            ("files", made.files),
            ("bytes", made.bytes),
            ("copied-bytes", made.copied_bytes),
        ];
        data.out.map(facts.len());
        for (name, number) in facts {
            data.out.bulk(name.as_bytes());
            data.out.int(number.try_into().unwrap_or(i64::MAX));
        }
        Ok(Served::Yes)
    });
    Ok(Outcome::Park(park.until_backup(until)))
}
