"""The Databricks bundle: the platform knows all of it, and the library does what its jobs ask for."""

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from graphlib import TopologicalSorter
from importlib import metadata
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from databricks.bundles.jobs import Job
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume
from packaging.requirements import Requirement

from customer_segmentation import cli
from customer_segmentation.claims import LEASE_MINUTES
from customer_segmentation.cli.options import Request, parser, requested
from tests.deployment.bundle import (
    REFERENCE,
    Document,
    read_bundle,
    references,
    resolved,
    target_of,
    unknown_keys,
)
from tests.generated import ROOT

BUNDLE = read_bundle()
TARGETS = {name: target_of(BUNDLE, name) for name in BUNDLE["targets"]}
PRODUCTION = ["production", "production_classic"]
PAGE = (ROOT / "docs" / "databricks.md").read_text(encoding="utf-8")

JOBS = [
    pytest.param(job, id=f"{target}-{name}")
    for target, bundle in TARGETS.items()
    for name, job in bundle["resources"]["jobs"].items()
]
TASKS = [
    pytest.param(bundle, job, task, id=f"{target}-{name}-{task['task_key']}")
    for target, bundle in TARGETS.items()
    for name, job in bundle["resources"]["jobs"].items()
    for task in job.get("tasks", [])
    if "python_wheel_task" in task
]
WHEEL_TASKS = sorted(
    {
        (wheel["package_name"], wheel["entry_point"], wheel["parameters"][0])
        for wheel in (parameter.values[2]["python_wheel_task"] for parameter in TASKS)
    }
)


def of_extra(extra: str) -> set[str]:
    """What an extra of the library asks for beside the rest."""
    asked = [Requirement(text) for text in metadata.requires("customer-segmentation") or []]
    of_it = [each for each in asked if each.marker is not None and each.marker.evaluate({"extra": extra})]
    return {f"{each.name}{each.specifier}" for each in of_it}


def require_known_fields(bundle: Document) -> None:
    """Raise where the platform's types don't have a field, or not a value of its type."""
    for kind, platform_type in (("jobs", Job), ("schemas", Schema), ("volumes", Volume)):
        for resource in bundle["resources"].get(kind, {}).values():
            platform_type.from_dict(resource)


def asked_by(task: Document, monkeypatch: pytest.MonkeyPatch) -> Request:
    """What a task asks the command line for, as on Databricks, where paths are not those of this machine."""
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "18.0")
    return requested(parser().parse_args(task["python_wheel_task"]["parameters"]))


def ancestors(job: Document, task_key: str) -> set[str]:
    """The tasks that are done before one starts."""
    by_key = {task["task_key"]: task for task in job["tasks"]}
    direct = {dependency["task_key"] for dependency in by_key[task_key].get("depends_on", [])}
    return direct | {earlier for key in direct for earlier in ancestors(job, key)}


@pytest.mark.parametrize("target", TARGETS)
def test_the_platform_knows_every_field_of_the_resources(target: str) -> None:
    require_known_fields(TARGETS[target])


@pytest.mark.parametrize(
    "misspell",
    [
        lambda resources: resources["jobs"]["daily"].update(max_concurent_runs=1),
        lambda resources: resources["jobs"]["daily"]["tasks"][0].update(max_retry=1),
        lambda resources: resources["jobs"]["daily"]["tasks"][0]["python_wheel_task"].update(arguments=[]),
        lambda resources: resources["jobs"]["daily"]["schedule"].update(timezone="UTC"),
        lambda resources: resources["jobs"]["daily"]["health"]["rules"][0].update(metric="RUN_TIME"),
        lambda resources: resources["jobs"]["daily"]["job_clusters"][0]["new_cluster"].update(node_type="x"),
        lambda resources: resources["jobs"]["daily"].update(timeout_seconds="an hour"),
        lambda resources: resources["schemas"]["segmentation"].update(catalog="main"),
        lambda resources: resources["volumes"]["reports"].update(schema="x"),
    ],
)
def test_a_misspelt_field_of_a_resource_is_found(misspell: Callable[[Document], None]) -> None:
    bundle = copy.deepcopy(TARGETS["production_classic"])
    misspell(bundle["resources"])

    with pytest.raises((ValueError, TypeError)):
        require_known_fields(bundle)


def test_all_keys_besides_resources_are_known() -> None:
    assert unknown_keys(BUNDLE) == []


