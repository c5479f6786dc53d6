#!/usr/bin/python3
"""Runs weft on two nodes while everything around it breaks, and proves that no job and no line was lost.

    driver.py [--jobs N] [--seed N] [--rate N] [--every SECONDS] [--without KIND,...] [--folder FOLDER] [--figures FILE]

The seed is printed; the same seed draws the same jobs and the same faults. The history is kept if something is wrong.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import redis

from checker import Violation, check, documented_keys, tell
from cluster import NODES, QUEUES, Node, Proxy, Redis, SlowScripts, compile_plugin, consumers, key
from faults import Breaker, choices
from figures import figures
from harvest import Harvester, read_reports
from history import History, Journal
from producer import Operator, Producer, orders

PRODUCERS = 2
TURN = 0.01           # seconds between two looks at the processes
DRAIN_LIMIT = 60.0    # seconds in which fewer jobs are to be left in the queues, when all is well again
SETTLE_LIMIT = 20.0   # seconds until the consumers of the dead are gone
PROGRESS = 15.0
SLOW_LOOK = 1.0       # seconds from one look for scripts that held Redis up to the next
BATCH = 1000


class Driver:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.journal = Journal(folder / "driver.jsonl")
        producers = Journal(folder / "producers.jsonl")
        plugin = compile_plugin(folder)
        self.redis = Redis(folder)
        self.slow_scripts = SlowScripts()
        self.next_slow_look = 0.0
        self.proxy = Proxy(folder, self.redis.socket)
        self.nodes = {name: Node(folder, name, self.proxy.sockets[name], plugin, self.journal) for name in NODES}
        self.breaker = Breaker(self.redis, self.proxy, self.nodes, self.journal)
        config = self.nodes["a"].config
        self.operator = Operator(config, self.redis.socket, producers, options.seed, "revive" not in options.without)
        self.harvester = Harvester(self.redis.socket, Journal(folder / "harvest.jsonl"))
        self.producers = [
            Producer(f"p{i}", self.proxy.sockets["producers"], producers,
                     orders(options.seed, f"p{i}", options.jobs // PRODUCERS, options.without), options.rate / PRODUCERS,
                     self.operator.to_cancel) for i in range(PRODUCERS)]

    # ---- The run ----

    def threads(self):
        return (*self.producers, self.operator, self.harvester)

    def stop_threads(self):
        self.operator.stopped.set()
        self.harvester.stopped.set()
        for thread in self.threads():
            thread.join()
            if thread.problem:
                raise thread.problem

    def run(self):
        self.redis.start()
        self.redis.wait()
        self.proxy.start()
        for node in self.nodes.values():
            node.start()
        for thread in self.threads():
            thread.start()
        self.break_things()
        self.breaker.finish()
        self.redis.wait()
        self.operator.no_more_revivals.set()
        self.drain()
        self.stop_threads()
        live = self.wait_for_consumers()
        for node in self.nodes.values():
            node.stop()
        processes = self.wait_for_orphans()
        (self.folder / "final.json").write_text(json.dumps(self.snapshot(live, processes)))

    def break_things(self):
        """Until the producers have nothing more to enqueue."""
        next_fault = time.monotonic() + 1.0
        next_word = time.monotonic() + PROGRESS
        wanted = choices(self.options.seed, self.options.without)
        while any(producer.is_alive() for producer in self.producers):
            self.look_after()
            now = time.monotonic()
            if now >= next_fault:
                self.breaker.apply(next(wanted))
                next_fault += self.options.every
            if now >= next_word:
                self.say_progress()
                next_word += PROGRESS
            time.sleep(TURN)

    def say_progress(self):
        enqueued = sum(producer.enqueued for producer in self.producers)
        print(f"   {enqueued} of {self.options.jobs} jobs enqueued", flush=True)

    def look_after(self):
        self.breaker.poll()
        for node in self.nodes.values():
            node.look_after()
        if time.monotonic() >= self.next_slow_look:
            self.next_slow_look = time.monotonic() + SLOW_LOOK
            self.look_for_slow_scripts()

    def look_for_slow_scripts(self):
        try:
            self.slow_scripts.collect(self.redis.hasty)
        except redis.exceptions.RedisError:
            pass  # it is one of those that are being broken

    def slow_violations(self, stops):
        stuck = self.slow_scripts.stuck()
        if len(stuck) <= SlowScripts.ALLOWED + stops:
            return []
        return [Violation("no script holds Redis up", f"{name} took {seconds * 1000:.0f} ms") for seconds, name in stuck]

    def wait_until(self, condition, limit):
        """Gives whether it came true. Redis may still be reading its file."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            self.look_after()
            try:
                if condition():
                    return True
            except redis.exceptions.RedisError:
                pass
            time.sleep(0.1)
        return False

    def left(self):
        """Jobs that have not ended, and cancellations that have not been asked for."""
        client = self.redis.admin
        jobs = sum(client.xlen(key(queue)) + client.zcard(key(queue, "delayed")) for queue in QUEUES)
        return jobs + len(self.operator.to_cancel)

    def drain(self):
        """How long that takes depends on what has piled up; that it goes on does not."""
        least = sys.maxsize
        while least > 0:
            if not self.wait_until(lambda: self.left() < least, DRAIN_LIMIT):
                self.journal.write("not_drained", after=DRAIN_LIMIT)
                return
            least = min(least, self.left())

    def wait_for_consumers(self):
        """The consumers of each queue, once those of the dead are gone."""
        def only_the_living():
            expected = sum(len(node.workers()) for node in self.nodes.values())
            return (all(len(consumers(self.redis.admin, queue)) <= expected for queue in QUEUES)
                    and self.redis.admin.zcard("weft:workers") <= expected)

        self.wait_until(only_the_living, SETTLE_LIMIT)
        return {queue: consumers(self.redis.admin, queue) for queue in QUEUES}

    def wait_for_orphans(self):
        def alive():
            return [pid for node in self.nodes.values() for pid in node.orphans()]

        self.wait_until(lambda: not alive(), SETTLE_LIMIT)
        return alive()

    # ---- What is left ----

    def reports(self, queue):
        names = self.redis.admin.scan_iter(key(queue, "job", "*"), count=BATCH)
        return read_reports(self.redis.admin, queue, {name.split(":job:", 1)[1] for name in names})

    def counts(self, name):
        counts = {}
        for job in self.redis.admin.lrange(name, 0, -1):
            counts[job] = counts.get(job, 0) + 1
        return counts

    def pending(self, queue):
        try:
            return self.redis.admin.xpending(key(queue), "weft")["pending"]
        except redis.exceptions.ResponseError:
            return 0

    def snapshot_queue(self, queue, live):
        client = self.redis.admin
        return {
            "reports": self.reports(queue), "done": self.counts(key(queue, "done")), "failed": self.counts(key(queue, "failed")),
            "letters": [fields["weft.id"] for _, fields in client.xrange(key(queue, "dead"))],
            "stream": client.xlen(key(queue)), "delayed": client.zcard(key(queue, "delayed")), "pending": self.pending(queue),
            "consumers": consumers(self.redis.admin, queue), "live_consumers": live,
        }

    def snapshot(self, live, processes):
        known = documented_keys()
        others = [name for name in self.redis.admin.scan_iter(count=BATCH) if name not in known and ":job:" not in name]
        return {"queues": {queue: self.snapshot_queue(queue, live[queue]) for queue in QUEUES}, "other_keys": others,
                "processes": processes, "printed": [line for node in self.nodes.values() for line in node.printed()]}

    def end(self):
        """Leaves no process behind, however the run went."""
        for producer in self.producers:
            producer.given_up.set()
        self.operator.stopped.set()
        self.harvester.stopped.set()
        self.breaker.finish()
        for node in self.nodes.values():
            node.end_by_force()
        self.proxy.stop()
        self.redis.stop()


