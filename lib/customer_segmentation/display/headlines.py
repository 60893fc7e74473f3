"""Headline figures, which open every page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Headline:
    """A figure at the top of a page, with a line that places it."""

    name: str
    value: str
    note: str
