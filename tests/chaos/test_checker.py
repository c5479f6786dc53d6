"""The checker complains of every history that is not as it should be, and of no other."""

import copy
import io
from itertools import islice

import pytest

from checker import check, tell
from cluster import QUEUES
from faults import choices
from history import History
from producer import NEVER, orders
from soak import compare

SECOND = 1_000_000_000
WORKER, NEIGHBOUR, SUPERVISOR = 101, 102, 100


class Scene:
    """A history in the making: jobs by token, and what befell them."""

    def __init__(self):
        self.now = 1000 * SECOND
        self.history = History()
        self.producers = []
        left = {"reports": {}, "done": {}, "failed": {}, "letters": [], "stream": 0, "delayed": 0, "pending": 0,
                "consumers": [], "live_consumers": ["one", "two"]}
        self.history.final = {"queues": {queue: copy.deepcopy(left) for queue in QUEUES}, "other_keys": [],
                              "processes": [], "printed": []}
        self.left = self.history.final["queues"]["default"]

    def tick(self, time=0.01):
        self.now += int(time * SECOND)
        return self.now

    def enqueue(self, token, kind="nap", number=0, **order):
        self.producers.append({"t": self.tick(), "event": "try", "kind": kind, "number": number, "token": token,
                               "queue": "default", **order})
        self.producers.append({"t": self.tick(), "event": "enqueued", "queue": "default", "token": token, "job": f"id-{token}"})

    def say(self, event, token, attempt=1, pid=WORKER, **more):
        t = self.tick()
        self.history.plugin.append({"t": t, "node": "a", "pid": pid, "event": event, "token": token, "context_token": token,
                                    "job": f"id-{token}", "context_job": f"id-{token}", "queue": "default",
                                    "attempt": attempt, **more})
        self.log(f"chaos {event} token={token} at={t}", token, pid)

    def log(self, message, token, pid=WORKER):
        self.history.lines.append(("a", {"msg": message, "job_id": f"id-{token}", "queue": "default", "pid": pid,
                                         "ctx": {"token": token}}))

    def run(self, token, attempt=1, result=0, pid=WORKER):
        self.say("start", token, attempt, pid)
        self.say("finish", token, attempt, pid, result=result)

    def end(self, token, state, attempt=1, **more):
        name = f"id-{token}"
        self.tick(5)
        self.left["reports"][name] = {"state": state, "attempt": str(attempt), **more}
        if state == "dead":
            self.left["failed"][name] = 1
            self.left["letters"].append(name)
        else:
            self.left["done"][name] = 1

    def fault(self, kind, **more):
        self.history.faults.append({"t": self.tick(), "event": "fault", "kind": kind, "node": "a", "missed": False, **more})

    def cancel(self, token, code):
        command = {"queue": "default", "job": f"id-{token}"}
        self.producers.append(command | {"t": self.tick(), "event": "cancel"})
        self.producers.append(command | {"t": self.tick(), "event": "answer", "to": "cancel", "code": code})

    def violations(self):
        self.history.connect(self.producers)
        return check(self.history)

    def rules(self):
        return {violation.rule for violation in self.violations()}


@pytest.fixture
def scene():
    """One job of each sort, all of it as it should be."""
    scene = Scene()
    scene.enqueue("nap")
    scene.run("nap")
    scene.end("nap", "done")

    scene.enqueue("flaky", "flaky", 1)
    scene.run("flaky", result=-5)
    scene.run("flaky", attempt=2)
    scene.end("flaky", "done", 2)

    scene.enqueue("crash", "crash", NEVER, attempts=1)
    scene.enqueue("bystander")
    scene.say("start", "bystander")
    scene.say("start", "crash")
    scene.say("crash", "crash")
    scene.end("crash", "dead")
    scene.tick(0.5)
    scene.run("bystander", pid=NEIGHBOUR)
    scene.end("bystander", "done")

    scene.enqueue("cancel", "cancel", 60000)
    scene.say("start", "cancel")
    scene.cancel("cancel", 0)
    scene.say("finish", "cancel", result=-125)
    scene.end("cancel", "cancelled")

    scene.enqueue("killed")
    scene.say("start", "killed")
    scene.fault("kill_worker", pids=[WORKER], supervisor=SUPERVISOR)
    scene.tick(0.5)
    scene.run("killed", pid=NEIGHBOUR)
    scene.end("killed", "done")

    scene.enqueue("first", "twin", unique="k")
    scene.enqueue("twin", "twin", unique="k")
    scene.run("first")
    scene.end("first", "done")
    scene.end("twin", "duplicate", duplicate_of="id-first")
    return scene


