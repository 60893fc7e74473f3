"""Looks at the first bytes of files: what they are, in which encoding, with which columns.

Files of this machine are opened by Python, at most `_MAX_FILES` of them. Of files elsewhere the first line of a few is
asked of Spark. Nothing here decides how a source is read.
"""

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pyspark.sql import SparkSession

from customer_segmentation.ingest.paths import exact
from customer_segmentation.ingest.values import INVISIBLE

_MAX_FILES = 10_000
_MAX_FILES_ELSEWHERE = 20
_HEAD = 1 << 20
_SHORT_HEAD = 1 << 16
_LONG_HEADS = 64
"""So many files are looked at for `_HEAD` bytes; what is to be seen in a header the others show in `_SHORT_HEAD`."""
_MAX_RECORD_LINES = 200
_MAX_WIDTHS = 100

_OPENED_BY_NAME: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_PACKED_STARTS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_PACKED = (".zst", ".lz4", ".snappy", ".deflate", ".lzo")

_BY_START: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", "save it as CSV"),
    (b"%PDF", "a PDF document", "export the data as CSV"),
    (b"PAR1", "a Parquet file", "set format: parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"\x1f\x8b", "compressed by gzip", "let its name end in .gz"),
    (b"BZh", "compressed by bzip2", "let its name end in .bz2"),
    (b"\xfd7zXZ", "compressed by xz", "unpack it, or compress it by gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "let its name end in .zst"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (b"\x89PNG", "an image (PNG)", "point to the data"),
    (b"\xff\xd8\xff", "an image (JPEG)", "point to the data"),
)
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_ZERO_WIDTH = re.compile("[\u200b-\u200f\u2060\ufeff\u00ad]")
_CONTROLS = bytes(sign for sign in range(32) if chr(sign) not in "\t\n\v\f\r\x1b")
_JSON_LINE = re.compile(rb"^\s*[\[{]", re.MULTILINE)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Head:
    """The beginning of a file, unpacked.

    is_whole: the file has no more.
    is_first_line: it is a line that Spark read as UTF-8, from a file elsewhere.
    problem: why there is no more to see, as the end of a sentence about the file.
    """

    file: str
    data: bytes
    is_whole: bool
    is_first_line: bool = False
    problem: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing but white space and a byte order mark."""
        return self.is_whole and not self.data.strip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")


class NotReadableError(Exception):
    """Why a file can't be read: what it is, and what to do, as the end of a sentence about it."""


def heads(spark: SparkSession, files: Sequence[str]) -> dict[str, Head]:
    """The beginnings of files by path, of those that are looked at."""
    heads_by_file: dict[str, Head] = {}
    elsewhere = 0
    for file in files[:_MAX_FILES]:
        path = local_path(file)
        if path is not None:
            if not file.endswith(_PACKED):
                size = _HEAD if len(heads_by_file) < _LONG_HEADS else _SHORT_HEAD
                heads_by_file[file] = _local_head(file, path, size)
        elif elsewhere < _MAX_FILES_ELSEWHERE:
            elsewhere += 1
            line = spark.read.text(exact(file)).limit(1).collect()
            heads_by_file[file] = Head(file, (line[0][0] if line else "").encode(), not line, is_first_line=True)
    return heads_by_file


def local_path(file: str) -> Path | None:
    """The path of a file on this machine; None where it is elsewhere."""
    if file.startswith("file:"):
        file = "/" + file.removeprefix("file:").lstrip("/")
    elif file.startswith("dbfs:"):
        path = "/" + file.removeprefix("dbfs:").lstrip("/")
        # Volumes and the workspace's files are mounted under their own names, all else below /dbfs.
        file = path if path.startswith(("/Volumes/", "/Workspace/")) else f"/dbfs{path}"
    elif re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", file):
        return None
    try:
        return next((Path(path) for path in (file, unquote(file)) if Path(path).is_file()), None)
    except OSError:
        return None


def require_format(head: Head, format_: str, encoding: str | None) -> None:
    """Make sure that a file is what its source says.

    Args:
        format_: csv or json.
        encoding: that the source names; None where it names none.

    Raises:
        NotReadableError: it is something else.
    """
    data = head.data
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        if b"xl/" in data or b"[Content_Types].xml" in data:
            raise NotReadableError("is an Excel workbook (.xlsx); save it as CSV")
        raise NotReadableError("is a zip archive; unpack it, or compress the file in it by gzip")
    for start, what, advice in _BY_START:
        if data.startswith(start):
            raise NotReadableError(f"is {what}, not {format_.upper()}; {advice}")
    if data[257:262] == b"ustar":
        raise NotReadableError("is a tar archive; unpack it")
    is_wide = encoding is not None and (python_encoding(encoding) or "").startswith(("utf-16", "utf-32"))
    for mark, name in _MARKS:
        if data.startswith(mark) and not is_wide:
            raise NotReadableError(f"is text in {name}; set options.encoding to {name}")
    if not is_wide:
        _require_text(data[:4096])
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise NotReadableError("is a web page (HTML), such as a login or an error; download the data again")
    if start.startswith((b"<?xml", b"<workbook")):
        raise NotReadableError(f"is XML, not {format_.upper()}; save it as CSV")
    if head.problem is not None:
        raise NotReadableError(head.problem)
    if format_ == "csv":
        _require_no_json(start)
        if re.match(rb'"?sep=.{1,2}[\r\n]', start):
            raise NotReadableError("begins with a line that names its separator; take it out, and set options.sep")
        _require_encoding(head, encoding)
    elif format_ == "json" and not is_wide and start and not _JSON_LINE.search(data.removeprefix(codecs.BOM_UTF8)):
        raise NotReadableError("has no JSON: no line begins with { or [; set format to what it is")


def require_parquet(head: Head) -> None:
    """Make sure that a file is Parquet.

    Raises:
        NotReadableError: it is something else.
    """
    if head.data.startswith((b"PAR1", b"PARE")) or head.is_first_line:
        return
    try:
        require_format(head, "parquet", None)
    except NotReadableError as error:
        raise NotReadableError(str(error)) from None
    start = head.data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    what = "JSON; set format: json" if start in (b"{", b"[") else "text; set format: csv, if it is CSV"
    is_text = head.data and b"\0" not in head.data[:4096]
    raise NotReadableError(f"is no Parquet file but {what if is_text else 'something else'}")


def csv_text(head: Head, encoding: str | None) -> str | None:
    """The text of the beginning of a CSV; None where Python does not know its encoding."""
    name = "utf-8" if encoding is None or head.is_first_line else python_encoding(encoding)
    if name is None:
        return None
    return codecs.getincrementaldecoder(name)("replace").decode(head.data).removeprefix("\ufeff")


def python_encoding(encoding: str) -> str | None:
    """What Python calls an encoding of Java's; None where it does not know it."""
    lower = encoding.lower()
    for name in (
        lower,
        lower.removeprefix("x-"),
        lower.replace("x-mac", "mac_", 1),
        lower.replace("x-windows-", "cp", 1),
    ):
        with suppress(LookupError):
            return codecs.lookup(name).name
    return None


def single_byte_signs(encoding: str) -> dict[str, str] | None:
    """Of an encoding of one byte a character: what the characters that ISO-8859-1 takes its bytes for really are.

    None for an encoding of another kind.
    """
    name = python_encoding(encoding)
    if name is None or name.startswith("utf"):
        return None
    signs = {}
    for byte in range(256):
        try:
            sign = bytes([byte]).decode(name)
        except UnicodeDecodeError as error:
            if "multibyte" in str(error) or byte < 128 or "incomplete" in str(error):
                return None
            sign = "\ufffd"
        if sign != chr(byte):
            if byte < 128:
                return None
            signs[chr(byte)] = sign
    return signs


def header_of(text: str, *, sep: str, quote: str) -> list[str] | None:
    """The names in the first line of a CSV that is not empty; None where there is none, or it can't be parsed."""
    if len(sep) != 1 or len(quote) > 1:
        return None
    try:
        return next((record for record in _records(text, sep, quote) if any(record) or len(record) > 1), None)
    except csv.Error:
        return None


def width_of(text: str, *, sep: str, quote: str) -> int:
    """How many values most of the first lines of a CSV have, of as many the first; 0 where that can't be seen."""
    if len(sep) != 1 or len(quote) > 1:
        return 0
    widths: list[int] = []
    with suppress(csv.Error):
        records = (record for record in _records(text, sep, quote) if any(record) or len(record) > 1)
        widths.extend(len(record) for record in islice(records, _MAX_WIDTHS))
    return Counter(widths).most_common(1)[0][0] if widths else 0


def has_lines_in_quotes(text: str, width: int, *, sep: str, quote: str) -> bool:
    """Whether a value in quotes holds the end of a line, in a record with as many values as the header."""
    if not quote or quote not in text or len(sep) != 1:
        return False
    reader = _records(text, sep, quote)
    try:
        before = 0
        for record in reader:
            lines, before = reader.line_num - before, reader.line_num
            if 1 < lines <= _MAX_RECORD_LINES and len(record) == width:
                return True
    except csv.Error:
        return False
    return False


def is_many_lines_each(text: str) -> bool:
    """Whether JSON is an array, or has values that are written over several lines, rather than a value a line."""
    start = text.lstrip("\ufeff \t\r\n")
    first = start.split("\n", 1)[0].strip()
    return start.startswith("[") or (start.startswith("{") and not first.endswith("}") and first.count('"') <= 4)


def clean_name(name: str) -> str:
    """A column's name without what can't be seen."""
    return _SPACE.sub(" ", _ZERO_WIDTH.sub("", name).strip(INVISIBLE))


def name_key(name: str) -> str:
    """Equal for names that differ in case, spacing and punctuation alone."""
    return "".join(sign for sign in name.casefold() if sign.isalnum()) or name


def _records(text: str, sep: str, quote: str) -> Any:
    stream = io.StringIO(text, newline="")
    if not quote:
        return csv.reader(stream, delimiter=sep, quoting=csv.QUOTE_NONE)
    return csv.reader(stream, delimiter=sep, quotechar=quote)


def _local_head(file: str, path: Path, size: int) -> Head:
    packing = next((end for end in _OPENED_BY_NAME if file.endswith(end)), None)
    try:
        with path.open("rb") as stream:
            raw = stream.read(size + 1)
        if packing is None:
            return Head(file, raw[:size], len(raw) <= size)
        with _OPENED_BY_NAME[packing](path, "rb") as stream:
            data = stream.read(size + 1)
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile):
        is_packed = raw.startswith(_PACKED_STARTS)
        what = "is damaged, or was not written to its end" if is_packed else f"is not compressed as {packing} says"
        return Head(file, b"" if is_packed else raw[:size], False, problem=what)
    except OSError as error:
        if packing == ".bz2" and error.errno is None:
            return Head(file, raw[:size], False, problem=f"is not compressed as {packing} says, or damaged")
        return Head(file, b"", False, problem=f"can't be opened: {error.strerror}")
    return Head(file, data[:size], len(data) <= size)


