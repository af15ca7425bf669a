//! The table of all commands: their names, arities, keys, descriptions and parsers.

mod commands;
mod describe;
mod spec;

pub(crate) use spec::Parser;
pub use spec::{Arity, CommandSpec, Flag, KeyPositions, Subcommand};

/// All commands, in the order of their names.
pub fn all() -> &'static [CommandSpec] {
    commands::COMMANDS
}

/// No command's name is longer.
const MAX_NAME_BYTES: usize = 16;

/// The command with this name, in any case.
pub fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    let mut lower_case = [0; MAX_NAME_BYTES];
    let lower_case = lower_case.get_mut(..name.len())?;
    lower_case.copy_from_slice(name);
    lower_case.make_ascii_lowercase();
    let place = all().binary_search_by(|spec| spec.name.as_bytes().cmp(lower_case));
    all().get(place.ok()?)
}
