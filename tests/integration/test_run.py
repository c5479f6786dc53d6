"""tests/run: what it lists, what it runs of it, and what it says of mistakes and of packages that are missing."""

import os
import re

import pytest

from weft import ROOT, run

RUN = ROOT / "tests" / "run"


def names(*words):
    done = run(RUN, "--list", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return {line for line in done.stdout.splitlines() if line and not line.startswith("==")}


def test_list_names_every_test_without_running_any():
    listed = names()
    known = set(re.findall(r"weft_unit_test\((\w+)", (ROOT / "tests" / "unit" / "tests.cmake").read_text()))
    assert {name.removeprefix("unit.") for name in listed if name.startswith("unit.")} == known
    assert {"conformance.runs", "conformance.standalone", "fuzz_message", "drain", "test_checker.py::test_a_doctored_history_is_refused",
            "one_job_survives_a_fault_and_a_cut", "test_run.py::test_list_names_every_test_without_running_any"} - listed == set()
    assert names("utf8") == {"unit.utf8"}


@pytest.mark.xdist_group("run")  # one build at a time in a folder
@pytest.mark.parametrize("words", [["utf8"], ["test_utf8"], ["tests/unit/test_utf8.c"], ["unit.utf8", "--repeat", "until-fail:3"]])
def test_a_name_runs_only_that_test_and_builds_nothing_else(words, tmp_path):
    done = run(RUN, "--no-install", *words, env=os.environ | {"WEFT_RESULTS": str(tmp_path / "results")})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "1 passed, 0 failed"
    assert re.findall(r"^== (.*)", done.stdout, re.MULTILINE) == ["build what is tested", "unit tests"]
    assert done.stdout.count("Passed") == (3 if "--repeat" in words else 1)


def test_a_name_that_no_test_has_is_told(tmp_path):
    done = run(RUN, "no_such" + "_name", env=os.environ | {"WEFT_RESULTS": str(tmp_path / "results")})
    assert done.returncode == 1
    assert done.stderr == 'No test has "no_such' + '_name" in its name; tests/run --list shows those that there are.\n'
    assert done.stdout.splitlines()[-1] == "0 passed, 0 failed"


@pytest.mark.parametrize("words, sentence", [
    (["--fast"], 'there is no option "--fast"'),
    (["one", "two"], 'one NAME at a time, and here are "one" and "two"'),
    (["--seed"], "--seed takes a number"),
    (["--repeat", "3", "x"], "--repeat takes until-fail:N, such as until-fail:100"),
    (["--repeat", "until-fail:3"], "--repeat and --preset need a NAME"),
    (["--preset", "fast"], "--preset takes dev, asan, tsan or clang"),
])
def test_wrong_usage_is_told_in_a_sentence(words, sentence):
    done = run(RUN, *words)
    assert (done.returncode, done.stdout, done.stderr) == (64, "", f"tests/run: {sentence}; tests/run --help shows what it takes\n")


def test_help_shows_every_option():
    done = run(RUN, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    options = re.findall(r"^    (--[a-z-]+)\b", RUN.read_text(), re.MULTILINE) + ["--ci", "--list"]
    assert [option for option in options if option not in done.stdout] == []


def test_missing_packages_are_named_with_what_to_type(tmp_path):
    """A package that nobody has stands for one that this machine lacks."""
    check = run(ROOT / "etc" / "install-packages", "--check", "bash", "weft-lacks-this", "and-this")
    assert (check.returncode, check.stdout) == (1, "")
    assert check.stderr == ("These Debian packages are missing: and-this weft-lacks-this\nAs root, install them with\n"
                            "    apt-get update && apt-get install --no-install-recommends and-this weft-lacks-this\n")
    assert run(ROOT / "etc" / "install-packages", "--check", "bash").returncode == 0
    script = tmp_path / "tests" / "run"
    script.parent.mkdir()
    script.write_text(RUN.read_text().replace("build_packages=(", "build_packages=(weft-lacks-this "))
    script.chmod(0o755)
    (tmp_path / "etc").symlink_to(ROOT / "etc")
    # What --quick needs may be all that there is.
    wanted = [word for words in re.findall(r"(?m)^(?!optional)\w*packages=\(([^)]*)\)", RUN.read_text()) for word in words.split()
              if not word.startswith('"')]
    missing = run(ROOT / "etc" / "install-packages", "--check", *wanted).stderr.split("\n")[0].partition(": ")[2].split()
    done = run(script, "--no-install")
    assert done.returncode == 1
    assert f"packages are missing: {' '.join(sorted([*missing, 'weft-lacks-this']))}\n" in done.stderr
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed" and done.stdout.count("== ") == 1
