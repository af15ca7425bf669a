//! The command line of a mutant.

use std::ffi::OsString;

/// The options that choose the mutant, and mean nothing to it.
const OWN: [&str; 2] = ["--mutant", "--root"];

/// The command line for the mutant itself: without `--mutant NAME` and `--root FOLDER`.
pub fn without_mutant_options(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut kept = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        let name = text.split('=').next().unwrap_or_default();
        if text == "--" {
            kept.push(argument);
            kept.extend(arguments);
            break; // Names of files follow.
        }
        if !OWN.contains(&name) {
            kept.push(argument);
        } else if name == text {
            arguments.next(); // Its value.
        }
    }
    kept
}
