"""Errors belong to their job, wherever they come about, and the log says what led there."""

import pytest

from weft import ROOT, wait_for

SOURCE = (ROOT / "tests" / "integration" / "plugins" / "stacks.c").read_text()
NAMES = ["deep", "loses", "loses_late", "ends", "delegates", "refuses"]


@pytest.fixture
def stacks(compile_plugin):
    """Settings for a weftd whose job types are the handlers of plugins/stacks.c."""
    return {"plugins": [str(compile_plugin("stacks", SOURCE, "-g"))], "jobs": {name: {"chain": [name]} for name in NAMES},
            "defaults": {"attempts": 1, "backoff": {"base": "10ms", "max": "20ms", "jitter": 0}}}


@pytest.fixture
def weftd(start_weftd, stacks):
    return start_weftd(**stacks)


def place(function):
    """Where the function does what the test is about."""
    number = next(number for number, line in enumerate(SOURCE.splitlines(), 1) if f"/* line of {function} */" in line)
    return f"{function} (stacks.c:{number})"


def test_a_failed_subtask_says_what_led_to_it_operation_by_operation(redis, weftd):
    job = redis.enqueue("deep")
    failed = weftd.wait_for_line("subtask failed", job)
    assert (failed["task"], failed["handler"], failed["level"]) == ("store", "deep", "warn")
    assert failed["data"] == {
        "error": "Cannot allocate memory",
        "stack": f"task store at {place('arm')}, started by call at {place('audit')}, "
                 f"started by task audit at {place('deep')}, started by job deep"}
    wait_for(lambda: redis.report(job).get("subtasks_failed") == "1", "the report counts it")


def test_without_debug_information_the_stack_has_functions_and_files(redis, start_weftd, stacks, compile_plugin):
    weftd = start_weftd(**stacks | {"plugins": [str(compile_plugin("bare", SOURCE))]})
    failed = weftd.wait_for_line("subtask failed", redis.enqueue("deep"))
    assert failed["data"]["stack"] == ("task store at arm (bare.so), started by call at audit (bare.so), "
                                       "started by task audit at deep (bare.so), started by job deep")


def test_an_error_code_that_a_callback_would_lose_is_logged_and_reported(redis, weftd):
    job = redis.enqueue("loses")
    report = redis.wait_for_state(job, "done")
    assert report["subtasks_failed"] == "1"
    failed, = weftd.find("callback failed", job)
    assert (failed["level"], failed["handler"]) == ("error", "loses")
    assert failed["data"] == {"error": "could not store order 4711: Input/output error",
                              "stack": f"call at {place('loses')}, started by job loses"}


def test_a_callback_that_fails_after_its_job_is_counted_in_the_report(redis, weftd):
    job = redis.enqueue("loses_late")
    assert "subtasks_failed" not in redis.wait_for_state(job, "done")
    weftd.wait_for_line("callback failed", job)
    wait_for(lambda: redis.report(job).get("subtasks_failed") == "1", "the report counts it")


def test_an_abort_in_a_callback_of_a_subtask_says_what_led_to_it(redis, start_weftd, stacks):
    weftd = start_weftd(**stacks)
    weftd.forgive("worker killed by a signal", "worker ended")
    job = redis.enqueue("ends")
    redis.wait_for_state(job, "dead")
    crash, = weftd.find("worker crashed", job)
    assert (crash["task"], crash["handler"]) == ("watch", "ends")
    assert crash["data"]["error"] == "killed by SIGABRT in subtask watch of handler ends"
    assert crash["data"]["stack"] == (f"call at {place('watch')}, started by task watch at {place('ends')}, "
                                      "started by job ends")
    assert "give_up (stacks.c:" in crash["data"]["backtrace"]


def test_a_job_that_a_subtask_fails_says_so(redis, weftd):
    job = redis.enqueue("delegates")
    redis.wait_for_state(job, "dead")
    for message in ("job failed", "job dead"):
        line, = weftd.find(message, job)
        assert line["data"] == {"error": "the card was refused",
                                "stack": f"task judge at {place('delegates')}, started by job delegates"}


def test_a_job_that_its_own_handler_fails_has_nothing_to_say_of_stacks(redis, weftd):
    job = redis.enqueue("refuses")
    redis.wait_for_state(job, "dead")
    assert [weftd.find(message, job)[0]["data"] for message in ("job failed", "job dead")] == [{"error": "no"}] * 2
