//! The table in the zoo's README.

/// What stands before the table.
pub const BEGIN: &str = "<!-- table -->";
/// What stands after it.
pub const END: &str = "<!-- /table -->";

/// The text with another table between [`BEGIN`] and [`END`]; `None` if it has no place for one.
pub fn replace_table(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", table.trim()))
}
