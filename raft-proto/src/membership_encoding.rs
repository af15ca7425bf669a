//! The bytes of a configuration, as the entry that holds it has them.

use crate::level::Level;
use crate::membership::{Member, MemberRole, Membership};
use crate::types::{HistoryId, Incarnation, NodeId};
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

impl Membership {
    /// About the length of [`Membership::encode`], never below it.
    pub(crate) fn encoded_len(&self) -> u64 {
        let member = |member: &Member| 10 + 1 + 2 + 5 + member.context.len() as u64;
        let members = 10 + self.members().iter().map(member).sum::<u64>();
        let level = if self.level() == Level::ZERO { 0 } else { 10 };
        if !self.names_storages() && level == 0 {
            return members;
        }
        members + 11 + 10 + 11 * self.members().len() as u64 + level
    }

    /// Whether it has a history, or names a member's storage.
    fn names_storages(&self) -> bool {
        let is_named = |member: &Member| member.incarnation.is_some();
        self.history().is_some() || self.members().iter().any(is_named)
    }

    /// The payload of an entry of the kind [`Membership`](crate::EntryKind::Membership), as
    /// [`Membership::decode`] reads it: the members; then the incarnations and the history, if there
    /// are any or a level follows; then the level, if it is not 0.
    pub fn encode(&self) -> Bytes {
        let members: Vec<EncodedMember> = self.members().iter().map(EncodedMember::of).collect();
        // Writing to memory cannot fail, and every part has a known length.
        #[allow(clippy::expect_used)]
        let mut bytes = postcard::to_extend(&members, Vec::new()).expect("members can be encoded");
        let has_level = self.level() != Level::ZERO;
        if self.names_storages() || has_level {
            let storages = Storages::of(self);
            #[allow(clippy::expect_used)] // As above.
            let more = postcard::to_extend(&storages, bytes).expect("storages can be encoded");
            bytes = more;
        }
        if has_level {
            #[allow(clippy::expect_used)] // As above.
            let more = postcard::to_extend(&self.level(), bytes).expect("a level can be encoded");
            bytes = more;
        }
        Bytes::from(bytes)
    }

    /// The membership in the payload of an entry of the kind
    /// [`Membership`](crate::EntryKind::Membership); `None` if the payload is damaged.
    ///
    /// At a level whose [core](Level::core) part is above [`Level::CORE`], more may follow that this
    /// release does not know; no node goes on with such a configuration.
    pub fn decode(payload: &[u8]) -> Option<Membership> {
        // A count beyond the payload's length allocates nothing.
        let counted = |bytes: &[u8]| {
            let (count, _) = postcard::take_from_bytes::<u64>(bytes).ok()?;
            (count <= bytes.len() as u64).then_some(())
        };
        if payload.len() as u64 > Self::MAX_BYTES {
            return None;
        }
        counted(payload)?;
        let (members, rest) = postcard::take_from_bytes::<Vec<EncodedMember>>(payload).ok()?;
        let none = Storages::none(members.len());
        let (storages, level) = if rest.is_empty() {
            (none, Level::ZERO)
        } else {
            counted(rest)?;
            let (storages, rest) = postcard::take_from_bytes::<Storages>(rest).ok()?;
            if storages.incarnations.len() != members.len() {
                return None;
            }
            // There is one encoding of each configuration.
            match decode_level(rest)? {
                Level::ZERO if storages == none => return None,
                level => (storages, level),
            }
        };
        let members = members.into_iter().zip(storages.incarnations);
        let members = members.map(EncodedMember::with_incarnation).collect();
        let membership = Membership::received(members, storages.history, level);
        let sound = !membership.is_empty() && membership.is_well_formed();
        sound.then_some(membership)
    }
}

/// The end of a configuration's payload: nothing, or its level.
fn decode_level(rest: &[u8]) -> Option<Level> {
    if rest.is_empty() {
        return Some(Level::ZERO);
    }
    let (level, rest) = postcard::take_from_bytes::<Level>(rest).ok()?;
    // Only a later release writes more.
    let is_whole = rest.is_empty() || level.core > Level::CORE;
    (is_whole && level != Level::ZERO).then_some(level)
}

/// A member as the payload of an entry has it.
#[derive(Serialize, Deserialize)]
struct EncodedMember {
    id: NodeId,
    role: MemberRole,
    priority: u8,
    context: Bytes,
}

impl EncodedMember {
    fn of(member: &Member) -> EncodedMember {
        EncodedMember {
            id: member.id,
            role: member.role,
            priority: member.priority,
            context: member.context.clone(),
        }
    }

    fn with_incarnation((member, incarnation): (Self, Option<Incarnation>)) -> Member {
        Member {
            id: member.id,
            role: member.role,
            incarnation,
            priority: member.priority,
            context: member.context,
        }
    }
}

/// The history of a configuration, and its members' incarnations in the order of the members.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Storages {
    incarnations: Vec<Option<Incarnation>>,
    history: Option<HistoryId>,
}

impl Storages {
    fn of(membership: &Membership) -> Storages {
        let members = membership.members().iter();
        Storages {
            incarnations: members.map(|member| member.incarnation).collect(),
            history: membership.history(),
        }
    }

    fn none(count: usize) -> Storages {
        Storages {
            incarnations: alloc::vec![None; count],
            history: None,
        }
    }
}
