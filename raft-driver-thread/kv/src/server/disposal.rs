//! Frees what a flush has removed, in a thread of its own, as lazy freeing in Redis does: for some
//! millions of keys that takes a second, and nothing waits for it.
//!
//! What waits is memory beside that of the keys, so it is bounded: whoever fills the server and
//! flushes it over and over would otherwise take ever more. Beyond the bound a flush frees its own
//! keys itself. That takes less time than it took to set them: others wait for it no longer than
//! they have waited for those writes.

use crate::state::{Disposal, Removed};
use std::io;
use std::sync::mpsc;
use std::thread;

/// How many bytes may wait to be freed, unless it is those of a single flush.
const MAX_WAITING_BYTES: u64 = 256 << 20;

/// Where a state machine leaves what it has removed. The thread ends with the machine.
pub(super) fn in_a_thread() -> io::Result<Disposal> {
    let (sender, removed) = mpsc::channel::<Removed>();
    thread::Builder::new()
        .name("kv-free".into())
        .spawn(move || {
            for removed in removed {
                drop(removed);
            }
        })?;
    Ok(Disposal::within(MAX_WAITING_BYTES, move |removed| {
        // If this fails, the thread has panicked, and the keys are freed here.
        let _ = sender.send(removed);
    }))
}
