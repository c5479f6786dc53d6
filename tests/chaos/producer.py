"""Those who use weft while it breaks: two producers, who note what they enqueue, and an operator, who cancels jobs and
retries dead letters."""

import random
import subprocess
import threading
import time

import redis

from cluster import CRASHES, QUEUES, WEFT, connect, key

AHEAD = 2000        # jobs in a stream before the producers wait
CHECK_EVERY = 20    # enqueued jobs
NEVER = 99          # attempts of which a job survives none

# How many of 1000 jobs are of a kind, and what the number in the payload is.
MIX = [
    (560, "nap", lambda drawn: drawn.randrange(5, 150)),
    (10, "nap", lambda drawn: drawn.randrange(1000, 4000)),
    (90, "flaky", lambda drawn: drawn.choice((1, 1, 2, NEVER))),
    (50, "again", lambda drawn: drawn.randrange(10, 100)),
    (90, "spawn", lambda drawn: drawn.randrange(10, 500)),
    (80, "parent", lambda drawn: drawn.randrange(2)),
    (50, "thread", lambda drawn: drawn.randrange(1, 50)),
    (40, "twin", lambda drawn: drawn.randrange(10, 500)),  # has one of a few unique keys
    (20, "refuse", lambda drawn: 0),
    (20, "cancel", lambda drawn: 20000),  # a long nap, that is cancelled
    (1, "loop", lambda drawn: drawn.choice((1, NEVER))),
    (6, "crash", lambda drawn: drawn.choice((1, 1, 1, NEVER))),
]


def orders(seed, name, count, without=()):
    """The messages of one producer, drawn from the seed alone."""
    drawn = random.Random(f"producer {name} {seed}")
    mix = [entry for entry in MIX if entry[1] not in without]
    for number in range(count):
        _, kind, choose = drawn.choices(mix, [weight for weight, _, _ in mix])[0]
        how, roll, delay = drawn.choice(CRASHES[:-1]), drawn.random(), drawn.randrange(10, 2000)
        order = {"kind": kind, "number": choose(drawn), "token": f"{name}-{number}", "queue": drawn.choice(QUEUES)}
        if kind == "cancel":
            order |= {"type": "nap", "cancel_after": delay / 1000, "delay": 20000 if roll < 0.2 else 0}
        elif kind == "twin":
            order |= {"type": "nap", "unique": f"k{order['number'] % 4}", "delay": delay if roll < 0.1 else 0}
        elif kind in ("crash", "loop"):
            how, timeout = (how, 0) if kind == "crash" else ("loop", 300)
            order |= {"type": f"crash_{how}", "attempts": 3, "timeout": timeout}
        else:
            order |= {"type": kind, "delay": delay if roll < 0.1 else 0}
        order["own_id"] = roll > 0.9
        yield order


def fields_of(order, token):
    fields = {"type": order["type"], "payload": f"{token} {order['number']}", "token": token}
    if order["own_id"]:
        fields["id"] = f"own:{token}"
    for name, unit in (("delay", "ms"), ("timeout", "ms"), ("attempts", ""), ("unique", "")):
        if order.get(name):
            fields[name] = f"{order[name]}{unit}"
    return fields


class Producer(threading.Thread):
    """Enqueues at a steady rate. What Redis did not acknowledge is noted as tried, and enqueued again under a new token."""

    def __init__(self, name, socket, journal, wanted, rate, to_cancel):
        super().__init__(name=name)
        self.client = connect(socket)
        self.journal, self.wanted, self.rate, self.to_cancel = journal, wanted, rate, to_cancel
        self.enqueued = 0
        self.given_up = threading.Event()
        self.problem = None

    def run(self):
        try:
            began = time.monotonic()
            for number, order in enumerate(self.wanted):
                if number % CHECK_EVERY == 0:
                    self.wait_for_room()
                self.given_up.wait(max(0, began + number / self.rate - time.monotonic()))
                if self.given_up.is_set():
                    return
                self.enqueue(order)
        except Exception as problem:  # told by whoever waits for this thread
            self.problem = problem

    def insist(self, command):
        """Tries until Redis has answered; gives None where the run was given up."""
        attempt = 0
        while not self.given_up.is_set():
            try:
                return command(attempt)
            except redis.exceptions.RedisError:
                attempt += 1
                self.given_up.wait(0.05)
        return None

    def wait_for_room(self):
        while (self.insist(lambda _: max(self.client.xlen(key(queue)) for queue in QUEUES)) or 0) > AHEAD:
            self.given_up.wait(0.1)

    def enqueue(self, order):
        def add(attempt):
            token = f"{order['token']}-{attempt}" if attempt else order["token"]
            fields = fields_of(order, token)
            self.journal.write("try", **(order | {"token": token}))
            entry = self.client.xadd(key(order["queue"]), fields)
            job = fields.get("id", entry)
            self.journal.write("enqueued", token=token, queue=order["queue"], job=job)
            return job

        job = self.insist(add)
        self.enqueued += 1
        if job and order["kind"] == "cancel":
            self.to_cancel.append((time.monotonic() + order["cancel_after"], order["queue"], job))


class Operator(threading.Thread):
    """Cancels the jobs that are to be cancelled, and retries some of the dead letters, each once."""

    def __init__(self, config, socket, journal, seed, revive):
        super().__init__(name="operator")
        self.config, self.journal, self.revive = config, journal, revive
        self.client = connect(socket)
        self.drawn = random.Random(f"operator {seed}")
        self.to_cancel = []
        self.read = {queue: "-" for queue in QUEUES}
        self.no_more_revivals, self.stopped = threading.Event(), threading.Event()
        self.problem = None

    def run(self):
        try:
            while not self.stopped.wait(0.1):
                due = [entry for entry in self.to_cancel if entry[0] <= time.monotonic()]
                for entry in due:
                    self.to_cancel.remove(entry)
                    self.cancel(*entry[1:])
                if self.revive and not self.no_more_revivals.is_set():
                    self.look_for_dead_letters()
        except Exception as problem:  # told by whoever waits for this thread
            self.problem = problem

    def weft(self, *words):
        try:
            return subprocess.run([WEFT, "-c", self.config, *words], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=20)
        except subprocess.TimeoutExpired:
            return None

    def command(self, event, queue, job, *words):
        """Runs `weft` and notes what it said; also beforehand, since what fails may have had an effect."""
        self.journal.write(event, queue=queue, job=job)
        done = self.weft(*words)
        self.journal.write("answer", to=event, queue=queue, job=job, code=done.returncode if done else None,
                           text=(done.stdout + done.stderr).strip() if done else "timed out")
        return done

    def cancel(self, queue, job):
        done = self.command("cancel", queue, job, "cancel", "-q", queue, job)
        if not done or done.returncode not in (0, 1):
            self.to_cancel.append((time.monotonic() + 0.3, queue, job))

    def look_for_dead_letters(self):
        for queue in QUEUES:
            try:
                letters = self.client.xrange(key(queue, "dead"), min=self.read[queue], count=100)
            except redis.exceptions.RedisError:
                continue
            for entry, fields in letters:
                self.read[queue] = f"({entry}"
                if self.drawn.random() < 0.1:
                    self.command("revive", queue, fields["weft.id"], "dead", "retry", "-q", queue, fields["weft.id"])
