//! The book's page on errors is about all of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

/// The variants of all public enums of `text`.
fn variants(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_within = false;
    for line in text.lines() {
        if line.starts_with("pub enum ") {
            is_within = !line.contains("FixedSetting");
        } else if line == "}" {
            is_within = false;
        } else if is_within && line.starts_with("    ") && !line.starts_with("     ") {
            let name: String = line
                .trim()
                .chars()
                .take_while(|it| it.is_alphanumeric())
                .collect();
            if name.chars().next().is_some_and(char::is_uppercase) {
                found.push(name);
            }
        }
    }
    found
}

#[test]
fn the_page_on_errors_names_each_error() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let page = fs::read_to_string(source.join("guide/errors.rs")).unwrap();
    let mut count = 0;
    for file in fs::read_dir(source.join("error")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for name in variants(&text) {
            assert!(page.contains(&format!("`{name}`")), "{name} is missing");
            count += 1;
        }
    }
    assert!(count > 90, "{count}");
}
