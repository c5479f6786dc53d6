"""A small scenario of jobs that end in every way, to be walked over: one fault at one Redis command of it, and then all
jobs must end as they would have without.

A command is known by its marks, which say who sends it, what kind it is and which jobs it moves, as in `worker: claim
j-retry, 2nd`. Those of a poll, which moves nothing, name the step of the scenario instead. A command's number would not do:
how often polls are sent, and what shares a batch, is not the same twice.
"""

import contextlib
import hashlib
import os
import re
import signal
import threading
import time
from collections import Counter

from redis.exceptions import ConnectionError as NoConnection, ResponseError

from proxy import CUT, Proxy
from weft import BUILD, Weftd, describe_process, is_child, key, wait_for

# By ID: the type, how often it runs, the attempt that the report names at the end, the state in which it ends.
JOBS = {
    "j-done": ("plain", 1, {1}, "done"),
    "j-result": ("result", 1, {1}, "done"),
    "j-retry": ("retry_once", 2, {2}, "done"),
    "j-dead": ("fail", 1, {1}, "dead"),
    "j-bad": ("nobody", 0, {0}, "dead"),
    "j-delayed": ("plain", 1, {1}, "done"),
    "j-crash": ("crash_once", 2, {2}, "done"),
    "j-hold": ("hold", 3, {1}, "done"),
    "j-held": ("hold", 3, {1}, "done"),
    "j-twin": ("plain", 0, {1}, "duplicate"),
}

# Such a message fills a slice of a give-back, so that what holds two of them is given back in two. One has a unique key all
# the time, wherever it is, and its twin comes meanwhile.
FIELDS = {"j-hold": {"payload": "x" * 300_000, "unique": "k"}, "j-held": {"payload": "x" * 300_000}, "j-twin": {"unique": "k"}}

SETTINGS = {"shutdown_timeout": "100ms", "lease": "1h"}  # nothing waits for the lease

LIMIT = 120  # seconds for a step: only what hangs runs into it
LONG = 30    # seconds after which a step that is not over is worth a look at what every process does

looking = threading.Lock()

EXIT_NO_REDIS = 69

ENQUEUED = "enqueued"
ENQUEUE_ONCE = """
    if redis.call('SADD', KEYS[1], ARGV[1]) == 1 then
        redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
    end
    return 1
"""


def script_names():
    """The scripts' names by what EVALSHA calls them, as the build under test knows them."""
    source = (BUILD / "queue" / "scripts.c").read_text()
    return {sha: name for name, sha in re.findall(r'"(\w+)",\s+"([0-9a-f]{40})"', source)}


SCRIPT_NAMES = script_names()