def test_a_history_as_it_should_be_is_accepted(scene):
    assert scene.violations() == []


# ---- Each of these changes one thing ----

def lose_a_job(scene):
    del scene.left["reports"]["id-nap"], scene.left["done"]["id-nap"]


def leave_a_job_running(scene):
    scene.left["reports"]["id-nap"]["state"] = "running"


def end_a_job_twice(scene):
    scene.left["done"]["id-nap"] = 2


def end_a_job_in_two_ways(scene):
    scene.left["letters"].append("id-nap")


def forget_a_dead_letter(scene):
    scene.left["letters"].remove("id-crash")


def let_a_job_die_for_nothing(scene):
    del scene.left["done"]["id-nap"]
    scene.end("nap", "dead")


def finish_a_job_that_failed(scene):
    scene.history.plugin = [record | ({"result": -5} if record["token"] == "nap" and "result" in record else {})
                            for record in scene.history.plugin]


def cancel_a_job_without_being_asked(scene):
    scene.left["reports"]["id-nap"]["state"] = "cancelled"


def ignore_a_cancellation(scene):
    scene.left["reports"]["id-cancel"]["state"] = "done"


def overlook_a_job_that_is_to_be_cancelled(scene):
    scene.enqueue("overlooked")
    scene.cancel("overlooked", 1)
    scene.run("overlooked")
    scene.end("overlooked", "done")


def try_a_job_too_often(scene):
    scene.run("crash", attempt=2)


def run_a_job_twice(scene):
    scene.tick(30)
    scene.run("nap")


def run_a_job_again_after_the_fault_was_over(scene):
    scene.enqueue("late")
    scene.run("late")
    scene.end("late", "done")
    scene.tick(2)
    scene.fault("kill_worker", pids=[WORKER], supervisor=SUPERVISOR)
    scene.run("late", pid=NEIGHBOUR)


def run_a_job_again_after_a_fault_of_another_worker(scene):
    scene.enqueue("other")
    scene.say("start", "other", pid=NEIGHBOUR)
    scene.fault("kill_worker", pids=[999], supervisor=SUPERVISOR)
    scene.run("other")
    scene.end("other", "done")


def run_a_job_in_two_places(scene):
    scene.enqueue("both")
    scene.say("start", "both")
    scene.fault("kill_supervisor", pids=[SUPERVISOR], workers=[WORKER])
    scene.say("start", "both", pid=NEIGHBOUR)
    scene.say("finish", "both", result=0)
    scene.say("finish", "both", pid=NEIGHBOUR, result=0)
    scene.end("both", "done")


def charge_a_bystander(scene):
    for record in scene.history.plugin:
        if record["token"] == "bystander" and record["pid"] == NEIGHBOUR:
            record["attempt"] = 2


def skip_an_attempt(scene):
    scene.run("flaky", attempt=4)


def run_two_jobs_with_one_unique_key(scene):
    scene.enqueue("one", "twin", unique="k")
    scene.enqueue("other", "twin", unique="k")
    scene.say("start", "one")
    scene.run("other", pid=NEIGHBOUR)
    scene.say("finish", "one", result=0)
    scene.end("one", "done")
    scene.end("other", "done")


def run_a_duplicate(scene):
    scene.run("twin")


def hide_whose_duplicate_it_is(scene):
    del scene.left["reports"]["id-twin"]["duplicate_of"]


def call_a_job_without_a_key_a_duplicate(scene):
    scene.left["reports"]["id-nap"]["state"] = "duplicate"


