"""Rewrites the expression of a mapping so that what can't be computed for a row is null, not the end of the run.

Spark runs in ANSI mode, where a text that is no number, a division by zero or a missing element of an array is an
error. Each such step is replaced by its form that gives null (`cast` by `try_cast`, `/` by `try_divide` ...), and text
among numbers is read as an exact decimal, as the source writes its numbers. Functions without such a form make
`is_safe` false, for the caller to guard. Nothing here touches Spark.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)
from sqlglot import exp
from sqlglot.dialects.spark import Spark

from customer_segmentation.ingest.function_types import (
    CASTS,
    CHOICES,
    NEVER_FAIL,
    NUMERIC,
    OF_TIME,
    TO_NUMBER,
    TO_TEXT,
    TO_TEXT_BY_POSITION,
    TO_TIME,
    TRIED,
    WITH_UNIT,
)

DECIMAL = "DECIMAL(30, 10)"
"""What text among numbers is read as: exact for amounts, prices, pieces and rates."""

_SPECIAL_SYNTAX = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION", "OVERLAY", "CEIL", "FLOOR")


class _RowSpark(Spark):
    """Spark's dialect that leaves functions as they are written, and casts without failing."""

    class Parser(Spark.Parser):  # type: ignore[valid-type, misc]
        """Only functions with a syntax of their own are parsed as more than a name and arguments."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: parser for name, parser in Spark.Parser.FUNCTION_PARSERS.items() if name in _SPECIAL_SYNTAX
        }

    class Generator(Spark.Generator):  # type: ignore[valid-type, misc]
        """Every cast is a try_cast, but to text, which can't fail."""

        def cast_sql(self, expression: exp.Cast, safe_prefix: str | None = None) -> str:
            to = self.sql(expression, "to")
            return f"{'CAST' if to == 'STRING' else 'TRY_CAST'}({self.sql(expression, 'this')} AS {to})"

        def trycast_sql(self, expression: exp.TryCast) -> str:
            return self.cast_sql(expression)


_DIALECT = _RowSpark()

_ARITHMETIC: dict[type[exp.Expr], str] = {
    exp.Add: "try_add",
    exp.Sub: "try_subtract",
    exp.Mul: "try_multiply",
    exp.Div: "try_divide",
    exp.Mod: "try_mod",
}
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_CONDITIONS = (
    *_COMPARISONS,
    exp.And,
    exp.Or,
    exp.Not,
    exp.Is,
    exp.In,
    exp.Between,
    exp.Like,
    exp.ILike,
    exp.RegexpLike,
)
_ZONE_LETTERS = frozenset("VzOXxZ")


@dataclass(frozen=True)
class SafeExpression:
    """An expression that gives null where the one it was made of fails.

    sql: Spark SQL.
    is_safe: whether it can't fail; otherwise it has a function without a form that gives null.
    failed: when it is null for a failure and not because its author meant it, as SQL; None where it never is.
    """

    sql: str
    is_safe: bool
    failed: str | None = None


def quoted(name: str) -> str:
    """The name of a column as SQL, whatever characters it has."""
    return f"`{name.replace('`', '``')}`"


def sql_text(text: str) -> str:
    """The text as a SQL literal, whatever characters it has."""
    units = text.encode("utf-16-be")
    return "'" + "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)) + "'"


def plain_number(sql: str) -> str:
    """Text, as SQL, read as a number written 1234.56."""
    return f"TRY_CAST({sql} AS {DECIMAL})"


def null_safe(
    text: str,
    types: Mapping[str, DataType],
    *,
    number: Callable[[str], str] = plain_number,
    decimal_comma: bool = False,
) -> SafeExpression:
    """The expression with null in place of every failure.

    Args:
        text: a Spark SQL expression that `config.expressions.check_expression` let through.
        types: of the columns by name; a column that is not among them can be of any type.
        number: makes of SQL for a text SQL for its number (`DECIMAL`).
        decimal_comma: text holds numbers with a comma, so a number that becomes text does too.
    """
    parsed = _parsed(text)
    if parsed is None:
        return SafeExpression(text, False)
    rewriter = _Rewriter({name.lower(): type_ for name, type_ in types.items()}, number, decimal_comma)
    result = rewriter.rewrite(parsed.copy())
    # Where nothing had to change the text stays as it was written.
    sql = result.sql(dialect=_DIALECT) if rewriter.changed else text
    return SafeExpression(sql, rewriter.is_safe, rewriter.failed(result))


