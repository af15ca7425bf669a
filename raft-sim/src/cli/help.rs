//! What `--help` says below the options.

pub(super) const ABOUT: &str =
    "Simulates Raft clusters on a virtual clock; everything is drawn from one seed";

pub(super) const LONG_ABOUT: &str = "\
Simulates Raft clusters on a virtual clock; everything is drawn from one seed.

The Raft core under test is the real one, unchanged. Time, network, disks, crashes and clients \
are simulated, so a minute takes milliseconds. The same seed makes the same run on every machine: \
a run that fails can be repeated, and looked at with --trace. A seed is a whole number below 2^64, \
in decimal or hexadecimal (0x2a).";

pub(super) const EXIT_CODES: &str = "\
Exit codes, of all commands:
  0  everything passed
  1  a scenario failed, a run violated a property or did not recover, or a file could not be written
  2  the command line made no sense, or named a file that is not there
  3  a sweep was interrupted, or a limit ended a check; nothing was wrong until then";

pub(super) const LAB: &str = "\
Each scenario prints the lab's own line:

  Test (3A): initial election ...
    ... Passed -- 3.5 3 58 16840 0
                  |   | |  |     commits: how far the highest applied index rose
                  |   | |  bytes of requests and of delivered replies
                  |   | RPCs: requests given to the network; replies do not count
                  |   servers
                  virtual seconds

Examples:
  raft-sim lab                    all 28 scenarios
  raft-sim lab 3C                 one part
  raft-sim lab figure 8           the scenarios whose names contain this
  raft-sim lab 17 --trace         one scenario, by its number, with everything that happens
  raft-sim lab --repeat 1000      1000 consecutive seeds, and a table that compares the medians
                                  with the figures on the lab's page
  raft-sim lab 3B --seed 7 --json for machines

Exit code 1 if a scenario failed, 2 if the command line made no sense.";

pub(super) const RUN: &str = "\
A run has two phases. In the first, clients use a replicated key/value store while the cluster is \
under faults. In the last, all faults end (in half of the runs only for as few servers as a \
quorum needs), and the cluster must recover: it has one leader, every operation is answered, and \
every healthy server has applied everything.

In a part of the seeds there is a phase between them: faults end, but one condition stays, such as \
a link that is cut or disks that are slow. A majority can reach each other, so the cluster has to \
serve: commands are committed all the time, terms are quiet, and a leader that is well stays. \
--condition NAME chooses one, --condition none leaves the phase out. The documentation of \
raft_sim::availability holds the claims and their bounds.

Each seed switches each kind of fault on or off and draws how hard it strikes. --fault \
NAME=INTENSITY (0 to 100) sets one:

  loss late duplicate corrupt       messages are lost, delayed and reordered, repeated, damaged
  split one-way flaky slow-link     links are cut in both directions or in one, lossy, slow
  pause slow-node                   processes stand still, or take long for every step
  crash crash-all kill              power losses, of one server or of all; processes that die (and
                                    power losses before what they wrote is synced)
  slow-disk fail-write fail-read    disks take long, fail a sync, cannot be read
  rot replace                       disks decay, or are lost; the server comes back under a new
                                    identity, or with another disk under its own number
  damage                            records of logs decay; the server starts without what follows
                                    them, and is sent it again; or on all servers at once, on each
                                    others: they fetch from each other what they lack, and start
  return                            a server that was removed loses its disk, or gets an old copy
                                    of it, keeps its number and is added again
  slow-read flaky-disk              reads of entries and chunks of snapshots take longer than an
                                    election, or fail
  decay                             a snapshot is read with other bytes than were written, until
                                    there is a newer one
  drift jump                        clocks run at different rates; clocks jump or stand still
                                    (more than leases allow: off where there are leases)
  change transfer snapshot          operators change members and transfer leadership; services make
                                    snapshots at random moments
  by-hand                           operators let nodes campaign and leaders step down, add
                                    learners that become voters, change priorities
  reconfigure                       operators change settings of nodes that run: timeouts, limits
  compact slow-service slow-restore services make snapshot after snapshot, and take long to apply
                                    entries and to open snapshots
  unreachable                       transports say that messages are lost, rightly or wrongly
  partial                           for long, a server reaches only one other
  seeds                             processes restart with the seed that they had before
  limits                            servers have differing limits
  upgrade                           servers run two releases, and restarts upgrade or downgrade them

After every step of every server these are checked:
  - the five properties of the Raft paper's Figure 3
  - every committed entry is on the disks of a majority
  - no server without all committed entries could be elected
  - no two servers could be elected in one term
  - every command is applied exactly once
  - followers and leaders keep to their timers
