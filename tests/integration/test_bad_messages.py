"""Bad messages never crash, block or vanish: each becomes a dead letter that says what is wrong."""

import pytest

NAME = "1 to 128 of the characters A-Z a-z 0-9 . _ -"
JOB_ID = "1 to 128 of the characters A-Z a-z 0-9 . _ : -"

# The fields of a bad message, beside a good type unless they have one, and the sentence that its dead letter gets.
BAD = {
    "no_type": ({"type": None}, 'the message has no type; add a field "type" that names a job type'),
    "unknown_type": ({"type": "nobody"}, 'type "nobody" is not configured; add it under jobs: or correct the message'),
    "type_with_a_blank": ({"type": "a b"}, f'type "a b" is not a job type, which is {NAME}'),
    "empty_type": ({"type": ""}, f'type "" is not a job type, which is {NAME}'),
    "type_too_long": ({"type": "x" * 129}, f'type "{"x" * 64}"... is not a job type, which is {NAME}'),
    "field_name_with_a_colon": ({"a:b": "1"}, f'the field name "a:b" is not {NAME}'),
    "field_name_with_a_line_feed": ({"a\nb": "1"}, f'the field name "a\\x0ab" is not {NAME}'),
    "empty_field_name": ({"": "1"}, f'the field name "" is not {NAME}'),
    "job_id_with_a_slash": ({"id": "a/b"}, f'id "a/b" is not a job ID, which is {JOB_ID}'),
    "parent_with_a_slash": ({"parent": "a/b"}, f'parent "a/b" is not a job ID, which is {JOB_ID}'),
    "unreadable_delay": ({"delay": "soon"},
                         'delay "soon" is not a duration of at most ten years, such as 30s or 5m'),
    "delay_without_a_unit": ({"delay": "30"}, 'delay "30" is not a duration of at most ten years, such as 30s or 5m'),
    "impossible_delay": ({"delay": "9999d"}, 'delay "9999d" is not a duration of at most ten years, such as 30s or 5m'),
    "unreadable_at": ({"at": "tomorrow"}, 'at "tomorrow" is not a time up to the year 9999, '
                                          'written like 2026-11-23T20:00:00Z or in Unix seconds, not milliseconds'),
    "at_in_milliseconds": ({"at": "1763922000123"},
                           'at "1763922000123" is not a time up to the year 9999, '
                           'written like 2026-11-23T20:00:00Z or in Unix seconds, not milliseconds'),
    "delay_and_at": ({"delay": "1s", "at": "1763922000"}, "the message has both delay and at; send only one of them"),
    "no_attempts": ({"attempts": "0"}, 'attempts "0" is not a whole number from 1 to 1000'),
    "unreadable_attempts": ({"attempts": "many"}, 'attempts "many" is not a whole number from 1 to 1000'),
    "no_timeout": ({"timeout": "0"}, 'timeout "0" is not a duration from 1ms to 7d, such as 30s or 5m'),
    "unreadable_timeout": ({"timeout": "5 minutes"},
                           'timeout "5 minutes" is not a duration from 1ms to 7d, such as 30s or 5m'),
    "unreadable_unique_for": ({"unique": "k", "unique_for": "x"},
                              'unique_for "x" is not a duration from 1ms to 30d, such as 5m or 1h'),
    "unique_for_alone": ({"unique_for": "1s"},
                         "the message has unique_for but no unique; add unique or leave unique_for out"),
    "too_many_metadata_fields": ({f"field{i}": "x" for i in range(65)},
                                 "the message has more than 64 metadata fields; send at most 64, and the rest as payload"),
    "too_much_metadata": ({"big": "x" * 16384}, "the metadata takes 16387 bytes, names and values together; "
                                                "send at most 16384, and the rest as payload"),
    "payload_too_large": ({"payload": "x" * 1025},
                          "the payload takes 1025 bytes; send at most 1024 or raise limits.payload"),
}