@lru_cache(maxsize=1_000)
def columns_of(text: str) -> tuple[str, ...]:
    """The names of the columns an expression uses, each once, in the order they come; of `a.b` it is a."""
    parsed = _parsed(text)
    if parsed is None:
        return ()
    variables = {variable.name.lower() for function in parsed.find_all(exp.Lambda) for variable in function.expressions}
    names: dict[str, None] = {}
    for column in parsed.find_all(exp.Column, bfs=False):
        first = column.parts[0]
        if first.name.lower() in variables or _is_unit(column):
            continue
        names[first.name] = None
    return tuple(names)


def _is_unit(column: exp.Column) -> bool:
    """Whether a word is the unit of `dateadd(day, 3, at)` and no column."""
    call = column.parent
    if not isinstance(call, exp.Anonymous) or call.name.lower() not in WITH_UNIT or len(call.expressions) != 3:
        return False
    return call.expressions[0] is column


def is_column(text: str) -> bool:
    """Whether the expression is no more than a column."""
    parsed = _parsed(text)
    return isinstance(parsed, exp.Column) and len(parsed.parts) == 1


def gives_local_time(text: str) -> bool:
    """Whether the expression reads text by patterns that have no time zone: what it gives is a local time."""
    parsed = _parsed(text)
    return parsed is not None and _is_local_time(parsed)


def _is_local_time(node: exp.Expr) -> bool:
    if isinstance(node, exp.Paren):
        return _is_local_time(node.this)
    if isinstance(node, exp.Case | exp.If):
        branches = [branch.args["true"] for branch in node.args["ifs"]] if isinstance(node, exp.Case) else []
        branches += [node.args[name] for name in ("true", "false", "default") if node.args.get(name) is not None]
        return bool(branches) and all(isinstance(each, exp.Null) or _is_local_time(each) for each in branches)
    if isinstance(node, exp.Anonymous) and node.name.lower() in CHOICES:
        return all(map(_is_local_time, node.expressions))
    read = _read_as_time(node)
    return len(read) == 2 and read[1].is_string and not has_zone(read[1].this)


def _read_as_time(node: exp.Expr | None) -> list[exp.Expr]:
    """The arguments of `to_timestamp`; none where an expression is something else."""
    is_call = isinstance(node, exp.Anonymous) and node.name.lower() in ("to_timestamp", "try_to_timestamp")
    return node.expressions if node is not None and is_call else []


def text_of_time(text: str) -> str:
    """What an expression reads as a time without a pattern; the expression itself where it is another one.

    `to_timestamp(x)` and `cast(x as timestamp)` are x: text has its own time zone in it or none, which is lost in a
    timestamp.
    """
    parsed = _parsed(text)
    if isinstance(parsed, exp.Cast) and parsed.to.is_type("timestamp", "timestamptz", "timestampltz"):
        return str(parsed.this.sql(dialect=_DIALECT))
    read = _read_as_time(parsed)
    return str(read[0].sql(dialect=_DIALECT)) if len(read) == 1 else text


def has_zone(layout: str) -> bool:
    """Whether a date pattern reads a time zone or an offset; what is between quotes is no pattern."""
    return bool(_ZONE_LETTERS & set("".join(layout.split("'")[::2])))


@lru_cache(maxsize=1_000)
def _parsed(text: str) -> exp.Expr | None:
    logger = logging.getLogger("sqlglot")
    silent, logger.disabled = logger.disabled, True
    try:
        tree = _DIALECT.parse_into(exp.Condition, text)[0]
    except Exception:  # what Spark alone understands is left to it
        return None
    finally:
        logger.disabled = silent
    # The parser takes an index behind array(...) for a part of it.
    return None if tree is None or tree.find(exp.Array) else tree


