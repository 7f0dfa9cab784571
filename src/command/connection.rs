//! Commands about the connection itself.

mod auth;
mod client;
mod echo;
mod hello;
mod ping;
mod quit;
mod reset;
mod select;

pub(crate) use auth::AUTH;
pub(crate) use client::{CLIENT, CLIENT_OF_A_MONITOR};
pub(crate) use echo::ECHO;
pub(crate) use hello::HELLO;
pub(crate) use ping::PING;
pub(crate) use quit::QUIT;
pub(crate) use reset::RESET;
pub(crate) use select::{SELECT, database, numbered};
