//! A log of many stretches loses a page, whichever, and a peer has its entries: it is again what it
//! was.

use crate::crash::Crash;
use crate::disk::{Disk, Image, Node};
use crate::mending::mend_with;
use crate::scenario::{FOLDER, Life, empty_image};
use raft_driver_thread::raft_proto::Recovered;
use std::path::Path;

const PAGE: usize = 4096;

/// A log of about 500 kB in many segments, which was opened twice.
fn long_life() -> Life {
    let mut life = Life::new(Disk::holding(empty_image()), Recovered::default(), 0);
    life.start().unwrap();
    for _ in 0..150 {
        life.append_payload(&[300, 900, 20]).unwrap();
    }
    life.start().unwrap();
    for _ in 0..250 {
        life.append_payload(&[300, 900, 20]).unwrap();
    }
    life
}

/// The segments: the name and the file's number.
fn segments(image: &Image) -> Vec<(String, usize)> {
    let log = Path::new(FOLDER).join("log");
    let files = image.names.iter().filter_map(|(path, node)| match node {
        Node::File(file) if path.parent() == Some(&log) => {
            Some((path.display().to_string(), *file))
        }
        Node::File(_) | Node::Folder => None,
    });
    files.filter(|(name, _)| name.ends_with(".log")).collect()
}

#[derive(Debug, Default)]
struct Counts {
    /// Entries were fetched, and the log is what it was.
    fetched: u32,
    /// The log is what it was: nothing of it was lost.
    whole: u32,
    /// It is not mended, and the node is told so.
    lost: u32,
    /// The last records are taken for a write that the power failure tore.
    torn: u32,
}

/// Zeros each page of the segments.
fn lose_pages(image: &Image, life: &Life) -> Counts {
    let expected = life.states.last().unwrap();
    let peer = [expected.entries.clone()];
    let mut counts = Counts::default();
    for (_, file) in segments(image) {
        let length = image.files[file].len();
        for at in (0..length).step_by(PAGE) {
            let mut damaged = image.clone();
            damaged.files[file][at..(at + PAGE).min(length)].fill(0);
            match mend_with(&Disk::holding(damaged), &peer) {
                Some((found, fetched)) => {
                    assert_eq!(found.impaired, None);
                    if found.entries != expected.entries {
                        counts.torn += 1;
                    } else if fetched > 0 {
                        counts.fetched += 1;
                    } else {
                        counts.whole += 1;
                    }
                }
                None => counts.lost += 1,
            }
        }
    }
    counts
}

#[test]
fn whichever_page_of_a_log_is_lost_a_peer_makes_it_whole() {
    let mut life = long_life();
    life.stop();
    let image = life.disk.image();
    let counts = lose_pages(&image, &life);
    println!("{counts:?}");
    // The page with the first records of all has the identity, which no peer can give.
    assert_eq!((counts.lost, counts.torn), (1, 0), "{counts:?}");
    assert!(counts.fetched > 100, "{counts:?}");
    // Those without records, and those of the segments' headers.
    assert!(counts.whole > 20, "{counts:?}");
}

#[test]
fn without_the_marks_last_words_all_is_mended_but_the_last_stretches() {
    let mut life = long_life();
    // The power fails, and of the mark's writes since the last sync nothing is left.
    let mark = Path::new(FOLDER).join("mark");
    let mut crash = Crash::starting_with(empty_image());
    life.disk.calls().iter().for_each(|call| crash.call(call));
    let image = crash.durable().clone();
    life.stop();
    assert!(image.names.contains_key(&mark));
    let counts = lose_pages(&image, &life);
    println!("{counts:?}");
    assert!(counts.fetched > 60, "{counts:?}");
    // Two stretches, and what their records take besides.
    assert!((counts.lost as usize) < 3 * (64 << 10) / PAGE, "{counts:?}");
    // Nothing says that the last record was synced.
    assert!(counts.torn <= 1, "{counts:?}");
}