class _Rewriter:
    """Walks an expression from the leaves up; `changed` and `is_safe` say what became of it."""

    def __init__(self, types: Mapping[str, DataType], number: Callable[[str], str], decimal_comma: bool) -> None:
        self._types = types
        self._number_sql = number
        self._decimal_comma = decimal_comma
        self._nodes: list[exp.Expr] = []  # an identity is one only as long as its object lives
        self._tried: dict[int, list[exp.Expr]] = {}
        self.changed = False
        self.is_safe = True

    def rewrite(self, node: exp.Expr) -> exp.Expr:
        if isinstance(node, (exp.DataType, exp.Interval)):
            return node
        if isinstance(node, exp.Lambda):
            self.is_safe = False  # its variables have no known type
            return node
        for child in list(node.iter_expressions()):
            new = self.rewrite(child)
            if new is not child:
                child.replace(new)
        return self._rewritten(node)

    def failed(self, result: exp.Expr) -> str | None:
        failure = self._failure(result)
        return None if failure is None else failure.sql(dialect=_DIALECT)

    def _rewritten(self, node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Cast):  # a TryCast is one too
            self.changed = True
            return node if _is_meant_to_try(node) else self._noted(node, [node.this])
        if type(node) in _ARITHMETIC:
            return self._arithmetic(node)
        if isinstance(node, exp.IntDiv):
            left, right = self._as_numbers([node.this, node.expression])
            zero = exp.Literal.number(0)
            self.changed = True
            divisor = exp.Anonymous(this="nullif", expressions=[right, zero])
            return self._noted(exp.IntDiv(this=left, expression=divisor), [left, right])
        if isinstance(node, (exp.Neg, exp.Ceil, exp.Floor)):
            node.set("this", self._as_numbers([node.this])[0])
            return node
        if isinstance(node, _COMPARISONS):
            left, right = self._in_one_type([node.this, node.expression])
            node.set("this", left)
            node.set("expression", right)
            return node
        if isinstance(node, exp.Between):
            value, low, high = self._in_one_type([node.this, node.args["low"], node.args["high"]])
            node.set("this", value)
            node.set("low", low)
            node.set("high", high)
            return node
        if isinstance(node, exp.In):
            value, *others = self._in_one_type([node.this, *node.expressions])
            node.set("this", value)
            node.set("expressions", others)
            return node
        if isinstance(node, exp.Case):
            return self._case(node)
        if isinstance(node, exp.If) and not isinstance(node.parent, exp.Case):
            return self._if(node)
        if isinstance(node, exp.Bracket):
            return self._element(node)
        if isinstance(node, exp.Extract):
            node.set("expression", self._as_time(node.expression))
            return node
        if isinstance(node, exp.Anonymous):
            return self._function(node)
        known = (exp.Literal, exp.Column, exp.Identifier, exp.Paren, exp.Null, exp.Boolean, exp.RawString, exp.Var)
        text = (exp.Trim, exp.Substring, exp.StrPosition, exp.DPipe, exp.Dot, exp.Escape, exp.If, exp.HexString)
        if not isinstance(node, (*known, *text, *_CONDITIONS)):
            self.is_safe = False
        return node

    def _arithmetic(self, node: exp.Expr) -> exp.Expr:
        operands = [node.this, node.args["expression"]]
        kinds = [self._kind(operand) for operand in operands]
        if "time" not in kinds:
            operands = self._as_numbers(operands)
        elif isinstance(node, exp.Sub) and "text" in kinds:
            operands = [self._as_time(operand) for operand in operands]
        self.changed = True
        return self._call(_ARITHMETIC[type(node)], operands)

    def _case(self, node: exp.Case) -> exp.Expr:
        branches = node.args["ifs"]
        if node.this is not None:
            value, *choices = self._in_one_type([node.this, *(branch.this for branch in branches)])
            node.set("this", value)
            for branch, choice in zip(branches, choices, strict=True):
                branch.set("this", choice)
        otherwise = node.args.get("default")
        results = [branch.args["true"] for branch in branches] + ([otherwise] if otherwise is not None else [])
        results = self._in_one_type(results, as_text=True)
        if otherwise is not None:
            node.set("default", results.pop())
        for branch, result in zip(branches, results, strict=True):
            branch.set("true", result)
        if node.this is None:
            guarded = []
            for branch in branches:
                failure = self._failure(branch.this)
                if failure is not None:
                    guarded.append(exp.If(this=failure, true=exp.Null()))
                guarded.append(branch)
            node.set("ifs", guarded)
        return node

    def _if(self, node: exp.If) -> exp.Expr:
        """`if` as a case: the condition may fail as there."""
        ifs = [exp.If(this=node.this, true=node.args["true"])]
        otherwise = node.args.get("false")
        case = exp.Case(ifs=ifs, default=otherwise)
        self.changed = True
        return self._case(case)

    def _element(self, node: exp.Bracket) -> exp.Expr:
        [place] = node.expressions
        of = node.this
        is_array = isinstance(self._type(of), ArrayType) or (
            isinstance(of, exp.Anonymous) and of.name.lower() in ("split", "filter", "array_sort", "sort_array")
        )
        if is_array or (place.is_number and self._type(of) is None):
            self.changed = True
            return exp.Anonymous(this="get", expressions=[of, place])
        return node

    def _function(self, node: exp.Anonymous) -> exp.Expr:
        name, arguments = node.name.lower(), list(node.expressions)
        if name in CASTS and len(arguments) == 1:
            self.changed = True
            to = "DECIMAL(10, 0)" if name == "decimal" else name
            return self._noted(exp.TryCast(this=arguments[0], to=exp.DataType.build(to, dialect=_DIALECT)), arguments)
        if name in CHOICES:
            return self._choice(name, arguments)
        if name in ("nullif", "nullifzero", "zeroifnull", "nvl2"):
            if name == "nullif":
                arguments = self._in_one_type(arguments)
            elif name == "nvl2":
                arguments = [arguments[0], *self._in_one_type(arguments[1:], as_text=True)]
            else:
                arguments = self._as_numbers(arguments)
            return self._with(node, arguments)
        if name in TRIED:
            self.changed = True
            return self._call(TRIED[name], arguments)
        if name == "to_date" and arguments:
            # Spark 4.0 has no try_to_date.
            self.changed = True
            read = arguments[0] if len(arguments) == 1 else self._call("try_to_timestamp", arguments)
            return self._noted(_cast(read, "date"), arguments)
        if name == "make_date" and len(arguments) == 3:
            self.changed = True
            parts = [*self._as_numbers(arguments), *(exp.Literal.number(0) for _ in range(3))]
            made = exp.TryCast(this=self._call("try_make_timestamp", parts), to=exp.DataType.build("date"))
            return self._noted(made, arguments)
        if name in NUMERIC:
            if name == "pmod":
                arguments[1] = exp.Anonymous(this="nullif", expressions=[arguments[1], exp.Literal.number(0)])
                self.changed = True
            if name in ("greatest", "least"):
                arguments = self._in_one_type(arguments)
            elif "time" not in [self._kind(argument) for argument in arguments]:
                arguments = self._as_numbers(arguments)
            return self._with(node, arguments)
        if name in OF_TIME:
            return self._with(
                node, [argument if argument.is_string else self._as_time(argument) for argument in arguments]
            )
        positions_are_literals = all(isinstance(argument, exp.Literal | exp.Neg) for argument in arguments[1:])
        if name not in NEVER_FAIL and not (name in TO_TEXT_BY_POSITION and positions_are_literals):
            self.is_safe = False
        return node

    def _choice(self, name: str, arguments: list[exp.Expr]) -> exp.Expr:
        """The first that is not null; one that could not be computed is the answer and not passed over."""
        choices = self._in_one_type(arguments, as_text=True)
        chosen: exp.Expr = exp.Anonymous(this=name, expressions=choices)
        guards = []
        for number, argument in enumerate(choices):
            failure = self._failure(argument)
            if failure is not None:
                earlier = [_is_null(choice) for choice in choices[:number]]
                guards.append(exp.If(this=_all_of([*earlier, failure]), true=exp.Null()))
        if guards:
            self.changed = True
            return exp.Case(ifs=guards, default=chosen)
        return chosen

    def _failure(self, node: exp.Expr) -> exp.Expr | None:
        """When a step within a node failed: what it was computed of was there, and it is null. None: it can't."""
        steps = [
            _all_of([_is_null(step), *(exp.Not(this=_is_null(part)) for part in self._tried[id(step)])])
            for step in node.walk()
            if id(step) in self._tried
        ]
        if not steps:
            return None
        whole = steps[0]
        for step in steps[1:]:
            whole = exp.Or(this=exp.Paren(this=whole), expression=exp.Paren(this=step))
        return whole

    def _call(self, name: str, arguments: list[exp.Expr]) -> exp.Expr:
        return self._noted(exp.Anonymous(this=name, expressions=arguments), arguments)

    def _noted(self, node: exp.Expr, parts: list[exp.Expr]) -> exp.Expr:
        """Remember that a node may be null though its parts are not."""
        self._tried[id(node)] = [part for part in parts if not isinstance(part, exp.Literal)]
        self._nodes.append(node)
        return node

    def _with(self, node: exp.Anonymous, arguments: list[exp.Expr]) -> exp.Anonymous:
        node.set("expressions", arguments)
        return node

    def _in_one_type(self, nodes: list[exp.Expr], *, as_text: bool = False) -> list[exp.Expr]:
        """Nodes that are compared or chosen from, in one kind: Spark would cast the text among them, and fail.

        Args:
            as_text: numbers become text, so that text which is none stays to be seen; else text becomes numbers.
        """
        kinds = {self._kind(node) for node in nodes if not isinstance(node, exp.Null)}
        if len(kinds) == 1 and None not in kinds:
            return nodes
        if None in kinds:
            # Two columns of unknown type are compared as they are; with a number or a time one of them may be text.
            self.is_safe = self.is_safe and len(nodes) < 2
            return nodes
        if "text" not in kinds:
            return nodes
        if as_text:
            self.changed = True
            return [node if self._kind(node) in ("text", None) else self._as_text(node) for node in nodes]
        if "number" in kinds:
            return self._as_numbers(nodes)
        if "time" in kinds:
            return [self._as_time(node) for node in nodes]
        self.changed = True
        return [_cast(node, "boolean") if self._kind(node) == "text" else node for node in nodes]

    def _as_text(self, node: exp.Expr) -> exp.Expr:
        text = _cast(node, "string")
        if not self._decimal_comma or self._kind(node) != "number":
            return text
        signs = [exp.Literal.string("."), exp.Literal.string(",")]
        return exp.Anonymous(this="replace", expressions=[text, *signs])

    def _as_numbers(self, nodes: Iterable[exp.Expr]) -> list[exp.Expr]:
        numbers: list[exp.Expr] = []
        for node in nodes:
            kind = self._kind(node)
            if kind == "text":
                self.changed = True
                if isinstance(node, exp.Literal) and node.this.isdecimal():
                    numbers.append(exp.Literal.number(node.this))
                    continue
                sql = self._number_sql(node.sql(dialect=_DIALECT))
                made = exp.Paren(this=_DIALECT.parse_into(exp.Condition, sql)[0])
                numbers.append(self._noted(made, [node]))
                continue
            if kind is None and not isinstance(node, exp.Null):
                self.is_safe = False
            numbers.append(node)
        return numbers

    def _as_time(self, node: exp.Expr) -> exp.Expr:
        kind = self._kind(node)
        if kind == "text":
            if isinstance(node, exp.Literal) and _is_iso(node.this):
                return node  # as it is, Spark compares it with a column where that lies
            self.changed = True
            return self._noted(_cast(node, "timestamp"), [node])
        if kind is None:
            self.is_safe = False
        return node

    def _type(self, node: exp.Expr) -> DataType | None:
        if isinstance(node, exp.Column) and len(node.parts) == 1:
            return self._types.get(node.name.lower())
        return None

    def _kind(self, node: exp.Expr) -> str | None:
        """text, number, time or boolean; None where it is unknown."""
        if isinstance(node, exp.Paren):
            return self._kind(node.this)
        if isinstance(node, exp.Literal):
            return "text" if node.is_string else "number"
        if isinstance(node, exp.RawString | exp.Trim | exp.Substring | exp.DPipe):
            return "text"
        if isinstance(node, exp.Column):
            return _kind_of(self._type(node))
        if isinstance(node, exp.Cast):
            return _kind_of_name(node.to.sql(dialect=_DIALECT))
        if isinstance(node, (exp.Boolean, *_CONDITIONS)):
            return "boolean"
        if isinstance(node, exp.Interval):
            return "time"
        if isinstance(node, exp.Neg):
            return "number" if self._kind(node.this) == "text" else self._kind(node.this)
        if isinstance(node, exp.IntDiv | exp.Ceil | exp.Floor | exp.StrPosition | exp.Extract):
            return "number"
        if isinstance(node, exp.Case):
            results = [branch.args["true"] for branch in node.args["ifs"]]
            otherwise = node.args.get("default")
            return self._kind_of_all([*results, *([otherwise] if otherwise is not None else [])])
        if isinstance(node, exp.Anonymous):
            return self._kind_of_function(node)
        return None

    def _kind_of_function(self, node: exp.Anonymous) -> str | None:
        name = node.name.lower()
        if name in CHOICES or name in ("nullif", "greatest", "least"):
            return self._kind_of_all(node.expressions)
        if name in ("try_add", "try_subtract"):
            kinds = [self._kind(argument) for argument in node.expressions]
            return "number" if kinds == ["time", "time"] else ("time" if "time" in kinds else "number")
        if name in TO_TEXT or name in TO_TEXT_BY_POSITION:
            return "text"
        if name == "get" and isinstance(node.expressions[0], exp.Anonymous):
            return "text" if node.expressions[0].name.lower() == "split" else None
        if name in TO_TIME:
            return "time"
        if name in TO_NUMBER:
            return "number"
        return None

    def _kind_of_all(self, nodes: Iterable[exp.Expr]) -> str | None:
        kinds = {self._kind(node) for node in nodes if not isinstance(node, exp.Null)}
        return kinds.pop() if len(kinds) == 1 else None


