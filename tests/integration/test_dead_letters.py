"""Dead letters: retried under their old IDs, deleted, and bounded."""

import json

import pytest

from weft import key, wait_for

BINARY = bytes(range(256))
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def weftd(start_weftd, probe):
    return start_weftd(**probe)


def dead(weftd, *words):
    return weftd.cli("dead", *words)


def assert_says(done, sentence):
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{sentence}\n", "")


def assert_refused(done, sentence, status=1):
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"weft: {sentence}\n")


def kill(redis, **fields):
    """A job that has died."""
    job = redis.enqueue("fail", **{"payload": "no"} | fields)
    redis.wait_for_state(job, "dead")
    return job


def add_letters(redis, count, **fields):
    """So many letters of jobs that will be done when they are retried."""
    pipeline = redis.client.pipeline(transaction=False)
    for i in range(count):
        letter = {"type": "speak", "payload": str(i), "weft.id": f"job-{i}", "weft.error": "no", "weft.attempts": "3"}
        pipeline.xadd(key("default", "dead"), letter | fields)
    pipeline.execute()


# ---- Retrying ----

def test_a_retried_job_keeps_its_id_payload_metadata_and_trace(redis, start_weftd, compile_plugin):
    weftd = start_weftd(plugins=[str(compile_plugin("bytes", """
#include <weft/weft.h>

static int echo(struct weft_job *job)
{
    size_t size;
    const void *payload = weft_job_payload(job, &size);

    int r = weft_result_bytes(job, payload, size);
    return r < 0 ? r : weft_fail(job, "no");
}

WEFT_PLUGIN("bytes", WEFT_HANDLER("echo", echo));
"""))], jobs={"echo": {"chain": ["echo"]}})
    entry = redis.client.execute_command("XADD", key("default"), "*", "type", "echo", "payload", BINARY, "tenant", "acme",
                                         "traceparent", TRACE)
    redis.wait_for_state(entry, "dead")
    first, = redis.dead_letters()
    assert_says(dead(weftd, "retry", entry), f"retried {entry} in queue default")
    wait_for(lambda: len(weftd.find("job dead", entry)) == 2, "it has died again")
    second, = redis.dead_letters()
    for letter in (first, second):
        for name in ("weft.failed_at", "weft.node"):
            letter.pop(name)
    assert second == first
    assert second["payload"].encode("utf-8", "surrogateescape") == BINARY
    assert [line["attempt"] for line in weftd.find("job started", entry)] == [1, 1]
    assert {line["trace_id"] for line in weftd.job_lines(entry)} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert {line["ctx"]["tenant"] for line in weftd.job_lines(entry)} == {"acme"}


def test_a_retried_job_that_succeeds_is_done(redis, weftd):
    add_letters(redis, 1)
    assert_says(dead(weftd, "retry", "job-0"), "retried job-0 in queue default")
    report = redis.wait_for_state("job-0", "done")
    assert report["attempt"] == "1"
    assert weftd.messages("job-0") == ["job started", "0", "job done"]
    assert redis.dead_letters() == []


def test_a_retried_job_can_be_cancelled(redis, weftd):
    weftd.stop()
    add_letters(redis, 3)
    for job in ("job-0", "job-1"):
        assert dead(weftd, "retry", job).returncode == 0
    assert weftd.cli("cancel", "job-1").stdout == "cancelled job-1 in queue default\n"
    weftd.start()
    redis.wait_for_state("job-0", "done")
    assert redis.report("job-1")["state"] == "cancelled"
    assert weftd.job_lines("job-1") == []


def test_of_several_letters_of_one_job_the_newest_is_retried_or_deleted(redis, weftd):
    for payload in ("first", "second", "third"):
        kill(redis, id="mine", payload=payload)
        redis.client.delete(key("default", "job", "mine"))
    weftd.stop()
    assert_says(dead(weftd, "delete", "mine"), "deleted the dead letter of mine in queue default")
    assert_says(dead(weftd, "retry", "mine"), "retried mine in queue default")
    assert [letter["payload"] for letter in redis.dead_letters()] == ["first"]
    assert [fields["payload"] for _, fields in redis.client.xrange(key("default"))] == ["second"]


