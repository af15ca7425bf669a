#!/usr/bin/env bash
# Shows by the system calls that nothing is answered before it is on the disks of a majority.
# Runs the counter example under strace. For every count that it prints, the command must have been
# written to the logs of at least two of the three nodes, and these logs must have been
# synced since, with success.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v strace >/dev/null || { echo "strace is not installed: nothing is shown"; exit 2; }
cargo build --quiet --release --locked -p raft-driver-thread --example counter
rm -rf target/counter
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT
strace -f -y -s 4096 -e trace=write,pwritev,fdatasync,fsync -e signal=none -o "$trace" \
  target/release/examples/counter >/dev/null
awk '
# The node whose log a call names: the name of the folder above `log`.
function node(line) { return match(line, /counter\/[0-9]+\/log\//) ? substr(line, RSTART + 8, 1) : "" }
{ thread = $1; line = $0 }
/<\.\.\. (fdatasync|fsync) resumed/ && / = 0$/ { ended(under_way[thread]); next }
/ (fdatasync|fsync)\(/ {
  if (line ~ /unfinished/) under_way[thread] = node(line)
  else if (line ~ / = 0$/) ended(node(line))
  next
}
# A command ends in "+++".
/ pwritev\(/ && /\.log>/ && /\+\+\+/ { written[node(line)] = NR; next }
/ write\(1</ && /node 1 counts/ {
  synced = ""
  count = 0
  for (n in durable) { synced = synced " " n; count++ }
  printf "round %d answered after the syncs of nodes%s\n", ++rounds, synced
  if (count < 2) failed = 1
  delete written
  delete durable
}
function ended(n) { if (n in written) durable[n] = 1 }
END {
  if (rounds != 2) { print "expected two rounds, saw " rounds; exit 1 }
  if (failed) { print "an answer came before a majority had synced"; exit 1 }
  print "no answer before the sync of a majority"
}' "$trace"
