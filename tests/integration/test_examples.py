"""The example plugin: the situations that made context necessary, each with the log that it must write."""

import re

import pytest

from weft import wait_for

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
LIFECYCLE = {"job started", "job done", "job failed", "job dead", "subtask started", "subtask done", "subtask failed"}


@pytest.fixture
def weftd(start_weftd):
    return start_weftd()


def run_together(redis, *jobs):
    for job in redis.enqueue_together(jobs):
        redis.wait_for_state(job, "done", "dead")


def told(weftd, *jobs):
    """(job ID, message) of each line that the jobs' handlers wrote, in the order of the log."""
    return [(line["job_id"], line["msg"]) for line in weftd.lines()
            if line.get("job_id") in jobs and line["msg"] not in LIFECYCLE]


def test_two_interleaved_requests_keep_their_ids(redis, weftd):
    run_together(redis, {"type": "request", "id": "req-A"}, {"type": "request", "id": "req-B"})
    assert told(weftd, "req-A", "req-B") == [
        ("req-A", "Starting request processing"),
        ("req-A", "Fetching user 123"),
        ("req-B", "Starting request processing"),
        ("req-B", "Fetching user 123"),
        ("req-A", "Getting permissions for Jane Doe"),
        ("req-B", "Getting permissions for Jane Doe"),
        ("req-A", "Permissions retrieved"),
        ("req-A", "Request finished successfully"),
        ("req-B", "Permissions retrieved"),
        ("req-B", "Request finished successfully"),
    ]


def test_a_global_variable_instead_of_the_context_mixes_the_ids_up(redis, weftd):
    run_together(redis, {"type": "request.global", "id": "req-A"}, {"type": "request.global", "id": "req-B"})
    lines = told(weftd, "req-A", "req-B")
    assert [message for _, message in lines] == [
        "[req-A] Starting request processing",
        "[req-A] Fetching user 123",
        "[req-B] Starting request processing",
        "[req-B] Fetching user 123",
        "[req-B] Getting permissions for Jane Doe",
        "[req-B] Getting permissions for Jane Doe",
        "[req-B] Permissions retrieved",
        "[req-B] Request finished successfully",
        "[req-B] Permissions retrieved",
        "[req-B] Request finished successfully",
    ]
    assert [job for job, _ in lines] == ["req-A"] * 2 + ["req-B"] * 2 + ["req-A", "req-B"] + ["req-A"] * 2 + ["req-B"] * 2


def test_numbered_jobs_start_and_then_finish(redis, weftd):
    run_together(redis, {"type": "numbered", "id": "0"}, {"type": "numbered", "id": "1"})
    assert told(weftd, "0", "1") == [("0", "start"), ("1", "start"), ("0", "finish"), ("1", "finish")]


def test_a_service_two_calls_deep_knows_the_user_that_the_middleware_found(redis, weftd):
    run_together(redis, {"type": "user.profile", "id": "profile", "token": "token-of-alice"})
    assert told(weftd, "profile") == [
        ("profile", "Request started: GET /user"),
        ("profile", "Handling /user request"),
        ("profile", "Building profile for user: Alice"),
        ("profile", "Fetching details for user user-123 from database"),
    ]
    assert redis.report("profile")["result"] == (
        '{"id":"user-123","name":"Alice","company":"Global Tech Inc.","country":"Worldwide"}')


def test_the_middleware_gives_each_request_a_fresh_id_for_its_own_scope(redis, weftd):
    run_together(redis, *({"type": "user.profile", "id": name, "token": "token-of-bob"} for name in ("one", "two")))
    fresh = [{line["ctx"].get("request_id") for line in weftd.job_lines(name) if line["msg"] not in LIFECYCLE}
             for name in ("one", "two")]
    assert [len(ids) for ids in fresh] == [1, 1] and fresh[0] != fresh[1]
    assert re.fullmatch(UUID, fresh[0].pop())
    assert ["request_id" in line["ctx"] for line in weftd.find("job started") + weftd.find("job done")] == [False] * 4


def test_without_authentication_the_job_fails_under_its_id(redis, weftd):
    run_together(redis, {"type": "user.profile", "id": "profile", "token": "stolen"})
    assert weftd.messages("profile") == ["job started", "Request started: GET /user", "Handling /user request", "job failed",
                                         "job dead"]
    assert weftd.find("job dead", "profile")[0]["data"]["error"] == "user not authenticated"
    assert redis.report("profile")["error"] == "user not authenticated"