In addition, what clients saw must be linearizable.

With --refine, each step must also be one that the safety proof of the thesis has: a sequence of \
transitions of an abstract state, whose guards and invariants hold (see raft_sim::refinement).

The summary at the end:
  operations          requests of clients; given up: no answer came for seconds
  sessions            opened, and found closed because the service made room for others
  elections           candidacies, and how many of them were won
  commands            acknowledged: committed, and applied where they were proposed; the others
                      were replaced by another leader's, or their server crashed first
  snapshots           made by services; restored by servers that were too far behind for entries
  sent again          what a leader sent to a member more than once in its term
  under a condition   what happened in the phase under a condition that stays
  trace               the digest (SHA-256, first 16 digits) is equal exactly for equal runs
  events              inputs that the cores took

A run of more than a blink shows its progress where stderr is a terminal.

Examples:
  raft-sim run --seed 42                     a minute of a cluster of five
  raft-sim run --seed 42 --trace -           ... with every fact as a line; the summary then
                                             goes to stderr
  raft-sim run --faults wild --repeat 1000   a thousand seeds under the worst faults
  raft-sim run --faults none --fault kill=50 --fault loss=10     only these faults
  raft-sim run --time 1h --nodes 3           an hour of virtual time
  raft-sim run --time 10m --features all     leases, transfers and membership changes
  raft-sim run --mutant figure-8 --seed 278 --time 20s --faults wild
                                             with a known mistake in the core: see raft-sim zoo

Exit code 1 if a property was violated or the cluster did not recover, 2 if the command line \
made no sense.";

pub(super) const REPLAY: &str = "\
A recording holds every event that the core of a node was given, and a digest of each answer; \
drivers write recordings (see raft_proto::recording). Each file begins with a checkpoint and is \
replayed by itself. The core depends on nothing but its events, so the same release gives the same \
answers. Where this build answers differently, the first such step is shown with its actions.

With --cluster, the recordings are those of the nodes of one cluster, each from its empty disk on. \
They are merged into one run, in which each message is received after it was sent, and each step \
must be one that the safety proof has (see raft_sim::refinement).

A schedule says what happens to a simulated cluster, and when; raft-sim shrink writes schedules. \
If the schedule names a mistake of raft-sim/zoo, the simulator with that mistake runs it; edit the \
line to run it without. If it notes a failure, the failure that is found is compared with it.

Examples:
  raft-sim replay node-1/recordings              all files of a folder, the oldest first
  raft-sim replay --print n1-000000000003.raftrec
                                                 one file, with everything that happens
  raft-sim replay --cluster node-1/recordings node-2/recordings node-3/recordings
  raft-sim replay figure-8-278.toml              a schedule
  raft-sim replay --print figure-8-278.toml      ... with its trace; the summary goes to stderr

Exit code 1 if a step differs, a recording is damaged or a schedule fails, 2 if there is nothing \
to replay or a schedule makes no sense.";

pub(super) const EXPLAIN: &str = "\
Give the recordings of all nodes of a cluster, those of each node in order (a folder stands for the \
recordings in it). They are replayed and merged into one run. Each command that a leader accepted is \
followed until that node had applied it, along the answer that completed the majority. The stages \
add up to the whole:

  queue             given to the driver, until the leader's core took it
  core              until the append left
  wire out          to the follower that completed the majority, until its core took it
  follower's disk   until it was durable there
  wire back         until the leader's core took the answer
  unrecorded        the way over a follower that is not recorded
  leader's disk     nothing but the leader's own disk was missing
  leader change     its leader ceased to lead, until it learnt that another one had committed it
  hand out          committed, until the state machine got it
  apply             until it was applied

Below that stand who led when and why that changed, and commands that were lost, with why. Each node \
has its own clock; the clocks are aligned by messages, which are received after they were sent, and \
the output says how uncertain that is. It ends with what recordings cannot tell. A recording knows \
no clients: --client chooses commands by a text or bytes that they contain.

raft-driver-thread notes the times of its other threads in files beside the recordings (.rafttimes); \
without those, the queue is not known.

Examples:
  raft-sim explain node-1/recordings node-2/recordings node-3/recordings
  raft-sim explain --entry 812 recordings        each step of one entry's way
  raft-sim explain --client session-17 recordings
                                                 commands that contain this text
  raft-sim explain --slowest 50 recordings       more of the slowest
  raft-sim explain --json recordings             for machines; times in nanoseconds

Exit code 0 if the recordings are explained, whatever they show; 1 if one is damaged, or this build \
answers otherwise than was recorded; 2 if there is no such file, entry or command, or the files are \
of several clusters.";

