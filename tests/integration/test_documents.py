"""What is installed to be read: its links lead somewhere, and its paths are there."""

import re


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
