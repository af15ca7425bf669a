//! The text at the end of each command's help.

pub(super) const ABOUT: &str = "A replicated key/value store that any client of Redis can talk to";

pub(super) const LONG_ABOUT: &str = "\
A replicated key/value store that any client of Redis can talk to

A write that was acknowledged is on the disks of a majority of the servers, and every read sees
it. A cluster of three servers tolerates the loss of one, a cluster of five the loss of two.";

pub(super) const AFTER: &str = "\
Try it:             raft-kv demo
Found a cluster:    raft-kv init, then raft-kv start, for each of its servers
Add a server:       raft-kv join
Look at a cluster:  raft-kv status

Exit codes: 0 success, 1 failure, 2 wrong arguments";

pub(super) const INIT: &str = "\
Every founder is given the same list of all founders. The cluster is founded once all of them
run; from then on a majority suffices. A founder whose data directory was lost is not made anew
with init, but replaced: see `raft-kv help join`.

Settings that are given here are kept in the data directory, in raft-kv.toml, and used by every
start. A password is not kept: use --password-file and --admin-password-file.

Examples:
  raft-kv init --data one --id 1 --clients 127.0.0.1:6379 \\
    --founder 1=127.0.0.1:7001 --founder 2=127.0.0.1:7002 --founder 3=127.0.0.1:7003
  raft-kv init --data two --id 2 --clients 127.0.0.1:6380 --cluster <what the first one printed> \\
    --founder 1=127.0.0.1:7001 --founder 2=127.0.0.1:7002 --founder 3=127.0.0.1:7003";

pub(super) const INSPECT: &str = "\
The server must not be running. The only change made is one that a start would make too: an
incomplete write at the end of the log is cut off.

Examples:
  raft-kv inspect --data one
  raft-kv inspect --data one --json

Exit codes: 0 nothing is damaged, 1 something is damaged or cannot be read, 2 wrong arguments";

pub(super) const CERTS: &str = "\
Writes authority.pem and authority.key, and for each server node-<id>.pem and node-<id>.key. An
existing authority is used again, so that servers can be added. No file is ever replaced. Name
every host that clients connect to, because they check it. Certificates do not expire. Keep
authority.key where no server can read it, and make a new authority if a key is lost.

Examples:
  raft-kv certs --out certs --node 1=10.0.0.1,one.example --node 2=10.0.0.2 --node 3=10.0.0.3
  raft-kv certs --out certs --node 4=10.0.0.4
  raft-kv start --data one --authority certs/authority.pem \\
    --certificate certs/node-1.pem --key certs/node-1.key
  redis-cli --tls --cacert certs/authority.pem -h 10.0.0.1";

pub(super) const LEAVE: &str = "\
Any server can be asked. The removed server keeps running, without any effect on the cluster,
until it is stopped. To bring the machine back, let it join with a new data directory.

Examples:
  raft-kv leave --id 3 --server 127.0.0.1:6379";

pub(super) const MOVE: &str = "\
The server keeps its data, its id and its vote. It need not run meanwhile, as long as a majority
does: stop it, move it, and start it with the new address.

Examples:
  raft-kv move --id 3 --peers 10.0.0.9:7003 --server 127.0.0.1:6379
  raft-kv start --data three --peers 10.0.0.9:7003";

pub(super) const STATUS: &str = "\
Asks the given server, then all members that it knows of. If the server has only just started,
it is asked again for up to 5 seconds, until there is a leader and the address of every member
is known.

  node     node id                    leads    * marks the leader
  role     leader, follower,          term     the term that it is in
           candidate, pre-candidate,
           learner; unreachable, or unknown if its address is not known yet;
           replaced if another disk has its number; removed if it is no
           member any more
  commit   the last entry that it     applied  the last entry that its
           knows to be committed               replies reflect
  lag      committed entries that     match    up to where the leader knows
           it has not applied yet              that its log agrees
  keys     how many it has            disk     what its data directory takes
                                               of its disk
  clients  how many are connected     version  of raft-kv
  address  for clients

A warning says what is wrong with the disks of the servers, and what to do: founders that the
founding waits for, a disk that speaks under a member's number and does not count, servers with
other founders or another history. The servers log the same.

Examples:
  raft-kv status --server 127.0.0.1:6379 --server 127.0.0.1:6380
  raft-kv status --json";

pub(super) const TRANSFER: &str = "\
Writes wait for some milliseconds. Use it before the leader's machine is taken down.