def _kind_of(type_: DataType | None) -> str | None:
    if isinstance(type_, StringType):
        return "text"
    if isinstance(type_, NumericType):
        return "number"
    if isinstance(type_, DateType | TimestampType | TimestampNTZType):
        return "time"
    return "boolean" if isinstance(type_, BooleanType) else None


def _kind_of_name(name: str) -> str | None:
    head = name.upper().split("(")[0]
    if head in ("STRING", "VARCHAR", "CHAR"):
        return "text"
    if head in ("DATE", "TIMESTAMP", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ"):
        return "time"
    if head in ("DECIMAL", "INT", "BIGINT", "SMALLINT", "TINYINT", "FLOAT", "DOUBLE"):
        return "number"
    return "boolean" if head == "BOOLEAN" else None


def _is_meant_to_try(node: exp.Cast) -> bool:
    """Whether the expression has try_cast itself."""
    return bool(node.args.get("safe"))


def _is_iso(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _cast(node: exp.Expr, to: str) -> exp.Expr:
    return exp.TryCast(this=node, to=exp.DataType.build(to, dialect=_DIALECT))


def _is_null(node: exp.Expr) -> exp.Expr:
    return exp.Paren(this=exp.Is(this=exp.Paren(this=node.copy()), expression=exp.Null()))


def _all_of(conditions: list[exp.Expr]) -> exp.Expr:
    whole = conditions[0]
    for condition in conditions[1:]:
        whole = exp.And(this=whole, expression=condition)
    return whole
