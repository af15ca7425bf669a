//! The serializer that writes canonical forms.

use super::canonical::{Canonical, Origin, Reads, Set, Times};
use raft_proto::Time;
use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use std::fmt::{self, Display};

/// Structs that are left out.
const STRUCTS_LEFT_OUT: [&str; 4] = ["Config", "Timeouts", "Overdue", "VoteRetry"];

/// Fields that are left out.
const FIELDS_LEFT_OUT: [(&str, &str); 8] = [
    ("Raft", "now"),
    ("Raft", "wake_at"),
    ("Applier", "stalled_since"),
    ("Window", "bytes"),
    ("Window", "least_latency"),
    ("Window", "round_trip"),
    ("Window", "narrowed_at"),
    ("Window", "attempts"),
];

/// Fields that are left out where nobody reads.
const FIELDS_OF_READS: [(&str, &str); 2] = [("Raft", "read_number"), ("Raft", "recovered_term")];

/// Writes a value as the tokens of its canonical form.
pub(super) struct Encoder {
    out: Canonical,
    /// Where instants are that are older than [`Canonical::OLD`].
    times: Vec<u32>,
    origin: Origin,
    /// How many structs or fields that are left out we are in.
    muted: u32,
    /// Whether what is written belongs to a leader.
    is_of_leader: bool,
    /// What the next number is.
    special: Option<Special>,
}

impl Encoder {
    pub(super) fn new(origin: Origin) -> Encoder {
        Encoder {
            out: Canonical::default(),
            times: Vec::new(),
            origin,
            muted: 0,
            is_of_leader: false,
            special: None,
        }
    }

    /// The form of all that was written.
    pub(super) fn finish(mut self) -> Canonical {
        self.rank_old_times();
        self.out
    }

    fn push(&mut self, token: u64) {
        if self.muted == 0 {
            self.out.tokens.push(token);
        }
    }

    fn at(&self) -> u32 {
        // A state has far fewer tokens than 2^32.
        self.out.tokens.len() as u32
    }

    fn time(&mut self, time: u64) {
        const NEVER: u64 = u64::MAX;
        const RELATIVE: u64 = 1 << 62;
        if self.muted > 0 || self.origin.times == Times::OfLeaders && !self.is_of_leader {
            return;
        }
        let clock = self.origin.clock.0;
        let old = Canonical::OLD.as_nanos() as u64;
        if time == Time::NEVER.0 {
            self.push(NEVER);
        } else if time >= clock.saturating_sub(old) {
            self.push(RELATIVE.wrapping_add(time).wrapping_sub(clock));
        } else {
            let at = self.at();
            self.times.push(at);
            self.push(time);
        }
    }

    fn rank_old_times(&mut self) {
        let tokens = &mut self.out.tokens;
        let place = |at: &u32| *at as usize;
        let mut old: Vec<u64> = (self.times.iter().map(place))
            .filter_map(|at| tokens.get(at).copied())
            .collect();
        old.sort_unstable();
        old.dedup();
        for at in self.times.iter().map(place) {
            if let Some(token) = tokens.get_mut(at) {
                *token = old.partition_point(|time| time < token) as u64;
            }
        }
    }

    fn seq(&mut self, seq: u64) {
        self.push(seq.saturating_sub(self.origin.persisted.0));
    }

    fn id(&mut self, id: u64) {
        if self.muted == 0 {
            let at = self.at();
            self.out.ids.push(at);
        }
        self.push(id);
    }
}

/// Nothing here fails.
#[derive(Debug)]
pub(super) struct Never(String);

impl Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Never {}

impl ser::Error for Never {
    fn custom<T: Display>(message: T) -> Never {
        Never(message.to_string())
    }
}

/// A newtype of a 64-bit number that is written in another way.
#[derive(Clone, Copy)]
enum Special {
    Time,
    Seq,
    Id,
}

/// A sequence, a struct or a variant that is being written.
pub(super) struct Compound<'a> {
    encoder: &'a mut Encoder,
    name: &'static str,
    is_muted: bool,
    /// Of a sequence: where its length and its elements are.
    set: Option<Set>,
    has_ids_first: bool,
}

