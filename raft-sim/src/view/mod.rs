//! A run as people look at it: recorded in tables that a page draws, forwards and backwards.
//!
//! [`film`] runs a schedule and keeps all that the page shows: the [`Timeline`], the clients'
//! operations, the text of the trace, and the report with its digest. The page holds this same code
//! for WebAssembly and runs it in the browser. Whoever changes the schedule there sees what the
//! core makes of it, and the digest says that `raft-sim replay` makes the same run.

mod kinds;
mod source;
mod tables;
mod timeline;

pub use kinds::{EventKind, MessageFate};
pub use source::{SeedSource, Source, SourceError};
pub use tables::{
    CutRow, Cuts, EntryRow, EventRow, Events, FaultRow, Faults, LogEntries, MessageRow, Messages,
    NONE, NOWHERE, Numbers, OperationRow, Operations, StateRow, States,
};
pub use timeline::Timeline;

use crate::report::Report;
use crate::run;
use crate::schedule::Schedule;
use core::time::Duration;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// A run, and all that a page shows of it.
#[derive(Debug)]
pub struct Film {
    /// Its outcome.
    pub report: Report,
    /// What happened.
    pub timeline: Timeline,
    /// What clients did.
    pub operations: Operations,
    /// Each operation and its answer in words.
    pub operation_texts: Vec<String>,
    /// The text of the trace.
    pub trace: Vec<u8>,
}

/// Runs a schedule, and records it. `watch` is called with each second of virtual time that the run
/// has reached.
pub fn film(schedule: &Schedule, watch: &dyn Fn(Duration)) -> Film {
    let text = Text::default();
    let output = Box::new(text.clone());
    let run::Filmed {
        report,
        timeline,
        journal,
    } = run::film_schedule(schedule, output, watch);
    let (operations, operation_texts) = journal.into_table();
    Film {
        report,
        timeline,
        operations,
        operation_texts,
        trace: text.take(),
    }
}

/// The text of a trace, in memory.
#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Text {
    fn take(&self) -> Vec<u8> {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        core::mem::take(&mut text)
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
