//! The body of the fuzz target, run on the inputs in `fuzz/corpus/resp`.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "../../../fuzz/src/resp.rs"]
mod resp;

use std::path::Path;

#[test]
fn no_input_of_the_corpus_breaks_the_protocol() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/resp");
    let mut inputs = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("seed-") {
            resp::run(&std::fs::read(file.path()).unwrap());
            inputs += 1;
        }
    }
    assert!(inputs >= 50);
}
