//! The simulator as a page runs it, compiled to WebAssembly.
//!
//! The interface is four functions and the memory. The page writes a question as JSON to where
//! [`input`] says, calls [`run`], and reads the answer as JSON from where [`output`] says. The
//! answer names, for each column of each table, its type, address and length: the page copies these
//! from where they lie. So there are no bindings to generate, the only tools are rustc and a
//! bundler, and a hundred thousand rows cross the border without being turned into objects.
//!
//! [`answer`] is all of it but the border, and runs natively, in tests.
// Names of functions that WebAssembly exports are attributes that the compiler calls unsafe: two of
// one name would clash. Nothing else here is.
#![allow(unsafe_code)]
#![deny(missing_docs)]

mod answer;

pub use answer::{Answer, Question, answer};

use core::cell::RefCell;
use raft_sim::view::Film;

/// What the page and this module share.
#[derive(Default)]
struct Shared {
    input: Vec<u8>,
    output: Vec<u8>,
    /// Kept, since the answer holds the addresses of its columns.
    film: Option<Film>,
}

thread_local! {
    static SHARED: RefCell<Shared> = RefCell::default();
}

/// Makes room for a question of so many bytes. Returns where to write it.
#[unsafe(no_mangle)]
pub extern "C" fn input(bytes: usize) -> *const u8 {
    SHARED.with_borrow_mut(|shared| {
        shared.input.clear();
        shared.input.resize(bytes, 0);
        shared.input.as_ptr()
    })
}

/// Answers the question. What was answered before is gone.
#[unsafe(no_mangle)]
pub extern "C" fn run() {
    keep_panics();
    let question = SHARED.with_borrow_mut(|shared| {
        shared.film = None;
        shared.output.clear();
        core::mem::take(&mut shared.input)
    });
    let Answer { json, film } = answer(&question, &report_progress);
    SHARED.with_borrow_mut(|shared| {
        shared.output = json.into_bytes();
        shared.film = film;
    });
}

/// Where the answer is: JSON, or the message of a panic that ended [`run`].
#[unsafe(no_mangle)]
pub extern "C" fn output() -> *const u8 {
    SHARED.with_borrow(|shared| shared.output.as_ptr())
}

/// How many bytes the answer has.
#[unsafe(no_mangle)]
pub extern "C" fn output_bytes() -> usize {
    SHARED.with_borrow(|shared| shared.output.len())
}

/// A panic ends the whole module: its message is left where the answer would be.
fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.to_string();
        // A panic while the shared state is in use leaves no message.
        let _ = SHARED.try_with(|shared| {
            if let Ok(mut shared) = shared.try_borrow_mut() {
                shared.output = message.into_bytes();
            }
        });
    }));
}

#[cfg(target_arch = "wasm32")]
fn report_progress(seconds: u64) {
    #[link(wasm_import_module = "page")]
    unsafe extern "C" {
        /// The run has reached this second of virtual time.
        safe fn progress(seconds: f64);
    }
    progress(seconds as f64);
}

#[cfg(not(target_arch = "wasm32"))]
fn report_progress(_: u64) {}
