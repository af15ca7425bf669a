//! The tables of a timeline, column by column.
//!
//! A page looks at a hundred thousand rows sixty times a second. So each column is one array of
//! numbers, which a browser reads where it lies, and no row is an object.

/// A missing number in a column of whole numbers.
pub const NONE: u32 = u32::MAX;

/// A missing place of a machine.
pub const NOWHERE: u8 = u8::MAX;

/// The numbers of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numbers<'a> {
    /// Small numbers.
    U8(&'a [u8]),
    /// Indexes, terms and references to rows.
    U32(&'a [u32]),
    /// Virtual times, in nanoseconds.
    F64(&'a [f64]),
}

impl Numbers<'_> {
    /// The type as JavaScript calls its arrays.
    pub fn array_type(&self) -> &'static str {
        match self {
            Numbers::U8(_) => "Uint8Array",
            Numbers::U32(_) => "Uint32Array",
            Numbers::F64(_) => "Float64Array",
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Numbers::U8(numbers) => numbers.len(),
            Numbers::U32(numbers) => numbers.len(),
            Numbers::F64(numbers) => numbers.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the numbers lie in memory. It stays so until a row is added.
    pub fn address(&self) -> usize {
        match self {
            Numbers::U8(numbers) => numbers.as_ptr() as usize,
            Numbers::U32(numbers) => numbers.as_ptr() as usize,
            Numbers::F64(numbers) => numbers.as_ptr() as usize,
        }
    }
}

impl<'a> From<&'a Vec<u8>> for Numbers<'a> {
    fn from(numbers: &'a Vec<u8>) -> Numbers<'a> {
        Numbers::U8(numbers)
    }
}

impl<'a> From<&'a Vec<u32>> for Numbers<'a> {
    fn from(numbers: &'a Vec<u32>) -> Numbers<'a> {
        Numbers::U32(numbers)
    }
}

impl<'a> From<&'a Vec<f64>> for Numbers<'a> {
    fn from(numbers: &'a Vec<f64>) -> Numbers<'a> {
        Numbers::F64(numbers)
    }
}

/// Declares a row, and the table that holds such rows column by column.
macro_rules! table {
    (
        $(#[$about:meta])* $row:ident in $table:ident {
            $($(#[$doc:meta])* $column:ident: $number:ty,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $row {
            $($(#[$doc])* pub $column: $number,)*
        }

        #[doc = concat!("All rows of [`", stringify!($row), "`], each field as a column.")]
        #[derive(Clone, Debug, Default, PartialEq)]
        #[expect(missing_docs, reason = "the columns are the fields of the row")]
        pub struct $table {
            $(pub $column: Vec<$number>,)*
        }

        impl $table {
            /// Adds a row. Returns its number.
            pub fn push(&mut self, row: $row) -> u32 {
                let number = self.len();
                $(self.$column.push(row.$column);)*
                number
            }

            /// How many rows there are.
            pub fn len(&self) -> u32 {
                let lengths = [$(self.$column.len(),)*];
                u32::try_from(lengths[0]).unwrap_or(NONE) // All columns have one length.
            }

            /// Whether there are no rows.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The columns, by name.
            pub fn columns(&self) -> Vec<(&'static str, Numbers<'_>)> {
                vec![$((stringify!($column), Numbers::from(&self.$column)),)*]
            }
        }
    };
}

table! {
    /// Something that happens: a line of the trace, or what explains one.
    EventRow in Events {
        /// When, in nanoseconds of virtual time.
        at: f64,
        /// What, as [`EventKind`](super::EventKind) counts.
        kind: u8,
        /// The machine at which it happens, or [`NOWHERE`].
        place: u8,
        /// Where its line begins in the text of the trace, in bytes; [`NONE`] if it has no line.
        text: u32,
        /// The event that caused it, or [`NONE`].
        cause: u32,
        /// The message that it sends or receives, or [`NONE`].
        message: u32,
    }
}

table! {
    /// A message, or one of two copies of it.
    MessageRow in Messages {
        /// The sender's machine.
        from: u8,
        /// The addressee's machine.
        to: u8,
        /// The kind, as [`MessageKind::ALL`](raft_proto::MessageKind::ALL) counts.
        kind: u8,
        /// What the network does with it, as [`MessageFate`](super::MessageFate) counts.
        fate: u8,
        /// 1 for a heartbeat, or the reply to an append or heartbeat that it accepts.
        quiet: u8,
        /// The sender's term.
        term: u32,
        /// The event that sends it.
        sent: u32,
        /// The event that receives it; [`NONE`] if nobody does.
        received: u32,
        /// When it arrives, or would, in nanoseconds of virtual time; 0 if it is lost.
        due: f64,
    }
}

table! {
    /// The state of a machine's node, from an event on.
    StateRow in States {
        /// The event.
        event: u32,
        /// The machine.
        place: u8,
        /// 0 for a node that is down, then as [`RoleKind`](raft_proto::RoleKind) counts, from 1.
        role: u8,
        /// The machine of the leader that it knows, or [`NOWHERE`].
        leader: u8,
        /// The machine of the node that has its vote in this term, or [`NOWHERE`].
        vote: u8,
        /// The node's number.
        node: u32,
        /// currentTerm.
        term: u32,
        /// commitIndex.
        commit: u32,
        /// lastApplied.
        applied: u32,
        /// Up to here the log is on its disk.
        durable: u32,
        /// The index of the last entry.
        last: u32,
        /// The last index that its snapshot covers; 0 without one.
        snapshot: u32,
        /// The last index that compaction dropped from its log.
        base: u32,
    }
}

table! {
    /// A change of one entry of one log.
    EntryRow in LogEntries {
        /// The event from which on it holds.
        event: u32,
        /// The machine.
        place: u8,
        /// What the entry is for, as [`EntryKind`](raft_proto::EntryKind) counts.
        kind: u8,
        /// Its index.
        index: u32,
        /// Its term; 0 if there is no entry any more.
        term: u32,
    }
}

table! {
    /// A stretch of time in which a link carries nothing.
    CutRow in Cuts {
        /// From when, in nanoseconds of virtual time.
        at: f64,
        /// Until when.
        until: f64,
        /// The sender's machine.
        from: u8,
        /// The addressee's machine.
        to: u8,
    }
}

table! {
    /// A fault, or another operation of the nemesis.
    FaultRow in Faults {
        /// The event.
        event: u32,
        /// A bit for each machine that it concerns, from the least on; 0 if it concerns all.
        places: u32,
        /// When, in nanoseconds of virtual time.
        at: f64,
        /// Until when it lasts.
        until: f64,
    }
}

table! {
    /// An operation of a client.
    OperationRow in Operations {
        /// The client.
        client: u32,
        /// When it was begun, in nanoseconds of virtual time.
        at: f64,
        /// When it was answered or given up; 0 if neither.
        until: f64,
        /// 0 for one that was not answered, 1 for one that was, 2 for one that was given up.
        outcome: u8,
    }
}