def log_under_a_foreign_id(scene):
    next(line for _, line in scene.history.lines if line["job_id"] == "id-nap")["job_id"] = "id-flaky"


def log_a_crash_under_a_foreign_id(scene):
    scene.log("worker crashed", "nap")
    scene.history.lines[-1][1]["job_id"] = "id-crash"


def log_without_an_id(scene):
    del scene.history.lines[0][1]["job_id"]


def log_under_an_unknown_id(scene):
    scene.log("job done", "nobody")


def tear_a_line(scene):
    scene.history.lines.append(("a", None))


def lose_a_line(scene):
    scene.history.lines = [entry for entry in scene.history.lines if not entry[1]["msg"].startswith("chaos crash")]


def repeat_a_line(scene):
    scene.history.lines.append(scene.history.lines[0])


def show_a_foreign_context(scene):
    scene.history.plugin[0]["context_job"] = "id-flaky"


def run_an_unknown_job(scene):
    scene.say("start", "nobody")
    scene.history.lines.pop()


def report_an_unknown_job(scene):
    scene.end("nobody", "done")


def leave_an_entry(scene):
    scene.left["stream"] = 1


def leave_a_delayed_job(scene):
    scene.left["delayed"] = 1


def leave_a_consumer(scene):
    scene.left["consumers"] = ["a.1"]


def keep_consumers_of_the_dead(scene):
    scene.left["live_consumers"] = list(range(5))


def leave_a_key(scene):
    scene.history.final["other_keys"].append("weft:{default}:surprise")


def leave_a_process(scene):
    scene.history.final["processes"].append(WORKER)


def print_something(scene):
    scene.history.final["printed"].append("ERROR: AddressSanitizer")


def crash_a_supervisor(scene):
    scene.history.events.append({"t": scene.tick(), "event": "node_ended", "node": "a", "pid": SUPERVISOR, "code": -11})


def hang(scene):
    scene.history.events.append({"t": scene.tick(), "event": "node_stuck", "node": "a", "pid": SUPERVISOR})


@pytest.mark.parametrize("doctor, rule", [
    (lose_a_job, "every enqueued job has ended"),
    (leave_a_job_running, "every enqueued job has ended"),
    (end_a_job_twice, "every job has ended exactly once"),
    (end_a_job_in_two_ways, "every job has ended exactly once"),
    (forget_a_dead_letter, "every job has ended exactly once"),
    (let_a_job_die_for_nothing, "a job ends as its handlers say"),
    (finish_a_job_that_failed, "a job ends as its handlers say"),
    (cancel_a_job_without_being_asked, "a job ends as its handlers say"),
    (ignore_a_cancellation, "a job ends as its handlers say"),
    (overlook_a_job_that_is_to_be_cancelled, "weft cancel finds every job that has not ended"),
    (try_a_job_too_often, "no job starts more often than its attempts allow"),
    (run_a_job_twice, "no job runs twice unless it was in flight at a fault"),
    (run_a_job_again_after_the_fault_was_over, "no job runs twice unless it was in flight at a fault"),
    (run_a_job_again_after_a_fault_of_another_worker, "no job runs twice unless it was in flight at a fault"),
    (run_a_job_in_two_places, "no job runs twice at the same time unless a lease was lost"),
    (charge_a_bystander, "a job is charged only for what it did"),
    (skip_an_attempt, "a job is charged only for what it did"),
    (run_two_jobs_with_one_unique_key, "of the jobs with one unique key, one at most runs"),
    (run_a_duplicate, "a duplicate names the job that has its unique key, and is not run"),
    (hide_whose_duplicate_it_is, "a duplicate names the job that has its unique key, and is not run"),
    (call_a_job_without_a_key_a_duplicate, "a job ends as its handlers say"),
    (log_under_a_foreign_id, "no line carries a foreign job ID"),
    (log_a_crash_under_a_foreign_id, "no line carries a foreign job ID"),
    (log_without_an_id, "a job's line has its ID"),
    (log_under_an_unknown_id, "no line has the ID of an unknown job"),
    (tear_a_line, "every line of the log is whole"),
    (lose_a_line, "every line is in the log once"),
    (repeat_a_line, "every line is in the log once"),
    (show_a_foreign_context, "no context shows a foreign job"),
    (run_an_unknown_job, "no unknown job runs"),
    (report_an_unknown_job, "no report is of an unknown job"),
    (leave_an_entry, "nothing is left over"),
    (leave_a_delayed_job, "nothing is left over"),
    (leave_a_consumer, "nothing is left over"),
    (keep_consumers_of_the_dead, "nothing is left over"),
    (leave_a_key, "nothing is left over"),
    (leave_a_process, "nothing is left over"),
    (print_something, "weftd prints nothing besides its log"),
    (crash_a_supervisor, "weftd ends only as it was asked to"),
    (hang, "weftd does not get stuck"),
])
def test_a_doctored_history_is_refused(scene, doctor, rule):
    doctor(scene)
    assert rule in scene.rules()


