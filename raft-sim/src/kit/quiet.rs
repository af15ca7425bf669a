//! Panics of the code under test, which the kit catches: thousands of runs need not print each.

use core::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does something on this thread during which panics print nothing. The hook that prints them
/// otherwise stays in force for all other threads.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                usual(info);
            }
        }));
    });
    let was_quiet = IS_QUIET.replace(true);
    let result = work();
    IS_QUIET.set(was_quiet);
    result
}
