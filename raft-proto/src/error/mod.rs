//! Typed errors, rejections and refusals: each says what was wrong, and what to do next.
//!
//! A message that no correct peer sends is *rejected* ([`Rejection`]). A request, or an input that
//! the contract does not allow, is *refused* ([`Refusal`] and the errors of the requests). A node
//! that cannot go on has *faulted* ([`Fault`]).
//!
//! All but [`Fault`] are `non_exhaustive`: a later release may know more reasons, and a caller who
//! does not know one does what it does for any refusal: nothing was done, try again or give up.

mod election;
mod fault;
mod reconfigure;
mod rejection;
mod request;
mod start;

pub use election::{CampaignError, StepDownError};
pub use fault::{Fault, Refusal};
pub use reconfigure::{FixedSetting, ReconfigureError};
pub use rejection::Rejection;
pub use request::{ChangeError, ProposeError, ReadError, TransferError};
pub use start::{ConfigError, RecoveryError, StartError};