Examples:
  raft-kv transfer --server 127.0.0.1:6379
  raft-kv transfer --to 2";

pub(super) const SNAPSHOT: &str = "\
Every server makes snapshots by itself as its log grows (--snapshot-every-bytes).

Examples:
  raft-kv snapshot --server 127.0.0.1:6380";

pub(super) const BACKUP: &str = "\
It contains all writes that were acknowledged before. The cluster keeps serving clients
meanwhile.

Examples:
  raft-kv backup --file monday.backup --server 127.0.0.1:6379
  raft-kv restore --file monday.backup --data one --id 1 --peers 127.0.0.1:7001";

pub(super) const RESTORE: &str = "\
The new cluster has an id of its own, so that servers of the old one never talk to it. Keys keep
their expiry times. A backup contains no sessions. No server has to be running.

Examples:
  raft-kv restore --file monday.backup --data one --id 1 --peers 127.0.0.1:7001
  raft-kv start --data one
  raft-kv join --data two --id 2 --peers 127.0.0.1:7002 --clients 127.0.0.1:6380 \\
    --server 127.0.0.1:6379";

pub(super) const RECOVER: &str = "\
For disasters only: as long as a majority of the servers can be brought back, start those
instead. Reads the data directory of one server, applies its snapshot and its whole log, and
makes a new data directory with the result, for the same server, as the only one of a new
cluster. Of several surviving servers, take the one whose log ends with the highest term, then
with the highest index (see `raft-kv inspect`).

Examples:
  raft-kv inspect --data one
  raft-kv recover --force-new-cluster --data one --into one-recovered
  raft-kv start --data one-recovered";

pub(super) const RECOVER_REFUSED: &str = "\
this founds a new cluster with the data of one server of a lost cluster. Acknowledged writes
that had not reached this server are lost, and writes that were never acknowledged may appear.
As long as a majority of the servers can be brought back, start those instead: then nothing is
lost. If they are lost for good, give --force-new-cluster";

pub(super) const DEMO: &str = "\
The servers listen on this machine only, without passwords or TLS. Ctrl-C stops them.

Examples:
  raft-kv demo
  raft-kv demo --data demo --port 7379";

pub(super) const START: &str = "\
A setting is taken from the first of these that gives it: the flags, the file that --config
names, and raft-kv.toml in the data directory, which `raft-kv init` and `join` wrote. The
passwords may also come from the environment variables RAFT_KV_PASSWORD and
RAFT_KV_ADMIN_PASSWORD.

A file with settings:
  data = \"/var/lib/raft-kv\"
  clients = \"0.0.0.0:6379\"
  advertise-clients = \"10.0.0.1:6379\"
  password-file = \"/etc/raft-kv/password\"
  admin-password-file = \"/etc/raft-kv/admin-password\"
  request-timeout = \"5s\"
  [tls]
  authority = \"/etc/raft-kv/authority.pem\"
  certificate = \"/etc/raft-kv/node-1.pem\"
  key = \"/etc/raft-kv/node-1.key\"

Examples:
  raft-kv start --data one
  raft-kv start --config /etc/raft-kv/raft-kv.toml --http 127.0.0.1:9090";

pub(super) const JOIN: &str = "\
Makes the data directory, runs the server, and has the cluster add it. The server first receives
all data, and then becomes a voter. From then on start it with `raft-kv start`. If this command
is interrupted, repeat it.

A member whose disk is lost is replaced by this command with the member's node id and a new data
directory. The new disk holds none of the votes and entries that the lost one acknowledged, so it
receives all data before it votes. If the member's server runs and is well, the command is
refused, unless --replace is given. A disk that was replaced does not count any more.

Examples:
  raft-kv join --data four --id 4 --clients 127.0.0.1:6382 --peers 127.0.0.1:7004 \\
    --server 127.0.0.1:6379
  raft-kv join --data new-two --id 2 --clients 127.0.0.1:6380 --peers 127.0.0.1:7002 \\
    --server 127.0.0.1:6379";

pub(super) const COMPLETIONS: &str = "\
The script goes to standard output. Where it belongs depends on the shell.

Examples:
  raft-kv completions bash > ~/.local/share/bash-completion/completions/raft-kv
  raft-kv completions zsh > ~/.zfunc/_raft-kv
  raft-kv completions fish > ~/.config/fish/completions/raft-kv.fish";
