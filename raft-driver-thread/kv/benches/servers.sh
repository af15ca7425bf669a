# For scripts that run in the root of the workspace: servers on loopback, with their data in $data.
first_port=${FIRST_PORT:-17100}
pids=()

stop_servers() {
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  pids=()
}
trap 'stop_servers; rm -rf "$data"' EXIT
trap 'exit 130' INT TERM

say() { printf '%s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null; }
port() { echo $((first_port + $1)); }
clients_of() { echo "127.0.0.1:$(port "$1")"; }
peers_of() { echo "127.0.0.1:$(port $(($1 + 10)))"; }
all_clients="$(clients_of 1),$(clients_of 2),$(clients_of 3)"

# Runs a server in the background. Its output goes to a log.
server() {
  "$@" >>"$data/log" 2>&1 &
  pids+=($!)
}

# Waits until a command succeeds.
wait_for() {
  for _ in $(seq 100); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  say "not ready in 20 s: $*"
  tail -n 20 "$data/log" >&2
  exit 1
}

begin() {
  say "== $1"
  stop_servers
  rm -rf "$data"
  mkdir -p "$data"
}

# `ready` checks whether the servers accept writes.
start_raft_kv() {
  local id
  for id in 1 2 3; do
    target/production/raft-kv init --id "$id" --cluster 7 --data "$data/$id" \
      --founder "1=$(peers_of 1)" --founder "2=$(peers_of 2)" --founder "3=$(peers_of 3)" >>"$data/log"
    server target/production/raft-kv start --data "$data/$id" \
      --clients "$(clients_of "$id")" --peers "$(peers_of "$id")"
  done
  wait_for ready
}
