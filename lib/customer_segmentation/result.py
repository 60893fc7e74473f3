"""What a command did, as one JSON document for machines: written when it begins, and again when it ends, in any way.

docs/result.md shows one, docs/result.schema.json says what each field is.
"""

import json
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from customer_segmentation import __version__
from customer_segmentation.contract.errors import (
    ConfigurationError,
    CustomerSegmentationError,
    DataRejectedError,
    StoppedByAlertsError,
    WarehouseBusyError,
)
from customer_segmentation.whole_file import whole_file

if TYPE_CHECKING:
    from customer_segmentation.stages import Run

SCHEMA_VERSION = 1

_STATUSES: dict[type[BaseException], str] = {
    KeyboardInterrupt: "interrupted",
    StoppedByAlertsError: "stopped",
    ConfigurationError: "invalid",
    DataRejectedError: "rejected",
    WarehouseBusyError: "busy",
    Exception: "failed",
}
"""How a command ended, by what ended it; the first that it is an instance of."""


class CommandResult:
    """The result of one command, as far as it has come.

    command: its name.
    run: set once there is one.
    report: path of the page that was written; None: none was.
    """

    def __init__(self, command: str, path: Path | None) -> None:
        self.command = command
        self._path = path
        self._started_at = datetime.now(UTC)
        self.run: Run | None = None
        self.report: Path | None = None

    def begin(self) -> None:
        """Write that the command runs, so that what is there of an earlier one is not taken for this one's.

        Raises:
            ConfigurationError: the file can't be written.
        """
        try:
            self._write({"status": "running", "exit_code": None, "finished_at": None})
        except OSError as error:
            reason = error.strerror or error
            raise ConfigurationError(
                f"--result {self._path}: can't be written: {reason}; name a file in a folder that is there"
            ) from None

    def end(self, exit_code: int, error: BaseException | None, message: str) -> None:
        """Write how the command ended.

        Args:
            exit_code: what it ends with.
            error: what ended it; None where nothing did.
            message: the error as people are told it.

        Raises:
            CustomerSegmentationError: the file can't be written.
        """
        status = "done" if error is None else next(name for kind, name in _STATUSES.items() if isinstance(error, kind))
        ended = {
            "status": status,
            "exit_code": exit_code,
            "finished_at": _moment(datetime.now(UTC)),
            "error": None if error is None else {"type": type(error).__name__, "message": message},
        }
        try:
            self._write(ended)
        except OSError as problem:
            raise CustomerSegmentationError(
                f"--result {self._path}: can't be written: {problem.strerror or problem}"
            ) from None

    def _write(self, fields: dict[str, Any]) -> None:
        if self._path is None:
            return
        document = {
            "schema_version": SCHEMA_VERSION,
            "command": self.command,
            "version": __version__,
            "started_at": _moment(self._started_at),
            **_facts(self.command, self.run),
            "report": None if self.report is None else str(self.report.absolute()),
            "error": None,
            **fields,
        }
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        with whole_file(self._path, permissions=0o644) as file:
            file.write(text.encode())


def _facts(command: str, run: "Run | None") -> dict[str, Any]:
    """What is known of a run and in its tables; what can't be read is null, since a failure may be its reason."""
    facts: dict[str, Any] = {
        "run_id": None,
        "as_of_date": None,
        "model_version": None,
        "outcome": None,
        "alerts": [],
        "published_run_id": None,
        "counts": None,
        "stages": [],
        "tables": {},
    }
    if run is None:
        return facts
    from customer_segmentation.stages.alerts import outcome_of
    from customer_segmentation.stages.ingest import committed_batch

    facts |= {**run.known(), "stages": [stage.to_dict() for stage in run.progress.stages]}
    if run.alerts is not None:
        facts |= {"outcome": outcome_of(run.alerts), "alerts": [asdict(alert) for alert in run.alerts]}
    if command == "generate":
        return facts
    with suppress(Exception):
        facts["tables"] = {table.name: run.warehouse.location(table) for table in run.warehouse.tables()}
    with suppress(Exception):
        facts["published_run_id"] = run.publication.current_run_id()
    with suppress(Exception):
        counts = committed_batch(run).counts
        facts["counts"] = {
            "rows_in": counts.lines,
            "rows_accepted": counts.accepted,
            "rows_rejected": counts.rejected,
            "rows_filtered_out": counts.filtered_out,
        }
    return facts


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
