"""Text for the terminal."""

from rich.console import Console
from rich.text import Text

_WITHOUT_UNICODE = str.maketrans({"–": "-", "…": "..."})


def as_text(console: Console, text: str, style: str = "") -> Text:
    """Literal text, never read as markup, in characters that the console can write."""
    if not console.encoding.startswith("utf"):
        text = text.translate(_WITHOUT_UNICODE).encode(console.encoding, "replace").decode(console.encoding)
    return Text(text, style=style)
