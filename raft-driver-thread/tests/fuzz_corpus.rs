//! The bodies of the fuzz targets `storage` and `log`, run over the inputs in `fuzz/corpus`.
#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used)]

use std::path::Path;

/// Runs `body` over each input of a target. Returns the number of inputs.
fn run(target: &str, body: fn(&[u8])) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut inputs = 0;
    for file in std::fs::read_dir(corpus.join(target)).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("seed-") {
            body(&std::fs::read(file.path()).unwrap());
            inputs += 1;
        }
    }
    inputs
}

#[test]
fn no_input_of_the_corpus_makes_of_a_folder_what_it_is_not() {
    assert!(run("storage", raft_fuzz::disk::storage::run) >= 20);
}

#[test]
fn no_input_of_the_corpus_lets_a_storage_forget() {
    assert!(run("log", raft_fuzz::disk::log::run) >= 20);
}
