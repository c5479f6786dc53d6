"""docs/CONTEXT.md says of every case of the conformance suite what weft does, and where it is tested."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "CONTEXT.md").read_text(encoding="utf-8")
CASES = 68


def files_of_cases():
    """For each case the files that have a test of it."""
    files = {}
    for source in (ROOT / "tests" / "conformance").glob("*.c"):
        for numbers in re.findall(r"CONFORMANCE_CASE\(((?:c\d+_)+)", source.read_text(encoding="utf-8")):
            for number in re.findall(r"c(\d+)_", numbers):
                files.setdefault(int(number), set()).add(source.stem)
    return files


def rows_of_the_guide():
    return {int(number): set(names.split(", ")) for number, names in re.findall(r"^\| C(\d+) \|.*\| ([\w, ]+) \|$", GUIDE, re.MULTILINE)}


def test_every_case_has_a_test_and_a_row_that_says_where():
    assert set(rows_of_the_guide()) == set(range(1, CASES + 1))
    assert rows_of_the_guide() == files_of_cases()


def test_every_failure_mode_names_tests_that_there_are():
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", GUIDE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 16))
    for number, tests in rows:
        for name in re.findall(r"`([\w/.]+?)`(?!…)", tests):
            found = (ROOT / name).exists() or (ROOT / "tests" / "conformance" / f"{name}.c").exists()
            assert found, f"failure {number}: there is no {name}"