def _require_text(data: bytes) -> None:
    for name, places in (("UTF-16LE", data[1::2]), ("UTF-16BE", data[::2])):
        if places and places.count(0) > len(places) * 0.6:
            raise NotReadableError(f"is text in {name}; set options.encoding to {name}")
    if len(data.translate(None, _CONTROLS)) < len(data) * 0.95:
        raise NotReadableError("is no text but binary data; set format to what it is")


def _require_no_json(start: bytes) -> None:
    if re.match(rb'(\[\s*)?\{\s*("|\})', start):
        raise NotReadableError("is JSON, not CSV; set format: json")


def _require_encoding(head: Head, encoding: str | None) -> None:
    """Make sure that text is in the encoding that its source names, as far as its bytes show it."""
    if head.is_first_line:
        return
    data, name = head.data, "utf-8" if encoding is None else python_encoding(encoding)
    if name is None:
        return
    if name.startswith(("utf-16", "utf-32")):
        if data and b"\0" not in data[:4096] and not data.startswith(tuple(mark for mark, _ in _MARKS)):
            raise NotReadableError(f"is not text in {encoding}; leave options.encoding out, or set it to what it is in")
        return
    is_utf8 = _is_utf8(head)
    if encoding is None and not is_utf8:
        raise NotReadableError(
            "is not text in UTF-8; set options.encoding to what it is in, such as cp1252 (Windows, Excel)"
        )
    if name not in ("utf-8", "utf-8-sig") and is_utf8 and not data.isascii():
        raise NotReadableError(f"is text in UTF-8, by its bytes, and not in {encoding}; leave options.encoding out")


def _is_utf8(head: Head) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head.data, head.is_whole)
    except UnicodeDecodeError:
        return False
    return True
