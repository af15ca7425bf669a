//! The protocol that Redis and its clients speak: requests from bytes, commands from requests,
//! bytes from replies. Pure: no sockets, no clock, no state but that of a decoder.

pub mod error;
mod inline;
mod number;
pub mod parse;
pub mod reply;
pub mod request;
pub mod table;
mod walk;

pub use error::ProtocolError;
pub use parse::{
    Addressee, AdminCommand, ClientCommand, CommandCommand, Credentials, LibraryAttribute,
    LocalCommand, ParseLimits, Request, parse,
};
pub use reply::{ReplyDecoder, ReplyLimits, Version, decode_reply, encode_reply, encode_request};
pub use request::{RequestDecoder, RequestLimits};
