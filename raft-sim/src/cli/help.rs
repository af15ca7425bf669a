//! What `--help` says.

pub(super) const ABOUT: &str =
    "Simulates Raft clusters on a virtual clock, everything drawn from one seed";

pub(super) const LONG_ABOUT: &str = "\
Simulates Raft clusters on a virtual clock, everything drawn from one seed.

The Raft core under test is the real one, unchanged. Time, network, disks, crashes and clients \
are simulated, so a minute takes milliseconds, and a seed makes the same run on every machine: \
whatever fails can be repeated, and looked at with --trace.";

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  everything passed
  1  a scenario failed, or a run violated a property or did not recover
  2  the command line made no sense
  3  a sweep was interrupted; nothing was wrong until then";

pub(super) const LAB_HELP: &str = "\
Each scenario prints the lab's own line:

  Test (3A): initial election ...
    ... Passed -- 3.5 3 58 16840 0
                  |   | |  |     commits: how far the highest applied index rose
                  |   | |  bytes sent, requests and delivered replies
                  |   | RPCs: requests given to the network, replies not counted
                  |   servers
                  virtual seconds

Examples:
  raft-sim lab                    all 28 scenarios
  raft-sim lab 3C                 one part
  raft-sim lab figure 8           those whose name contains this
  raft-sim lab 17 --trace         one scenario, by its number, with everything that happened
  raft-sim lab --repeat 1000      1000 consecutive seeds, and a table of medians beside the
                                  figures on the lab's page
  raft-sim lab 3B --seed 7 --json for machines

Exit code 1 if a scenario failed, 2 if the command line made no sense.";

pub(super) const RUN_HELP: &str = "\
A run has two phases. In the first, clients use a replicated key/value store while the cluster is \
under faults. Each seed switches each kind of fault on or off and draws how hard it strikes; --fault \
NAME=INTENSITY (0 to 100) sets one:

  loss late duplicate corrupt       messages: lost, held up and overtaken, repeated, damaged
  split one-way flaky slow-link     links: cut in two or one direction, lossy, slow
  pause slow-node                   processes that stand still, or take long for every step
  crash crash-all kill              power losses, of one or all; processes that die (and power
                                    that is lost before what they wrote is synced)
  slow-disk fail-write fail-read    disks that take long, fail a sync, cannot be read
  rot replace                       disks that decay or are lost; their server comes back under
                                    a new identity
  drift jump                        clocks at different rates; clocks that jump or stand still
                                    (beyond what leases allow: off where there are leases)
  change transfer snapshot          what operators do: members changed, the lead handed over,
                                    snapshots at random moments

After every step of every node: the five properties of the Raft paper's Figure 3, and that what is \
committed is on a majority's disks, that nobody could be elected without it, that no two nodes could \
be elected in one term, that every command ran once, that followers and leaders keep to their \
timers. What clients saw has to be linearizable. In the second phase all faults end (in half of the \
runs only for as few nodes as a quorum needs), and the cluster must recover: one leader, every \
operation answered, and all nodes that are well have applied everything.

The summary at the end:
  operations          what clients asked for; given up: nobody answered for seconds
  sessions            opened, and found to have been closed to make room for others
  elections           candidacies, and how many of them were won
  commands            acknowledged: committed and applied where they were proposed; the others
                      were replaced by another leader's, or their node crashed first
  snapshots           made by services; restored by nodes that were too far behind for entries
  trace               the digest (SHA-256, first 16 digits) is equal exactly for equal runs
  events              inputs that the cores took

Examples:
  raft-sim run --seed 42                     a minute of a cluster of five
  raft-sim run --seed 42 --trace -           ... with every fact as a line; the summary then
                                             goes to stderr
  raft-sim run --faults wild --repeat 1000   a thousand seeds of the worst there is
  raft-sim run --faults none --fault kill=50 --fault loss=10     only these
  raft-sim run --time 1h --nodes 3           an hour of virtual time
  raft-sim run --time 10m --features all     leases, handovers and changes of the members
  raft-sim run --mutant figure-8 --seed 227  with a known mistake in the core: see raft-sim zoo

Exit code 1 if a property was violated or the cluster did not recover, 2 if the command line \
made no sense.";

pub(super) const REPLAY_HELP: &str = "\
A recording holds every event that a node's core was given, and a digest of what it answered; \
drivers write them (see raft_proto::recording). Each file begins with a checkpoint and is replayed \
by itself. The core depends on nothing but its events, so the same release gives the same \
answers; where it does not, the first such step is shown with its actions.

