//! Commands about the server.

mod backup;
mod command;
mod config;
mod info;
mod lastsave;
mod role;
mod save;
mod shutdown;
mod time;
mod wait;

pub(crate) use backup::BACKUP;
pub(crate) use command::COMMAND;
pub(crate) use config::CONFIG;
pub(crate) use info::{INFO, INFO_OF_A_MONITOR};
pub(crate) use lastsave::LASTSAVE;
pub(crate) use role::{ROLE, ROLE_OF_A_MONITOR};
pub(crate) use save::{BGREWRITEAOF, BGSAVE, SAVE};
pub(crate) use shutdown::SHUTDOWN;
pub(crate) use time::TIME;
pub(crate) use wait::{WAIT, WAITAOF};
