//! What stays the same across releases.
//!
//! Nothing has been released yet, and the version is 0.1. Until 1.0, any version may change the
//! interface, the wire format and the formats on disk, and `CHANGELOG.md` says so. This page says
//! by which rules that is done, and what a rolling upgrade rests on.
//!
//! # The interface
//!
//! From 1.0 on, semantic versioning holds. Until then read the changelog before you update. The
//! least Rust version stands in `Cargo.toml`.
//!
//! | type | may it grow without a break? | why |
//! |---|---|---|
//! | [`Config`](crate::Config) | yes: `non_exhaustive`, made by [`Config::new`](crate::Config::new) | a new setting has a default that keeps the behaviour |
//! | [`Status`](crate::Status), [`PeerStatus`](crate::PeerStatus), [`HandoverStatus`](crate::HandoverStatus), [`LeaseStatus`](crate::LeaseStatus) | yes | they are read only, and more may be known |
//! | [`Member`](crate::Member) | yes | it is made by functions |
//! | [`Awaited`](crate::Awaited) | yes | more may be waited for |
//! | the errors: [`StartError`](crate::StartError), [`ProposeError`](crate::ProposeError), [`ReadError`](crate::ReadError), [`ChangeError`](crate::ChangeError), [`TransferError`](crate::TransferError), [`Rejection`](crate::Rejection), [`Refusal`](crate::Refusal) and others | yes | a caller that does not know a reason does what it does for any other: nothing was done |
//! | [`Action`](crate::Action) | **no**, on purpose | a driver has to do something for each. A wildcard would swallow a write in silence |
//! | [`Write`](crate::Write), [`Recovered`](crate::Recovered) | **no**, on purpose | a storage that leaves out a part that it does not know would lose it |
//! | [`Fault`](crate::Fault) | **no**, on purpose | a driver that repairs one by itself should look at a new one |
//! | [`Input`](crate::Input) | **no** | drivers make it. Recorders and checkers take it apart, and should look at a new kind |
//! | [`Message`](crate::Message) and what it holds | **no** | a transport of your own that encodes it by hand has to know each field |
//!
//! So a driver that compiles performs everything. That a release of this crate breaks its build is
//! the warning.
//!
//! # The wire
//!
//! [`wire`](crate::wire#compatibility) has the rules. In short:
//!
//! | what comes from a newer node | what an older one does |
//! |---|---|
//! | a message with further fields | reads what it knows |
//! | a kind of message that it does not know | drops it, and keeps the connection. Such kinds are safe to lose |
//! | a kind of entry or a configuration that it does not know | never comes: its level is not in force until each member has said that it reads it |
//! | another version of the frame | refuses it |
//!
//! Bytes that a release has written are kept in `tests/wire.rs`, and each release reads them.
//!
//! # Levels
//!
//! A [`Level`](crate::Level) says what a node reads. The leader raises the level in force when
//! *every* member, learners too, has said that it reads it. It never falls, since what was written
//! at it stays in logs.
//!
//! A rolling upgrade:
//!
//! 1. Start the nodes one after another with the new release.
//! 2. Until the last one has been started, each may go back.
//! 3. When all have said so, the level rises. From then on none can go back: an older release
//!    refuses to start ([`StartError::LevelTooLow`](crate::StartError::LevelTooLow)) or stops
//!    ([`Fault::LevelTooLow`](crate::Fault::LevelTooLow)), and skips nothing.
//!
//! To keep the way back open for longer, start one member with the older
//! [`Config::level`](crate::Config::level).
//!
//! ```
//! use raft_proto::Level;
//!
//! let (old, new) = (Level::of_service(1), Level::of_service(2));
//! // The new release reads what the old one writes, and not the other way.
//! assert!(new.reads(old) && !old.reads(new));
//! // What may be written while both run.
//! assert_eq!(old.common(new), old);
//! ```
//!
//! The service's part of the level is for its commands and its snapshots: the core knows nothing of
//! their bytes.
//!
//! # The disk
//!
//! The core has no format on disk: [`Write`](crate::Write) and [`Recovered`](crate::Recovered) are
//! values. A storage gives its bytes a version. Serde's encoding of these types follows their
//! fields, and may change with any version before 1.0.
//!
//! The storage of `raft-driver-thread` has a version in its folder. It refuses another version by
//! name, and leaves that folder as it is.
//!
//! # Recordings and checkpoints
//!
//! | | who reads it |
//! |---|---|
//! | a [`recording`](crate::recording) | a release with the same version of that format. It names the version of the crate that wrote it; another version may answer otherwise, and the replay shows the first step that differs |
//! | a [checkpoint](crate::Raft::checkpoint) | only the version of the crate that wrote it. It is no storage: never recover a node from one |
//!
//! # Behaviour
//!
//! The same events give the same actions on every machine, for one version. Another version may
//! answer otherwise: it may send a message earlier, or in another order. Golden traces in
//! `tests/scripts` show each such change.