def test_a_lost_line_of_a_worker_whose_supervisor_was_killed_too_is_forgiven(scene):
    scene.fault("kill_node", pids=[SUPERVISOR, WORKER], workers=[WORKER])
    lose_a_line(scene)
    assert scene.rules() == set()


def enqueue_without_an_answer(scene):
    """Redis took it, and died before it said so; it ended as a duplicate."""
    scene.enqueue("unheard", "twin", unique="k")
    del scene.producers[-1]
    scene.log("job duplicate", "unheard")
    scene.end("unheard", "duplicate", duplicate_of="id-first")


def test_a_duplicate_that_nobody_was_told_of_is_known_by_its_line(scene):
    enqueue_without_an_answer(scene)
    assert scene.rules() == set()


def test_the_line_of_a_duplicate_without_a_key_makes_no_job_known(scene):
    enqueue_without_an_answer(scene)
    del scene.producers[-1]["unique"]
    assert {"no line has the ID of an unknown job", "no report is of an unknown job"} <= scene.rules()


def test_a_lapsed_lease_allows_a_second_run_at_the_same_time(scene):
    scene.enqueue("paused")
    scene.say("start", "paused")
    scene.fault("pause_worker", pids=[WORKER], ms=6500)
    scene.tick(6)
    scene.run("paused", pid=NEIGHBOUR)
    scene.tick(1)
    scene.say("finish", "paused", result=-125)
    scene.end("paused", "done")
    assert scene.rules() == set()


def test_a_dead_letter_that_was_retried_runs_anew(scene):
    scene.enqueue("revived", "flaky", 1, attempts=1)
    scene.run("revived", result=-5)
    scene.producers.append({"t": scene.tick(), "event": "revive", "queue": "default", "job": "id-revived"})
    scene.run("revived", result=-5)
    scene.end("revived", "dead")
    scene.left["failed"]["id-revived"] = 2
    assert scene.rules() == {"a job ends as its handlers say"}  # with one attempt it cannot be done


def test_a_violation_is_told_with_the_whole_story_of_its_job(scene):
    run_a_job_twice(scene)
    told = io.StringIO()
    tell(scene.history, scene.violations(), told)
    for word in ("BROKEN (1 times): no job runs twice", "job id-nap of queue default", "enqueued", "history:", "log of a:"):
        assert word in told.getvalue()


def test_the_same_seed_draws_the_same_faults_and_jobs():
    assert list(islice(choices(7), 500)) == list(islice(choices(7), 500)) != list(islice(choices(8), 500))
    assert list(orders(7, "p0", 500)) == list(orders(7, "p0", 500)) != list(orders(8, "p0", 500))


# ---- The soak ----

def growing(share):
    """Whether the soak complains of a worker whose memory grows by a share of it in ten minutes."""
    samples = [{"seconds": now, "a worker rss": 20000 * (1 + share * now / 600) + now % 10 * 50, "redis keys": 1000 + now % 20}
               for now in range(0, 600, 5)]
    return {row[0] for row in compare(samples) if row[-1]}


def test_memory_that_grows_is_seen():
    assert growing(0.5) == {"a worker rss"}


def test_memory_that_is_flat_but_for_noise_is_accepted():
    assert growing(0) == set()
