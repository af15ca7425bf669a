#!/usr/bin/env bash
# Soak test: writes many values of 4 KiB, over 10,000 keys, into three servers of raft-kv. Shows that the
# use of memory and disk does not grow with time.
#
#   raft-driver-thread/kv/benches/soak.sh [GIGABYTES]       10 by default
#
# Needs redis-benchmark and redis-cli (Debian: redis-tools). Data is in target/soak/, and is deleted at the
# end.
set -euo pipefail
cd "$(dirname "$0")/../../.."
gigabytes=${1:-10}
data=$PWD/target/soak
. raft-driver-thread/kv/benches/servers.sh

for tool in redis-benchmark redis-cli; do
  has "$tool" || { say "$tool is not installed: nothing is measured"; exit 0; }
done
cargo build --quiet --profile production --locked -p raft-kv
ready() { [ "$(redis-cli -p "$(port 1)" SET begun 1)" = OK ]; }
begin "$gigabytes GB in values of 4 KiB"
start_raft_kv

value=4096
total=$((gigabytes * 1000000000 / value))
redis-benchmark -p "$(port 1)" -t set -d "$value" -r 10000 -c 32 -P 8 -n "$total" --csv >"$data/benchmark" 2>/dev/null &
load_pid=$!
echo "| written | memory of each server | disk of each server |"
echo "|--:|---|---|"
row() {
  local written memory="" disk="" id pid
  written=$(redis-cli -p "$(port 1)" RAFT STATUS | grep -o '"last_index":[0-9]*' | head -n 1 | cut -d: -f2)
  for id in 1 2 3; do
    pid=${pids[$((id - 1))]}
    memory+=" $(($(awk '/VmRSS/ { print $2 }' "/proc/$pid/status") / 1024))"
    disk+=" $(du -sm "$data/$id" | cut -f1)"
  done
  printf '| %5s s, %9s entries |%s MiB |%s MiB |\n' "$SECONDS" "$written" "$memory" "$disk"
}
SECONDS=0
while kill -0 "$load_pid" 2>/dev/null; do
  row
  for _ in $(seq 20); do kill -0 "$load_pid" 2>/dev/null && sleep 0.5; done
done
row
rate=$(tail -n 1 "$data/benchmark" | cut -d'"' -f4)
echo "$total values of $value bytes were written in $SECONDS s ($rate/s)"