@pytest.mark.parametrize(
    ("misspell", "place"),
    [
        (lambda bundle: bundle.update(variable={}), "variable"),
        (lambda bundle: bundle["artifacts"]["wheel"].update(dynamic=True), "artifacts.wheel.dynamic"),
        (lambda bundle: bundle["variables"]["catalog"].update(defualt="x"), "variables.catalog.defualt"),
        (lambda bundle: bundle["targets"]["production"].update(runas={}), "targets.production.runas"),
        (
            lambda bundle: bundle["targets"]["production"]["resources"].update(job={}),
            "targets.production.resources.job",
        ),
    ],
)
def test_a_misspelt_key_besides_resources_is_found(misspell: Callable[[Document], None], place: str) -> None:
    bundle = copy.deepcopy(BUNDLE)
    misspell(bundle)

    assert unknown_keys(bundle) == [place]


def test_every_variable_that_is_used_is_declared_and_every_declared_one_is_used() -> None:
    used = {name.removeprefix("var.") for name in references(BUNDLE) if name.startswith("var.")}

    assert used == set(BUNDLE["variables"])
    assert all(variable["description"] for variable in BUNDLE["variables"].values())


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_sets_only_variables_that_are_declared(target: str) -> None:
    assert set(BUNDLE["targets"][target].get("variables", {})) <= set(BUNDLE["variables"])


def test_without_a_choice_a_copy_for_oneself_is_deployed() -> None:
    assert [name for name, target in BUNDLE["targets"].items() if target.get("default")] == ["development"]
    assert BUNDLE["targets"]["development"]["mode"] == "development"
    needed = {name for name, variable in BUNDLE["variables"].items() if "default" not in variable}
    assert needed == set(BUNDLE["targets"]["development"]["variables"])


@pytest.mark.parametrize("target", TARGETS)
def test_every_reference_leads_to_what_is_there(target: str) -> None:
    assert list(references(TARGETS[target])) == []


@pytest.mark.parametrize(
    "reference",
    [
        "var.catalogue",
        "resources.schemas.segments.name",
        "resources.volumes.reports.volume_path",  # the command line of Databricks knows it from 1.7 on
        "workspace.home",
    ],
)
def test_a_reference_to_what_is_not_there_is_found(reference: str) -> None:
    whole = {**TARGETS["production"], "sync": {"paths": [f"a/${{{reference}}}"]}}

    assert list(references(resolved(whole, "production", {})["sync"])) == [reference]


@pytest.mark.parametrize("job", JOBS)
def test_tasks_depend_on_tasks_of_the_same_job_and_never_on_themselves(job: Document) -> None:
    graph = {
        task["task_key"]: [dependency["task_key"] for dependency in task.get("depends_on", [])] for task in job["tasks"]
    }

    assert {key for dependencies in graph.values() for key in dependencies} <= set(graph)
    assert set(TopologicalSorter(graph).static_order()) == set(graph)


@pytest.mark.parametrize("job", JOBS)
def test_one_task_of_a_job_runs_at_a_time(job: Document) -> None:
    keys = [task["task_key"] for task in job["tasks"]]

    assert sorted(len(ancestors(job, key)) for key in keys) == list(range(len(keys)))


@pytest.mark.parametrize("target", TARGETS)
def test_a_day_and_a_month_do_their_steps_in_their_order(target: str) -> None:
    jobs = TARGETS[target]["resources"]["jobs"]

    assert ancestors(jobs["daily"], "maintain") == {"ingest", "features", "assign", "report"}
    assert ancestors(jobs["daily"], "report") == {"ingest", "features", "assign"}
    assert ancestors(jobs["daily"], "assign") == {"ingest", "features"}
    assert ancestors(jobs["monthly"], "assign") == {"ingest", "features", "train"}
    assert ancestors(jobs["monthly"], "report") >= {"assign", "backtest"}


@pytest.mark.parametrize("target", TARGETS)
def test_targets_change_only_jobs_and_tasks_that_are_there(target: str) -> None:
    for key, job in TARGETS[target]["resources"]["jobs"].items():
        assert "name" in job, f"{target} changes a job {key} that there is not"
        for task in job["tasks"]:
            assert "python_wheel_task" in task, f"{target} changes a task {task['task_key']} that {key} has not"