impl<'a> Compound<'a> {
    fn new(encoder: &'a mut Encoder, name: &'static str) -> Compound<'a> {
        let is_muted = STRUCTS_LEFT_OUT.contains(&name);
        encoder.is_of_leader |= name == "Leader";
        encoder.muted += u32::from(is_muted);
        Compound {
            encoder,
            name,
            is_muted,
            set: None,
            has_ids_first: true,
        }
    }

    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Never> {
        let start = self.encoder.at();
        value.serialize(&mut *self.encoder)?;
        let end = self.encoder.at();
        if let Some(set) = &mut self.set {
            set.ends.push(end);
            self.has_ids_first &= self.encoder.out.ids.binary_search(&start).is_ok();
        }
        Ok(())
    }

    fn field(&mut self, key: &'static str, value: &(impl Serialize + ?Sized)) -> Result<(), Never> {
        let field = (self.name, key);
        let reads = self.encoder.origin.reads;
        let is_muted = FIELDS_LEFT_OUT.contains(&field)
            || reads == Reads::None && FIELDS_OF_READS.contains(&field);
        self.encoder.muted += u32::from(is_muted);
        value.serialize(&mut *self.encoder)?;
        self.encoder.muted -= u32::from(is_muted);
        Ok(())
    }

    fn close(self) -> Result<(), Never> {
        self.encoder.muted -= u32::from(self.is_muted);
        self.encoder.is_of_leader &= self.name != "Leader";
        let Some(set) = self.set else {
            return Ok(());
        };
        if self.encoder.muted > 0 {
            return Ok(());
        }
        let length = set.ends.len() as u64;
        // The length stands before the elements.
        if let Some(token) = self.encoder.out.tokens.get_mut(set.start as usize - 1) {
            *token = length;
        }
        if self.has_ids_first && length > 0 {
            let sets = &mut self.encoder.out.sets;
            let at = sets.partition_point(|it| it.start < set.start);
            sets.insert(at, set);
        }
        Ok(())
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<(), Never> {
            self.push(value as u64);
            Ok(())
        }
    )*};
}

impl<'a> Serializer for &'a mut Encoder {
    type Ok = ();
    type Error = Never;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    numbers!(serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32);
    numbers!(serialize_i64: i64, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);
    numbers!(serialize_char: char);

    fn serialize_u64(self, value: u64) -> Result<(), Never> {
        match self.special.take() {
            None => self.push(value),
            Some(Special::Time) => self.time(value),
            Some(Special::Seq) => self.seq(value),
            Some(Special::Id) => self.id(value),
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Never> {
        self.serialize_u32(value.to_bits())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Never> {
        self.serialize_u64(value.to_bits())
    }

    fn serialize_str(self, value: &str) -> Result<(), Never> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Never> {
        self.push(value.len() as u64);
        for chunk in value.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.push(u64::from_le_bytes(word));
        }
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Never> {
        self.serialize_u8(0)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Never> {
        self.push(1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Never> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
    ) -> Result<(), Never> {
        self.serialize_u32(index)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        let special = match name {
            "Time" => Special::Time,
            "Seq" => Special::Seq,
            "NodeId" => Special::Id,
            _ => return value.serialize(self),
        };
        self.special = Some(special);
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), Never> {
        self.push(u64::from(index));
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, Never> {
        self.push(0); // The length, later.
        let (start, ends) = (self.at(), Vec::new());
        let mut compound = Compound::new(self, "");
        compound.set = Some(Set { start, ends });
        Ok(compound)
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, Never> {
        Ok(Compound::new(self, ""))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Compound<'a>, Never> {
        Ok(Compound::new(self, name))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Never> {
        self.push(u64::from(index));
        Ok(Compound::new(self, ""))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Compound<'a>, Never> {
        self.serialize_seq(length)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'a>, Never> {
        Ok(Compound::new(self, name))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Never> {
        self.push(u64::from(index));
        Ok(Compound::new(self, variant))
    }
}

macro_rules! compounds {
    ($($kind:ident: $method:ident),*) => {$(
        impl $kind for Compound<'_> {
            type Ok = ();
            type Error = Never;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
                self.element(value)
            }

            fn end(self) -> Result<(), Never> {
                self.close()
            }
        }
    )*};
}

compounds!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

macro_rules! structs {
    ($($kind:ident),*) => {$(
        impl $kind for Compound<'_> {
            type Ok = ();
            type Error = Never;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Never> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), Never> {
                self.close()
            }
        }
    )*};
}

structs!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Never;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Never> {
        self.element(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        value.serialize(&mut *self.encoder)
    }

    fn end(mut self) -> Result<(), Never> {
        self.has_ids_first = false; // Keys and values are not elements by turns.
        self.close()
    }
}
