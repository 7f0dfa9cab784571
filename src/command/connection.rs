//! Commands about the connection itself.

mod auth;
mod echo;
mod ping;
mod quit;
mod select;

pub(crate) use auth::AUTH;
pub(crate) use echo::ECHO;
pub(crate) use ping::PING;
pub(crate) use quit::QUIT;
pub(crate) use select::SELECT;