class Observer:
    """Looks into Redis, past the proxy, to say what a command is about to do."""

    def __init__(self, client):
        self.client = client

    def job_of(self, entry, fields):
        return fields.get("weft.id") or fields.get("id") or entry

    def due(self):
        seconds, microseconds = self.client.time()
        return self.client.zrangebyscore(key("default", "delayed"), "-inf", seconds * 1000 + microseconds // 1000)

    def in_flight(self):
        try:
            pending = self.client.xpending_range(key("default"), "weft", "-", "+", 100)
        except ResponseError:
            return set()  # there is no group yet
        entries = dict(self.client.xrange(key("default")))
        return {self.job_of(one["message_id"], entries.get(one["message_id"], {})) for one in pending}


def script_marks(observer, words):
    script, keys = words[1], int(words[2])
    if words[0] == b"EVAL":
        name = SCRIPT_NAMES[hashlib.sha1(script).hexdigest()]
    else:
        name = SCRIPT_NAMES[script.decode()]
    arguments = words[3 + keys:]
    text = b" ".join(arguments)
    if name == "settle":
        moved = re.findall(rb"what.([a-z]+).entry.*?\xa2id.(j-[a-z]+)", text, re.DOTALL)
        moved += [(b"done", job) for job in re.findall(rb"j-[a-z]+", arguments[9])]
        return "settle", [f"{job.decode()} as {what.decode()}" for what, job in moved]
    if name == "promote":
        return "promote", observer.due()
    if name == "hold":
        return "hold", [job.decode() for job in arguments[2::4]]
    return name, []


def kind_and_jobs(observer, command):
    """What kind of command it is, and what it moves."""
    words = command.words
    if command.name in ("EVAL", "EVALSHA"):
        return script_marks(observer, words)
    if command.name == "XREADGROUP":
        if words[-1] == b">":
            return "claim", []
        return "recover" if words[-1] == b"0" else "refresh", []
    if command.name in ("CLIENT", "XGROUP", "XINFO", "SCRIPT"):
        return f"{command.name} {words[1].decode()}", []
    return command.name, []


class Fault:
    """Kills a victim at the command that has a mark. victim: worker, node or redis; moment: before or after."""

    def __init__(self, victim, moment, mark):
        self.victim, self.moment, self.mark = victim, moment, mark
        self.met = False
        self.step = None
        self.in_flight = set()
        self.process = None  # the weftd that it met

    def __str__(self):
        return f"{self.victim} killed {self.moment} `{self.mark}`"


class Walk:
    """One run of the scenario, whose weftd has `settings` for plugins/walk.c."""

    def __init__(self, folder, redis, settings, fault=None):
        self.redis, self.fault = redis, fault
        self.weftd = None
        self.step = "starting"
        self.seen = Counter()  # marks without their number
        self.boundaries = []   # in the order in which they came: the moment and the command's marks
        self.current = {}      # command number: its marks, until the reply
        self.striking = threading.Lock()
        self.over = False      # nothing strikes any more
        self.observer = Observer(redis.client)
        folder.mkdir()
        self.proxy = Proxy(folder / "p", redis.socket, self.before, self.after)
        self.weftd = Weftd(folder, self.proxy.url, **settings, **SETTINGS)

    # Hooks, in the proxy's thread

    def number(self, sender, kind, jobs):
        bases = [f"{sender}: {kind} {job}" for job in jobs] or [f"{sender}: {kind}, {self.step}"]
        self.seen.update(bases)
        return [f"{base}, no. {self.seen[base]}" for base in bases]

    def sender_of(self, command):
        return "supervisor" if is_child(command.pid) else "worker"

    def before(self, command):
        if self.struck():
            return None
        marks = self.number(self.sender_of(command), *kind_and_jobs(self.observer, command))
        self.boundaries.append(("before", marks))
        self.current[command.number] = marks
        return CUT if self.strike("before", marks, command) else None

    def after(self, command, reply):
        if self.struck():
            return None
        marks = self.current.pop(command.number)
        # What a read gives shows only now: it may have waited for it.
        jobs = sorted({job.decode() for job in re.findall(rb"j-[a-z]+", reply)})
        if command.name == "XREADGROUP" and jobs:
            marks = self.number(self.sender_of(command), "claim", jobs)
        self.boundaries.append(("after", marks))
        return 0 if self.strike("after", marks, command) else None

    def strike(self, moment, marks, command):
        """Gives whether the command's sender, or Redis itself, is gone."""
        fault = self.fault
        if not fault or fault.moment != moment or fault.mark not in marks:
            return False
        with self.striking:
            return not self.over and self.kill_victim(fault, command)

    def kill_victim(self, fault, command):
        fault.in_flight = self.observer.in_flight()
        fault.step = self.step
        fault.process = self.weftd.process
        if fault.victim == "redis":
            self.redis.kill()
            gone = [command.pid]
        else:
            fault.met = True  # before anybody can see that they are gone
            gone = self.weftd.pids() if fault.victim == "node" else self.weftd.worker_pids()
            for pid in gone:
                with contextlib.suppress(ProcessLookupError):  # a worker does not outlive its supervisor
                    os.kill(pid, signal.SIGKILL)
        fault.met = True  # Redis is to be started again only once it has been waited for
        return command.pid in gone

    # The scenario

    def launch(self):
        """A weftd that is faster than this thread is not struck before it is known which process it is: nobody would start
        it again."""
        with self.striking:
            self.weftd.launch()

    def heal(self):
        """What died is started again; workers are the supervisor's to replace. So is a weftd that has given up, since Redis was
        away, or too busy, for all of its patience: a service manager would."""
        if self.struck() and not self.redis.running():
            self.redis.start()
        if self.struck() and self.fault.victim == "node" and self.weftd.process is self.fault.process:
            self.weftd.process.wait()  # who has been killed is there for a moment yet, with its workers
            self.launch()
        elif not self.weftd.running() and self.weftd.process.returncode == EXIT_NO_REDIS:
            self.launch()

    def wait(self, predicate, what, healing=True):
        look_at = time.monotonic() + LONG

        def attempt():
            nonlocal look_at
            assert self.proxy.errors == []
            if time.monotonic() > look_at:
                look_at += LIMIT
                self.note_processes(f"{what}; {self.fault or 'no fault'}; {self.step}")
            if healing:
                self.heal()
            elif not self.redis.running():
                self.redis.start()
            try:
                return predicate()
            except NoConnection:
                return False

        wait_for(attempt, f"{what}; {self.fault or 'no fault'}; {self.step}", timeout=LIMIT)

    def note_processes(self, waiting_for):
        """Writes down what everybody does whom this waits for. Of several walks one at a time: a debugger is work, and what is
        only slow must not be made slower."""
        with looking:
            pids = [*self.weftd.pids(), self.weftd.process.pid]
            text = "\n\n".join([f"waiting for this for {LONG} s: {waiting_for}", *map(describe_process, dict.fromkeys(pids))])
        with open(self.weftd.folder / "processes", "a") as notes:
            print(text, file=notes)
        print(text)

    def settled(self, *jobs):
        return lambda: all(self.redis.report(job).get("state") == JOBS[job][3] for job in jobs)

    def enqueue(self, job, **fields):
        """Once, also when Redis goes away before it answers."""
        words = [word for pair in {"type": JOBS[job][0], "id": job, **FIELDS.get(job, {}), **fields}.items() for word in pair]
        self.wait(lambda: self.redis.client.eval(ENQUEUE_ONCE, 2, ENQUEUED, key("default"), job, *words) == 1,
                  f"{job} is enqueued")

    def stop(self):
        self.weftd.send(signal.SIGTERM)
        self.wait(lambda: not self.weftd.running(), "weftd stops", healing=False)

    def play(self):
        """The scenario from start to end. Gives what is wrong with how it ended, as sentences."""
        self.redis.client.flushall()
        self.redis.client.script_flush()
        first = ("j-done", "j-result", "j-retry", "j-dead", "j-bad")
        self.proxy.start()
        try:
            self.redis.enqueue_together([{"type": JOBS[job][0], "id": job, **FIELDS.get(job, {})}
                                         for job in (*first, "j-hold", "j-held")])
            self.launch()
            self.wait(self.settled(*first), "the first jobs end")
            self.step = "delaying"
            self.enqueue("j-delayed", delay="200ms")
            self.wait(self.settled("j-delayed"), "the delayed job ends")
            self.step = "doubling"
            self.wait(lambda: self.redis.client.exists(key("default", "unique", "k")), "j-hold has its unique key")
            self.enqueue("j-twin")
            self.wait(self.settled("j-twin"), "the duplicate ends")
            self.step = "crashing"
            self.enqueue("j-crash")
            self.wait(self.settled("j-crash"), "the job that crashed ends")
            self.wait(lambda: {"j-hold", "j-held"} <= self.observer.in_flight(), "the innocent neighbours run again")
            self.step = "sending back"
            self.stop()
            (self.weftd.folder / "go").touch()
            self.step = "starting again"
            self.launch()
            self.wait(self.settled("j-hold", "j-held"), "the jobs that were sent back end")
            struck = self.struck()
            self.wait(self.only_the_living_are_consumers, "nothing is left of the dead")
            self.step = "stopping"
            self.stop()
            self.end_faults()
            if self.struck() and not struck:
                self.launch_to_clean_up()
            return self.check()
        except AssertionError as problem:
            self.end_faults()
            noted = self.weftd.folder / "processes"
            return [str(problem), *self.check(), *(noted.read_text().splitlines() if noted.exists() else [])]
        finally:
            for pid in self.weftd.pids():
                os.kill(pid, signal.SIGKILL)
            self.proxy.stop()

    def end_faults(self):
        """What a weftd sent in its last moment may reach the proxy only now, when the verdict is about to be given."""
        with self.striking:
            self.over = True
        if not self.redis.running():
            self.redis.start()

    def struck(self):
        return self.fault is not None and self.fault.met

    def launch_to_clean_up(self):
        """For what died in the last moment."""
        self.launch()
        self.wait(self.only_the_living_are_consumers, "nothing is left of the dead")
        self.stop()

    def only_the_living_are_consumers(self):
        """An idle worker is none before its first job. A name ends in PID-STARTTIME of the worker, in hexadecimal."""
        workers = self.weftd.worker_pids()
        enlisted = [name.partition(" ")[0] for name in self.redis.client.zrange("weft:workers", 0, -1)]
        return all(int(name.rpartition(".")[2].split("-")[0], 16) in workers for name in [*self.consumers(), *enlisted])

    def consumers(self):
        try:
            return [consumer["name"] for consumer in self.redis.client.xinfo_consumers(key("default"), "weft")]
        except ResponseError:
            return []  # there is no group

    # The verdict

    def check(self):
        printed = [f"weftd printed {line}" for line in self.weftd.printed()]
        return [*self.check_jobs(), *self.check_runs(), *self.check_remains(), *printed]

    def check_jobs(self):
        client = self.redis.client
        ended = Counter(client.lrange(key("default", "done"), 0, -1) + client.lrange(key("default", "failed"), 0, -1))
        letters = Counter(letter["weft.id"] for letter in self.redis.dead_letters())
        for job, (_, _, attempts, state) in JOBS.items():
            report = self.redis.report(job)
            if report.get("state") != state:
                yield f"{job} is {report.get('state')}"
            if ended[job] != 1:
                yield f"{job} ended {ended[job]} times"
            if letters[job] != (state == "dead"):
                yield f"{job} has {letters[job]} dead letters"
            if int(report.get("attempt", -1)) not in attempts | self.forgiven(job):
                yield f"{job} ended in attempt {report.get('attempt')}"
        if set(ended) | set(letters) != set(JOBS):
            yield f"others ended: {set(ended) | set(letters) - set(JOBS)}"

    def forgiven(self, job):
        """The charge that is lost when those die who know of it."""
        died = self.fault and self.fault.victim != "redis" and self.fault.step == "crashing"
        return {1} if job == "j-crash" and died else set()

    def check_runs(self):
        starts, ends = self.weftd.history("start"), self.weftd.history("end")
        for job, (_, runs, _, _) in JOBS.items():
            again = self.fault and self.fault.victim != "redis" and job in self.fault.in_flight
            if not starts[job] <= runs + bool(again):
                yield f"{job} ran {starts[job]} times instead of {runs}{' or once more' if again else ''}"
            if runs and not ends[job]:
                yield f"{job} never ran to its end"

    def check_remains(self):
        client = self.redis.client
        stream = key("default")
        if client.xlen(stream):
            yield f"the stream still has {client.xrange(stream)}"
        if self.observer.in_flight():
            yield f"still in flight: {self.observer.in_flight()}"
        if self.consumers():
            yield f"consumers are left: {self.consumers()}"
        expected = {ENQUEUED, "weft:readers", stream, *(key("default", name) for name in ("dead", "done", "failed")),
                    *(key("default", "job", job) for job in JOBS)}
        left = set(client.scan_iter()) - expected
        if left:
            yield f"keys are left: {sorted(left)}"
