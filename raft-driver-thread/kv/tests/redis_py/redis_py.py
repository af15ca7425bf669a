"""Uses raft-kv as a Python program does: through the `redis` package of PyPI, a client of Redis.

    raft-driver-thread/kv/tests/redis_py/run.sh

creates a virtual environment in target/ with that package, builds the server, and runs this file.
By hand:

    python3 -m venv target/redis_py && target/redis_py/bin/pip install redis
    target/redis_py/bin/python raft-driver-thread/kv/tests/redis_py/redis_py.py --binary target/debug/raft-kv

This starts three servers on free ports, with their data in a temporary directory. With
--ports A B C it uses servers that run already, removes all their keys, and skips the tests that
kill servers.
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

CLUSTER = None
TIMEOUT = 30  # seconds


def wait_until(claim, what):
    """Waits until the claim is true. An error of the connection counts as false."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        with contextlib.suppress(redis.RedisError, OSError):
            if claim():
                return
        time.sleep(0.02)
    raise AssertionError(f"not within {TIMEOUT} s: {what}")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


class Cluster:
    """Three servers: processes that it starts, or the servers that listen on these ports."""

    def __init__(self, binary=None, ports=None):
        self.binary = binary
        self.processes = {}
        self.directory = None
        if ports:
            self.ports = dict(enumerate(ports, 1))
            return
        self.directory = tempfile.TemporaryDirectory(prefix="raft-kv-")
        taken = free_ports(6)
        self.ports = dict(enumerate(taken[:3], 1))
        self.peers = dict(enumerate(taken[3:], 1))
        founders = [f"--founder={node}=127.0.0.1:{port}" for node, port in self.peers.items()]
        for node in self.ports:
            init = [binary, "init", f"--id={node}", "--cluster=7", f"--data={self.data(node)}"]
            subprocess.run(init + founders, check=True, stdout=subprocess.DEVNULL)
            self.start(node)

    def data(self, node):
        return pathlib.Path(self.directory.name, str(node))

    def start(self, node):
        with open(pathlib.Path(self.directory.name, f"{node}.log"), "ab") as log:
            self.processes[node] = subprocess.Popen(
                [
                    self.binary,
                    "start",
                    f"--data={self.data(node)}",
                    f"--clients=127.0.0.1:{self.ports[node]}",
                    f"--peers=127.0.0.1:{self.peers[node]}",
                ],
                stdout=log,
                stderr=log,
            )

    def kill(self, node):
        process = self.processes.pop(node)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self):
        for node in list(self.processes):
            self.kill(node)
        if self.directory:
            self.directory.cleanup()

    def client(self, node=1, **options):
        options = {"socket_timeout": 10, "decode_responses": True} | options
        return redis.Redis(host="127.0.0.1", port=self.ports[node], **options)

    def status(self, node):
        with self.client(node, socket_timeout=1) as client:
            return json.loads(client.execute_command("RAFT", "STATUS"))

    def leader(self):
        found = []

        def leads():
            for node in self.ports:
                with contextlib.suppress(redis.RedisError, OSError):
                    status = self.status(node)
                    if status["role"] == "leader":
                        found.append((status["term"], node))
            return found

        wait_until(leads, "a server leads")
        return max(found)[1]

    def wait_for_all(self):
        for node in self.ports:
            wait_until(lambda: self.client(node).set("there", node), f"server {node} takes writes")


class Case(unittest.TestCase):
    """A test with a client of one server, and no keys."""

    protocol = 2

    def setUp(self):
        self.client = CLUSTER.client(protocol=self.protocol)
        self.addCleanup(self.client.close)
        self.client.flushdb()


