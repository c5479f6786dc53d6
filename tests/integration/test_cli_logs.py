"""`weft logs` beyond one job: all lines and a choice of them, rotated files, and files that cannot be read."""

import gzip
import json
import os
import subprocess
import time

import pytest

from weft import PATIENCE, WEFT, Weftd

LEVELS = ["debug", "info", "warn", "error"]


def line(second, message, level="info", **keys):
    return line_at(f"2026-11-23T20:00:{second:02}.000000Z", message, level, **keys)


def line_at(time, message, level="info", **keys):
    return json.dumps({"ts": time, "level": level, "msg": message, **keys}, separators=(",", ":")) + "\n"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "weftd.log"


@pytest.fixture
def weftd(tmp_path, log):
    return Weftd(tmp_path, "unix:///nowhere", log={"format": "json", "output": str(log)})


def messages(weftd, *words):
    done = weftd.cli("--json", "logs", *words)
    assert (done.returncode, done.stderr) == (0, ""), done
    return [json.loads(line)["msg"] for line in done.stdout.splitlines()]


def test_without_an_id_all_lines_are_shown_in_time_order(weftd, log):
    log.write_text(line(2, "second", job_id="A", type="mail") + line(1, "first") + line(3, "third", level="debug") + "no line\n")
    assert messages(weftd) == ["first", "second", "third"]
    text = weftd.cli("logs").stdout.splitlines()
    assert [words in shown for words, shown in zip(["first", "second", "third"], text, strict=True)] == [True] * 3


def test_n_shows_the_last_lines(weftd, log):
    log.write_text("".join(line(second, str(second), job_id="AB"[second % 2]) for second in range(20)))
    assert messages(weftd, "-n", "3") == ["17", "18", "19"]
    assert messages(weftd, "-n", "2", "A") == ["16", "18"]
    assert len(messages(weftd, "--lines", "100")) == 20


def test_level_type_and_since_choose_lines(weftd, log):
    log.write_text("".join(line(second, level, level=level, job_id="A", type=kind)
                           for kind, second in (("mail", 1), ("report", 2)) for level in LEVELS)
                   + line(3, 'says "level":"error" and "type":"mail"', level="info"))
    assert messages(weftd, "--level", "warn") == ["warn", "error"] * 2
    assert messages(weftd, "--level", "error", "--type", "mail") == ["error"]
    assert messages(weftd, "--type", "report") == LEVELS
    assert messages(weftd, "--since", "2026-11-23T20:00:02Z", "--type", "mail", "--level", "debug", "--since", "1795000000") == LEVELS
    assert len(messages(weftd, "--since", "2026-11-23T20:00:02Z")) == 5
    assert messages(weftd, "--since", "2026-11-23T20:00:03Z", "-n", "1") == ['says "level":"error" and "type":"mail"']


def test_since_takes_how_long_ago(weftd, log):
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    log.write_text(line(1, "old") + line_at(now, "new"))
    assert messages(weftd, "--since", "1h") == ["new"]


@pytest.mark.parametrize("words", [["--level", "loud"], ["--since", "yesterday"], ["-n", "none"], ["-n", "0"], ["A", "B"],
                                   ["--type", "a type"], ["--type", "x" * 129]])
def test_what_makes_no_sense_is_refused(weftd, log, words):
    log.write_text(line(1, "one"))
    done = weftd.cli("logs", *words)
    assert (done.returncode, done.stdout) == (64, "") and done.stderr


def test_nothing_found_is_said(weftd, log):
    log.write_text(line(1, "one"))
    done = weftd.cli("logs", "--level", "error")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1) and "no line" in done.stderr


def test_rotated_files_are_read_as_well(weftd, log, tmp_path):
    log.write_text(line(9, "newest", job_id="A"))
    (tmp_path / "weftd.log.1").write_text(line(7, "older", job_id="A") + line(8, "other", job_id="B"))
    with gzip.open(tmp_path / "weftd.log.2.gz", "wt") as packed:
        packed.write(line(5, "oldest", job_id="A"))
    (tmp_path / "weftd.log-20261101").write_text(line(1, "dated", job_id="A"))
    (tmp_path / "weftd.log.bak").write_text(line(1, "no rotation's", job_id="A"))
    for name, age in (("weftd.log.1", 10), ("weftd.log.2.gz", 20), ("weftd.log-20261101", 30)):
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    assert messages(weftd, "A") == ["dated", "oldest", "older", "newest"]
    assert messages(weftd) == ["dated", "oldest", "older", "other", "newest"]
    assert messages(weftd, "-n", "2") == ["other", "newest"]
    log.write_text("")
    assert messages(weftd, "A") == ["dated", "oldest", "older"]


