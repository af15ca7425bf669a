#!/usr/bin/env bash
# Compares the performance of raft-kv, etcd and a standalone Redis on this machine. raft-kv and etcd run
# three servers, Redis one. Servers and clients talk over loopback. Every server syncs a write before it
# replies. Values have 256 bytes.
#
#   raft-driver-thread/kv/benches/compare.sh [SECONDS]      the length of each measurement; 5 by default
#
# The speed of a machine varies. So everything is measured twice, in turns, and the table shows the means.
#
# Puts and linearizable gets are made by the load generator in compare/. Its clients share at most 16
# connections, spread over all servers, as the clients of etcd and the asynchronous clients of Redis do.
# raft-kv is measured once more with one connection for each client. Redis is measured by redis-benchmark,
# as is the leader of raft-kv. Tools that are not installed are left out (Debian: etcd-server,
# redis-server, redis-tools). Logs and data are in target/compare/, and are deleted at the end.
set -euo pipefail
cd "$(dirname "$0")/../../.."
seconds=${1:-5}
folder=$PWD/target/compare
data=$folder/data
declare -A figures
. raft-driver-thread/kv/benches/servers.sh

ready() { "$load" redis put 3 3 0.01 "$all_clients"; }

start_etcd() {
  local id
  for id in 1 2 3; do
    server etcd --name "n$id" --data-dir "$data/$id" --initial-cluster-state new \
      --initial-cluster "n1=http://$(peers_of 1),n2=http://$(peers_of 2),n3=http://$(peers_of 3)" \
      --listen-client-urls "http://$(clients_of "$id")" --advertise-client-urls "http://$(clients_of "$id")" \
      --listen-peer-urls "http://$(peers_of "$id")" --initial-advertise-peer-urls "http://$(peers_of "$id")"
  done
  wait_for "$load" etcd put 3 3 0.01 "$all_clients"
}

start_redis() {
  server redis-server --port "$(port 1)" --bind 127.0.0.1 --dir "$data" --save '' \
    --appendonly yes --appendfsync always
  wait_for "$load" redis put 1 1 0.01 "$(clients_of 1)"
}

# The mean of each column of numbers.
means() {
  awk '{ for (i = 1; i <= NF; i++) sum[i] += $i } END { for (i = 1; i <= NF; i++) printf "%.0f ", sum[i] / NR }'
}

# One client at each server in turn, because one of the servers is the leader.
by_turns() {
  local id
  for id in 1 2 3; do
    "$load" "$protocol" "$operation" 1 1 "$((seconds / 3 + 1))" "$(clients_of "$id")"
  done | means
}

# Measures three servers: measure NAME PROTOCOL CONNECTIONS SUFFIX CLIENTS...
measure() {
  local name=$1 protocol=$2 connections=$3 suffix=$4 operation clients figure
  shift 4
  for operation in put get; do
    for clients in "$@"; do
      figure=$(if [ "$clients" = 1 ]; then by_turns; else
        "$load" "$protocol" "$operation" "$clients" "$connections" "$seconds" "$all_clients"
      fi)
      figures[$name $operation $clients$suffix]+=$figure$'\n'
      say "$operation, $clients clients, at most $connections connections: $figure (per second; p50, p99, maximum in µs)"
    done
  done
}

# Measures one server with redis-benchmark: benchmark NAME PORT
benchmark() {
  local clients count line figure
  for clients in 1 64 256; do
    count=$((clients == 1 ? 1000 * seconds : 16000 * seconds))
    line=$(redis-benchmark -p "$2" -t set -d 256 -r 100000 -c "$clients" -n "$count" --csv | tail -n 1)
    figure=$(awk -F'"' '{ printf "%.0f %.0f %.0f", $4, $10 * 1000, $14 * 1000 }' <<<"$line")
    figures[$1 set $clients]+=$figure$'\n'
    say "redis-benchmark, SET, $clients clients: $figure (per second; p50, p99 in µs)"
  done
}

leader_port() {
  local id
  for id in 1 2 3; do
    if redis-cli -p "$(port "$id")" RAFT STATUS | grep -q '"role": *"leader"'; then port "$id"; fi
  done | head -n 1
}

