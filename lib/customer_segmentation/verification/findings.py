"""What is not as it should be, in words for people."""

from collections.abc import Iterable
from dataclasses import dataclass

RESTORE = "put the file back from a backup"


@dataclass(frozen=True)
class Finding:
    """A difference between what is there and what should be.

    Attributes:
        table: name of the table.
        where: file, or what in the table.
        expected, found: in a few words each.
        remedy: what to do.
    """

    table: str
    where: str
    expected: str
    found: str
    remedy: str = RESTORE

    def __str__(self) -> str:
        return f"{self.table}: {self.where}: expected {self.expected}, found {self.found}; {self.remedy}"


def listed(findings: Iterable[Finding]) -> str:
    """The findings, a line each, as the rest of a message."""
    return "".join(f"\n  - {finding}" for finding in findings)
