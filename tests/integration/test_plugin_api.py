"""What a handler author writes compiles against the installed header alone, and runs."""

import os

import pytest

from weft import EXAMPLES, run

AUTHENTICATE = r"""
#include <string.h>
#include <weft/weft.h>

static int authenticate(struct weft_job *job)
{
    const char *token = weft_get("token");

    return token && strcmp(token, "secret") == 0 ? weft_set("user", "Alice") : 0;
}
"""

# The example of the documentation, to the letter.
PROFILE = r"""
#include <weft/weft.h>

static int audit(void *arg)                        /* a subtask: fire and forget */
{
    weft_sleep_ms(200);                            /* other jobs run meanwhile */
    weft_info("audited %s", weft_get("user"));     /* still under the originating job ID */
    return 0;
}

static int load_profile(struct weft_job *job)
{
    if (!weft_get("user"))
        return weft_fail(job, "user not authenticated");   /* a dead letter: trying again cannot help */
    weft_info("building profile");
    if (weft_sleep_ms(50) < 0)
        return -errno;                                     /* cancelled or timed out */
    weft_spawn("audit", audit, NULL);
    return weft_result(job, "{\"company\":\"Global Tech Inc.\"}");
}

WEFT_PLUGIN("profile",
    WEFT_HANDLER("authenticate", authenticate),
    WEFT_HANDLER("load_profile", load_profile));
"""

# Each example has parameters that it does not need.
WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"]


@pytest.fixture
def flags(installed):
    """What pkg-config says a plugin is compiled with."""
    package, = installed.rglob("weft.pc")
    done = run("pkg-config", "--cflags", "weft", env=os.environ | {"PKG_CONFIG_PATH": str(package.parent)})
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def profile(tmp_path, flags):
    source, plugin = tmp_path / "profile.c", tmp_path / "profile.so"
    source.write_text(AUTHENTICATE + PROFILE)
    done = run("cc", "-shared", "-fPIC", *WARNINGS, *flags, "-o", plugin, source)
    assert (done.returncode, done.stderr) == (0, "")
    return {"plugins": [str(plugin)], "jobs": {"user.profile": {"chain": ["authenticate", "load_profile"]}}}


def test_the_documented_plugin_runs(redis, start_weftd, profile):
    weftd = start_weftd(**profile)
    job = redis.enqueue("user.profile", token="secret")
    report = redis.wait_for_state(job, "done")
    assert report["result"] == '{"company":"Global Tech Inc."}'
    weftd.wait_for_line("audited Alice", job)
    weftd.wait_for_line("subtask done", job)
    assert weftd.messages(job) == ["job started", "building profile", "job done", "subtask started", "audited Alice",
                                   "subtask done"]
    assert [line.get("task") for line in weftd.job_lines(job)] == [None] * 3 + ["audit"] * 3


def test_the_documented_plugin_refuses_who_is_not_authenticated(redis, start_weftd, profile):
    weftd = start_weftd(**profile)
    job = redis.enqueue("user.profile", token="guess")
    report = redis.wait_for_state(job, "dead")
    assert report["error"] == "user not authenticated"
    assert weftd.messages(job) == ["job started", "job failed", "job dead"]


@pytest.mark.parametrize("header", ["weft", "context", "hooks", "task", "log", "loop"])
@pytest.mark.parametrize("compiler", [["cc", "-x", "c"], ["clang", "-x", "c++"]], ids=["c", "c++"])
def test_each_installed_header_stands_alone(flags, header, compiler):
    done = run(*compiler, *WARNINGS, *flags, "-fsyntax-only", "-", input=f"#include <weft/{header}.h>\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_installed_weftd_runs_the_installed_examples(installed):
    assert run(installed / "bin" / "weft", "--help").returncode == 0
    assert any(path.name == EXAMPLES.name for path in installed.rglob("*.so"))
    weftd, = [path for path in installed.rglob("sbin/weftd")]
    assert run(weftd, "--version").returncode == 0
