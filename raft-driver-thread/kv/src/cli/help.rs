//! What is said about each command at its end.

pub(super) const ABOUT: &str = "A replicated key/value store that any client of Redis can talk to";

pub(super) const LONG_ABOUT: &str = "\
A replicated key/value store that any client of Redis can talk to

What was answered is on the disks of a majority of servers, and every read sees it. A cluster of
three goes on when one is lost, a cluster of five when two are.";

pub(super) const AFTER: &str = "\
Try it:             raft-kv demo
Found a cluster:    raft-kv init, then raft-kv start, on each of its servers
Add a server:       raft-kv join
Look at it:         raft-kv status

Exit codes: 0 done, 1 not done, 2 the arguments make no sense";

pub(super) const INIT: &str = "\
Every founder is told of all of them. Settings that are given here are kept in the folder, in
raft-kv.toml, and taken by every start. A password is not: say --password-file.

Examples:
  raft-kv init --data one --id 1 --clients 127.0.0.1:6379 \\
    --founder 1=127.0.0.1:7001 --founder 2=127.0.0.1:7002 --founder 3=127.0.0.1:7003
  raft-kv init --data two --id 2 --clients 127.0.0.1:6380 --cluster <what the first one printed> \\
    --founder 1=127.0.0.1:7001 --founder 2=127.0.0.1:7002 --founder 3=127.0.0.1:7003";

pub(super) const INSPECT: &str = "\
The server must not run. Nothing is changed, but for what a start would do as well.

Examples:
  raft-kv inspect --data one

Exit codes: 0 all is whole, 1 something is damaged or cannot be read";

pub(super) const CERTS: &str = "\
Writes authority.pem and authority.key, and for each server node-<id>.pem and node-<id>.key. An
authority that is there is used again, so that servers can be added; no file is ever replaced. Name
every host under which clients connect: they check it. Certificates do not expire; keep
authority.key where no server can read it, and found a new authority if a key is lost.

Examples:
  raft-kv certs --out certs --node 1=10.0.0.1,one.example --node 2=10.0.0.2 --node 3=10.0.0.3
  raft-kv certs --out certs --node 4=10.0.0.4
  raft-kv start --data one --authority certs/authority.pem \\
    --certificate certs/node-1.pem --key certs/node-1.key
  redis-cli --tls --cacert certs/authority.pem -h 10.0.0.1";

pub(super) const LEAVE: &str = "\
Any server can be asked. One that leaves goes on to run, without a part in anything, until it is
stopped. A number is never used again: to bring the machine back, let it join under a new one.

Examples:
  raft-kv leave --id 3 --server 127.0.0.1:6379";

pub(super) const STATUS: &str = "\
Asks the server, then all that it knows of.

  node     its number                 leads    * marks the leader
  role     leader, follower, candidate, pre-candidate, learner, or unreachable
  term     of the leader it knows     commit   up to where it knows that a majority has the log
  applied  what its answers reflect   lag      entries that others know to be committed and it
                                               has not applied
  match    up to where the leader knows that its log agrees
  disk     what its data folder takes clients  how many are connected
           of its disk: blocks, not lengths

Examples:
  raft-kv status --server 127.0.0.1:6379 --server 127.0.0.1:6380
  raft-kv status --json";

pub(super) const TRANSFER: &str = "\
Writes wait for some milliseconds. Do it before the leader's machine is taken down.

Examples:
  raft-kv transfer --server 127.0.0.1:6379
  raft-kv transfer --to 2";

pub(super) const SNAPSHOT: &str = "\
Every server makes snapshots by itself, as its log grows (--snapshot-every-bytes).

Examples:
  raft-kv snapshot --server 127.0.0.1:6380";

pub(super) const BACKUP: &str = "\
All writes that were answered before are in it. The cluster goes on meanwhile.

Examples:
  raft-kv backup --file monday.backup --server 127.0.0.1:6379
  raft-kv restore --file monday.backup --data one --id 1 --peers 127.0.0.1:7001";

pub(super) const RESTORE: &str = "\
The new cluster has a number of its own, so that servers of the old one never talk to it. Keys keep
their expiries; sessions are not in a backup. No server has to run.

Examples:
  raft-kv restore --file monday.backup --data one --id 1 --peers 127.0.0.1:7001
  raft-kv start --data one
  raft-kv join --data two --id 2 --peers 127.0.0.1:7002 --clients 127.0.0.1:6380 \\
    --server 127.0.0.1:6379";

pub(super) const RECOVER: &str = "\
For disasters only: as long as a majority of the servers can be brought back, start those. Takes
the folder of one server, applies its snapshot and all of its log, and makes a new folder with that
for the same server, alone in a new cluster. Of several survivors take the one with the highest
term, then the highest index, at the end of its log (`raft-kv inspect`).

Examples:
  raft-kv inspect --data one
  raft-kv recover --force-new-cluster --data one --into one-recovered
  raft-kv start --data one-recovered";

pub(super) const RECOVER_REFUSED: &str = "\
this founds a new cluster with what one server of a lost one has. Writes that were answered and that
it had not heard of are lost, others that were never answered may come to be. As long as a majority
of the servers can be brought back, start those instead: nothing is lost then. If they are lost for
good, say --force-new-cluster";

pub(super) const DEMO: &str = "\
The servers listen on this machine only, without passwords or TLS.

Examples:
  raft-kv demo
  raft-kv demo --data demo --port 7379";

pub(super) const START: &str = "\
Settings come from the first of: these flags, the file that --config names, and raft-kv.toml in the
data folder, which `raft-kv init` and `join` wrote. A password may also come from the environment's
RAFT_KV_PASSWORD.

A file looks like this:
  data = \"/var/lib/raft-kv\"
  clients = \"0.0.0.0:6379\"
  advertise-clients = \"10.0.0.1:6379\"
  password-file = \"/etc/raft-kv/password\"
  request-timeout = \"5s\"
  [tls]
  authority = \"/etc/raft-kv/authority.pem\"
  certificate = \"/etc/raft-kv/node-1.pem\"
  key = \"/etc/raft-kv/node-1.key\"

Examples:
  raft-kv start --data one
  raft-kv start --config /etc/raft-kv/raft-kv.toml --http 127.0.0.1:9090";

pub(super) const JOIN: &str = "\
Makes the data folder, runs the server, and asks the cluster to add it. It gets all data first, and
a vote then. Later it is run with `raft-kv start`. If this is interrupted, say it again.

Examples:
  raft-kv join --data four --id 4 --clients 127.0.0.1:6382 --peers 127.0.0.1:7004 \\
    --server 127.0.0.1:6379";
