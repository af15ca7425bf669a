//! The arguments of each command, checked and typed. Errors have the texts of Redis.

mod admin;
mod arguments;
mod keys;
mod local;

pub(crate) use admin::*;
pub(crate) use arguments::{Arguments, Parsed, SHOWN_BYTES, shown, syntax_error, wrong_number};
pub(crate) use keys::*;
pub(crate) use local::*;
