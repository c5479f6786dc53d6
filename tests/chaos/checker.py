"""What must be true of every history, whatever broke meanwhile. `checker.py FOLDER` checks one that was kept."""

import dataclasses
import itertools
import sys

from cluster import ATTEMPTS, NODES, QUEUES, WORKERS, key
from history import CHAOS_LINE, History, seconds
from inflight import Faults, doubly_killed, logged
from producer import NEVER

ENDS = ("done", "dead", "cancelled", "duplicate")
TOLD = 10  # stories of each kind of violation

EXIT_CODES = (0, 69, -9, -15)


@dataclasses.dataclass
class Violation:
    rule: str
    text: str
    job: object = None


def checks_each(rule):
    """Turns a check of one job, which gives texts, into one of a history."""
    def wrap(check):
        def check_all(history, faults):
            for job in history.jobs.values():
                for text in check(job, faults):
                    yield Violation(rule, text, job)
        return check_all
    return wrap


# ---- How jobs ended ----

@checks_each("every enqueued job has ended")
def check_ended(job, _):
    if job.report.get("state") not in ENDS:
        yield f"its report says {job.report or 'nothing'}"


@checks_each("every job has ended exactly once")
def check_once(job, _):
    state = job.report.get("state")
    expected = {"done": (1, 0, job.failed), "cancelled": (job.done, 0, job.failed), "dead": (0, 1, max(1, job.failed)),
                "duplicate": (1, 0, job.failed)}
    if state in ENDS and (job.done, job.letters, job.failed) != expected[state] or job.done > 1:
        yield f"{state}, but {job.done} times in the list of done jobs, with {job.letters} dead letters"
    if job.failed > 1 + job.revivals:
        yield f"it has died {job.failed} times, but was revived at most {job.revivals} times"


def expected_end(job):
    order = job.order
    if any(code == 0 for _, _, code in job.cancels):
        return "cancelled"
    if order["kind"] == "refuse" or order["number"] == NEVER and order["kind"] in ("flaky", "crash", "loop"):
        return "dead"
    return "done"


@checks_each("a job ends as its handlers say")
def check_end(job, faults):
    state, expected = job.report.get("state"), expected_end(job)
    blamed = state == "dead" and any(faults.may_be_blamed(run) for run in job.runs)
    twin = state == "duplicate" and job.order["kind"] == "twin"
    if state in ENDS and state != expected and not blamed and not twin and not (job.cancels and state == "cancelled"):
        yield f"it should be {expected}, and is {state}: {job.report.get('error')}"
    if state == "done" and not any(run.result == 0 for run in job.runs):
        yield "it is done, but no run of it has succeeded"
    if state == "cancelled" and not job.cancels:
        yield "it is cancelled, but nobody has cancelled it"


@checks_each("weft cancel finds every job that has not ended")
def check_cancelled(job, _):
    for asked, answered, code in job.cancels:
        if code == 1 and any(run.start > answered for run in job.runs):
            yield f"asked at {seconds(asked):.6f}, answered at {seconds(answered):.6f} that there was none"


# ---- How often they ran ----

def pairs(job):
    return itertools.pairwise(sorted(job.runs, key=lambda run: run.start))


@checks_each("no job starts more often than its attempts allow")
def check_attempts(job, _):
    allowed = job.order.get("attempts") or ATTEMPTS
    highest = max((run.attempt for run in job.runs), default=0)
    if highest > allowed or any(run.attempt < 1 for run in job.runs):
        yield f"attempt {highest} of {allowed}"
    if int(job.report.get("attempt", 1)) > allowed:
        yield f"its report says attempt {job.report['attempt']} of {allowed}"


@checks_each("no job runs twice unless it was in flight at a fault")
def check_twice(job, faults):
    for run, following in pairs(job):
        retried = run.result not in (None, 0) and following.attempt == run.attempt + 1
        revived = job.revivals and following.attempt == 1
        if not retried and not revived and not faults.causes(run, following):
            yield f"attempt {following.attempt} began on {following.node} ({following.pid}) after {run}"


@checks_each("no job runs twice at the same time unless a lease was lost")
def check_together(job, faults):
    for run, following in pairs(job):
        if run.finish and run.finish > following.start and not faults.lapses(run, following):
            yield f"{following} began during {run}"


@checks_each("a job is charged only for what it did")
def check_charges(job, faults):
    for run, following in pairs(job):
        guilty = run.crash or run.result not in (None, 0)
        if following.attempt > run.attempt and not guilty and not faults.may_be_blamed(run):
            yield f"attempt {following.attempt} began after {run}"
        lower = following.attempt < run.attempt and not (job.revivals and following.attempt == 1)
        if following.attempt > run.attempt + 1 or lower and not faults.lapses(run, following):
            yield f"attempt {following.attempt} follows attempt {run.attempt}"


# ---- Unique keys ----

