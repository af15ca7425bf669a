//! Typed errors, rejections and refusals: each says what was wrong, and what to do next.
//!
//! A message that no correct peer sends is *rejected* ([`Rejection`]). A request, or an input that
//! the contract does not allow, is *refused* ([`Refusal`] and the errors of the requests). A node
//! that cannot go on has *faulted* ([`Fault`]).

mod fault;
mod rejection;
mod request;
mod start;

pub use fault::{Fault, Refusal};
pub use rejection::Rejection;
pub use request::{ChangeError, ProposeError, ReadError, TransferError};
pub use start::{ConfigError, RecoveryError, StartError};
