#!/usr/bin/python3
"""Runs weft under a steady load for minutes and proves that nothing grows.

    soak.py [--seconds N] [--rate N] [--seed N] [--figures FILE]

Node `a` runs jobs that do no harm, so that its workers live from the beginning to the end and whatever they lose adds up;
node `b` runs jobs of which some crash their worker, so that its supervisor buries hundreds. Every 5 seconds memory,
descriptors and Redis are looked at; the last third of the run is compared with the first third after a warm-up.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from cluster import QUEUES, Node, Redis, SlowScripts, compile_plugin, connect, consumers, key
from history import Journal
from producer import fields_of, orders

EVERY = 5.0
WARM_UP = 60.0
KEEP = {"done": "20s", "done_max": 1000, "failed": "20s", "dead": 500}
QUEUE_OF = {"a": "default", "b": "bulk"}
HARMLESS_WITHOUT = ("crash", "loop", "cancel")

# How much the mean of the last third may be above that of the first: a share of it, and so much besides, for what comes
# and goes (pages of an allocator, a worker that is being replaced, reports that expire a little later).
MARGIN = 0.05
SLACK = {"rss": 1024, "fds": 6, "used_memory": 1024, "keys": 200, "clients": 6, "consumers": 2, "waiting": 300}
UNITS = {"rss": "KiB", "used_memory": "KiB"}


def rss_of(pid):
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def descriptors_of(pid):
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


class Load(threading.Thread):
    """Enqueues for one node at a steady rate until it is stopped."""

    def __init__(self, name, socket, seed, rate, without):
        super().__init__(name=name)
        self.client, self.queue, self.rate = connect(socket), QUEUE_OF[name], rate
        self.orders = orders(seed, name, sys.maxsize, without)
        self.stopped = threading.Event()
        self.count = 0
        self.problem = None

    def run(self):
        began = time.monotonic()
        try:
            while not self.stopped.wait(max(0.0, began + self.count / self.rate - time.monotonic())):
                order = next(self.orders)
                if order["kind"] == "parent":
                    order["number"] = int(self.queue == "default")  # its child stays on the same node
                self.client.xadd(key(self.queue), fields_of(order, order["token"]))
                self.count += 1
        except Exception as problem:  # told by whoever waits for this thread
            self.problem = problem


class Soak:
    def __init__(self, options, folder):
        self.options = options
        self.journal = Journal(folder / "driver.jsonl")
        plugin = compile_plugin(folder)
        self.redis = Redis(folder, durable=False)
        self.nodes = {
            name: Node(folder, name, self.redis.socket, plugin, self.journal, queues=[{"name": queue}], keep=KEEP,
                       log={"level": "info", "format": "json", "output": "/dev/null"})
            for name, queue in QUEUE_OF.items()}
        for node in self.nodes.values():
            node.history = Path("/dev/null")
        self.loads = [Load("a", self.redis.socket, options.seed, options.rate * 0.8, HARMLESS_WITHOUT),
                      Load("b", self.redis.socket, options.seed, options.rate * 0.2, ("loop", "cancel"))]
        self.samples = []
        self.slow_scripts = SlowScripts()

    def run(self):
        self.redis.start()
        self.redis.wait()
        for node in self.nodes.values():
            node.start()
        for load in self.loads:
            load.start()
        began = time.monotonic()
        while (now := time.monotonic() - began) < self.options.seconds:
            for node in self.nodes.values():
                node.look_after()
            if len(self.samples) <= now / EVERY:
                self.samples.append(self.sample(now))
            time.sleep(0.05)
        for load in self.loads:
            load.stopped.set()
            load.join()
            if load.problem:
                raise load.problem

    def sample(self, now):
        client, values = self.redis.admin, {"seconds": now}
        self.slow_scripts.collect(client)
        for name, node in self.nodes.items():
            workers = node.workers()
            values[f"{name} supervisor rss"] = rss_of(node.process.pid)
            values[f"{name} supervisor fds"] = descriptors_of(node.process.pid)
            values[f"{name} worker rss"] = max((rss_of(pid) for pid in workers), default=0)
            values[f"{name} worker fds"] = max((descriptors_of(pid) for pid in workers), default=0)
        info = client.info()
        values["redis used_memory"] = info["used_memory"] // 1024
        values["redis clients"] = info["connected_clients"]
        values["redis keys"] = client.dbsize()
        values["redis consumers"] = sum(len(consumers(client, queue)) for queue in QUEUES)
        values["waiting"] = sum(client.xlen(key(queue)) + client.zcard(key(queue, "delayed")) for queue in QUEUES)
        return values

    def end(self):
        for load in self.loads:
            load.stopped.set()
        for node in self.nodes.values():
            node.end_by_force()
        self.redis.stop()


def mean(samples, name):
    return sum(sample[name] for sample in samples) / len(samples)


def compare(samples):
    """Rows of name, means of the first and the last third after the warm-up, the highest value, and whether it grew."""
    warm = [sample for sample in samples if sample["seconds"] >= min(WARM_UP, samples[-1]["seconds"] / 4)]
    third = len(warm) // 3
    rows = []
    for name in samples[0]:
        slack = SLACK.get(name.split()[-1])
        first, last = mean(warm[:third], name), mean(warm[-third:], name)
        grew = slack is not None and last > first * (1 + MARGIN) + slack
        rows.append((name, first, last, max(sample[name] for sample in warm), grew))
    return rows[1:]


def table(rows):
    lines = [f"{'':22}{'first third':>14}{'last third':>14}{'highest':>12}"]
    for name, first, last, highest, grew in rows:
        unit, growth = UNITS.get(name.split()[-1], ""), "  GROWS" if grew else ""
        lines.append(f"{f'{name} {unit}':26}{first:10.0f}{last:14.0f}{highest:12.0f}{growth}")
    return "\n".join(lines)


def main(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=200, help="jobs a second")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--figures", type=Path, help="a file to which the figures are written as well")
    options = parser.parse_args(words)
    folder = Path(tempfile.mkdtemp(prefix="soak."))
    print(f"soak: {options.seconds:.0f} s, {options.rate:.0f} jobs a second, seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    soak = Soak(options, folder)
    try:
        soak.run()
    finally:
        soak.end()
    rows = compare(soak.samples)
    ended = sum(node.endings for node in soak.nodes.values())
    jobs = sum(load.count for load in soak.loads)
    text = f"{table(rows)}\n{jobs} jobs, {len(soak.samples)} samples, seed {options.seed}; weftd ended {ended} times\n"
    text += soak.slow_scripts.describe()
    stuck = len(soak.slow_scripts.stuck()) > SlowScripts.ALLOWED
    print(text)
    if options.figures:
        options.figures.write_text(text + "\n")
    shutil.rmtree(folder)
    return int(ended > 0 or stuck or any(row[-1] for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