@pytest.mark.parametrize(("bundle", "job", "task"), TASKS)
def test_a_task_asks_for_a_command_that_the_command_line_accepts(
    bundle: Document, job: Document, task: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_trial = job["name"].endswith("trial")
    request = asked_by(task, monkeypatch)

    assert request.command == task["task_key"]
    if request.command == "generate":
        assert is_trial
        return
    schema = bundle["resources"]["schemas"]["trial" if is_trial else "segmentation"]
    assert (request.config.tables.catalog, request.config.tables.schema_) == (schema["catalog_name"], schema["name"])
    if request.command in ("report", "rollback", "run"):
        assert request.config.report.path.startswith(f"/Volumes/{schema['catalog_name']}/{schema['name']}/")


def test_the_trial_reads_what_it_has_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    generate, run = TARGETS["development"]["resources"]["jobs"]["trial"]["tasks"]
    folder = asked_by(generate, monkeypatch).config.generate.path
    sources = asked_by(run, monkeypatch).config.configured_sources

    for name in ("transactions", "customers", "engagement"):
        assert [source.path for source in getattr(sources, name)] == [f"{folder}/{name}"]


@pytest.mark.parametrize(("bundle", "job", "task"), TASKS)
def test_a_configuration_that_a_task_names_goes_into_the_workspace(
    bundle: Document, job: Document, task: Document
) -> None:
    files = parser().parse_args(task["python_wheel_task"]["parameters"]).config

    for file in files:
        folder = Path(file).relative_to(ROOT).parts[0]
        assert Path(file).is_file()
        assert folder in bundle["sync"]["paths"]


@pytest.mark.parametrize(("package", "entry_point", "command"), WHEEL_TASKS)
def test_the_entry_point_of_a_task_is_in_the_wheel(package: str, entry_point: str, command: str) -> None:
    assert entry_point in metadata.distribution(package).entry_points.names
    assert command in cli.COMMANDS


@pytest.mark.parametrize("exit_code", [0, 1, 2, 3, 4])
def test_the_entry_point_exits_only_where_a_command_failed(exit_code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "main", lambda arguments: exit_code)

    if exit_code == 0:
        cli.entry_point()
        return
    with pytest.raises(SystemExit) as ended:
        cli.entry_point()
    assert ended.value.code == exit_code


@pytest.mark.parametrize(("bundle", "job", "task"), TASKS)
def test_a_task_has_one_kind_of_compute_and_the_wheel_on_it(bundle: Document, job: Document, task: Document) -> None:
    environments = {one["environment_key"]: one["spec"] for one in job.get("environments", [])}
    clusters = {one["job_cluster_key"]: one["new_cluster"] for one in job.get("job_clusters", [])}

    assert ("environment_key" in task) != ("job_cluster_key" in task)
    if "environment_key" in task:
        installed = environments[task["environment_key"]]["dependencies"]
        assert "libraries" not in task
        assert task["disable_auto_optimization"]
    else:
        assert task["job_cluster_key"] in clusters
        installed = [
            library["whl"] if "whl" in library else library["pypi"]["package"] for library in task["libraries"]
        ]
    assert installed[0] == "../dist/*.whl"  # from the folder of the file that says so
    assert {str(Requirement(each)) for each in installed[1:]} == of_extra("report")
    assert "--wheel-dir dist " in bundle["artifacts"]["wheel"]["build"]


def test_one_target_is_on_classic_compute_and_the_others_are_serverless() -> None:
    on_clusters = {
        name
        for name, bundle in TARGETS.items()
        for job in bundle["resources"]["jobs"].values()
        for task in job["tasks"]
        if "job_cluster_key" in task
    }

    assert on_clusters == {"production_classic"}


@pytest.mark.parametrize("job", JOBS)
def test_a_job_runs_once_at_a_time_and_ends_some_day(job: Document) -> None:
    assert job["max_concurrent_runs"] == 1
    assert job["queue"]["enabled"]
    assert job["timeout_seconds"] > 0
    for rule in job.get("health", {}).get("rules", []):
        assert rule["value"] < job["timeout_seconds"]


@pytest.mark.parametrize("target", PRODUCTION)
def test_people_are_told_of_what_fails_or_takes_long(target: str) -> None:
    for job in TARGETS[target]["resources"]["jobs"].values():
        assert job["email_notifications"]["on_failure"] == ["shop@example.com"]
        assert job["email_notifications"]["on_duration_warning_threshold_exceeded"] == ["shop@example.com"]
        assert [rule["metric"] for rule in job["health"]["rules"]] == ["RUN_DURATION_SECONDS"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_second_retry_comes_when_the_claim_of_a_killed_run_is_free(target: str) -> None:
    jobs = TARGETS[target]["resources"]["jobs"]
    retried = [task for name in ("daily", "monthly") for task in jobs[name]["tasks"]]

    for task in retried:
        assert task["max_retries"] == 2
        assert timedelta(milliseconds=task["min_retry_interval_millis"]) > timedelta(minutes=LEASE_MINUTES)


@pytest.mark.parametrize("target", PRODUCTION)
def test_schedules_are_whole_in_a_known_time_zone_and_apart(target: str) -> None:
    jobs = TARGETS[target]["resources"]["jobs"]
    schedules = [jobs[name]["schedule"] for name in ("daily", "monthly")]

    for schedule in schedules:
        _second, _minute, _hour, day_of_month, _month, day_of_week = schedule["quartz_cron_expression"].split()
        assert (day_of_month == "?") != (day_of_week == "?")
        assert ZoneInfo(schedule["timezone_id"])
    daily, monthly = (schedule["quartz_cron_expression"].split()[:3] for schedule in schedules)
    assert daily != monthly
    assert "schedule" not in jobs["rollback"]


@pytest.mark.parametrize("target", PRODUCTION)
def test_production_runs_as_a_service_principal_with_what_it_needs_and_keeps_its_tables(target: str) -> None:
    bundle = TARGETS[target]
    principal = bundle["run_as"]["service_principal_name"]
    schema = bundle["resources"]["schemas"]["segmentation"]
    rights = {grant["principal"]: set(grant["privileges"]) for grant in schema["grants"]}

    assert BUNDLE["targets"][target]["mode"] == "production"
    assert bundle["workspace"]["root_path"].endswith(f"/{principal}/.bundle/customer_segmentation/{target}")
    assert {"service_principal_name": principal, "level": "CAN_MANAGE"} in bundle["permissions"]
    assert rights[principal] >= {"USE_SCHEMA", "CREATE_TABLE", "MODIFY", "SELECT", "WRITE_VOLUME"}
    assert rights["shop-readers"] == {"USE_SCHEMA", "SELECT", "READ_VOLUME"}
    assert schema["lifecycle"]["prevent_destroy"]
    assert bundle["resources"]["volumes"]["reports"]["lifecycle"]["prevent_destroy"]


def test_the_page_on_databricks_names_every_variable_target_and_job() -> None:
    jobs = {name for bundle in TARGETS.values() for name in bundle["resources"]["jobs"]}

    assert [name for name in {*BUNDLE["variables"], *TARGETS, *jobs} if f"`{name}`" not in PAGE] == []


def test_the_page_on_databricks_gives_the_defaults() -> None:
    for name, variable in BUNDLE["variables"].items():
        (row,) = re.findall(rf"(?m)^\| `{name}` \|.*$", PAGE)
        default = REFERENCE.sub("", str(variable.get("default", "needed"))).lstrip("/")
        assert default in row


@pytest.mark.slow
def test_the_wheel_that_the_bundle_builds_has_every_command(tmp_path: Path) -> None:
    project, installed = tmp_path / "project", tmp_path / "installed"
    shutil.copytree(ROOT / "lib", project / "lib", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    build = f"{BUNDLE['artifacts']['wheel']['build']} --no-build-isolation"
    subprocess.run(build, shell=True, cwd=project, env={**os.environ, "PATH": path}, check=True)
    (wheel,) = (project / "dist").glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run(pip, check=True)

    # As a wheel's task is run: the entry point is looked up by its name and called with the task's parameters.
    script = (
        "import sys\n"
        "from importlib import metadata\n"
        "package, entry_point, *parameters = sys.argv[1:]\n"
        "sys.argv = [package, *parameters]\n"
        "distribution = metadata.distribution(package)\n"
        "print(distribution.locate_file(''))\n"
        "(entry,) = [each for each in distribution.entry_points if each.name == entry_point]\n"
        "entry.load()()\n"
    )
    asked = [(*task, "--help", 0) for task in WHEEL_TASKS] + [(*WHEEL_TASKS[0], "--config=nowhere.yml", 2)]
    for package, entry_point, command, option, exit_code in asked:
        ended = subprocess.run(
            [sys.executable, "-c", script, package, entry_point, command, option],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == exit_code, ended.stderr
        assert str(installed) in ended.stdout.splitlines()[0]
