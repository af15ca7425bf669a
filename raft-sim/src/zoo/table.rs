//! The table in the zoo's README.

/// The line before the table.
pub const BEGIN: &str = "<!-- table -->";
/// The line after it.
pub const END: &str = "<!-- /table -->";

/// The text with a new table between [`BEGIN`] and [`END`]; `None` if these are not there.
pub fn replace_table(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", table.trim()))
}
