//! Each error of the core: what happened, whether anything is lost, and what to do.
//!
//! Four kinds of errors come out of this crate. They ask for different things:
//!
//! | kind | what has happened | is anything lost? | who acts |
//! |---|---|---|---|
//! | a refusal of a request ([`ProposeError`] to [`ReconfigureError`]) | nothing was done | no | the caller: try again, or elsewhere |
//! | a [`Refusal`] | the driver has reported something that cannot be so | no: the input was ignored | the driver's author: it is a defect |
//! | a [`Rejection`] | a message came that no correct peer sends | no: the message was ignored | the operator: look at the sender |
//! | a [`Fault`] or a [`StartError`] | this instance cannot go on, or was never begun | what was acknowledged is as safe as the storage | the operator |
//!
//! An outcome that is *not known* is none of these. A command that was accepted
//! ([`Proposed`](crate::Action::Proposed) with an id) may still be lost with its leader. The
//! [service page](super::service) says how to find out, and [`Fate`](crate::Fate) does.
//!
//! # Commands: [`ProposeError`]
//!
//! Nothing was appended, and the same command may be proposed again.
//!
//! | error | why | what to do |
//! |---|---|---|
//! | `NotLeader` | only the leader appends (section 5.3) | propose at the leader that it names; if it names none, wait for [`LeaderChanged`](crate::Action::LeaderChanged) |
//! | `Transferring` | leadership is being transferred (thesis 3.10) | propose at the target, or here again after an election timeout |
//! | `TooManyUncommitted` | commits are slower than proposals: a majority's disks or networks lag | wait for commits. If it lasts, a majority is not reached: see [`Status`](crate::Status) |
//! | `TooManyUnapplied` | this node's own service is slower than the cluster | wait. If nothing is applied at all, the service is stuck |
//! | `TooLarge`, `TooLargeFor`, `BatchTooLarge` | a limit of the [`Config`](crate::Config), or of a voter that has a lower one | split the command, or raise the limit on all voters |
//! | `Empty` | no command was given | a defect of the caller |
//! | `LogFull` | [`Index::MAX`](crate::Index::MAX) is reached | it takes 2^62 entries |
//! | `Faulted` | see [below](#the-end-of-an-instance-fault) | start a new instance |
//!
//! # Reads: [`ReadError`]
//!
//! Do not answer the client from the state: it may be stale. Nothing was changed, and every read
//! can be repeated.
//!
//! | error | why | what to do |
//! |---|---|---|
//! | `NoLeader` | nobody can say what is committed | wait for a leader |
//! | `NotLeader` | only the leader serves reads under a lease | read there, or by quorum here |
//! | `LeaderChanged`, `TimedOut` | no majority confirmed the leader (thesis 6.4) | read again |
//! | `NoCommitInTerm` | the leader has committed nothing in its term, and so does not know the greatest commitIndex (thesis 6.4, step 1) | propose a command, or switch [`leader_noop`](crate::Config::leader_noop) on |
//! | `NothingStored` | this follower cannot tell an answer from one to its earlier life | read at the leader |
//! | `LeaseOff` | leases are switched off | read by quorum |
//! | `NoLease` | a majority's promises have run out, or leadership is being transferred | read by quorum; the lease comes back with the next heartbeats |
//! | `TooManyReads` | [`max_waiting_reads`](crate::Config::max_waiting_reads) is reached | wait for some |
//! | `Faulted` | see [below](#the-end-of-an-instance-fault) | start a new instance |
//!
//! # Membership: [`ChangeError`]
//!
//! Nothing was appended; the configuration is as it was.
//!
//! | error | why | what to do |
//! |---|---|---|
//! | `NotLeader`, `Transferring` | only the leader changes the membership | ask the one that it names |
//! | `InProgress` | one change at a time (thesis 4.1) | wait for its end |
//! | `Changed` | the configuration is not the one that the caller saw | look at it, and decide anew |
//! | `NoCommitInTerm` | the bug of 2015: without a commit in its term, this change and one of an earlier leader could have majorities that share nobody | wait, or propose a command |
//! | `NoVoters`, `NamedTwice`, `UnknownNode`, `InvalidRole`, `StagingVoter` | the change makes no sense | correct it |
//! | `OtherIncarnation` | the member votes with another disk | make it a learner with the new disk first |
//! | `UnknownIncarnation` | a voter's disk has to be known, and it was not heard yet | start it, and wait until it is heard |
//! | `NotCaughtUp` | with a voter that lacks entries commits would wait (thesis 4.2.1) | let it catch up as a learner, or a staging member |
//! | `LevelTooLow` | the node cannot read what the cluster writes | upgrade it first |
//! | `NothingChanges` | it is so already | nothing |
//! | `TooLarge` | the members' contexts are too long | shorten them |
//! | `LogFull`, `Faulted` | as above | as above |
//!
//! # Leadership: [`TransferError`], [`CampaignError`], [`StepDownError`]
//!
//! | error | why | what to do |
//! |---|---|---|
//! | `NotLeader`, `IsLeader` | it leads, or another one does | ask where it makes sense |
//! | `InProgress`, `UnderWay` | a transfer, or an election, has begun | wait for its end |
//! | `UnknownNode`, `NotVoter` | only a voter can lead | name one |
//! | `NoTarget` | no voter is known to be able to take over | wait, or name one |
//! | `TimedOut` | the target did not take over in time | nothing is lost; commands are accepted again |
//! | `LeadershipLost` | another node was elected meanwhile | nothing is lost; see [`LeaderChanged`](crate::Action::LeaderChanged) |
//! | `HearsLeader`, `JustStarted` | with CheckQuorum a node that may have promised something to a leader votes for nobody, itself included (thesis 6.2, 4.2.3) | transfer leadership instead, or wait for an election timeout |
//! | `Impaired` | its disk has lost entries that it had acknowledged | wait until the leader has sent them |
//! | `NoTermLeft` | [`Term::MAX`](crate::Term::MAX) is reached | found a new cluster |
//! | `Faulted` | see [below](#the-end-of-an-instance-fault) | start a new instance |
//!
//! # Settings: [`ReconfigureError`], [`ConfigError`]
//!
//! `Faulted`: see [above](#commands-proposeerror). `Fixed`: that setting needs a restart.
//! `Invalid`: [`Config::validate`](crate::Config::validate) says why, with a [`ConfigError`]:
//! `NoClusterId`, `NoVoters`, `DuplicateMember`, `JointMember`, `MembershipTooLarge`,
//! `LeaseWithoutCheckQuorum`, `LeasePromiseRange`, `NoHeartbeatInterval`, `ElectionTimeoutRange`,
//! `HeartbeatTooSlow`, `ZeroLimit`, `LimitTooGreat` and `LimitTooSmall` each name the field and
//! what is usual. The settings that were in force stay.
//!
//! # A start that is refused: [`StartError`]
//!
//! Nothing was changed, neither in memory nor on the disk.
//!
//! | error | why | is anything lost? | what to do |
//! |---|---|---|---|
//! | `Config` | as above | no | correct the settings |
//! | `Recovery` with `OtherCluster`, `OtherGroup` or `OtherNode` | the storage is another node's | no | give the node its own storage |
//! | `Recovery` with any other [`RecoveryError`] (`NoIdentity`, `GapAfterSnapshot`, `TermBelowLog`, `TermsContradictSnapshot`, `InvalidEntryId`, `DamagedMembership`, `TermOutOfRange`, `AppliedBeyondLog`) | no run of this node can have left this: the storage broke its promise, or was edited | on this node perhaps; the others have what was acknowledged | do not repair it by hand. Replace the disk: an empty storage that joins as a learner, [under the same number or a new one](super::questions#when-it-does-not-go-on) |
//! | `StorageWithoutIncarnation` | disk identity was switched on for a storage that was used without | no | leave it off, or replace the storages one by one |
//! | `LevelTooLow` | the storage was written by a later release | no | start that release |
//!
//! # The end of an instance: [`Fault`]
//!
//! The instance does nothing any more, and answers each request with `Faulted`. What was
//! acknowledged is safe: start a new instance from the storage.
//!
//! | fault | why | what to do |
//! |---|---|---|
//! | `WriteFailed` | a write or its sync failed, so that nobody knows what is on the disk | look at the disk; reopen the storage, which finds out; start a new instance |
//! | `LevelTooLow` | the cluster writes what this release cannot read | start a release that can. Nothing of it was stored |
//!
//! # Defects of the driver: [`Refusal`]
//!
//! [`Action::Refused`](crate::Action::Refused) with `UnknownWrite`, `NotHandedOut`, `OtherEntry`,
//! `OtherEntries` or `WrongLength` says that the driver reported what cannot be so. The input was
//! ignored. The state may already be wrong: a report of a write that was never made durable cannot
//! be told from a true one. Log it, raise an alarm, and mend the driver
//! ([mistakes](super::mistakes) shows what each looks like). `NoConfiguration` is no defect: a node
//! that joins has nothing to compact yet.
//!
//! # Messages that no correct peer sends: [`Rejection`]
//!
//! [`Action::Rejected`](crate::Action::Rejected) names the sender. The message was ignored, and
//! nothing is lost here.
//!
//! | rejection | what it says | what to do |
//! |---|---|---|
//! | `ConflictBelowCommit`, `SecondLeader`, `NotFollowed` | **a safety violation**: two nodes hold different committed entries, or two leaders have one term | stop the sender and look at once: a disk was copied or put back to an earlier state, two processes run under one number, or there is a defect. Keep all disks |
//! | `OtherHistory` | two foundings of the cluster meet: storages were made anew, and an old one came back | decide which history lives; make the storages of the other one anew |
//! | `OtherFounders` | founders were given different lists | give all the same list |
//! | `FromSelf` | somebody uses this node's number | stop one of the two |
//! | `WrongChecksum` | the bytes of a snapshot decayed, at the sender or on the way | the next transfer brings another snapshot; look at the sender's disk if it repeats |
//! | `UnsolicitedVote`, `UnsolicitedReply`, `RoundNeverBegun`, `MatchBeyondLog` | an answer to what was never asked: an old process under the same number, or a storage that lost its state | look at the sender |
//! | `NoTerm`, `TermTooFarAhead`, `IndexOutOfRange`, `ImpossibleEntry`, `EntryTerms`, `EntriesMisplaced`, `Inconsistent`, `ChunkOutOfPlace`, `DamagedMembership`, `NoTransfer` | the message contradicts itself | the sender is no node of this library, or its memory or transport is damaged |

#[cfg(doc)]
use crate::{
    CampaignError, ChangeError, ConfigError, Fault, ProposeError, ReadError, ReconfigureError,
    RecoveryError, Refusal, Rejection, StartError, StepDownError, TransferError,
};
