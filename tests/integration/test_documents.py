"""What is installed to be read: its links lead somewhere, and its paths are there."""

import os
import re

from weft import BUILD, run


def documents(installed):
    return sorted((installed / "share" / "doc" / "weft").glob("*.md"))


def test_every_link_of_an_installed_document_leads_to_something_installed(installed):
    names = {path.name for path in documents(installed)}
    assert {"README.md", "CHANGELOG.md", "CONTEXT.md", "DEBUGGING.md", "RELIABILITY.md"} == names
    links = [(path, link) for path in documents(installed) for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text())]
    assert len(links) > 8
    assert [(path.name, link) for path, link in links if ":" not in link and not (path.parent / link).exists()] == []


def test_every_path_of_the_prefix_that_a_man_page_names_is_installed(installed):
    named = {}
    for page in (installed / "share" / "man").rglob("*.[0-9]"):
        text = page.read_text().replace("\\-", "-")
        assert "/usr/" not in text.replace("/usr/share/zoneinfo", "") or page.name == "weftd.8", page
        named |= {path: page.name for path in re.findall(re.escape(str(installed)) + r"[\w./+-]*[\w+-]", text)}
    assert any(path.endswith("/lib/weft/examples.so") for path in named)
    missing = [f"{page}: {path}" for path, page in named.items() if not (installed / path).exists() and path != str(installed)]
    assert missing == []


# ---- What else an installation below a prefix has ----

def test_everything_that_is_installed_is_in_the_manifest(installed):
    listed = {os.path.realpath(path) for path in (BUILD / "install_manifest.txt").read_text().splitlines()}
    there = {os.path.realpath(path) for path in installed.rglob("*") if not path.is_dir()}
    assert len(there) > 30
    assert there - listed == set()


def test_the_commands_find_the_configuration_that_is_installed_with_them(installed, tmp_path):
    own = installed / "etc" / "weft" / "weftd.yaml"
    done = run(installed / "sbin" / "weftd", "--check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{own}: ok\n"), done.stderr
    own.write_text("redis: {url: 'unix:/nowhere/redis.sock'}\nthis: wrong\n")
    done = run(installed / "bin" / "weft", "queues", cwd=tmp_path)
    assert done.returncode != 0 and f"{own}:2:1: unknown key" in done.stderr