@pytest.fixture
def weftd(start_weftd, probe):
    return start_weftd(**probe, limits={"payload": "1KiB"})


def enqueue_fields(redis, fields):
    fields = {"type": "speak"} | fields
    return redis.client.xadd("weft:{default}", {name: value for name, value in fields.items() if value is not None})


def test_every_bad_message_is_a_dead_letter_with_its_reason_and_its_neighbours_run(redis, weftd):
    neighbours, entries = [], {}
    for name, (fields, _) in BAD.items():
        entries[enqueue_fields(redis, {"id": f"bad:{name}"} | fields)] = name
        neighbours.append(redis.enqueue("speak", payload=f"beside {name}"))
    for job in neighbours:
        redis.wait_for_state(job, "done")

    letters = {letter["weft.id"]: letter for letter in redis.dead_letters()}
    reasons, expected = {}, {}
    for entry, name in entries.items():
        fields, sentence = BAD[name]
        job = entry if "id" in fields else f"bad:{name}"
        expected[name] = (sentence, [("error", "job dead", sentence)], "dead", sentence)
        report = redis.report(job)
        lines = [(line["level"], line["msg"], line["data"]["error"]) for line in weftd.job_lines(job)]
        reasons[name] = (letters.get(job, {}).get("weft.error"), lines, report.get("state"), report.get("error"))
    assert reasons == expected
    assert len(letters) == len(BAD)
    assert redis.waiting() == 0


def test_a_dead_letter_keeps_all_fields_of_its_message(redis, weftd):
    entry = enqueue_fields(redis, {"type": "nobody", "payload": "p\0q", "tenant": "acme", "delay": "5m"})
    redis.wait_for_state(entry, "dead")
    letter, = redis.dead_letters()
    own = {name for name in letter if name.startswith("weft.")}
    assert {name: letter[name] for name in letter if name not in own} == {
        "type": "nobody", "payload": "p\0q", "tenant": "acme", "delay": "5m"}
    assert own >= {"weft.id", "weft.error", "weft.attempts", "weft.node", "weft.failed_at"}
    assert (letter["weft.attempts"], letter["weft.node"]) == ("0", "testnode")


def test_what_is_just_within_the_limits_runs(redis, weftd):
    within = [{"id": "x" * 128}, {f"field{i}": "x" for i in range(64)}, {"big": "x" * (16384 - 3)},
              {"payload": "x" * 1024}, {"attempts": "1000"}, {"timeout": "7d"}, {"delay": "0"}, {"at": "0"}]
    for fields in within:
        entry = enqueue_fields(redis, fields)
        redis.wait_for_state(fields.get("id", entry), "done")
    assert redis.dead_letters() == []


def test_of_a_name_given_twice_the_last_value_counts(redis, weftd):
    job = redis.cli("XADD", "weft:{default}", "*", "type", "nobody", "type", "speak", "payload", "x", "tenant", "first",
                    "tenant", "last")
    redis.wait_for_state(job, "done")
    assert weftd.job_lines(job)[0]["ctx"] == {"tenant": "last"}


def test_an_invalid_traceparent_is_ignored_with_a_warning_under_the_job(redis, weftd):
    job = redis.enqueue("speak", payload="hello", traceparent="00-zz-1-01")
    redis.wait_for_state(job, "done")
    warning, = [line for line in weftd.job_lines(job) if line["level"] == "warn"]
    assert "traceparent" in warning["msg"]
    assert not any("trace_id" in line for line in weftd.job_lines(job))


def test_bytes_that_are_not_text_reach_the_dead_letter_unharmed(redis, weftd):
    payload = bytes(range(256)) * 5
    entry = redis.client.xadd("weft:{default}", {"type": "speak", "payload": payload})
    redis.wait_for_state(entry, "dead")
    assert redis.dead_letters()[0]["payload"].encode("utf-8", "surrogateescape") == payload
