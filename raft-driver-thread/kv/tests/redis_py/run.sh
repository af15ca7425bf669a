#!/usr/bin/env bash
# Runs redis_py.py with the newest `redis` package of PyPI, on servers that it starts itself. Further
# arguments are passed on, such as --ports 7001 7002 7003 for servers that run already.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
python=target/redis_py/bin/python
[ -x "$python" ] || python3 -m venv target/redis_py
"$python" -c 'import redis' 2>/dev/null || "$python" -m pip install --quiet redis
cargo build --quiet --locked -p raft-kv
exec "$python" raft-driver-thread/kv/tests/redis_py/redis_py.py \
  --binary "${CARGO_TARGET_DIR:-target}/debug/raft-kv" "$@"