A schedule says what happens to a simulated cluster, and when; raft-sim shrink writes them. If it \
names a mistake of raft-sim/zoo, the simulator with that mistake runs it; edit the line to run it \
without. If it notes a failure, that is compared.

Examples:
  raft-sim replay node-1/recordings              all files of a folder, the oldest first
  raft-sim replay --print 000000000003.raftrec   one file, with everything that happened
  raft-sim replay figure-8-227.toml              a schedule
  raft-sim replay --print figure-8-227.toml      ... with its trace; the summary goes to stderr

Exit code 1 if a step differs, a recording is damaged or a schedule fails, 2 if there is nothing \
to replay or a schedule makes no sense.";

pub(super) const SHRINK_HELP: &str = "\
A run that fails has thousands of things in it that have nothing to do with its failure. This one \
leaves out faults, operations, servers and stretches of time, and simplifies the settings, as long \
as what is left still fails in the same way; each smaller run is tried with several seeds. What it \
finds is a file that can be read, edited and run again.

The result is the same for the same number of runs, whatever the number of jobs; a limit of time \
that ends the search makes it depend on the machine: --runs instead of --seconds does not.

Examples:
  raft-sim shrink --mutant figure-8 --seed 227 --nodes 5 --time 20s --faults wild
                                               writes figure-8-227.toml
  raft-sim shrink --schedule figure-8-227.toml --seconds 600
                                               makes it smaller still, in place
  raft-sim replay figure-8-227.toml            runs it again

Exit code 0 if there is a smaller or equal run that fails, 2 if the run passes or the command line \
made no sense.";

pub(super) const SWEEP_HELP: &str = "\
Each seed is a run of its own (see raft-sim run), with faults that the seed switches on or off. \
The summary says which rare situations the seeds came into, and which none did. Its digest is \
the sum of the seeds' digests, each of the times of everything that happened: equal for equal \
seeds and settings, whatever the number of jobs or the machine. What raft-sim run prints is \
another digest, of the whole trace as text.

Examples:
  raft-sim sweep --seeds 0..20000                        all cores
  raft-sim sweep --seeds 0..1000000 --resume sweep.jsonl go on where a former one stopped
  raft-sim sweep --seeds 0..1000000 --shard 3/100        the fourth of a hundred parts
  raft-sim sweep --seeds 0..1000000000 --shard array/1000 --resume /results/$NAME.jsonl
                                                         in a Slurm array or a Kubernetes
                                                         indexed Job of a thousand tasks
  raft-sim merge /results/*.jsonl                        what they all came to

Exit code 1 if a seed failed, 2 if the command line made no sense, 3 if it was interrupted.";

pub(super) const ZOO_HELP: &str = "\
Each mistake is a patch in raft-sim/zoo. For each the command applies the patch to a copy of the \
project in target/zoo, builds the simulator with it and runs seeds until one fails. It needs cargo \
and the project's sources; what was built is kept in target/zoo/bin. A patch that does not apply \
any more, or does not build, is an error.

Examples:
  raft-sim zoo                   all of them, as a table in Markdown
  raft-sim zoo figure-8          one
  raft-sim zoo --write           all, and the table goes into raft-sim/zoo/README.md
  raft-sim zoo --shrink          all, and each run that fails is made small: raft-sim replay
                                 target/zoo/schedules/figure-8.toml runs one of them

Exit code 1 if one was not caught, 2 if the command line made no sense or a patch does not apply \
or build.";

pub(super) const ELECTIONS_HELP: &str = "\
Five servers have a leader; it broadcasts a heartbeat and crashes at any time before the next one. \
A row tells how long it took until another server was leader, for one range of election timeouts. \
The four others have logs of different lengths, so that two of them can win and two cannot.

The columns:
  timeouts            the range of election timeouts, in ms; the leader's heartbeat interval is half
                      of the least one
  elected             trials that had a leader before --limit ended
  min ... max         ms without a leader; a trial without one counts as the longest
  elections, most     terms that were begun until one had a leader, in the mean and at most

A vote takes a message, a synchronous write and a message back: 15 ms in the mean, as roughly in \
the paper's cluster. The core sends no request for a vote before its own vote is on its disk, which \
takes another write; --own-vote overlapped shows what it would be if the two overlapped.

Examples:
  raft-sim elections                          all ranges, 1000 trials each, 100 for 150-150
  raft-sim elections --svg figures            also figures/figure-16-top.svg and -bottom.svg
  raft-sim elections --own-vote overlapped    requests leave while the own vote is written
  raft-sim elections --broadcast-time 1ms     faster disks and a faster network
  raft-sim elections --trials 100 --json      for machines

Exit code 2 if the command line made no sense, 1 if a file could not be written.";
