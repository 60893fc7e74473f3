"""Verdicts on data and models, said the same way on every page and on the terminal."""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Verdict:
    """A word for how good something is, on a scale that is drawn as a row of steps.

    steps, reached: how many steps the scale has, and how many of them count as reached; from 0 to steps.
    sentence: what the word means here.
    figures: what it rests on.
    """

    word: str
    reached: int
    steps: int
    sentence: str = ""
    figures: str = ""

    def __str__(self) -> str:
        return f"{self.word} ({self.figures})" if self.figures else self.word


class Severity(Enum):
    """How much a finding on the data matters: its label, its class in the style sheet, its colour on the terminal."""

    WARNING = ("Look at this", "warning", "yellow")
    NOTE = ("Good to know", "remark", "cyan")

    def __init__(self, label: str, css_class: str, colour: str) -> None:
        self.label, self.css_class, self.colour = label, css_class, colour


@dataclass(frozen=True)
class Finding:
    """A sentence on what stands out in the data, with the rule that selects it."""

    severity: Severity
    text: str
    rule: str
