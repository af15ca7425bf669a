//! The command line of a mutant.

use std::ffi::OsString;

/// Which options are not the mutant's, but say which one it is.
const OWN: [&str; 2] = ["--mutant", "--root"];

/// The same command line for the mutant itself: without `--mutant NAME` and `--root FOLDER`.
pub fn without_mutant_options(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    let mut kept = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_str().unwrap_or_default();
        let name = text.split('=').next().unwrap_or_default();
        if text == "--" {
            kept.push(argument);
            kept.extend(arguments);
            break; // What follows are names of files.
        }
        match OWN.contains(&name) {
            true if name == text => drop(arguments.next()), // its value
            true => {}
            false => kept.push(argument),
        }
    }
    kept
}