def test_fire_and_forget_subtasks_outlive_their_job_and_keep_its_id(redis, weftd):
    run_together(redis, {"type": "notify", "id": "notify", "customer": "acme"})
    wait_for(lambda: len(weftd.find("subtask done") + weftd.find("subtask failed")) == 3, "all subtasks have ended")
    assert [(line["msg"], line.get("task")) for line in weftd.job_lines("notify")] == [
        ("job started", None),
        ("Notifying acme", None),
        ("job done", None),
        ("subtask started", "mail"),
        ("Sending mail to acme", "mail"),
        ("subtask started", "webhook"),
        ("subtask started", "audit"),
        ("Mail sent", "mail"),
        ("subtask done", "mail"),
        ("The webhook of acme does not answer", "webhook"),
        ("subtask failed", "webhook"),
        ("Audit of acme written, long after the job was done", "audit"),
        ("subtask done", "audit"),
    ]
    assert weftd.find("subtask failed")[0]["data"]["error"] == "Connection refused"


def test_subtasks_are_counted_and_a_failing_one_changes_no_outcome(redis, weftd):
    run_together(redis, {"type": "notify", "id": "notify", "customer": "acme"})
    wait_for(lambda: redis.report("notify").get("subtasks_failed") == "1", "the failed subtask is counted")
    report = redis.report("notify")
    assert (report["state"], report["subtasks"], report["result"]) == ("done", "3", '{"notified":true}')


def test_a_run_inside_a_run_overrides_and_adds_and_is_undone(redis, weftd):
    run_together(redis, {"type": "nesting", "id": "nesting", "tenant": "acme"})
    assert told(weftd, "nesting") == [
        ("nesting", "outside, before: tenant=acme step=-"),
        ("nesting", "inside: tenant=globex step=import"),
        ("nesting", "outside, after: tenant=acme step=-"),
        ("nesting", "subtask, after the run has ended: tenant=globex step=import"),
    ]
    assert [line["ctx"] for line in weftd.job_lines("nesting") if line.get("task")][-1] == {"tenant": "globex",
                                                                                          "step": "import"}


def test_a_blocking_handler_reads_a_file_under_its_own_id(redis, weftd, tmp_path):
    path, content, expected = tmp_path / "file", bytes(range(256)) * 1000, 0xcbf29ce484222325
    path.write_bytes(content)
    for byte in content:
        expected = (expected ^ byte) * 0x100000001b3 % 2 ** 64
    run_together(redis, {"type": "checksum", "id": "sum", "file": str(path)},
                 {"type": "checksum", "id": "none", "file": "/nowhere"})
    assert told(weftd, "sum") == [("sum", f"Reading {path}"), ("sum", "Read 256000 bytes")]
    assert redis.report("sum")["result"] == f'{{"fnv1a":"{expected:016x}"}}'
    assert redis.report("none")["error"] == "/nowhere: No such file or directory"


def test_child_jobs_carry_parent_root_and_metadata_and_show_as_one_family(redis, weftd):
    redis.enqueue("order", id="order", customer="acme", payload="{}")
    weftd.wait_for_line("Receipt for acme filed")
    invoice, receipt = [line["data"]["child_id"] for line in weftd.find("Enqueued a child job")]
    redis.wait_for_state(receipt, "done")
    assert {line["root_id"] for job in (invoice, receipt) for line in weftd.job_lines(job)} == {"order"}
    assert {line["ctx"]["customer"] for job in (invoice, receipt) for line in weftd.job_lines(job)} == {"acme"}
    family = weftd.cli("logs", "order").stdout.splitlines()
    expected = ["Order of acme accepted", "Invoice for acme written", "Receipt for acme filed"]
    assert [message for line in family for message in expected if message in line] == expected


def test_a_child_job_names_its_parent(redis, start_weftd):
    start_weftd(jobs={"order": {"chain": ["order"]}})
    redis.enqueue("order", id="order", customer="acme", payload="{}")
    invoice = wait_for(redis.dead_letters, "the child is a dead letter, as its type is unknown")[0]
    assert {name: invoice[name] for name in ("type", "parent", "root", "customer", "payload")} == {
        "type": "invoice", "parent": "order", "root": "order", "customer": "acme", "payload": "{}"}
