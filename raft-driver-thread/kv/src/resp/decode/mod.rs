//! Bytes of a connection to requests, and to replies.

mod inline;
mod replies;
mod requests;
mod scanner;

pub use replies::{ReplyDecoder, ReplyLimits, decode_reply};
pub use requests::{RequestDecoder, RequestLimits};