pub(super) const SHRINK: &str = "\
In a run that fails, thousands of things happen that have nothing to do with the failure. This \
command leaves out faults, operations, servers and stretches of time, and simplifies the settings, \
as long as the rest still fails in the same way (delta debugging). Each smaller run is tried with \
several seeds. The result is a file that can be read, edited and run again.

With --runs alone the result depends only on the number of runs, not on the number of jobs or on \
the machine. A limit of real time (--seconds) makes it depend on the machine.

Examples:
  raft-sim shrink --mutant figure-8 --seed 278 --time 20s --faults wild
                                               writes figure-8-278.toml
  raft-sim shrink --schedule figure-8-278.toml --seconds 600
                                               makes it smaller still, in place
  raft-sim replay figure-8-278.toml            runs it again

Exit code 0 if the result is written, 2 if the run passes or the command line made no sense.";

pub(super) const VIEW: &str = "\
The page holds the core and the simulator themselves, compiled to WebAssembly, and makes the run \
when it is opened. It shows what each node knows at any instant, all messages and what became of \
them, the logs, faults and clients' operations; it plays forwards and backwards, and follows causes. \
On it one can cut links, kill, pause, propose, and transfer leadership at any instant; the run is \
made again with that, and saved as a schedule that raft-sim replay runs to the same digest. The \
page needs no server and no network. ? on it lists keys and signs.

A run that fails is opened at its violation. FILE.html#t=12.5 opens the page at an instant. The \
page's core is the one of this release: a schedule for a mistake of raft-sim/zoo is refused.

Examples:
  raft-sim view --seed 42 -o raft.html          a minute of a cluster of five
  raft-sim view --seed 7 --nodes 3 --time 10s --faults none -o play.html
                                                a quiet cluster, to break by hand
  raft-sim view --schedule failing.toml         a schedule; writes failing.html

Exit code 0 if the page is written, also of a run that fails; 1 if it cannot be written, 2 if the \
command line or the schedule makes no sense.";

pub(super) const CHECK: &str = "\
A model is a small cluster and bounds: so many election timeouts, crashes, commands. The search \
takes every path within the bounds: messages arrive in any order, repeatedly, or never; writes \
become durable late; clocks run as they like. Every transition is a step of the real core. All \
properties of the Raft paper's Figure 3 are checked in every state, and that promises are on disk \
before they are sent. A model also has to reach the situations that it was made for.

A violation is printed as a shortest path to it, and written to NAME.check; --replay walks it \
again, by the core alone.

Examples:
  raft-sim check --list                      the models, their bounds, and what they must reach
  raft-sim check elections                   one model, in its full form
  raft-sim check elections --short           in its short form: seconds
  raft-sim check --short --recovery          all, in their short forms; a leader is electable
                                             from every state
  raft-sim check                             all models, one after another
  raft-sim check --time 10m --resume folder  each for ten minutes; again: for ten minutes more
  raft-sim check figure8 --mutant figure-8   with a known mistake built into the core
  raft-sim check --replay figure8.check --mutant figure-8
                                             that counterexample again

Exit code 1 if a property is violated, or a situation was not reached; 2 if the command line made \
no sense; 3 if a limit, Ctrl-C or SIGTERM ended the search before anything was wrong.";

pub(super) const SWEEP: &str = "\
Each seed is a run of its own (see raft-sim run), with faults that the seed switches on or off. \
The summary says how many seeds reached each rare event, and which events no seed reached. Its \
digest is the sum of the digests of the seeds, each over the times of all events: equal for equal \
seeds and settings, whatever the number of jobs or the machine. (raft-sim run prints another \
digest, of the whole trace as text.)

Ctrl-C or SIGTERM ends a sweep when the seeds that are running have ended, with a summary of all \
seeds that were run. A second signal ends it at once, without a summary.

