//! RESP, the Redis protocol: bytes to requests, replies to bytes.
//!
//! This crate does no I/O and knows no commands. The server gives a [`Decoder`] the bytes that
//! have arrived and gets [`Request`]s that point into them; it hands a [`Writer`] the buffer that
//! goes to the socket. The client side (links to other nodes, tests) writes requests with
//! [`encode_request`] and reads answers with [`reply::decode`].
//!
//! ```text
//!   socket bytes --> Decoder --> Request (words in place) --> command
//!                       |                                        |
//!                 ProtocolError: answer, then close              v
//!   socket bytes <-------------------------------------------- Writer
//! ```
//!
//! What a request may look like:
//!
//! ```text
//!   *2\r\n $4\r\nXLEN\r\n $6\r\norders\r\n      an array of bulk strings (shown with spaces)
//!   XLEN orders\r\n                             a line, for people at a terminal
//!   *0\r\n   *-1\r\n   \r\n                     an empty request: consumed, never answered
//! ```
//!
//! # Invariants
//!
//! * Nothing is allocated because a peer *declared* a length; memory follows the bytes that came.
//! * What a byte sequence means never depends on how it was cut into reads.
//! * Every length is strictly decimal, and every line and bulk string ends in CR LF. So the bulk
//!   strings of a request are their own canonical encoding and may be stored and sent as they are.
//! * No byte of a peer is looked at twice, except the few of a length that was cut in two.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(clippy::indexing_slicing)]

mod error;
mod inline;
mod limits;
mod number;
pub mod reply;
mod request;
mod writer;

pub use error::ProtocolError;
pub use inline::split as split_words;
pub use limits::Limits;
pub use request::{Decoder, OwnedRequest, Request};
pub use writer::{Protocol, Writer, encode_request};
