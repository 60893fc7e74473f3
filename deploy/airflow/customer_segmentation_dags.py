"""Two DAGs for Apache Airflow 3: each day customers are segmented and published, each month a model is trained.

An example to put into a folder of DAGs and to change. The workers need the command line (docs/orchestration.md), and
Airflow needs the provider apache-airflow-providers-standard. Three Variables may be set, in Airflow or as variables of
its environment, such as AIRFLOW_VAR_CUSTOMER_SEGMENTATION_CONFIG:

customer_segmentation_command: what starts the command line; by default `customer-segmentation`.
customer_segmentation_config: the configuration; by default /etc/customer-segmentation/shop.yml.
customer_segmentation_results: a folder that is there, for the result documents; by default
    /var/lib/customer-segmentation/results.

A day is one `run`, not a task for each stage: Spark starts once, no other command gets in between two stages, and a day
on which nothing is new ends at once. Tasks for the stages would make no retry cheaper: a run takes up what a killed one
has left. How long each stage took is in the result document.
"""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

try:
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.exceptions import AirflowFailException, AirflowSkipException

TIMEZONE = "UTC"
"""The shop's, as in the configuration: schedules are in its time, and the as-of date is its date."""

FAILS_FOR_GOOD = (2, 3)
"""Exit codes that the same command would end with again: a wrong configuration, data that was rejected."""

_COMMAND = "{{ var.value.get('customer_segmentation_command', 'customer-segmentation') }}"
_CONFIG = "{{ var.value.get('customer_segmentation_config', '/etc/customer-segmentation/shop.yml') }}"
_RESULTS = "{{ var.value.get('customer_segmentation_results', '/var/lib/customer-segmentation/results') }}"


class SegmentationCommand(BashOperator):
    """One command of the command line, with a result document.

    Args:
        task_id: the name of the command, and so of the task.
        options: what else it is called with; a template.
    """

    def __init__(self, *, task_id: str, options: str = "", **settings: Any) -> None:
        result = f"--result '{_RESULTS}/{task_id}-{{{{ as_of_date(dag_run) }}}}.json'"
        super().__init__(
            task_id=task_id,
            bash_command=" ".join(filter(None, [_COMMAND, task_id, f"--config '{_CONFIG}'", options, result])),
            skip_on_exit_code=FAILS_FOR_GOOD,
            **settings,
        )

    def execute(self, context: Any) -> Any:
        """Run it. A code of FAILS_FOR_GOOD is a failure that Airflow does not retry; all others it does."""
        try:
            return super().execute(context)
        except AirflowSkipException as error:
            raise AirflowFailException(
                f"the command ended with one of the exit codes {FAILS_FOR_GOOD}, and would again; "
                "the log and the result document say what to do"
            ) from error


def as_of_date(dag_run: Any) -> str:
    """The shop's date at the end of a run's data interval: only what happened before that day enters.

    A run that was triggered without a logical date has no interval; it is as of the day that it was triggered on.
    """
    end = dag_run.data_interval_end or dag_run.run_after
    return end.astimezone(ZoneInfo(TIMEZONE)).date().isoformat()


_OF_BOTH: dict[str, Any] = {
    "start_date": pendulum.datetime(2024, 1, 1, tz=TIMEZONE),
    "catchup": False,  # the first run reads all of the past anyway
    "max_active_runs": 1,
    "user_defined_macros": {"as_of_date": as_of_date},
    "tags": ["customer-segmentation"],
    "default_args": {
        # After 10, 20, 40, 60 and 60 minutes: another run that is at work (exit code 4) has ended by then.
        "retries": 5,
        "retry_delay": timedelta(minutes=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(hours=1),
    },
}
_AS_OF = "--as-of {{ as_of_date(dag_run) }}"

with DAG(
    "customer_segmentation_daily",
    description="Customers of today in segments, published; then old runs expire",
    schedule="0 4 * * *",
    **_OF_BOTH,
):
    run = SegmentationCommand(task_id="run", options=_AS_OF, execution_timeout=timedelta(hours=6))
    maintain = SegmentationCommand(task_id="maintain", execution_timeout=timedelta(hours=2))
    run >> maintain

with DAG(
    "customer_segmentation_monthly",
    description="A new model, from the next day's run on, and how well segments and scores foretold what customers did",
    schedule="0 12 1 * *",
    **_OF_BOTH,
):
    features = SegmentationCommand(task_id="features", options=_AS_OF, execution_timeout=timedelta(hours=4))
    train = SegmentationCommand(task_id="train", options=_AS_OF, execution_timeout=timedelta(hours=8))
    backtest = SegmentationCommand(task_id="backtest", options=_AS_OF, execution_timeout=timedelta(hours=8))
    features >> train >> backtest