def check_unique(history, faults):
    """The runs of jobs with one key, side by side. A run without an end was given back with its job, which has the key still."""
    of_key = {}
    for job in history.jobs.values():
        if "unique" in job.order:
            of_key.setdefault((job.queue, job.order["unique"]), []).extend((run, job) for run in job.runs)
    for runs in of_key.values():
        for (run, job), (following, other) in itertools.pairwise(sorted(runs, key=lambda one: one[0].start)):
            if job is not other and following.start < (run.finish or 0) and not faults.lapses(run, following):
                yield Violation("of the jobs with one unique key, one at most runs", f"{following} began during {run}", other)


@checks_each("a duplicate names the job that has its unique key, and is not run")
def check_duplicate(job, _):
    if job.report.get("state") == "duplicate":
        if not job.report.get("duplicate_of"):
            yield f"its report says {job.report}"
        if job.runs and not job.revivals:
            yield f"it ran: {job.runs}"


# ---- Whose lines they are ----

def check_lines(history, _):
    """Every line that has a job's ID or token has both of the same job."""
    tokens = {job_id: job for (_, job_id), job in history.jobs.items()}
    for node, line in history.lines:
        if line is None:
            yield Violation("every line of the log is whole", f"{node} has one that is not JSON")
            continue
        told = CHAOS_LINE.match(line["msg"])
        job_id, token = line.get("job_id"), line.get("ctx", {}).get("token")
        job = history.jobs.get((line.get("queue"), job_id)) or tokens.get(job_id)
        if job_id is None:
            if told or token:
                yield Violation("a job's line has its ID", f"{node}: {line}")
        elif not job:
            yield Violation("no line has the ID of an unknown job", f"{node}: {line}")
        elif token not in (None, job.token) or told and told[2] != job.token:
            yield Violation("no line carries a foreign job ID", f"{node}: {line}", job)


def check_history_lines(history, _):
    """The same for what the handlers wrote themselves: what was passed by hand against what the context says."""
    for record in history.plugin:
        job = history.jobs.get((record["queue"], record["job"]))
        if not job:
            yield Violation("no unknown job runs", str(record))
        elif (record["context_job"], record["token"], record["context_token"]) != (job.id, job.token, job.token):
            yield Violation("no context shows a foreign job", str(record), job)


def check_lost_lines(history, _):
    """What was logged before a crash is in the log, once, unless the supervisor was killed too."""
    counts, exempt = logged(history), doubly_killed(history)
    for record in history.plugin:
        count = counts.get((record["node"], record["pid"], record["t"]), 0)
        if count != 1 and record["pid"] not in exempt:
            yield Violation("every line is in the log once", f"{count} times: {record}",
                            history.jobs.get((record["queue"], record["job"])))


# ---- What is left ----

def check_left(history, _):
    for queue, left in history.final["queues"].items():
        for name in ("stream", "pending", "delayed"):
            if left[name]:
                yield Violation("nothing is left over", f"queue {queue}: {name} has {left[name]}")
        if left["consumers"]:
            yield Violation("nothing is left over", f"queue {queue}: consumers after the stop: {left['consumers']}")
        if len(left["live_consumers"]) > len(NODES) * WORKERS:
            yield Violation("nothing is left over", f"queue {queue}: consumers of the dead: {left['live_consumers']}")
        unknown = [name for name in left["reports"] if (queue, name) not in history.jobs]
        for name in unknown:
            yield Violation("no report is of an unknown job", f"queue {queue}: {name}: {left['reports'][name]}")
    for name in history.final["other_keys"]:
        yield Violation("nothing is left over", f"the key {name}")
    for pid in history.final["processes"]:
        yield Violation("nothing is left over", f"process {pid} goes on after the stop")


def check_processes(history, _):
    for line in history.final["printed"]:
        yield Violation("weftd prints nothing besides its log", line)
    for event in history.events:
        if event["event"] == "node_ended" and event["code"] not in EXIT_CODES:
            yield Violation("weftd ends only as it was asked to", str(event))
        elif event["event"] in ("node_stuck", "not_drained"):
            yield Violation("weftd does not get stuck", str(event))


CHECKS = (check_ended, check_once, check_end, check_cancelled, check_attempts, check_twice, check_together, check_charges,
          check_unique, check_duplicate, check_lines, check_history_lines, check_lost_lines, check_left, check_processes)


def documented_keys():
    """The keys that may exist after everything has ended, besides reports."""
    own = {key(queue, *rest) for queue in QUEUES for rest in ((), ("dead",), ("done",), ("failed",), ("cancel",))}
    return own | {"weft:control", "weft:readers"}


def check(history):
    faults = Faults(history)
    return [violation for one in CHECKS for violation in one(history, faults)]


def tell(history, violations, file=sys.stdout):
    """Prints the violations, the first ones of each rule with all that is known of the job."""
    by_rule = {}
    for violation in violations:
        by_rule.setdefault(violation.rule, []).append(violation)
    for rule, broken in by_rule.items():
        print(f"\nBROKEN ({len(broken)} times): {rule}", file=file)
        for violation in broken[:TOLD]:
            print(f"- {violation.text}", file=file)
            for line in history.story(violation.job) if violation.job else ():
                print(f"  {line}", file=file)


if __name__ == "__main__":
    kept = History.load(sys.argv[1])
    found = check(kept)
    tell(kept, found)
    print(f"{len(kept.jobs)} jobs, {len(found)} violations")
    sys.exit(bool(found))