def test_retry_all_retries_what_is_there_and_ends(redis, weftd):
    add_letters(redis, 1000)
    add_letters(redis, 1, type="fail", **{"weft.id": "dies-again"})
    assert_says(dead(weftd, "retry", "--all"), "retried 1001 dead letters of queue default")
    wait_for(lambda: len(weftd.find("job done")) == 1000, "all jobs are done")
    redis.wait_for_state("dies-again", "dead")
    letter, = redis.dead_letters()
    assert (letter["weft.id"], letter["weft.attempts"]) == ("dies-again", "1")
    assert_says(dead(weftd, "retry", "--all"), "retried 1 dead letter of queue default")
    wait_for(lambda: len(weftd.find("job dead", "dies-again")) == 2, "it has died again")


def test_retry_all_of_nothing_says_so(weftd):
    assert_says(dead(weftd, "retry", "--all"), "No dead letters.")


def test_retry_all_takes_one_queue_or_all(redis, start_weftd, probe):
    weftd = start_weftd(**probe, queues=[{"name": "default"}, {"name": "bulk"}])
    for queue in ("default", "bulk"):
        redis.wait_for_state(redis.enqueue("fail", queue, payload="no"), "dead", queue=queue)
    weftd.stop()
    assert_says(dead(weftd, "retry", "--all", "-q", "bulk"), "retried 1 dead letter of queue bulk")
    assert (redis.waiting("bulk"), redis.waiting()) == (1, 0)
    done = dead(weftd, "retry", "--all", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"queue": "default", "retried": 1}, {"queue": "bulk", "retried": 0}]


def test_a_letter_in_several_queues_has_to_be_chosen(redis, start_weftd, probe):
    weftd = start_weftd(**probe, queues=[{"name": "default"}, {"name": "bulk"}])
    for queue in ("default", "bulk"):
        redis.enqueue("fail", queue, id="mine", payload="no")
        redis.wait_for_state("mine", "dead", queue=queue)
    for command in ("retry", "delete"):
        assert_refused(dead(weftd, command, "mine"), 'there is a dead letter of a job "mine" in queue default and another in '
                       "queue bulk; choose one with -q", 64)
    assert_says(dead(weftd, "delete", "mine", "-q", "bulk"), "deleted the dead letter of mine in queue bulk")
    assert redis.report("mine", "bulk") == {}
    assert redis.report("mine")["state"] == "dead"


# ---- Deleting ----

def test_delete_removes_the_letter_and_the_report(redis, weftd):
    job, other = kill(redis), kill(redis)
    assert_says(dead(weftd, "delete", job), f"deleted the dead letter of {job} in queue default")
    assert redis.report(job) == {}
    assert [letter["weft.id"] for letter in redis.dead_letters()] == [other]
    assert redis.client.lrange(key("default", "failed"), 0, -1) == [other]
    assert_refused(dead(weftd, "delete", job),
                   f'no dead letter of a job "{job}"; `weft dead` lists those that there are')


def test_json_names_the_job_and_its_queue(redis, weftd):
    for command in ("retry", "delete"):
        job = kill(redis)
        done = dead(weftd, command, job, "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, {"id": job, "queue": "default"})


def test_an_unknown_job_is_not_found(weftd):
    for command in ("retry", "delete"):
        assert_refused(dead(weftd, command, "nobody"),
                       'no dead letter of a job "nobody"; `weft dead` lists those that there are')


def test_a_wrong_command_line_is_explained(weftd):
    for words, sentence in ((["retry"], "dead retry: ID or --all is missing"),
                            (["retry", "a", "--all"], "dead retry: an ID and --all are one too many"),
                            (["delete"], "dead delete: ID is missing")):
        done = dead(weftd, *words)
        command = " ".join(["dead", words[0]])
        assert (done.returncode, done.stdout, done.stderr) == (64, "", f"weft {sentence}; see weft {command} --help\n")


def test_each_answers_help(weftd):
    for words, usage in ((["retry"], "weft dead retry [OPTION...] ID|--all"), (["delete"], "weft dead delete [OPTION...] ID")):
        done = dead(weftd, *words, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"Usage: {usage}\n")


# ---- The bound ----

def test_no_more_letters_are_kept_than_keep_dead_says(redis, start_weftd, probe):
    weftd = start_weftd(**probe, keep={"dead": 20})
    jobs = redis.enqueue_together([{"type": "fail", "payload": "no"}] * 50)
    wait_for(lambda: len(weftd.find("job dead")) == 50, "all have died")
    wait_for(lambda: redis.waiting() == 0, "and are settled")
    letters = [letter["weft.id"] for letter in redis.dead_letters()]
    assert len(letters) == 20 and set(letters) <= set(jobs)
    assert redis.client.llen(key("default", "failed")) == 20
    assert sum(redis.report(job) != {} for job in jobs) == 20
