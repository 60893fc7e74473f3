"""Run by an interpreter that has Airflow: prints what it makes of the DAGs, as JSON. Starts a stand-in, never Spark.

python airflow_report.py FOLDER_OF_DAGS COMMAND; the environment says where Airflow's own files and its database are.
COMMAND notes what it is called with, and ends with the exit code that the environment variable EXIT_CODE says.
"""

import json
import os
import runpy
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

from airflow.dag_processing.dagbag import DagBag

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.exceptions import AirflowFailException, AirflowSkipException

LOGICAL_DATE = datetime(2026, 3, 1, 12, tzinfo=UTC)


def described(dag):
    """What the DAG is set to, and its tasks in an order in which they can run."""
    return {
        "schedule": dag.timetable.expression,
        "timezone": str(dag.timezone),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "tasks": [
            {
                "name": task.task_id,
                "downstream": sorted(task.downstream_task_ids),
                "retries": task.retries,
                "first_delay": task.retry_delay.total_seconds(),
                "longest_delay": task.max_retry_delay.total_seconds(),
                "grows": bool(task.retry_exponential_backoff),
                "timeout": task.execution_timeout.total_seconds(),
            }
            for task in dag.topological_sort()
        ],
    }


def ending(task, exit_code):
    """How a task ends whose command ends with this code."""
    task.bash_command = f"exit {exit_code}"
    try:
        task.execute({})
    except AirflowFailException:
        return "failed for good"
    except AirflowSkipException:
        return "skipped"
    except Exception:
        return "failed, to be retried"
    return "done"


def run(dag, exit_code):
    """Run the DAG once, without a scheduler; the state of each task."""
    os.environ["EXIT_CODE"] = str(exit_code)
    tasks = dag.test(logical_date=LOGICAL_DATE).get_task_instances()
    return {each.task_id: str(each.state) for each in tasks}


def as_of_dates(file):
    """The as-of date of an interval's end and of a run without an interval, in three time zones."""
    names = runpy.run_path(file)
    function, end = names["as_of_date"], datetime(2026, 3, 1, 19, tzinfo=UTC)
    runs = [
        SimpleNamespace(data_interval_end=end, run_after=None),
        SimpleNamespace(data_interval_end=None, run_after=end),
    ]
    dates = {}
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        function.__globals__["TIMEZONE"] = zone
        dates[zone] = [function(each) for each in runs]
    return dates


def main():
    folder, command = sys.argv[1:]
    os.environ["AIRFLOW_VAR_CUSTOMER_SEGMENTATION_COMMAND"] = command
    bag = DagBag(folder)
    dags = {name: bag.dags[name] for name in sorted(bag.dags)}
    report = {
        "import_errors": bag.import_errors,
        "dags": {name: described(dag) for name, dag in dags.items()},
        "rejected": {name: run(dag, 3) for name, dag in dags.items()},
        "done": {name: run(dag, 0) for name, dag in dags.items()},
        "endings": {
            f"{name}.{task.task_id}": {code: ending(task, code) for code in range(5)}
            for name, dag in dags.items()
            for task in dag.tasks
        },
        "as_of_dates": as_of_dates(dags["customer_segmentation_daily"].fileloc),
    }
    print("REPORT", json.dumps(report))


if __name__ == "__main__":
    main()
