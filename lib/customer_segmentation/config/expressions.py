"""Validates the Spark SQL expressions and names that a configuration may hold, without Spark.

A mapping is data from outside: it may compute a column from a row's own columns and nothing else.
What reaches beyond the row (subqueries, other tables, files, JVM methods, Spark's settings) is rejected here;
whether the columns exist and fit is checked against the source's schema before any data is read.
"""

import difflib
import logging
import re
from collections.abc import Iterable

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError

from customer_segmentation.config.functions import ROW_FUNCTIONS

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_PLACE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
_SPARK = Dialect.get_or_raise("spark")

_MAX_LENGTH = 5_000
_MAX_DEPTH = 30
_TOKEN = re.compile(
    r"""(?P<text>[rR]'[^']*' | [rR]"[^"]*" | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*")
      | (?P<name>`(?:[^`]|``)*`)
      | (?P<word>\w+)
      | (?P<comment>--|/\*)
      | (?P<sign>::|[][(),.+\-*/%<>=!|&^~])
      | (?P<quote>['"`])
      | (?P<space>\s+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_NO_FUNCTIONS = frozenset(
    {"and", "or", "not", "in", "is", "like", "ilike", "rlike", "regexp", "between", "div", "from"}
    | {"case", "when", "then", "else", "decimal", "dec", "numeric", "char", "varchar"}
)
"""Words that stand before a bracket and call nothing."""

_THE_SESSION = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_user", "session_user"}
)
_BEYOND_THE_ROW: tuple[tuple[type, str], ...] = (
    (exp.Query, "a subquery"),
    (exp.Window, "a window over other rows"),
    (exp.AggFunc, "an aggregate over other rows"),
    (exp.UDTF, "a function that makes several rows"),
    (exp.Star, "*"),
    (exp.CurrentTimestamp, "the clock, which differs from run to run"),
)


def check_name(name: str) -> str:
    """Return the name if it is safe as a table, schema, catalog or column name.

    Raises:
        ValueError: it holds anything but ASCII letters, digits and underscores, or starts with a digit.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError("is not a safe name; use letters, digits and underscores, not starting with a digit")
    return name


def check_place(name: str) -> str:
    """Return the name if it is safe as one of a catalog, a schema or a table, where hyphens are usual.

    Raises:
        ValueError: it holds anything but ASCII letters, digits, underscores and hyphens, or starts with a digit.
    """
    if not _PLACE.fullmatch(name):
        raise ValueError("is not a safe name; use letters, digits, underscores and hyphens, not starting with a digit")
    return name


def quoted_place(name: str) -> str:
    """A full name such as catalog.schema.table as Spark reads it: parts with a hyphen in backticks."""
    return ".".join(f"`{part}`" if "-" in part else part for part in name.split("."))


def check_expression(text: str) -> str:
    """Return the Spark SQL expression if it is one expression that stays within its row, ready for Spark.

    Raises:
        ValueError: it does not parse, is several expressions, or reaches beyond the row.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"is an expression of {len(text):,} characters; at most {_MAX_LENGTH:,} are read")
    if not text.isascii() and text.strip().isidentifier():
        return f"`{text.strip()}`"  # a column: Spark knows letters such as ö in backticks alone
    tokens = _tokens(text)
    for node in _nodes(text):
        # The parser's ways out where it can't read on: a command, an alias where none can be.
        if isinstance(node, exp.Command) or (isinstance(node, exp.Alias) and isinstance(node.parent, exp.Paren)):
            raise ValueError(_unreadable(None))
        for kind, description in _BEYOND_THE_ROW:
            if isinstance(node, kind):
                raise ValueError(f"may only use the row's own columns, but holds {description}")
    _check_calls(tokens)
    return text


def columns_of(text: str) -> list[str]:
    """The names of the columns that a checked expression reads, each once."""
    columns = [node for node in _nodes(text) if isinstance(node, exp.Column)]
    return list(dict.fromkeys(node.parts[0].name for node in columns))


def _tokens(text: str) -> list[tuple[str, str]]:
    """The kind and text of each token, as Spark's lexer cuts them."""
    if "${" in text:
        raise ValueError("holds ${, which Spark replaces by its settings or environment; write the value itself")
    tokens = [(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(text) if match.lastgroup != "space"]
    depth = 0
    for kind, part in tokens:
        if kind == "comment":
            raise ValueError("holds an SQL comment; write comments in YAML, after #")
        if kind == "quote":
            raise ValueError(f"has a quote {part} that is not closed")
        if kind == "other":
            raise ValueError(f"must be one Spark SQL expression; {part!r} has no place in it")
        if kind == "word" and not part.isascii():
            raise ValueError(f"has {part!r:.60}, which Spark takes for a column in backticks alone: `{part:.60}`")
        if kind == "word" and part.lower() in _THE_SESSION:
            raise ValueError(f"may only use the row's own columns, but holds {part.lower()}")
        if kind == "sign":
            depth += (part in "([") - (part in ")]")
        if depth > _MAX_DEPTH:
            raise ValueError("is nested too deeply; write a shorter expression")
    return tokens


def _nodes(text: str) -> Iterable[object]:
    logger = logging.getLogger("sqlglot")
    silent, logger.disabled = logger.disabled, True  # it would warn on standard error of what is rejected here
    try:
        parsed = _SPARK.parse_into(exp.Condition, text)
    except ParseError as error:
        near = error.errors[0].get("highlight") if error.errors else None
        raise ValueError(_unreadable(near)) from None
    except SqlglotError:
        raise ValueError(_unreadable(None)) from None
    except RecursionError:
        raise ValueError("is nested too deeply; write a shorter expression") from None
    finally:
        logger.disabled = silent
    if len(parsed) != 1 or parsed[0] is None:
        raise ValueError("is empty; name a column or write a Spark SQL expression")
    return parsed[0].walk()


def _unreadable(near: str | None) -> str:
    where = f" (near {_on_a_line(near):.30})" if near else ""
    return (
        f"is not one Spark SQL expression{where}; a column name with spaces or signs needs backticks, and the whole "
        "quotes: '`Customer ID`'"
    )


def _on_a_line(text: str) -> str:
    return " ".join(text.split())


def _check_calls(tokens: list[tuple[str, str]]) -> None:
    """Reject every function but those known to stay within a row: another name may be anyone's own."""
    before = [("sign", "("), *tokens]
    for (_, earlier), (kind, part), (_, bracket) in zip(before, tokens, tokens[1:], strict=False):
        if bracket != "(" or (kind == "sign" and part not in ")]"):
            continue
        name = part.strip("`").lower()
        if kind not in ("word", "name") or earlier == "." or name not in ROW_FUNCTIONS | _NO_FUNCTIONS:
            close = difflib.get_close_matches(name, ROW_FUNCTIONS, n=1, cutoff=0.8)
            hint = f"did you mean {close[0]}?" if close else "use Spark's own functions of a single row"
            raise ValueError(
                f"may only use the row's own columns; the function {_on_a_line(part):.60} is rejected; {hint}"
            )
