"""Whether a run would find everything as the run before left it, and what that one made of it.

At its end a run keeps, with the versions of the tables, a digest of its settings and of its sources as it found them
when it began. Where the next one finds the same sources, settings, tables and report, there is nothing to do.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from customer_segmentation import __version__
from customer_segmentation.contract.features import DEFINITION
from customer_segmentation.ingest.sources import digest, states_of
from customer_segmentation.stages.alerts import Alert
from customer_segmentation.stages.ingest import committed_batch
from customer_segmentation.stages.ingest.batch_log import RULES_VERSION
from customer_segmentation.stages.ingest.validation import analysed
from customer_segmentation.stages.run import Run


def state_found(run: Run) -> str | None:
    """A digest of a run's settings and of its sources as they are now; None where a source does not show its state.

    Raises:
        DataRejectedError: a source is not there.
    """
    if run.config.ingest.reload:
        return None
    parts: list[Any] = [__version__, RULES_VERSION, DEFINITION]
    parts.append(run.config.model_dump(mode="json", exclude={"spark", "maintenance", "explore", "generate"}))
    for name, sources in run.sources:
        parts += analysed(name, partial(states_of, run.spark, sources or ()))
    return None if None in parts else digest(parts)


@dataclass(frozen=True)
class Made:
    """What a run made of the state that it found; kept as JSON in `table_versions`.

    state: see `state_found`.
    day: the only day for which that holds, since lines wait for their time to come, or since there is a limit on how
        long ago the last order is; None: any.
    report: path of the page.
    stage_seconds: how long each stage took.
    """

    state: str
    day: str | None
    run_id: str
    as_of_date: str
    model_version: str
    report: str
    alerts: Sequence[dict[str, Any]]
    stage_seconds: Mapping[str, float]

    @classmethod
    def by(cls, run: Run, state: str | None, report: Path | None) -> "Made | None":
        """What a run made that has ended; None where the next one has to look at everything again."""
        if state is None or report is None or run.publication.current_run_id() != run.run_id:
            return None
        waits = run.config.as_of is None and (
            committed_batch(run).counts.has_future_lines or run.inputs.order_days[-1] >= run.as_of
        )
        return cls(
            state,
            run.start_day.isoformat() if waits or run.config.alerts.has_freshness_limit else None,
            run.run_id,
            run.as_of.isoformat(),
            run.model_version,
            str(report.absolute()),
            [asdict(alert) for alert in run.alerts or ()],
            run.progress.seconds,
        )

    @classmethod
    def from_json(cls, text: str) -> "Made":
        """What `to_json` gave."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """All of it as text."""
        return json.dumps(asdict(self), sort_keys=True)

    def holds(self, run: Run, state: str | None) -> bool:
        """Whether another run that finds a state, and the tables as this one left them, would make the same."""
        return self.state == state and self.day in (None, run.start_day.isoformat()) and Path(self.report).is_file()

    def tell(self, run: Run) -> Path:
        """Say that a run has nothing to do; returns where the report is."""
        with run.progress.stage("publish", "finding the run complete") as stage:
            run.known_run_id, run.model_version = self.run_id, self.model_version
            run.as_of = date.fromisoformat(self.as_of_date)
            run.alerts = [Alert(**alert) for alert in self.alerts]
            stage.result = f"nothing new since run {self.run_id}, which is the published one"
        return Path(self.report)
