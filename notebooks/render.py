"""Writes docs/notebook.md: the notebook with its results, to read without running it.

Run in the repository's root with `.venv/bin/python notebooks/render.py`, after a change of the notebook.
"""

import ast
import contextlib
import io
import json
import os
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

NOTEBOOK = Path(__file__).resolve().with_name("customer_segmentation.ipynb")
DOCS = NOTEBOOK.parent.parent / "docs"
MAX_TEXT = 90
"""Characters of a table's cell; longer ones are cut."""
SAVED: list[Path] = []
"""Files of the charts so far."""


def main() -> None:
    """Run every cell and write the page and its charts."""
    os.chdir(NOTEBOOK.parent)
    names: dict[str, Any] = {}
    parts = ["<!-- Written by notebooks/render.py from notebooks/customer_segmentation.ipynb -->"]
    for cell in read_cells():
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace("](../docs/", "]("))
        else:
            parts += [f"```python\n{source}\n```", *run(source, names)]
    (DOCS / "notebook.md").write_text("\n\n".join(parts) + "\n")


def read_cells() -> list[dict[str, Any]]:
    """The notebook's cells."""
    cells: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return cells


def run(source: str, names: dict[str, Any]) -> list[str]:
    """Run a cell; what it prints and the value of its last line, as Markdown."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        value = evaluate(source, names)
    shown = [f"```\n{printed.getvalue().rstrip()}\n```"] if printed.getvalue() else []
    return shown if value is None else [*shown, markdown(value)]


def evaluate(source: str, names: dict[str, Any]) -> Any:
    """Run a cell in a namespace; the value of its last line, None where that is no expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body, []), "cell", "exec"), names)  # noqa: S102 (the repository's own notebook)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None  # noqa: S307


def markdown(value: Any) -> str:
    """A result as Markdown; a chart becomes a PNG file beside the page."""
    if isinstance(value, alt.TopLevelMixin):
        return image(value)
    if isinstance(value, pd.DataFrame):
        return table(value)
    return f"```\n{value}\n```"


def image(chart: Any) -> str:
    """Save a chart under its title, and link it."""
    title = chart.to_dict().get("title") or next(layer["title"] for layer in chart.to_dict()["layer"])
    title = title if isinstance(title, str) else title["text"]
    path = DOCS / "notebook" / f"{re.sub('[^a-z]+', '-', title.lower()).strip('-')}.png"
    number = 2
    while path in SAVED:
        path = path.with_stem(f"{path.stem}-{number}")
        number += 1
    SAVED.append(path)
    path.parent.mkdir(exist_ok=True)
    chart.save(path, scale_factor=1.25)
    path.write_bytes(compressed(path.read_bytes()))
    return f"![{title}](notebook/{path.name})"


def compressed(png: bytes) -> bytes:
    """The same picture in a smaller file: its pixels are packed quickly when they are drawn, and better here."""
    header, pixels, position = png[:33], b"", 33
    while position < len(png):
        length, kind = struct.unpack(">I4s", png[position : position + 8])
        pixels += png[position + 8 : position + 8 + length] if kind == b"IDAT" else b""
        position += length + 12
    chunks = (b"IDAT" + zlib.compress(zlib.decompress(pixels), 9), b"IEND")
    return header + b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)


def table(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table; its index only where it has names of rows."""
    if not isinstance(frame.index, pd.RangeIndex) and frame.index.dtype == object:
        frame = frame.rename_axis("").reset_index()
    rows = [[str(name) for name in frame.columns], ["---"] * len(frame.columns)]
    rows += [[text(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def text(value: Any) -> str:
    """A value of a table, short enough to read."""
    shown = f"{value:,.10g}" if isinstance(value, float) else str(value)
    shown = shown if len(shown) <= MAX_TEXT else f"{shown[: MAX_TEXT - 1]}…"
    return shown.replace("|", "\\|")


if __name__ == "__main__":
    main()
