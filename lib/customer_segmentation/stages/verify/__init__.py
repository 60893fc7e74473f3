"""Compares the tables with what is on record, and changes nothing.

    files        every file of every table with the table's log                        table_versions, verification
    rows         keys; lines in = accepted + rejected + filtered out                    rows
    publication  the published run with its history, profiles, transitions and the log  publication
    state        customer_days, customer_history, returns with a build from scratch     state

A run that was killed leaves rows under its own run_id, and steps that are planned and not committed: neither is a
finding, since the next run takes them up. What a command deletes from the storage meanwhile may be one; then it is said
that a command was at work.
"""

from collections.abc import Callable, Iterator, Mapping

from pyspark.sql import Row

from customer_segmentation.contract import tables as t
from customer_segmentation.contract.errors import ConfigurationError, VerificationError
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.table_versions import TableVersions
from customer_segmentation.stages.verify.pinned import PinnedTables, readable
from customer_segmentation.stages.verify.publication import publication_findings
from customer_segmentation.stages.verify.rows import row_findings
from customer_segmentation.stages.verify.state import state_findings
from customer_segmentation.verification import Finding, listed

SAMPLE = 10_000
"""Customers whose state is built from scratch where not all are asked for."""


def verify_tables(run: Run, *, everyone: bool = False) -> list[str]:
    """Verify all tables.

    Args:
        run: of the settings that the tables are of.
        everyone: whether the state of all customers is built from scratch, not of a sample.

    Returns:
        What was verified, a sentence each.

    Raises:
        VerificationError: it names everything that is not as it should be.
    """
    findings: list[Finding] = []
    done: list[str] = []
    versions = TableVersions(run)
    recorded, unread = _recorded(versions)
    tables = PinnedTables(run, are_here=versions.root is not None)
    with run.progress.stage("files", "comparing files with the tables' logs") as stage:
        folders = versions.folders(every_byte=True)
        for folder in folders.values():
            findings += folder.findings
        if t.TABLE_VERSIONS.name not in _named(findings):
            findings += unread or versions.older_than_recorded(folders, recorded)
        files, size = (sum(getattr(each, name) for each in folders.values()) for name in ("files", "bytes"))
        done.append(
            f"files: {files:,} of {len(folders)} tables, {size:,} bytes, as their logs and checksums say"
            if versions.root
            else "files: not on this machine, so they are read as Spark reads them, not compared with their checksums"
        )
        stage.result = done[-1]
    damaged = _named(findings)
    tables.leave_out(damaged)
    findings += [finding for finding in tables.findings if finding.table not in damaged]
    if not (folders or tables.all):
        raise ConfigurationError("there are no tables yet; run `customer-segmentation run` first")
    parts: dict[str, Callable[[], Iterator[Finding | str]]] = {
        "rows": lambda: row_findings(run, tables),
        "publication": lambda: publication_findings(run, tables),
        "state": lambda: state_findings(tables, customers=None if everyone else SAMPLE),
    }
    for name, part in parts.items():
        with run.progress.stage(name, f"verifying the {name}") as stage:
            with readable(name, "what is compared", findings):
                for outcome in part():
                    if isinstance(outcome, Finding):
                        findings.append(outcome)
                    else:
                        done.append(f"{name}: {outcome}")
            stage.result = "; ".join(line for line in done if line.startswith(f"{name}: "))
    if findings:
        also = f"\nThe rows of these were not verified: {', '.join(sorted(damaged))}" if damaged else ""
        written = ", ".join(tables.written_since())
        if written:
            also += (
                f"\nA command was at work meanwhile and wrote {written}: what is named here may come from that. Run "
                "`verify` again once it has ended"
            )
        raise VerificationError(f"{len(findings)} findings:{listed(findings)}{also}")
    return done


def _recorded(versions: TableVersions) -> tuple[Mapping[str, Row], list[Finding]]:
    """The versions on record, and what keeps them from being read. Read first: a run at work records later ones."""
    findings: list[Finding] = []
    recorded: Mapping[str, Row] = {}
    with readable(t.TABLE_VERSIONS.name, "rows", findings):
        recorded = versions.recorded()
    return recorded, findings


def _named(findings: list[Finding]) -> set[str]:
    return {finding.table for finding in findings}
