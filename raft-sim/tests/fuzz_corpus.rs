//! The body of the fuzz target `cluster`, run over the inputs in `fuzz/corpus/cluster`.
#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn no_input_of_the_corpus_breaks_a_cluster() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/cluster");
    let mut inputs = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_string_lossy().starts_with("seed-") {
            raft_fuzz::cluster::run(&std::fs::read(file.path()).unwrap());
            inputs += 1;
        }
    }
    assert!(inputs >= 10);
}
