"""tests/house/measure counts what its --help says, on a small tree made up for it."""

import json
import subprocess
import sys
from pathlib import Path

MEASURE = Path(__file__).resolve().parent / "measure"

ALIKE = """
int {name}(struct {thing} *{thing})
{{
    int {sum} = 0;

    /* {name} has a comment of its own. */
    if ({thing}->first)
        {sum} += {thing}->first;
    if ({thing}->second)
        {sum} += {thing}->second * 2;
    return {sum};
}}
"""

FIRST = """#include <assert.h>

static int counter; /* static int no_variable; */
static const char *const names[] = {"one", "two { assert(0); }", NULL};
static const char *name;
static struct {
    int inner;
} state = {.inner = 1};
static int (*hook)(int);
static int (*const steps[])(const char *name) = {NULL};
example_fn example_handler;
BEGIN_DECLS

struct other;
extern int elsewhere;
struct forward;
static int helper(int);

static int helper(int value)
{
    assert(value > 0);
    return value + 1;
}

static void callback(void *arg)
{
    (void)arg;
}

static int twice(int value)
{
    return value * 2;
}

int outer(int value)
{
    weft_debug("helper(%d)", value);
    watch(callback);
    return helper(twice(twice(value)));
}
"""


def measure(tree, sources):
    for name, text in sources.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    done = subprocess.run([sys.executable, MEASURE, "--json", tree], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_functions_and_what_is_in_them(tmp_path):
    figures = measure(tmp_path, {"context/first.c": FIRST})["product"]
    assert figures["files"] == 1
    assert figures["lines"] == FIRST.count("\n")
    assert (figures["functions"], figures["median"], figures["p90"]) == (4, 4, 6)
    assert (figures["static"], figures["single"], figures["share"]) == (3, 1, 0.333)
    assert (figures["asserts"], figures["debug"]) == (1, 1)
    assert figures["mutable"] == 4  # counter, name, state, hook


def test_a_long_function_is_not_counted_as_short(tmp_path):
    for lines, single in ((10, 1), (11, 0)):
        body = "    work();\n" * lines
        figures = measure(tmp_path, {"queue/long.c": f"static void long_one(void)\n{{\n\n{body}}}\n\nvoid user(void)\n{{\n    long_one();\n}}\n"})
        assert figures["product"]["single"] == single


def test_places_that_differ_only_in_names_are_duplicates(tmp_path):
    one = ALIKE.format(name="add_up", thing="pair", sum="sum")
    other = ALIKE.format(name="reckon", thing="couple", sum="total")
    different = ALIKE.format(name="reckon", thing="couple", sum="total").replace("* 2", "* 3")
    assert measure(tmp_path / "same", {"queue/one.c": one, "daemon/cli/other.c": other})["product"]["duplicates"] == 1
    assert measure(tmp_path / "different", {"queue/one.c": one, "daemon/cli/other.c": different})["product"]["duplicates"] == 0


def test_a_folder_counts_what_is_below_it(tmp_path):
    source = "void nothing(void)\n{\n}\n"
    rows = measure(tmp_path, {"daemon/main.c": source, "daemon/cli/a.c": source, "daemon/cli/deep/b.c": source, "daemon/cli/deep/deeper/c.h": source,
                              "queue/d.c": source, "tests/e.c": source})
    assert {folder: figures["files"] for folder, figures in rows.items()} == {
        "queue": 1, "daemon": 4, "daemon/cli": 3, "daemon/cli/deep": 2, "product": 5}


def test_a_tree_without_code_is_refused_in_words(tmp_path):
    done = subprocess.run([sys.executable, MEASURE, tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "has no C code" in done.stderr
