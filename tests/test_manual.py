"""The manual points at what is there, and says what the checks say."""

import re
from pathlib import Path

import pytest

from tests.house_rules import SAY_INSTEAD

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "infra").rglob("*.md"))]
DECISIONS = ROOT / "infra" / "decisions"


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}, which is not there"
        assert not anchor or anchor in _anchors(target), f"{page.name} links to {link}; {target.name} has no such heading"


@pytest.mark.parametrize("record", sorted(DECISIONS.glob("0*.md")), ids=lambda record: record.stem)
def test_a_decision_is_short_and_whole(record: Path):
    text = record.read_text()
    assert len(text.splitlines()) < 50
    for part in ("Context", "Decision", "Consequences", "Alternatives", "Enforced by"):
        assert f"## {part}\n" in text, f"{record.name} lacks {part}"
    assert f"]({record.name})" in (DECISIONS / "README.md").read_text(), "the list of decisions does not have it"


def test_every_page_of_the_manual_is_in_its_contents():
    contents = (ROOT / "infra" / "docs" / "index.md").read_text()
    assert [
        page.name for page in (ROOT / "infra" / "docs").glob("*.md") if page.name != "index.md" and f"]({page.name})" not in contents
    ] == []


def test_the_glossary_marks_the_words_that_are_looked_for():
    glossary = (ROOT / "infra" / "docs" / "glossary.md").read_text()
    marked = set(re.findall(r"([a-z]+)\*", glossary))
    assert marked == {word for word in SAY_INSTEAD if not word.endswith("s") or word == "bonus"} - {"manager", "datacentre"}


def test_commands_in_the_readme_are_in_the_makefile():
    readme = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", re.sub(r"make and", "", readme))) <= targets


def test_the_first_screen_shows_the_two_commands():
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:35])
    assert "make demo" in first_screen
    assert "make test" in first_screen