Examples:
  raft-sim sweep --seeds 0..20000                        all cores
  raft-sim sweep --seeds 0x8000..0x8100                  seeds in hexadecimal
  raft-sim sweep --seeds 0..1000000 --resume sweep.jsonl go on where an earlier sweep stopped
  raft-sim sweep --seeds 0..1000000 --shard 3/100        the fourth of a hundred parts
  raft-sim sweep --seeds 0..1000000000 --shard array/1000 --resume /results/$NAME.jsonl
                                                         in a Slurm array or a Kubernetes
                                                         indexed Job of a thousand tasks
  raft-sim merge /results/*.jsonl                        adds them all up

Exit code 1 if a seed failed, 2 if the command line made no sense, 3 if the sweep was interrupted.";

pub(super) const MERGE: &str = "\
Adds up the results of the parts of a sweep, which must have had the same settings. A chunk that \
several files hold counts once. Seeds that are missing between the first and the last are listed.

Examples:
  raft-sim merge /results/*.jsonl           the summary, as a sweep of all the seeds prints it
  raft-sim merge --json /results/*.jsonl    for machines

Exit code 1 if a seed failed, 2 if a file is not there, holds no results, or is of a sweep with \
other settings.";

pub(super) const BENCH: &str = "\
Runs seed after seed in one thread and prints a row without features, one with those that each seed \
draws, and one with all. Time is CPU time of that thread, so other work on the machine disturbs \
little. Below that stands what the runs cost, and for how long they were not available: a change \
that makes a cluster send more, or hold more elections, shows there.

Examples:
  raft-sim bench                            three rows, 10 seconds each
  raft-sim bench --seconds 60 --nodes 3     longer, with three servers
  raft-sim bench --json                     for machines

Exit code 1 if a seed failed, 2 if the command line made no sense.";

pub(super) const BENCH_RATE: &str = "\
How many operations clients want to begin in a second of virtual time; by default 100";

pub(super) const ZOO: &str = "\
Each mistake is a patch in raft-sim/zoo. For each, this command applies the patch to a copy of the \
project in target/zoo, builds the simulator with it and runs seeds until one fails. It needs cargo \
and the project's sources. The programs are kept in target/zoo/bin. A patch that does not apply \
any more, or does not build, is an error.

Examples:
  raft-sim zoo                   all of them, as a table in Markdown
  raft-sim zoo figure-8          one
  raft-sim zoo --write           all, and the table is written to raft-sim/zoo/README.md
  raft-sim zoo --shrink          all, and each run that failed is shrunk: raft-sim replay
                                 target/zoo/schedules/figure-8.toml runs one of them

Exit code 1 if a mistake was not caught, 2 if the command line made no sense or a patch does not \
apply or build.";

pub(super) const GRAPHS: &str = "\
A directed graph says which server reaches which, and stays as it is. Graphs that differ in the \
servers' numbers only are tried once. Each is tried from every state in which the links may be cut: \
every leader, with equal logs or with one server that lacks the last committed entry.

The rows:
  whole majority     the servers of a majority all reach each other: CheckQuorum and Pre-Vote
                     promise a leader that stays
  hub only           single servers (hubs) reach a majority that reaches them: Raft promises nothing
  no hub             nobody can commit

The columns count graphs, by how many of their trials succeed (always: in all, never: in none):
  a leader commits   a command is committed within four election timeouts, and again within each
                     further four
  terms stay quiet   no term begins after the first four election timeouts

Links of an example: 1-2 in both directions, 1>2 from 1 to 2 only, 1<2 from 2 to 1 only.

Examples:
  raft-sim graphs                     all networks of four servers: seconds
  raft-sim graphs --nodes 5           of five: minutes
  raft-sim graphs --no-pre-vote       without Pre-Vote, terms begin again and again

Exit code 1 if, with Pre-Vote and CheckQuorum on, a graph with a whole majority has no leader that \
commits, or its terms do not stay quiet.";

pub(super) const ELECTIONS: &str = "\
Five servers have a leader. It broadcasts a heartbeat and crashes at a random time before its next \
heartbeat. A row says how long it took until another server was leader, for one range of election \
timeouts. The four others have logs of different lengths, so that two of them can win and two \
cannot.

The columns:
  timeouts            the range of election timeouts, in ms; the leader's heartbeat interval is half
                      of the shortest
  elected             trials that had a leader before --limit ended
  min ... max         ms without a leader; a trial that elected none counts as the longest
  elections, most     terms that began until one had a leader, in the mean and at most

The broadcast time is that of a message, a synchronous write and a message back: 15 ms in the mean, \
as roughly in the paper's cluster. The core sends no request for a vote before its own vote is on \
its disk, which takes another write; --own-vote overlapped shows how it would be if the write and \
the requests overlapped.

Examples:
  raft-sim elections                          all ranges, 1000 trials each, 100 for 150-150
  raft-sim elections --svg figures            also figures/figure-16-top.svg and -bottom.svg
  raft-sim elections --own-vote overlapped    requests leave while the own vote is written
  raft-sim elections --broadcast-time 1ms     faster disks and a faster network
  raft-sim elections --trials 100 --json      for machines

Exit code 2 if the command line made no sense, 1 if a file could not be written.";

pub(super) const COMPLETIONS: &str = "\
Examples:
  raft-sim completions bash > ~/.local/share/bash-completion/completions/raft-sim
  raft-sim completions zsh > ~/.zfunc/_raft-sim          ~/.zfunc is in $fpath
  raft-sim completions fish > ~/.config/fish/completions/raft-sim.fish";