def test_rotated_files_from_before_the_job_are_left_alone(weftd, log, tmp_path):
    job = f"{int(time.time() * 1000)}-0"
    log.write_text(line(9, "newest", job_id=job))
    (tmp_path / "weftd.log.1.gz").write_text("no gzip file")
    os.utime(tmp_path / "weftd.log.1.gz", (time.time() - 86400, time.time() - 86400))
    assert messages(weftd, job) == ["newest"]
    done = weftd.cli("logs", "-n", "5")
    assert "newest" in done.stdout and "weftd.log.1.gz cannot be read" in done.stderr


def write_rotated(tmp_path, ages, name="weftd.log.{}"):
    """Each with a line of a job of its own, written so many seconds ago, and with its name as the message."""
    for number, age in ages.items():
        path, then = tmp_path / name.format(number), time.time() - age
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(then))
        path.write_text(line_at(at, path.name, job_id=f"J{number}"))
        os.utime(path, (then, then))


def test_of_many_rotated_files_none_is_left_out(weftd, log, tmp_path):
    log.write_text(line(1, "first", job_id="J0"))
    write_rotated(tmp_path, {number: 10 * number for number in range(1, 131)})
    assert messages(weftd, "J130") == ["weftd.log.130"]
    assert messages(weftd, "J1") == ["weftd.log.1"]
    assert len(messages(weftd)) == 131


def test_n_reads_no_file_that_is_older_than_what_it_shows(weftd, log, tmp_path):
    log.write_text("")
    write_rotated(tmp_path, {"": 5, 1: 10, 2: 20, 3: 30, 4: 40}, "weftd.log{}")
    for number in (1, 2, 3, 4):
        (tmp_path / f"weftd.log{number}").rename(tmp_path / f"weftd.log.{number}")
    (tmp_path / "weftd.log.4.gz").write_text("no gzip file")
    os.utime(tmp_path / "weftd.log.4.gz", (time.time() - 50, time.time() - 50))
    assert messages(weftd, "-n", "1") == ["weftd.log"]
    assert messages(weftd, "-n", "3") == ["weftd.log2", "weftd.log1", "weftd.log"]
    assert messages(weftd, "-n", "5") == ["weftd.log4", "weftd.log3", "weftd.log2", "weftd.log1", "weftd.log"]
    assert "weftd.log.4.gz cannot be read" in weftd.cli("logs", "-n", "6").stderr


def test_n_finds_late_lines_in_a_file_that_was_rotated_meanwhile(weftd, log, tmp_path):
    # A worker may write into the old file for a moment longer.
    log.write_text(line(5, "new") + line(9, "newest"))
    (tmp_path / "weftd.log.1").write_text(line(4, "old") + line(7, "late"))
    assert messages(weftd, "-n", "2") == ["late", "newest"]


def test_n_of_many_lines_shows_the_last_in_order_of_time(weftd, log):
    at = [(number * 7919) % 10000 for number in range(10000)]
    log.write_text("".join(line_at(f"2026-11-23T20:00:00.{number:06}Z", str(number)) for number in at))
    assert messages(weftd, "-n", "5") == ["9995", "9996", "9997", "9998", "9999"]
    assert messages(weftd, "-n", "3000") == [str(number) for number in range(7000, 10000)]


def test_the_longest_id_is_named_in_full(weftd, log):
    log.write_text(line(1, "one"))
    assert f'no line about a job "{"x" * 128}" in the log' in weftd.cli("logs", "x" * 128).stderr


def test_the_next_file_is_read_where_one_cannot_be(tmp_path):
    missing, log = tmp_path / "gone" / "weftd.log", tmp_path / "other.log"
    weftd = Weftd(tmp_path, "unix:///nowhere", log={"format": "json", "output": [str(missing), str(log)]})
    log.write_text(line(1, "here", job_id="A"))
    assert messages(weftd, "A") == ["here"]


def test_a_file_that_cannot_be_read_is_told_of_where_there_is_nothing_else(weftd, log):
    done = weftd.cli("logs", "A")
    assert (done.returncode, done.stdout) == (66, "")
    assert f"{log} cannot be read: No such file" in done.stderr


def test_all_lines_can_be_followed(weftd, log):
    log.write_text(line(1, "one") + line(2, "two"))
    following = subprocess.Popen([WEFT, "-c", weftd.config, "logs", "-f", "-n", "1", "--level", "info"], stdout=subprocess.PIPE,
                                 text=True)
    try:
        assert "two" in following.stdout.readline()
        with open(log, "a") as more:
            more.write(line(3, "quiet", level="debug") + line(4, "three"))
        assert "three" in following.stdout.readline()
    finally:
        following.kill()
        following.wait(PATIENCE)


def test_the_group_of_the_user_may_read_the_log(start_weftd):
    before = os.umask(0o077)
    try:
        weftd = start_weftd()
    finally:
        os.umask(before)
    assert weftd.log.stat().st_mode & 0o777 == 0o640
