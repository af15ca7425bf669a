//! Whether what clients saw can be explained by a service that does one operation at a time.
//!
//! A history is linearizable if all its operations can be put into one order such that each one
//! stands between its beginning and its end, and each answer is the one that the service gives
//! in that order (Herlihy and Wing, 1990). [`check`] looks for such an order in a history that is
//! there as a whole; [`Checker`] does so while the history happens, and forgets what it has
//! checked. Times are plain numbers of any clock that all operations share: virtual time in a
//! simulation, a monotonic clock in a test of real servers.
//!
//! ```
//! use raft_sim::linearizability::{History, KeyValue, KeyValueInput, KeyValueOutput, Operation, check};
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
//! place any operation that no other one has to precede and whose answer fits; when nothing
//! fits, take the last one back and try another. As Lowe (*Testing for linearizability*, 2017)
//! proposes, it remembers which sets of operations it has placed and which states they led to,
//! and never goes on twice from the same point; the operations that are left stand in a linked
//! list, from which they are taken and to which they return at constant cost. Each key is checked
//! alone, as a history is linearizable if and only if it is so on each key (Herlihy and Wing's
//! locality; Horn and Kroening, *Faster linearizability checking via P-compositionality*, 2015).
//! Nothing is recursive, and the order of no hash decides anything, so that the same history
//! always has the same verdict in the same words.
//!
//! The rest is there to try less. It rests on what a [`Model`] tells of its operations; one that
//! tells nothing is checked as surely, but slower.
//!
//! - A read ([`Model::is_read`]) that fits is placed at once, without trying it later: it changes
//!   nothing, so an order that has it later is as good with it here.
//! - Where an answer does not fit, and no operation that may still come before matters to it
//!   ([`Model::matters`]), there is no way on. So a write is not placed over a value that a read
//!   still waits for, even if that read begins much later.
//! - A write to which nothing that may come right after matters is *idle*: nobody ever sees what
//!   it wrote. It only has to be placed somewhere, so all idle writes that can come are placed
//!   at once, and only where the next operation overwrites them.
//!
//! # Operations of unknown outcome
//!
//! An operation that timed out, or whose client crashed, may take effect at any time after it
//! began, or never. Each would double the work if both were tried everywhere. Instead:
//!
//! - To assume that it took effect is tried only right before an operation to which it matters,
//!   and which would not come to the same without it. In an order that has no more of them than
//!   needed, each of them stands in such a place: anywhere else, it could be left out, and all
//!   that follows would stay. So nothing is missed. In particular a write whose value nobody
//!   observed is never tried, unless an operation fails to find the value that it overwrote.
//! - Of two points that differ only in which of them took effect, the one where fewer did covers
//!   the other one: those that are left may still come, or never.
//! - Reads of unknown outcome say nothing, and are dropped.
//!
//! The problem is NP-complete, so that there are short histories that take forever. Hence the
//! limits of [`check_within`] and [`Checker`]: the verdict is [`Verdict::Unknown`] then.
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
pub use verdict::{GivenUp, NotLinearizable, Verdict, Why};
pub use whole::{check, check_within};