class Commands(Case):
    def test_a_string_is_returned_as_it_was_set(self):
        self.assertTrue(self.client.set("a", "1"))
        self.assertEqual(self.client.get("a"), "1")
        self.assertIsNone(self.client.get("b"))
        self.assertEqual(self.client.append("a", "23"), 3)
        self.assertEqual(self.client.strlen("a"), 3)
        self.assertEqual(self.client.getset("a", "x"), "123")
        self.assertEqual(self.client.set("a", "y", get=True), "x")
        self.assertEqual(self.client.type("a"), "string")
        self.assertEqual(self.client.exists("a", "a", "b"), 2)
        self.assertEqual(self.client.delete("a", "b"), 1)
        self.assertEqual(self.client.dbsize(), 0)

    def test_set_obeys_its_conditions(self):
        self.assertIsNone(self.client.set("a", "1", xx=True))
        self.assertTrue(self.client.set("a", "1", nx=True))
        self.assertIsNone(self.client.set("a", "2", nx=True))
        self.assertTrue(self.client.set("a", "2", xx=True))
        self.assertEqual(self.client.get("a"), "2")

    def test_any_bytes_are_stored_unchanged(self):
        client = CLUSTER.client(protocol=self.protocol, decode_responses=False)
        value = bytes(range(256)) * 100 + b"\r\n"
        client.set(b"\x00\r\n\xff", value)
        self.assertEqual(client.get(b"\x00\r\n\xff"), value)
        client.close()

    def test_numbers_are_incremented(self):
        self.assertEqual(self.client.incr("n"), 1)
        self.assertEqual(self.client.incrby("n", 10), 11)
        self.assertEqual(self.client.decr("n"), 10)
        self.assertEqual(self.client.decrby("n", 20), -10)
        self.client.set("n", "no number")
        with self.assertRaisesRegex(redis.ResponseError, "not an integer"):
            self.client.incr("n")

    def test_many_keys_are_set_and_read_at_once(self):
        self.assertTrue(self.client.mset({"a": "1", "b": "2"}))
        self.assertEqual(self.client.mget("a", "nothing", "b"), ["1", None, "2"])
        self.assertEqual(sorted(self.client.keys("*")), ["a", "b"])
        self.assertEqual(self.client.keys("[b-z]"), ["b"])

    def test_keys_expire(self):
        self.client.set("a", "1", px=100)
        self.client.set("b", "1", ex=100)
        self.assertIn(self.client.ttl("b"), range(98, 101))
        self.assertEqual(self.client.ttl("nothing"), -2)
        self.assertTrue(self.client.persist("b"))
        self.assertEqual(self.client.ttl("b"), -1)
        self.assertTrue(self.client.pexpire("b", 50_000))
        self.assertIn(self.client.pttl("b"), range(40_000, 50_001))
        wait_until(lambda: self.client.get("a") is None, "the key expired")
        self.assertEqual(self.client.dbsize(), 1)

    def test_a_scan_finds_each_key(self):
        wanted = {f"key-{number}" for number in range(300)}
        self.client.mset(dict.fromkeys(wanted, "1") | {"another": "1"})
        found = list(self.client.scan_iter(match="key-*", count=50))
        self.assertEqual(set(found), wanted)
        self.assertEqual(len(found), len(wanted))

    def test_a_compare_and_set_with_an_old_value_takes_effect_once(self):
        self.client.set("a", "1")
        self.assertEqual(self.client.execute_command("CAS", "a", "1", "2"), 1)
        self.assertEqual(self.client.execute_command("CAS", "a", "1", "3"), 0)
        self.assertEqual(self.client.get("a"), "2")

    def test_a_request_of_a_session_runs_once(self):
        session = self.client.execute_command("SESSION", "OPEN")
        once = ["ONCE", session, 1, "INCR", "n"]
        self.assertEqual(self.client.execute_command(*once), 1)
        with CLUSTER.client(2) as other:
            self.assertEqual(other.execute_command(*once), 1)
        self.assertEqual(self.client.get("n"), "1")
        self.client.execute_command("SESSION", "CLOSE", session)
        with self.assertRaisesRegex(redis.ResponseError, "NOSESSION|no such session"):
            self.client.execute_command("ONCE", session, 2, "INCR", "n")

    def test_a_pipeline_is_answered_in_order(self):
        with self.client.pipeline(transaction=False) as pipeline:
            for number in range(1000):
                pipeline.set(f"key-{number}", number)
                pipeline.get(f"key-{number}")
            answers = pipeline.execute()
        self.assertEqual(answers, [it for n in range(1000) for it in (True, str(n))])

    def test_an_error_in_a_pipeline_does_not_affect_the_rest(self):
        with self.client.pipeline(transaction=False) as pipeline:
            pipeline.set("a", "x").incr("a").get("a")
            answers = pipeline.execute(raise_on_error=False)
        self.assertIsInstance(answers[1], redis.ResponseError)
        self.assertEqual([answers[0], answers[2]], [True, "x"])

    def test_no_command_runs_within_a_transaction(self):
        def count():
            with CLUSTER.client(2, protocol=self.protocol) as client:
                for _ in range(20):
                    with client.pipeline(transaction=True) as pipeline:
                        a, b = pipeline.incr("a").incr("b").execute()
                        differ.append(a != b)

        differ = []
        threads = [threading.Thread(target=count) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(differ, [False] * 80)
        self.assertEqual(self.client.mget("a", "b"), ["80", "80"])

    def test_a_write_at_one_server_is_read_at_every_server(self):
        for number in range(20):
            self.client.set("a", number)
            for node in CLUSTER.ports:
                with CLUSTER.client(node) as other:
                    self.assertEqual(other.get("a"), str(number))

    def test_the_server_describes_itself(self):
        self.assertTrue(self.client.ping())
        self.assertEqual(self.client.echo("hello"), "hello")
        self.assertIn("redis_version", self.client.info())
        self.assertGreater(len(self.client.command()), 20)

    def test_a_malformed_request_is_refused_and_the_connection_goes_on(self):
        for command in [["NOSUCHCOMMAND"], ["GET"], ["SET", "a", "1", "WRONG"], ["EXPIRE", "a", "x"]]:
            with self.assertRaises(redis.ResponseError):
                self.client.execute_command(*command)
        self.assertTrue(self.client.ping())


class CommandsInResp3(Commands):
    """The same tests in version 3 of the protocol."""

    protocol = 3

    def test_version_3_is_spoken(self):
        hello = self.client.execute_command("HELLO", "3")
        self.assertIsInstance(hello, dict)
        fields = {key.decode() if isinstance(key, bytes) else key: hello[key] for key in hello}
        self.assertEqual(fields["proto"], 3)


class Failures(Case):
    """What a client sees when the leader is killed."""

    def setUp(self):
        if not CLUSTER.processes:
            self.skipTest("servers that run already are not killed")
        super().setUp()
        CLUSTER.wait_for_all()

    def restart(self, node):
        CLUSTER.start(node)
        CLUSTER.wait_for_all()

    def test_a_client_of_another_server_only_waits(self):
        leader = CLUSTER.leader()
        other = next(node for node in CLUSTER.ports if node != leader)
        # The client sends each command once. The server has to repeat it.
        with CLUSTER.client(other, retry=Retry(ConstantBackoff(0), 0)) as client:
            client.set("a", "before")
            CLUSTER.kill(leader)
            start = time.monotonic()
            self.assertEqual(client.get("a"), "before")
            client.set("a", "after")
            print(f"    served {time.monotonic() - start:.2f} s after the leader was killed", file=sys.stderr)
            self.assertEqual(client.get("a"), "after")
        self.restart(leader)

    def test_a_client_of_the_killed_server_uses_another_one(self):
        leader = CLUSTER.leader()
        clients = [CLUSTER.client(leader)]
        clients += [CLUSTER.client(node) for node in CLUSTER.ports if node != leader]
        clients[0].set("a", "before")
        CLUSTER.kill(leader)
        with self.assertRaises(redis.ConnectionError):
            clients[0].get("a")
        self.assertEqual(clients[1].get("a"), "before")
        self.restart(leader)
        for client in clients:
            client.close()

    def test_a_client_reconnects_when_its_server_is_back(self):
        leader = CLUSTER.leader()
        errors = [redis.ConnectionError, redis.TimeoutError]
        retry = Retry(ConstantBackoff(0.05), TIMEOUT * 20)
        with CLUSTER.client(leader, retry=retry, retry_on_error=errors) as client:
            client.set("a", "before")
            CLUSTER.kill(leader)
            back = threading.Timer(0.3, CLUSTER.start, [leader])
            back.start()
            self.assertEqual(client.get("a"), "before")
            self.assertTrue(client.set("a", "after"))
            back.join()
        CLUSTER.wait_for_all()

    def test_no_acknowledged_write_is_lost_when_leaders_are_killed_repeatedly(self):
        written, stop = [], threading.Event()

        def write():
            nodes, number = 0, 0
            while not stop.is_set():
                nodes += 1
                with CLUSTER.client(nodes % 3 + 1, retry=Retry(ConstantBackoff(0), 0)) as client:
                    with contextlib.suppress(redis.RedisError, OSError):
                        while not stop.is_set():
                            number += 1
                            client.set(f"key-{number}", number)
                            written.append(number)

        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(3):
            leader = CLUSTER.leader()
            before = len(written)
            wait_until(lambda: len(written) > before + 20, "writes are acknowledged")
            CLUSTER.kill(leader)
            before = len(written)
            wait_until(lambda: len(written) > before + 20, "writes are acknowledged again")
            self.restart(leader)
        stop.set()
        writer.join()
        values = self.client.mget([f"key-{number}" for number in written])
        self.assertEqual(values, [str(number) for number in written])


def main():
    global CLUSTER
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="target/debug/raft-kv", help="the server's program")
    parser.add_argument("--ports", type=int, nargs=3, help="the ports of three servers that run already")
    arguments, rest = parser.parse_known_args()
    CLUSTER = Cluster(os.path.abspath(arguments.binary), arguments.ports)
    print(f"redis {redis.__version__}, servers on ports {list(CLUSTER.ports.values())}", file=sys.stderr)
    try:
        CLUSTER.wait_for_all()
        unittest.main(argv=[sys.argv[0], "-v", *rest])
    finally:
        CLUSTER.close()


if __name__ == "__main__":
    main()
