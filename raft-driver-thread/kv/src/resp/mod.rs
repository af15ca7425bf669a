//! RESP, the protocol that Redis and its clients speak, in its versions 2 and 3.
//!
//! A request passes through these files: `decode` cuts the bytes of a connection into requests;
//! `dispatch` finds the request's first word in `table`, whose row names a function of `parse`;
//! that function turns the arguments into a [`Request`]. `encode` turns the reply into bytes.
//! `decode` and `encode` also serve a client: the servers ask each other in this protocol.
//!
//! All of it is pure: no sockets, no clock, and no state but that of a decoder.

mod decode;
mod dispatch;
mod encode;
mod error;
mod number;
mod parse;
mod request;
pub mod table;

pub use decode::{ReplyDecoder, ReplyLimits, RequestDecoder, RequestLimits, decode_reply};
pub use dispatch::{ParseLimits, Refusal, Understood, parse, parse_for_queue};
pub use encode::{ReplySink, Version, encode_reply, encode_reply_to, encode_request};
pub use error::ProtocolError;
pub use request::{
    Addressee, AdminCommand, ClientCommand, ClientFilter, CommandCommand, Credentials, Join,
    LibraryAttribute, LocalCommand, Move, Replace, Request,
};