# Prints a row if both servers were measured: row TEXT UNIT COLUMN KEY RIVAL less|more GOAL
row() {
  # The clients of etcd always share connections.
  local ours=${figures[raft-kv $4]-} theirs=${figures[$5 ${4% each}]-}
  [ -n "$ours" ] && [ -n "$theirs" ] || return 0
  ours=$(printf %s "$ours" | means) theirs=$(printf %s "$theirs" | means)
  awk -v text="$1" -v unit="$2" -v field="$3" -v rival="$5" -v way="$6" -v wanted="$7" \
    -v ours="$ours" -v theirs="$theirs" 'BEGIN {
      split(ours, o, " "); split(theirs, t, " ")
      ratio = o[field] / t[field]
      mark = wanted == "" ? "" : (way == "more" ? ratio >= wanted : ratio <= wanted) ? "reached" : "MISSED"
      goal = wanted == "" ? "" : (way == "more" ? "at least " : "at most ") wanted
      printf "| %-36s | %-5s | %9d | %9d | %-4s | %6.2f | %-13s | %-7s |\n",
        text, rival, t[field], o[field], unit, ratio, goal, mark
    }'
}

table() {
  local clients
  echo "| what                                 | rival |     rival |   raft-kv |      |  ratio | wanted        |         |"
  echo "|--------------------------------------|-------|-----------|-----------|------|--------|---------------|---------|"
  row 'put, 1 client' '1/s' 1 'put 1' etcd more 2
  row 'put, 64 clients' '1/s' 1 'put 64' etcd more 5
  row 'put, 256 clients' '1/s' 1 'put 256' etcd more 6
  row 'put, 64 clients, a connection each' '1/s' 1 'put 64 each' etcd more ''
  row 'put, 256 clients, a connection each' '1/s' 1 'put 256 each' etcd more ''
  row 'put, 64 clients: p99' 'µs' 3 'put 64' etcd less 0.25
  row 'put, 256 clients: p99' 'µs' 3 'put 256' etcd less ''
  row 'linearizable get, 1 client' '1/s' 1 'get 1' etcd more ''
  row 'linearizable get, 64 clients' '1/s' 1 'get 64' etcd more 8
  row 'linearizable get, 256 clients' '1/s' 1 'get 256' etcd more ''
  row 'get, 64 clients, a connection each' '1/s' 1 'get 64 each' etcd more ''
  row 'linearizable get, 64 clients: p99' 'µs' 3 'get 64' etcd less ''
  row 'redis-benchmark SET, 1 client' '1/s' 1 'set 1' redis more ''
  row 'redis-benchmark SET, 64 clients' '1/s' 1 'set 64' redis more 0.6
  row 'redis-benchmark SET, 256 clients' '1/s' 1 'set 256' redis more ''
  row 'redis-benchmark SET, 64 clients: p99' 'µs' 3 'set 64' redis less ''
}

# The duration of a synced write of 256 bytes.
sync_micros() {
  dd if=/dev/zero of="$data/sync" bs=256 count=500 oflag=dsync 2>&1 |
    awk '/copied/ { for (i = 1; i < NF; i++) if ($(i + 1) ~ /^s,?$/) printf "%.0f", $i / 500 * 1000000 }'
}

machine() {
  local model
  model=$(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo)
  echo "machine: $(nproc) cores of ${model:-$(uname -m)}, Linux $(uname -r), $(stat -f -c %T "$data"); a synced write of 256 bytes takes $(sync_micros) µs"
  echo "versions: raft-kv $(git describe --always --dirty 2>/dev/null || echo '?')$(has etcd && etcd --version | awk '/etcd Version/ { printf ", etcd %s", $3 }')$(has redis-server && redis-server --version | awk '{ sub("v=", "", $3); printf ", redis %s", $3 }')"
}

mkdir -p "$folder"
say "== building"
cargo build --quiet --profile production --locked -p raft-kv
cargo build --quiet --release --locked --manifest-path raft-driver-thread/kv/benches/compare/Cargo.toml \
  --target-dir "$folder/build"
load=$folder/build/release/load

for tool in etcd redis-server redis-benchmark redis-cli; do
  has "$tool" || say "$tool is not installed: it is left out of the comparison"
done
for _ in 1 2; do
  begin raft-kv
  start_raft_kv
  measure raft-kv redis 16 '' 1 64 256
  if has etcd; then
    begin etcd
    start_etcd
    measure etcd etcd 16 '' 1 64 256
  fi
  begin 'raft-kv, a connection each'
  start_raft_kv
  measure raft-kv redis 1000 ' each' 64 256
  if has redis-server && has redis-benchmark && has redis-cli; then
    begin 'raft-kv, by redis-benchmark'
    start_raft_kv
    benchmark raft-kv "$(leader_port)"
    begin 'redis, by redis-benchmark'
    start_redis
    benchmark redis "$(port 1)"
  fi
done
begin done
machine
table
