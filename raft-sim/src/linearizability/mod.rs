//! Checks that what clients saw is linearizable: a service that does one operation at a time could
//! have given the same answers.
//!
//! A history is linearizable if all its operations can be put into one order such that each
//! operation takes effect between its beginning and its end, and each answer is the one that the
//! service gives in that order (Herlihy and Wing, 1990). [`check`] searches for such an order in a
//! complete history. [`Checker`] does so while the history happens, and forgets what it has
//! checked. Times are plain numbers of any clock that all operations share: virtual time in a
//! simulation, a monotonic clock in a test of real servers.
//!
//! ```
//! use raft_sim::linearizability::{History, KeyValue, KeyValueInput, KeyValueOutput};
//! use raft_sim::linearizability::{Operation, check};
//!
//! let operation = |client, invoked, returned, input, output| Operation {
//!     client,
//!     key: "x",
//!     invoked,
//!     returned: Some(returned),
//!     input,
//!     output: Some(output),
//! };
//! let write = KeyValueInput::Set("new".into());
//! let mut history: History<KeyValue<&str>> = History::new();
//! history.push(operation(1, 0, 10, write, KeyValueOutput::Done));
//! history.push(operation(2, 5, 15, KeyValueInput::Get, KeyValueOutput::Value(None)));
//! assert!(check(&history).is_ok(), "the read may come first");
//!
//! history.push(operation(3, 20, 30, KeyValueInput::Get, KeyValueOutput::Value(None)));
//! let violation = check(&history).unwrap_err();
//! println!("{violation}");
//! ```
//!
//! # The search
//!
//! The basis is the search of Wing and Gong (*Testing and verifying concurrent objects*, 1993):
//! place any operation that no other operation must precede and whose answer fits; when nothing
//! fits, take the last one back and try another. As Lowe (*Testing for linearizability*, 2017)
//! proposes, the search remembers which sets of operations it has placed and which states they led
//! to, and never goes on twice from the same point. The operations that are not placed are in a
//! linked list; taking one out and putting it back has constant cost. Each key is checked alone,
//! because a history is linearizable if and only if it is so on each key (Herlihy and Wing's
//! locality; Horn and Kroening, *Faster linearizability checking via P-compositionality*, 2015).
//! Nothing is recursive, and no hash order decides anything, so the same history always has the
//! same verdict in the same words.
//!
//! The following rules make the search try less. They depend on what a [`Model`] says about its
//! operations. A model that says nothing is checked as reliably, but more slowly.
//!
//! - A read ([`Model::is_read`]) that fits is placed at once, and is not tried later. It changes
//!   nothing, so any order that has it later is also valid with the read here.
//! - If an answer does not fit, and no operation that may still come before matters to it
//!   ([`Model::matters`]), the search turns back. So a write is not placed over a value that a read
//!   still needs, even if that read begins much later.
//! - A write is *idle* if it matters to nothing that may come right after it: nobody ever sees its
//!   value. It only has to be placed somewhere. So all idle writes that can come are placed at
//!   once, and only where the next operation overwrites them.
//!
//! # Operations of unknown outcome
//!
//! An operation that timed out, or whose client crashed, may take effect at any time after it
//! began, or never. If both were tried everywhere, each such operation would double the work.
//! Instead:
//!
//! - The search assumes that it took effect only right before an operation to which it matters, and
//!   which would lead to another state without it. This misses nothing: in an order that has no
//!   more such operations than needed, each of them is in such a place. Anywhere else it could be
//!   left out, and all that follows would stay the same. In particular a write whose value nobody
//!   observed is tried only if an operation does not find the value that the write may have
//!   replaced.
//! - Of two points that differ only in which of these operations took effect, the one with fewer
//!   covers the other: the remaining ones may still take effect, or never.
//! - Reads of unknown outcome say nothing, and are dropped.
//!
//! The problem is NP-complete, so some short histories would take forever. That is why
//! [`check_within`] and [`Checker`] have limits. Beyond them the verdict is [`Verdict::Unknown`].
#![deny(missing_docs)]

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
pub use verdict::{Exceeded, GivenUp, NotLinearizable, Verdict};
pub use whole::{check, check_within};
