//! Each error of the driver: what happened, whether anything is lost, and what to do.
//!
//! The errors of the core, which many of these carry, are in
//! [its own page](raft_proto::guide::errors).
//!
//! # A request: [`RequestError`]
//!
//! | error | was it done? | what to do |
//! |---|---|---|
//! | `Refused` | no, and it never will be | what the reason says; often: ask the leader that it names |
//! | `NotApplied` | no, and it never will be: another leader's entry was committed in its place | propose it again, here or at the leader |
//! | `Overloaded` | no | wait for some of the [`max_outstanding`](crate::Options::max_outstanding) requests to end |
//! | `Stopped` | no | [`stop_reason`](crate::Node::stop_reason) says why; ask another node |
//! | `Unknown` | **nobody knows yet**: it may have been applied, or may be later | see below |
//!
//! `Unknown` has three causes. `TimedOut`: the caller's limit passed; the entry may be committed a
//! moment later. `SnapshotInstalled`: a leader's snapshot jumped over the entry, so that this node
//! never saw whether it was applied. `Stopped`: the node ended first. A command that is proposed
//! again after this error may run twice. Either the state machine recognises it, by a session and a
//! serial number (thesis 6.3; `sessions` wraps any state machine so), or it does no harm twice, or
//! a person decides. A read, and a change that was not begun, can always be repeated.
//!
//! # A start that is refused: [`StartError`]
//!
//! Nothing runs then. Nothing was changed on the disk but what a storage mends by
//! [`OnDamage::Mend`](crate::storage::disk::OnDamage::Mend).
//!
//! | error | what to do |
//! |---|---|
//! | `Storage` | see [below](#the-disk-storageerror) |
//! | `Core` | see the page of the core: settings that contradict each other, another node's storage, a later release's |
//! | `Transport` | see [below](#the-network-transporterror) |
//! | `Restore` | the state machine refused its own snapshot: start the release that wrote it. If that refuses it too, let the node join anew with an empty folder: the leader sends its own snapshot. Only with [incarnations](raft_proto::Config::incarnation) may that be under the same number |
//! | `Thread` | the system has no thread left: raise the limit of processes of the node's user |
//! | `Recorder` | the recorder's folder cannot be written: name another, or leave the option off |
//! | `RecordingsInUse` | a node with the same number records there: give each group of a node a folder of its own |
//!
//! # The end of a node: [`StopReason`]
//!
//! A node that has stopped answers every request with `Stopped`. What it had acknowledged is on its
//! disk, and on those of a majority.
//!
//! | reason | is anything lost? | what to do |
//! |---|---|---|
//! | `Shutdown` | no | nothing: it was asked for |
//! | `Storage` | no. After a failed write or sync nobody knows what is on the disk; the next start finds out | look at the disk, then start the node |
//! | `StateMachine` | no. The state machine panicked or broke its contract; the entry that it stopped at is committed, and every replica will meet it | mend the state machine before the others stop, too: they run the same code |
//! | `Faulted` | no | the core met what it cannot go on from; the reason says what |
//! | `Defect` | no | a thread of the driver panicked: keep the log and a [recording](crate::RecorderOptions), and report it |
//!
//! # The disk: [`StorageError`]
//!
//! | error | is anything lost? | what to do |
//! |---|---|---|
//! | `NoSpace` | no | make room, start the node |
//! | `ReadOnly` | no | some file systems become read-only when their disk fails: check it first |
//! | `PermissionDenied` | no | give the node's user the right to read and write there |
//! | `TooManyOpenFiles` | no, the log is whole | raise the limit |
//! | `InUse` | no | another process uses the folder: stop that one. Never copy a folder to run it twice |
//! | `UnknownVersion` | no | start the release that wrote it, or a later one |
//! | `Damaged` | on this node; the others have what was acknowledged | start with [`OnDamage::Mend`](crate::storage::disk::OnDamage::Mend) while the others run: what is lost is fetched from them. `raft-inspect` shows what is damaged, and changes nothing |
//! | `Io` | no | look at the disk |
//! | `Contract` | no | a defect of the caller |
//! | `Other` | as the storage says | it is a storage of your own |
//!
//! # The network: [`TransportError`]
//!
//! Only a start ends with one; a running node dials its peers again and again by itself. `Io`: the
//! address to listen at is taken, or is not this machine's. `Settings`: the text says which; with
//! TLS it is often a certificate that another authority has signed.

#[cfg(doc)]
use crate::{
    RequestError, StartError, StopReason, storage::StorageError, transport::TransportError,
};
