//! Frees what a flush has removed, in a thread of its own, as lazy freeing in Redis does: for some
//! millions of keys that takes a second, and nothing waits for it.

use crate::state::{Disposal, Removed};
use std::io;
use std::sync::mpsc;
use std::thread;

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
    Ok(Disposal::new(move |removed| {
        // If this fails, the thread has panicked, and the keys are freed here.
        let _ = sender.send(removed);
    }))
}
