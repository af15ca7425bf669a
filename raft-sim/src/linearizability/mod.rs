//! Whether what clients saw can be explained by a service that does one operation at a time.
mod bits;
mod checker;
mod entries;
mod history;
mod key_value;
mod lookahead;
mod memo;
mod model;
mod problem;
mod prune;
mod search;
mod track;
mod verdict;
mod whole;

pub use checker::{Checker, CheckerError, Limits, OperationId};
pub use history::{History, Operation};
pub use key_value::{KeyValue, KeyValueInput, KeyValueOutput, Value};
pub use model::Model;
pub use verdict::{GivenUp, NotLinearizable, Verdict, Why};
pub use whole::{check, check_within};
