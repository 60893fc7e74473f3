"""The container file: that what it copies is there, its steps are those of `make install`, and nobody is root in it."""

import fnmatch
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution, entry_points, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.generated import ROOT

CONTAINERFILE = ROOT / "deploy" / "container" / "Containerfile"


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each instruction, with its lines joined as a builder joins them."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def arguments_of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def copied() -> list[str]:
    """Files and folders of the clone that are copied into the image or the stage that builds it."""
    return [source for rest in arguments_of("COPY") if not rest.startswith("--from=") for source in rest.split()[:-1]]


def is_ignored(path: str) -> bool:
    """Whether .dockerignore keeps a file from the builder: the last pattern for it or a folder that it is in counts."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.lstrip("!")
        anywhere = pattern.removeprefix("**/") if pattern.startswith("**/") else None
        parents = [Path(path), *Path(path).parents]
        if any(fnmatch.fnmatch(each.name if anywhere else str(each), anywhere or pattern) for each in parents):
            ignored = not line.startswith("!")
    return ignored


def files_of_the_clone() -> list[str]:
    git = shutil.which("git")
    listed = subprocess.run([git or "git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if git is None or listed.returncode != 0:
        pytest.skip("not a clone: no list of its files")
    return listed.stdout.splitlines()


def test_what_is_copied_is_in_a_fresh_clone_and_reaches_the_builder() -> None:
    files = files_of_the_clone()

    assert copied()
    for source in copied():
        found = [file for file in files if file == source or file.startswith(f"{source}/")]
        assert found, source
        assert not [file for file in found if is_ignored(file)]


def test_nothing_else_reaches_the_builder() -> None:
    sources = tuple(copied())

    let_through = [file for file in files_of_the_clone() if not is_ignored(file)]

    assert [file for file in let_through if not file.startswith(sources)] == []
    for file in (".env", "conf/mine.yml", "warehouse/demo/report.html", ".git/config", "lib/a/__pycache__/b.pyc"):
        assert is_ignored(file), file


@pytest.mark.parametrize("step", arguments_of("RUN"))
def test_a_step_is_a_script_that_a_shell_can_read(step: str) -> None:
    for shell in ("bash", "sh"):
        checked = subprocess.run([shell, "-n", "-c", step], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def test_packages_are_installed_by_hash_with_the_steps_of_make_install() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$$", "$")
    steps = " && ".join(arguments_of("RUN"))

    for part in (
        r"awk '/^(packaging|setuptools|wheel)==/ {p = 1} p {print} !/\\$/ {p = 0}' requirements.txt",
        r"printf '[bdist_wheel]\ncompression = stored\n'",
        "-m customer_segmentation.spark.jars",
    ):
        assert part in makefile
        assert part in steps
    installed = re.findall(r"pip install (.*?)(?= && |$)", re.sub(r"\s+", " ", steps))
    assert len(installed) == 3
    for options in installed:
        assert "--require-hashes" in options or "--no-deps --no-build-isolation ." in options


@pytest.mark.skipif(
    f"pandas=={version('pandas')} " not in (ROOT / "requirements.txt").read_text(),
    reason="installed here is something else than what is pinned",
)
def test_the_pins_of_the_image_are_those_that_running_needs(tmp_path: Path) -> None:
    for file in ("setup.py", "pyproject.toml", "requirements.txt", "deploy/container/runtime_requirements.py"):
        shutil.copy(ROOT / file, tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "README.md").touch()

    made = subprocess.run(
        [sys.executable, "runtime_requirements.py", "requirements.txt", "spark", "report"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    lock = (tmp_path / "requirements.txt").read_text()
    assert all(line in lock for line in made.splitlines())
    assert set(re.findall(r"^([a-z0-9.-]+)==", made, re.MULTILINE)) == needed(
        "customer-segmentation", "spark", "report"
    )


def needed(name: str, *extras: str) -> set[str]:
    """Names of what an installed package needs, with all that this needs in turn, by the packages' own metadata."""
    found: dict[str, set[str]] = {}
    queue = [Requirement(f"{name}[{','.join(extras)}]")]
    while queue:
        each = queue.pop()
        key, wanted = canonicalize_name(each.name), {"", *each.extras}
        if wanted <= found.get(key, set()):
            continue
        found.setdefault(key, set()).update(wanted)
        for line in distribution(each.name).requires or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in wanted):
                queue.append(requirement)
    return set(found) - {canonicalize_name(name)}


def test_the_image_starts_the_command_line() -> None:
    scripts = {script.name for script in entry_points(group="console_scripts")}

    assert arguments_of("ENTRYPOINT") == ['["customer-segmentation"]']
    assert "customer-segmentation" in scripts


def test_deltas_jars_lie_where_a_session_looks_for_them() -> None:
    environment = " ".join(arguments_of("ENV"))
    cache = re.findall(r"CUSTOMER_SEGMENTATION_CACHE=(\S+)", environment)

    assert len(cache) == 1
    assert any(cache[0].startswith(f"{rest.split()[-1]}/") for rest in arguments_of("COPY") if "--from=" in rest)


def test_nobody_is_root_in_the_image() -> None:
    final_stage = instructions()[max(i for i, (name, _) in enumerate(instructions()) if name == "FROM") :]

    users = [rest for name, rest in final_stage if name == "USER"]
    defaults = dict(rest.split("=") for name, rest in final_stage if name == "ARG")
    assert users == ["${UID}"]
    assert int(defaults["UID"]) > 0
    after = [name for name, _ in final_stage[[name for name, _ in final_stage].index("USER") :]]
    assert "RUN" not in after


def test_the_file_names_no_secret_no_host_and_no_base_image_without_a_tag() -> None:
    text = CONTAINERFILE.read_text()
    named = [re.split(r"[= ]", rest)[0] for name in ("ARG", "ENV") for rest in arguments_of(name)]

    assert not [name for name in named if re.search("PASSWORD|SECRET|TOKEN|KEY|CREDENTIAL", name, re.IGNORECASE)]
    assert "://" not in text
    assert not arguments_of("ADD")
    assert arguments_of("ARG")[0] == "BASE=debian:bookworm-slim"
    assert [rest.split()[0] for rest in arguments_of("FROM")] == ["${BASE}", "base", "base"]
