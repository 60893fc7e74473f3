"""Prints those pins of requirements.txt, with their hashes, that running needs: not what only development asks for.

    python runtime_requirements.py requirements.txt spark report > runtime.txt

It is run where setup.py is, and needs setuptools and packaging. What a pin is there for is read from the notes that
pip-compile leaves in the file (`# via`). A pin too few would end the installation, since pip then has no hash for it.
"""

import re
import sys
import tempfile
from collections.abc import Iterable
from contextlib import redirect_stdout
from importlib.metadata import PathDistribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import build_meta


def required(extras: Iterable[str]) -> set[str]:
    """Names of the packages that the project in the current folder asks for by itself, with these extras."""
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        sys.argv[1:] = []  # which setup.py would take for its own
        metadata = PathDistribution(Path(folder) / build_meta.prepare_metadata_for_build_wheel(folder))
        requirements = [Requirement(line) for line in metadata.requires or []]
    return {
        canonicalize_name(each.name)
        for each in requirements
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ["", *extras])
    }


def with_dependencies(lock: str, names: set[str]) -> str:
    """The part of a lock that pins these packages and all that they need in turn."""
    pins = {pin.split("==")[0]: pin for pin in re.findall(r"^[a-z0-9.-]+==.*\n(?: .*\n)*", lock, re.MULTILINE)}
    needed_by = {name: set(re.findall(r"# +(?:via )?([a-z0-9.-]+)$", pin, re.MULTILINE)) for name, pin in pins.items()}
    needed, before = names & pins.keys(), set[str]()
    while needed != before:
        before, needed = needed, needed | {name for name, parents in needed_by.items() if parents & needed}
    return "".join(pin for name, pin in pins.items() if name in needed)


if __name__ == "__main__":
    lock_file, *chosen_extras = sys.argv[1:]
    sys.stdout.write(with_dependencies(Path(lock_file).read_text(encoding="utf-8"), required(chosen_extras)))
