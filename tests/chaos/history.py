"""What is known of a chaos run: who enqueued what, who ran it when, what broke, what was logged, what is left in Redis."""

import collections
import dataclasses
import json
import re
import time
from pathlib import Path

CHAOS_LINE = re.compile(r"chaos (\w+) token=(\S+) at=(\d+)")


def seconds(nanoseconds):
    return nanoseconds / 1e9


def read(path):
    """The objects of a file with one on each line; None for a line that is none."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                yield None


class LogFiles:
    """The lines of logs, read anew each time: there may be millions."""

    def __init__(self, paths):
        self.paths = paths

    def __iter__(self):
        return ((path.stem, line) for path in self.paths for line in read(path))


class Journal:
    """A file of events, one JSON object a line, with the time (ns, CLOCK_MONOTONIC) that the plugin uses as well."""

    def __init__(self, path):
        self.file = open(path, "a", buffering=1)  # a line at a time, so that threads do not mix

    def write(self, event, **more):
        self.file.write(json.dumps({"t": time.monotonic_ns(), "event": event, **more}) + "\n")


@dataclasses.dataclass
class Run:
    """One attempt, as the plugin saw it."""
    node: str
    pid: int
    attempt: int
    start: int
    finish: int | None = None
    result: int | None = None
    crash: int | None = None  # when it was about to end its worker

    def last_sign(self):
        return self.finish or self.crash or self.start


@dataclasses.dataclass
class Job:
    queue: str
    id: str
    token: str
    order: dict  # how it was enqueued: kind, number, attempts, cancel...
    enqueued: int
    runs: list = dataclasses.field(default_factory=list)
    report: dict = dataclasses.field(default_factory=dict)
    done: int = 0        # how often it stands in the list of done jobs
    failed: int = 0      # ... of failed ones
    letters: int = 0     # how many dead letters it has
    cancels: list = dataclasses.field(default_factory=list)  # requests: when asked, when answered, exit code
    revivals: int = 0    # dead letters that may have been retried
    messages: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # weft's lifecycle lines

    @property
    def kind(self):
        return self.order["kind"]


class History:
    """All of it. `jobs` is by (queue, job ID)."""

    def __init__(self):
        self.jobs = {}
        self.faults = []     # of the driver, in order of time
        self.events = []     # of the driver's processes
        self.plugin = []     # what handlers wrote, in order of time
        self.lines = []      # of the logs: (node, dict); None for what is not JSON
        self.orders = {}     # by token: all messages that may exist
        self.final = {}      # what Redis and the processes were at the end

    @classmethod
    def load(cls, folder):
        folder = Path(folder)
        history = cls()
        producers = list(read(folder / "producers.jsonl"))
        driver = list(read(folder / "driver.jsonl"))
        for path in sorted(folder.glob("*.history")):
            history.plugin += [record | {"node": path.stem} for record in read(path)]
        history.lines = LogFiles([path for path in sorted(folder.glob("*.log")) if path.name != "redis.log"])
        history.plugin.sort(key=lambda record: record["t"])
        history.faults = [event for event in driver if event["event"] == "fault"]
        history.events = [event for event in driver if event["event"] != "fault"]
        history.final = json.loads((folder / "final.json").read_text())
        for taken in read(folder / "harvest.jsonl"):
            history.add_harvest(taken)
        history.connect(producers)
        return history

    # ---- Putting it together ----

    def connect(self, producers):
        """Makes the jobs from the single events."""
        for event in producers:
            if event["event"] == "try":
                self.orders[event["token"]] = event
        for record in self.plugin:
            if record["event"] == "try":
                parent = self.orders.get(record["token"], {})
                self.orders[record["child"]] = {"kind": "nap", "number": 20, "token": record["child"], "t": record["t"],
                                                "queue": record["child_queue"], "parent": parent.get("token")}
        for event in producers:
            if event["event"] == "enqueued":
                self.add_job(event["queue"], event["job"], event["token"], event["t"])
        for record in self.plugin:
            if record["event"] == "child":
                self.add_job(record["child_queue"], record["child_job"], record["child"], record["t"])
        self.add_runs()
        self.add_duplicates()
        self.add_final()
        for event in producers:
            job = self.jobs.get((event["queue"], event.get("job")))
            if job and event["event"] == "cancel":
                job.cancels.append((event["t"], None, None))
            elif job and event["event"] == "answer" and event["to"] == "cancel":
                job.cancels[-1] = (job.cancels[-1][0], event["t"], event["code"])
            elif job and event["event"] == "revive":
                job.revivals += 1
        for _, line in self.lines:
            if line and (job := self.jobs.get((line.get("queue"), line.get("job_id")))):
                if not line["msg"].startswith("chaos "):
                    job.messages[line["msg"]] += 1

    def add_harvest(self, taken):
        """What was taken out of Redis while the run went on; what is there at the end is newer."""
        left = self.final["queues"][taken["queue"]]
        left["reports"] = taken["reports"] | left["reports"]
        for job in taken["done"]:
            left["done"][job] = left["done"].get(job, 0) + 1

    def add_job(self, queue, job_id, token, enqueued):
        order = self.orders.get(token)
        if order:
            self.jobs.setdefault((queue, job_id), Job(queue, job_id, token, order, enqueued))

    def add_duplicates(self):
        """Those that nobody was told of, though somebody tried: they never ran, and only their line tells."""
        known = {job.token for job in self.jobs.values()}
        for _, line in self.lines:
            token = line.get("ctx", {}).get("token") if line and line["msg"] == "job duplicate" else None
            order = self.orders.get(token, {})
            if "unique" in order and order["queue"] == line["queue"] and token not in known:
                self.add_job(line["queue"], line["job_id"], token, order["t"])

    def add_runs(self):
        open_runs = {}
        for record in self.plugin:
            job_key = (record["queue"], record["job"])
            run_key = (*job_key, record["pid"], record["node"])
            if job_key not in self.jobs:
                # Nobody was told of it, but somebody may have tried.
                order = self.orders.get(record["token"])
                if order and order["queue"] == record["queue"]:
                    self.add_job(*job_key, record["token"], order["t"])
            job = self.jobs.get(job_key)
            if not job:
                continue
            if record["event"] == "start":
                open_runs[run_key] = Run(record["node"], record["pid"], record["attempt"], record["t"])
                job.runs.append(open_runs[run_key])
            elif record["event"] == "finish" and run_key in open_runs:
                run = open_runs.pop(run_key)
                run.finish, run.result = record["t"], record["result"]
            elif record["event"] == "crash" and run_key in open_runs:
                open_runs[run_key].crash = record["t"]

    def add_final(self):
        """Also jobs that never ran and were not acknowledged to their producers, but have a report."""
        for queue, left in self.final["queues"].items():
            for name, report in left["reports"].items():
                if job := self.jobs.get((queue, name)):
                    job.report = report
            for name, count in left["done"].items():
                if job := self.jobs.get((queue, name)):
                    job.done = count
            for name, count in left["failed"].items():
                if job := self.jobs.get((queue, name)):
                    job.failed = count
            for name in left["letters"]:
                if job := self.jobs.get((queue, name)):
                    job.letters += 1

    # ---- Telling ----

    def story(self, job, around=1.5):
        """All that is known of a job, line by line."""
        yield f"job {job.id} of queue {job.queue}, token {job.token}: {job.order}"
        yield (f"  report {job.report}; {job.done} times in the list of done jobs, {job.failed} in that of failed ones, "
               f"{job.letters} dead letters, {job.revivals} revivals; cancellations {job.cancels}")
        told = [(record["t"], f"history: {json.dumps(record)}") for record in self.plugin
                if record["job"] == job.id and record["queue"] == job.queue]
        pids = {run.pid for run in job.runs}
        begin = min((t for t, _ in told), default=job.enqueued) - around * 1e9
        end = max((t for t, _ in told), default=job.enqueued) + around * 1e9
        told += [(job.enqueued, "enqueued")]
        told += [(fault["t"], f"FAULT {json.dumps(fault)}") for fault in self.faults if begin <= fault["t"] <= end]
        told += [(event["t"], f"PROCESS {json.dumps(event)}") for event in self.events if begin <= event["t"] <= end]
        for t, text in sorted(told):
            yield f"  {seconds(t):.6f} {text}"
        for node, line in self.lines:
            own = line and line.get("job_id") == job.id and line.get("queue") == job.queue
            if own or line and line.get("data", {}).get("worker_pid") in pids:
                yield f"  log of {node}: {json.dumps(line)}"
