"""The documents: what they link to and name is there, and pre-commit runs what `make lint` does."""

import re
from pathlib import Path

import pytest
import yaml

from benchmarks.document import pages

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lib" / "customer_segmentation"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]

FENCED = re.compile(r"(?ms)^ *```.*?^ *```$")
LINK = re.compile(r"\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.-]+(/[\w.-]+)*(/|/[\w-]+\.(py|md|yml|ipynb))")


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def links_of(document: Path) -> list[str]:
    """The relative links of a document, without what they point to within a page."""
    targets = (link.partition("#")[0] for link in LINK.findall(FENCED.sub("", document.read_text(encoding="utf-8"))))
    return [target for target in targets if target and "://" not in target]


def paths_of(document: Path) -> list[str]:
    """The files and folders that a document names in backticks."""
    quoted = QUOTED.findall(FENCED.sub("", document.read_text(encoding="utf-8")))
    return [text for text in quoted if PATH.fullmatch(text)]


def lint_commands() -> list[str]:
    """The commands of `make lint`, without what only says how to show them."""
    recipe = re.search(r"(?m)^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert recipe is not None
    lines = recipe[1].replace("$(BIN)", ".venv/bin").splitlines()
    return [re.split(r" >| \|\|", line.strip().removeprefix("@"))[0] for line in lines]


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_to_files_that_are_there(document: Path) -> None:
    missing = [target for target in links_of(document) if not (document.parent / target).exists()]

    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_files_and_folders_in_backticks_are_there(document: Path) -> None:
    missing = [name for name in paths_of(document) if not any((base / name).exists() for base in (ROOT, PACKAGE))]

    assert missing == []


def test_the_documents_link_and_name_files() -> None:
    assert len({link for document in DOCUMENTS for link in links_of(document)}) > 10
    assert len({name for document in DOCUMENTS for name in paths_of(document)}) > 20


def test_every_decision_is_linked_from_the_guide_for_contributors() -> None:
    linked = links_of(ROOT / "CONTRIBUTING.md")

    assert [name for name in names(sorted(ROOT.glob("docs/decisions/*.md"))) if name not in linked] == []


def test_pre_commit_runs_what_make_lint_does() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in configuration["repos"] for hook in repository["hooks"]]

    assert {repository["repo"] for repository in configuration["repos"]} == {"local"}
    assert [hook["entry"] for hook in hooks] == lint_commands()
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in hooks)


def test_the_pages_on_performance_and_scale_are_made_from_what_was_measured() -> None:
    made = pages()
    assert [path.name for path in made] == ["performance.md", "scale.md"]
    assert {path: path.read_text(encoding="utf-8") for path in made} == made