def count_pauses(history):
    return sum(fault.get("kind") == "pause_redis" for fault in history.faults)


def options_of(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--rate", type=float, default=150, help="jobs a second")
    parser.add_argument("--every", type=float, default=0.2, help="seconds from one fault to the next")
    parser.add_argument("--without", type=lambda text: text.split(","), default=[], help="kinds of jobs and faults, or revive")
    parser.add_argument("--folder", type=Path, help="where the history is kept in any case")
    parser.add_argument("--figures", type=Path, help="a file to which the figures are written as well")
    return parser.parse_args(words)


def main(words):
    options = options_of(words)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="chaos."))
    folder.mkdir(exist_ok=True)
    print(f"chaos: {options.jobs} jobs, seed {options.seed}, a fault every {options.every} s, history in {folder}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    began = time.monotonic()
    driver = Driver(options, folder)
    try:
        driver.run()
    finally:
        driver.end()
    history = History.load(folder)
    violations = [*check(history), *driver.slow_violations(count_pauses(history))]
    tell(history, violations)
    text = figures(history, options, time.monotonic() - began)
    text += f"\n{driver.slow_scripts.describe()}\n"
    print(text)
    if options.figures:
        options.figures.write_text(text)
    print(f"chaos: {len(violations)} violations; seed {options.seed}")
    if not violations and not options.folder:
        shutil.rmtree(folder)
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
