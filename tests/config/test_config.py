"""The configuration: what is accepted, how layers combine, and what a user is told when something is wrong."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from customer_segmentation.config import Config, load_config
from customer_segmentation.config.expressions import check_expression, check_name, check_place, quoted_place
from customer_segmentation.config.schema import (
    Clustering,
    CustomerSource,
    EngagementSource,
    Features,
    Source,
    TransactionSource,
)
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.contract.features import FEATURES
from customer_segmentation.contract.tables import CUSTOMER_FEATURES, CUSTOMER_SEGMENTS_HISTORY, Table
from tests.generated import ROOT

BASE = ROOT / "conf" / "base.yml"

ORDERS: dict[str, Any] = {"customer_id": "c", "order_id": "o", "ordered_at": "t", "amount": "a"}


def shop(columns: dict[str, Any] | None = None, **relation: Any) -> str:
    """A configuration with one source of order lines; a value of None leaves the key out."""
    mapping = {key: value for key, value in {**ORDERS, **(columns or {})}.items() if value is not None}
    source = {"path": "orders", "columns": mapping, **relation}
    found = {key: value for key, value in source.items() if value is not None}
    return yaml.safe_dump({"sources": {"transactions": found}})


def error_of(*files: Path, **layers: Any) -> str:
    """The text of the error that the layers end in, checked for what every such text has to be."""
    with pytest.raises(ConfigurationError) as caught:
        load_config(files, **layers)
    assert caught.value.exit_code == 2
    text = str(caught.value)
    first, *problems = text.splitlines()
    assert all(re.match(r"  - \S+: |  - and \d+ more$", line) for line in problems)
    assert first.endswith(":") == bool(problems)
    assert all(len(line) < 400 for line in text.splitlines())
    assert text.isprintable() or problems
    return text


@pytest.fixture
def my(tmp_path: Path) -> Path:
    return tmp_path / "my.yml"


# conf/base.yml


def schema_keys(kind: Any, path: str = "") -> Iterator[str]:
    """Every key of a model and the models in it, dotted."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            here = f"{path}.{field.alias or name}".lstrip(".")
            yield here
            yield from schema_keys(field.annotation, here)
    elif get_origin(kind) is dict:
        yield from (f"{path}.{key}" for key in get_args(get_args(kind)[0]))
    else:
        for argument in get_args(kind):
            yield from schema_keys(argument, path)


def data_keys(data: Any, path: str = "") -> Iterator[str]:
    """Every key of nested data, dotted; the items of a list share a path."""
    if isinstance(data, list):
        for item in data:
            yield from data_keys(item, path)
    elif isinstance(data, dict):
        for key, value in data.items():
            here = f"{path}.{key}".lstrip(".")
            yield here
            yield from data_keys(value, here)


def with_templates() -> str:
    """The text of base.yml with its templates in force: blocks between empty lines that begin with `# key:`."""
    blocks = BASE.read_text(encoding="utf-8").split("\n\n")
    template = re.compile(r" *# \w+:")
    return "\n\n".join(re.sub(r"(?m)^( *)# ", r"\1", block) if template.match(block) else block for block in blocks)


def test_base_yml_holds_the_defaults() -> None:
    assert load_config([BASE]) == Config.model_validate({})


def test_base_yml_shows_every_key_of_the_schema_and_no_other() -> None:
    shown = set(data_keys(yaml.safe_load(with_templates())))
    own = re.compile(r".*\.options\.|sources\.customers\.columns\.(?!customer_id)")
    # The look-ups of the three sources are alike: the template shows one.
    others = {key for key in schema_keys(Config) if re.match(r"sources\.(customers|engagement)\.joins\.", key)}
    assert {key for key in shown if not own.match(key)} == set(schema_keys(Config)) - others


def test_the_templates_of_base_yml_are_valid_and_differ_from_the_defaults(my: Path) -> None:
    my.write_text(with_templates(), encoding="utf-8")
    config = load_config([my])
    assert config.sources is not None
    assert config.sources.customers
    assert config.sources.engagement
    assert config.generate.dirt
    assert config.checks.severity
    assert config.segments.rules
    defaults = {
        "sources": None,
        "generate": Config().generate,
        "checks": Config().checks,
        "segments": Config().segments,
    }
    assert config.model_copy(update=defaults) == Config()
    assert config.checks.model_copy(update={"severity": {}}) == Config().checks


def test_every_key_of_base_yml_has_a_comment() -> None:
    lines = BASE.read_text(encoding="utf-8").splitlines()
    keys = [(before, line) for before, line in pairwise(lines) if re.match(r" *\w+:", line)]
    assert len(keys) > 40
    assert [line for before, line in keys if not before.lstrip().startswith("# ")] == []


def test_derived_features_may_be_clustered_by_shaped_and_weighted(my: Path) -> None:
    my.write_text(
        "features: {derived: {spend_per_day: 'try_divide(Monetary, tenure_days)'}}\n"
        "clustering:\n"
        "  features: [frequency, spend_per_day]\n"
        "  preparation: {transforms: {spend_per_day: log}, weights: {spend_per_day: 2}}\n",
        encoding="utf-8",
    )
    config = load_config([BASE, my])

    assert config.clustering.features == ["frequency", "spend_per_day"]
    (feature,) = config.features.derived_features
    assert (feature.name, feature.type, feature.formula) == (
        "spend_per_day",
        "double",
        "try_divide(Monetary, tenure_days)",
    )


@pytest.mark.parametrize("table", [CUSTOMER_FEATURES, CUSTOMER_SEGMENTS_HISTORY])
def test_no_derived_feature_is_called_like_a_column_of_a_customer(table: Table) -> None:
    for name in table.column_names:
        with pytest.raises(ValueError, match="can't be called"):
            Features(derived={name: "frequency"})


def test_base_yml_names_every_feature() -> None:
    text = BASE.read_text(encoding="utf-8")
    assert [feature.name for feature in FEATURES if not re.search(rf"# .*\b{feature.name}\b", text)] == []


def test_the_ten_lines_that_base_yml_shows_are_enough_for_data_of_ones_own(my: Path) -> None:
    example = re.findall(r"(?m)^#     (.*)$", BASE.read_text(encoding="utf-8").split("\n# sources:")[0])
    assert len(example) == 10
    my.write_text("\n".join(example), encoding="utf-8")
    sources = load_config([BASE, my]).sources
    assert sources is not None
    assert sources.transactions[0].columns.unit_price == "UnitPrice"


# What is rejected: a problem, the configuration, and what the message has to hold besides the file

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
WEAK = "clustering: {features: [frequency, frequency]}"

BROKEN: dict[str, tuple[str, list[str]]] = {
    # keys
    "an unknown section": ("clusterings: {}", ["clusterings: is not a known key; did you mean clustering?"]),
    "an unknown key": ("clustering: {kmin: 3}", ["clustering.kmin: is not a known key; did you mean k_min?"]),
    "a key like no other": ("report: {zzz: 1}", ["report.zzz: is not a known key; known here: path, title, currency"]),
    "a key one level too high": ("k: 5", ["k: is not a known key; did you mean clustering.k?"]),
    "a column beside the columns": (
        shop(customer_id="c"),
        ["sources.transactions.customer_id: is not", "did you mean sources.transactions.columns.customer_id?"],
    ),
    "an unknown key of a source": (shop(formt="csv"), ["sources.transactions.formt: ", "did you mean format?"]),
    "an unknown column": (shop({"custmer_id": "x"}), ["columns.custmer_id: ", "did you mean customer_id?"]),
    "an unknown key of a look-up": (
        shop(joins=[{"path": "p", "using": ["x"], "kind": "left"}]),
        ["sources.transactions.joins.0.kind: is not a known key; known here: format, path"],
    ),
    "an unknown kind of dirt": (
        "generate: {dirt: {duplicates: 0.1}}",
        ["generate.dirt.duplicates: is not a known key; did you mean duplicate?"],
    ),
    "a key that is no word": ('report: {"a\\nb": 1}', [r"report.'a\nb': is not a known key"]),
    # types
    "text for a section": (
        "clustering: many",
        ["clustering: must be keys such as algorithm, features, segments; found 'many'"],
    ),
    "a list for a section": ("tables: [a]", ["tables: must be keys such as root, catalog, schema; found a list"]),
    "an empty section": (
        "clustering:",
        ["clustering: must be keys", "found nothing; give it a value or remove the key"],
    ),
    "text for a number": ("seed: many", ["seed: must be a whole number from 0 to 2,147,483,647; found 'many'"]),
    "a number in quotes": ("seed: '7'", ["seed: ", "found '7'; write it without quotes"]),
    "a number for text": (
        "report: {title: 2024}",
        ["report.title: must be text, not empty; found 2024; put it in quotes"],
    ),
    "true for a number": ("clustering: {k_max: true}", ["clustering.k_max: must be a whole number", "found true"]),
    "a fraction for a whole number": (
        "generate: {days: 30.5}",
        ["generate.days: must be a whole number", "found 30.5"],
    ),
    "text for a list": ("clustering: {features: frequency}", ["must be a list of feature names", "found 'frequency'"]),
    "a mapping for a number": ("seed: {a: 1}", ["seed: must be a whole number", "found keys with values"]),
    "a list as an option": (
        shop(options={"sep": [1]}),
        ["transactions.options.sep: must be text, a number, true or false"],
    ),
    "a mapping as an option": (
        shop(options={"sep": {"str": {"a": 1}}}),
        ["transactions.options.sep: must be text, a number, true or false; found keys with values"],
    ),
    "a mapping for a choice": ("clustering: {k: {a: 1}}", ["clustering.k: must be auto or", "found keys with values"]),
    "a number as a column": (
        shop({"quantity": 1}),
        ["columns.quantity: must be a column name", "found 1; put it in quotes"],
    ),
    "a join column as text": (
        shop(joins={"path": "p", "using": "x"}),
        ["sources.transactions.joins.using: must be a list of column names, such as [product_id]; found 'x'"],
    ),
    # ranges
    "too few segments": (
        "clustering: {k: 1}",
        ["clustering.k: must be auto or a whole number from 2 to 100; found 1 ("],
    ),
    "too many segments": (
        "clustering: {k: 1" + "0" * 25 + "}",
        ["clustering.k: must be auto or a whole number", "1000000"],
    ),
    "an integer of a thousand digits": ("seed: 1" + "0" * 1000, ["seed: must be a whole number", "0000..."]),
    "a misspelt auto": ("clustering: {k: automatic}", ["must be auto or a whole number", "did you mean auto?"]),
    "a negative number": ("seed: -1", ["seed: must be a whole number from 0", "found -1"]),
    "a share above one": (
        "checks: {max_rejected_share: 50}",
        ["checks.max_rejected_share: must be a number from 0 to 1"],
    ),
    "zero where more is needed": (
        "checks: {max_quantity: 0}",
        ["checks.max_quantity: must be a number above 0; found 0"],
    ),
    "not a number": ("checks: {max_quantity: .nan}", ["checks.max_quantity: must be a number above 0; found nan"]),
    "infinity": (
        "clustering: {outlier_share: .inf}",
        ["clustering.outlier_share: must be a number", "found inf"],
    ),
    "a former setting": (
        "clustering: {outlier_distance: 3.0}",
        ["outlier_distance, which is no setting any more", "write outlier_share: 0.02 for 2%"],
    ),
    "a number beyond all numbers": ("checks: {max_quantity: 1e999}", ["checks.max_quantity: ", "found inf"]),
    "the open end of a range": (
        "generate: {seasonality: 1}",
        ["generate.seasonality: must be a number from 0 to below 1"],
    ),
    "too much dirt": (
        "generate: {dirt: {duplicate: 0.2}}",
        ["generate.dirt.duplicate: must be a number from 0 to 0.1"],
    ),
    "an empty text": ("report: {title: ''}", ["report.title: must be text, not empty; found ''"]),
    "a text too long": ("report: {currency: Doubloons}", ["report.currency: must be text of at most 8 characters"]),
    "an unknown choice": (
        "generate: {format: parket}",
        ["one of parquet, csv, json, delta; found 'parket'; did you mean"],
    ),
    "an unknown format of a source": (shop(format="xlsx"), ["sources.transactions.format: must be one of", "'xlsx'"]),
    "a memory size without unit": ("spark: {driver_memory: '4'}", ["spark.driver_memory: must be a size such as 4g"]),
    "a very long value": (f"generate: {{format: {'x' * 5000}}}", ["generate.format: ", "xxx..."]),
    # dates
    "a date that is none": ("as_of: 2024-13-01", ["as_of: must be a date written YYYY-MM-DD; found '2024-13-01'"]),
    "a date in another order": ("as_of: 31.12.2024", ["as_of: must be a date written YYYY-MM-DD; found '31.12.2024'"]),
    "a date with a time": ("as_of: 2024-12-31 10:00:00", ["as_of: must be a date", "found '2024-12-31 10:00:00'"]),
    "a date without dashes": ("generate: {start: 20240101}", ["generate.start: must be a date", "found 20240101"]),
    # values that do not go together
    "a number of segments for dbscan": (
        "clustering: {algorithm: dbscan, k: 6}",
        ["clustering: has k = 6, but dbscan finds the number of segments itself; set k to auto, and tune eps"],
    ),
    "an eps for another algorithm": (
        "clustering: {eps: 0.5}",
        ["clustering: has an eps, which is a distance of dbscan; the algorithm is kmeans. Set eps to auto"],
    ),
    "an eps of nothing": (
        "clustering: {algorithm: dbscan, eps: 0}",
        ["clustering.eps: must be auto or a number above 0; found 0 ("],
    ),
    "an eps without end": ("clustering: {algorithm: dbscan, eps: .inf}", ["clustering.eps: must be auto or a number"]),
    "a misspelt eps": (
        "clustering: {algorithm: dbscan, eps: aut}",
        ["clustering.eps: must be auto or a number above 0; found 'aut'; did you mean auto?"],
    ),
    "a quoted eps": ("clustering: {algorithm: dbscan, eps: '0.5'}", ["found '0.5'; write it without quotes"]),
    "no samples": (
        "clustering: {algorithm: dbscan, min_samples: 0}",
        ["clustering.min_samples: must be a whole number from 1 to 1,000,000; found 0"],
    ),
    "too few micro-clusters": (
        "clustering: {algorithm: agglomerative, micro_clusters: 7}",
        ["clustering.micro_clusters: must be a whole number from 100 to 20,000; found 7"],
    ),
    "a misspelt algorithm": ("clustering: {algorithm: dbscn}", ["found 'dbscn'; did you mean dbscan?"]),
    "k_min above k_max": ("clustering: {k_min: 9, k_max: 4}", ["clustering: k_min (9) must not be above k_max (4)"]),
    "fewer lines than customers": ("generate: {lines: 10}", ["generate: lines (10) must be at least customers (5000)"]),
    "a catalog without schema": ("tables: {catalog: main}", ["tables: has a catalog but no schema; name the schema"]),
    "no place for tables": ("tables: {root: null}", ["tables: needs a root (a path), or a schema"]),
    "an unknown feature": (
        "clustering: {features: [recency]}",
        ["clustering.features.0: is not a feature; found 'recency'; did you mean recency_days?"],
    ),
    "a feature like no other": ("clustering: {features: [x]}", ["found 'x'; there are recency_days, frequency,"]),
    "a derived feature over what is none": (
        "features: {derived: {share_kept: 1 - return_rat}}",
        ["features.derived.share_kept: uses return_rat, which is not a feature; did you mean return_rate?"],
    ),
    "a derived feature over a derived one": (
        "features: {derived: {a: monetary, b: a / 2}}",
        ["features.derived.b: uses a, which is not a feature; found 'a / 2'"],
    ),
    "a derived feature over a column of the history": (
        "features: {derived: {a: gap_logs + 1}}",
        ["features.derived.a: uses gap_logs, which is not a feature"],
    ),
    "a derived feature beyond the row": (
        "features: {derived: {rank: rank() over (order by monetary)}}",
        ["features.derived.rank: may only use the row's own columns"],
    ),
    "a derived feature by a function of somebody's own": (
        "features: {derived: {a: reflect(monetary)}}",
        ["features.derived.a: may only use", "the function reflect is rejected"],
    ),
    "a derived feature named like a feature": (
        "features: {derived: {Monetary: frequency}}",
        ["features.derived.Monetary: can't be called Monetary: customer_features has such a column"],
    ),
    "a derived feature named like a score": (
        "features: {derived: {rfm_score: frequency}}",
        ["features.derived.rfm_score: can't be called rfm_score"],
    ),
    "a derived feature with an odd name": (
        'features: {derived: {"a b": frequency}}',
        ["features.derived: the feature 'a b' is not a safe name; use letters, digits and underscores"],
    ),
    "a derived feature twice": (
        "features: {derived: {worth: monetary, Worth: frequency}}",
        ["features.derived: names worth more than once; name each once"],
    ),
    "a misspelt derived feature to cluster by": (
        "features: {derived: {spend_per_day: monetary / tenure_days}}\nclustering: {features: [spend_per_dy]}",
        ["clustering.features.0: is not a feature; found 'spend_per_dy'; did you mean spend_per_day?"],
    ),
    "an attribute named like a derived feature": (
        "features: {derived: {City: frequency}}\nclustering: {preparation: {attributes: [city]}}",
        ["clustering.preparation: has the attribute city, which features.derived has too"],
    ),
    "a feature given twice": (WEAK, ["clustering.features: names frequency more than once; name each once"]),
    "no features": ("clustering: {features: []}", ["clustering.features: must be a list", "found an empty list"]),
    "a pattern of dates without a month": (
        shop(timestamp_format="dd/mm/yyyy"),
        ["sources.transactions.timestamp_format", "has no month, M; m is the minute"],
    ),
    "a pattern of dates with letters of others": (
        shop(timestamp_format=["YYYY-MM-DD"]),
        ["sources.transactions.timestamp_format.0", "has Y, which is no letter of Spark's date patterns (y year"],
    ),
    "a number for a segment's own name": ('segments: {names: {"3": "2"}}', ["segments.names", "'2' can't be a name"]),
    "noise for a segment's own name": (
        'segments: {names: {"3": unclassified}}',
        ["segments.names", "can't be a name: numbers and Unclassified stand for other segments"],
    ),
    "both path and table": (shop(table="t"), ["sources.transactions: needs exactly one of path and table, has both"]),
    "neither path nor table": (shop(path=None), ["needs exactly one of path and table, has neither"]),
    "no source of order lines": ("sources: {}", ["sources.transactions: is missing; it must be a source"]),
    "an empty list of sources": (
        "sources: {transactions: []}",
        ["sources.transactions: must be", "found an empty list"],
    ),
    "no customer": (
        shop({"customer_id": None}),
        ["sources.transactions.columns.customer_id: is missing; it must be a column", "found only amount, order_id"],
    ),
    "neither amount nor price": (shop({"amount": None}), ["transactions.columns: needs amount", "or unit_price"]),
    # names
    "an unsafe schema": ("tables: {schema: a b}", ["tables.schema: is not a safe name; use letters", "found 'a b'"]),
    "a page far away": (
        "report: {path: 's3://bucket/report.html'}",
        ["report.path: is no path of a file here; pages are written to a path of this machine, or below /Volumes"],
    ),
    "a master elsewhere": (
        "spark: {master: 'spark://host:7077'}",
        ["spark.master: is not on this machine; submit to a cluster by `spark-submit --master`"],
    ),
    "an injected table": (
        shop(path=None, table="t; drop table t"),
        ["sources.transactions.table: is not a safe name", "found 't; drop table t'"],
    ),
    "a table in too many parts": (
        shop(path=None, table="a.b.c.d"),
        ["is not a table's name; write table, schema.table"],
    ),
    "an unsafe attribute": (
        "sources: {transactions: [], customers: {path: p, columns: {customer_id: c, 'a b': x}}}",
        ["sources.customers.columns: the attribute 'a b' is not a safe name"],
    ),
    "one attribute in two spellings": (
        "sources: {transactions: [], customers: {path: p, columns: {customer_id: c, Age: x, age: y}}}",
        ["sources.customers.columns: the attribute age is there twice"],
    ),
    # documents
    "broken YAML": ("seed: 1\nclustering: {k: 2", ["my.yml line 2, column 18: not valid YAML: ", "quotes"]),
    "a tab": ("clustering:\n\tk: 2", ["my.yml line 2, column 1: ", "indent with spaces, not tabs"]),
    "a backtick without quotes": (
        shop() + "x: `a b`",
        ["not valid YAML", "put a value that starts with a sign in quotes"],
    ),
    "a key given twice": ("seed: 1\nseed: 2", ["my.yml line 2, column 1: the key 'seed' is given twice; keep one"]),
    "a key that is a number": (
        "tables:\n  1: x",
        ["my.yml line 2, column 3: the key '1' is not text; put it in quotes"],
    ),
    "a key that is a list": ("? [a]\n: 1", ["my.yml line 1, column 3: a key is a list", "must be text"]),
    "a list at the top": (
        "- seed: 1",
        ["my.yml: must hold keys and values at the top, such as seed: 42; found a list"],
    ),
    "text at the top": ("seed", ["my.yml: must hold keys and values at the top", "found a single value"]),
    "two documents": ("seed: 1\n---\nseed: 2", ["my.yml line 2, column 1: not valid YAML: but found another document"]),
    "an unprintable character": ("seed: 1\ntables: \x07", ["my.yml line 2: not valid YAML: holds an unprintable"]),
    "a Python object": (
        "seed: !!python/object/apply:os.getpid []",
        ["my.yml line 1, column 7: tags are not supported"],
    ),
    "a tag of one's own": ("report: {title: !secret x}", ["my.yml line 1, column 17: tags are not supported"]),
    "a value unlike its tag": ("seed: !!int many", ["my.yml line 1, column 7: the value does not fit its tag"]),
    "a merge key": ("tables: &t {root: x}\nreport: {<<: *t}", ["my.yml line 2, column 10: merge keys (<<) are not"]),
    "an unknown alias": (
        "tables: {root: *there}",
        ["my.yml line 1, column 16: not valid YAML: found undefined alias;"],
    ),
    "aliases of aliases": (LAUGHS, ["holds more than 10,000 values, aliases counted"]),
    "mappings of mappings": (LAUGHS.replace("x,", "{y: 1},"), ["holds more than 10,000 values, aliases counted"]),
    "an alias of itself": ("tables: &t {root: *t}", ["nested too deeply, or an alias holds itself"]),
    "brackets without end": (
        "tables: " + "[" * 20_000,
        ["my.yml line 1, column 60: nested too deeply; write it flatter"],
    ),
    "braces without end": ("tables: " + "{a: " * 20_000, [": nested too deeply; write it flatter"]),
    "steps without end": (
        "".join(" " * i + "a:\n" for i in range(500)),
        ["my.yml nested too deeply; write it flatter"],
    ),
    "a file too large": ("# " + "x" * 300_000, ["my.yml is above 200,000 bytes; is it the right file?"]),
}


@pytest.mark.parametrize(("text", "fragments"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_rejected_with_where_what_and_a_hint(my: Path, text: str, fragments: list[str]) -> None:
    my.write_text(text, encoding="utf-8")
    started = time.process_time()
    message = error_of(my)
    assert time.process_time() - started < 1
    assert [fragment for fragment in fragments if fragment not in message] == []
    assert str(my) in message


SETTINGS: dict[str, tuple[str, str]] = {
    "no equals sign": ("clustering.k", "--set clustering.k: write it as dotted.key=value, such as clustering.k=6"),
    "no key": ("=5", "--set : write it as dotted.key=value"),
    "a key with a gap": ("clustering..k=5", "--set clustering..k: write it as dotted.key=value"),
    "a bottomless key": (".".join("a" * 5000) + "=1", "write it as dotted.key=value"),
    "an unknown key": ("clustering.q=1", "clustering.q: is not a known key; known here: algorithm,"),
    "a value of another type": (
        "clustering.k=six",
        "clustering.k: must be auto or a whole number from 2 to 100; found 'six' (--set)",
    ),
    "an unclosed list": ("clustering.features=[a", "--set clustering.features: line 1, column 3: not valid YAML"),
    "an alias": ("tables.root=*x", "found undefined alias; put a value that starts with * or & in quotes"),
    "a list's item": ("sources.transactions.0.path=x", "sources.transactions.0: is not a known key"),
    "a key below a number": (
        "seed.x=1",
        "seed: must be a whole number from 0 to 2,147,483,647; found keys with values",
    ),
}


@pytest.mark.parametrize(("setting", "fragment"), SETTINGS.values(), ids=SETTINGS.keys())
def test_a_broken_setting_is_rejected_with_its_key_and_a_hint(setting: str, fragment: str) -> None:
    assert fragment in error_of(settings=[setting])


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-02-30", "20240101", "2024-1-1", "2024-01-01T00:00", "٢٠٢٤-٠١-٠١"]
)
def test_an_as_of_that_is_no_date_is_rejected(text: str) -> None:
    assert f"as_of: must be a date written YYYY-MM-DD; found {text!r} (--as-of)" in error_of(as_of=text)


def test_a_missing_file_is_rejected_with_the_one_that_was_likely_meant(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").touch()
    assert f"does not exist; did you mean {tmp_path / 'shop.yml'}?" in error_of(tmp_path / "shpo.yml")
    assert f"does not exist; {tmp_path} has shop.yml" in error_of(tmp_path / "other")
    assert "does not exist; nor does its folder" in error_of(tmp_path / "nowhere" / "shop.yml")


def test_what_is_no_readable_text_file_is_rejected(tmp_path: Path, my: Path) -> None:
    my.write_bytes("title: Müller".encode("latin-1"))
    assert f"{my} is not UTF-8 text (byte 8); save it as UTF-8" in error_of(my)
    assert f"{tmp_path} is a directory; name a YAML file in it" in error_of(tmp_path)
    assert "can't be read" in error_of(tmp_path / "a\0b")
    assert "can't be read: Not a directory" in error_of(my / "x.yml")
    assert "is above 200,000 bytes" in error_of(Path("/dev/zero"))


def test_all_problems_are_told_at_once_and_each_once(my: Path) -> None:
    my.write_text("seed: x\nclustering: {k: 1, k_max: 0}\nnew: 1")
    assert error_of(my).splitlines() == [
        "the configuration has 4 problems:",
        f"  - seed: must be a whole number from 0 to 2,147,483,647; found 'x' ({my})",
        f"  - clustering.k: must be auto or a whole number from 2 to 100; found 1 ({my})",
        f"  - clustering.k_max: must be a whole number from 2 to 100; found 0 ({my})",
        f"  - new: is not a known key; known here: {', '.join(Config.model_fields)} ({my})",
    ]


def test_a_flood_of_problems_is_cut(my: Path) -> None:
    my.write_text("\n".join(f"unknown_{i}: {i}" for i in range(500)))
    assert error_of(my).splitlines()[-1] == "  - and 480 more"


@pytest.mark.parametrize(
    "text",
    [
        shop(options={"password": ["hunter2"]}),
        shop(options={"apiToken": {"value": "hunter2"}}),
        shop(options="password=hunter2"),
        shop(options=["hunter2"]),
        "spark: {conf: {spark.hadoop.fs.s3a.secret.key: {x: hunter2}}}",
        "spark: {conf: hunter2}",
        "seed: {password: hunter2}",
        "password: hunter2",
        "report: {client_secret: hunter2}",
        shop().replace("columns", "options: {password: *hunter2}\n    columns"),
        shop().replace("columns", "options: {password: !hunter2 x}\n    columns"),
        shop().replace("columns", "options: {password: &hunter2}\n    columns"),
        shop().replace("columns", "options: {password: 'hunter2\n    columns"),
        shop().replace("columns", "options: {password: hunter2: x}\n    columns"),
    ],
)
def test_a_secret_is_never_shown(my: Path, text: str) -> None:
    my.write_text(text)
    assert "hunter2" not in error_of(my)
    for value in ("*hunter2", "'hunter2", "{hunter2: [", "!hunter2 x"):
        assert "hunter2" not in error_of(settings=[f"sources.transactions.options.password={value}"])


def test_a_secret_that_is_shown_as_stars_is_still_told_of(my: Path) -> None:
    my.write_text(shop(options={"password": float("nan")}))
    assert "sources.transactions.options.password: must be text, a number, true or false; found *** (" in error_of(my)


# Expressions

ACCEPTED = [
    "price",
    "order",
    "user",
    "`Customer ID`",
    "`a``b`",
    "orders.lines[0].price",
    "price * quantity - coalesce(discount, 0)",
    "(a + b) / nullif(c, 0)",
    "-amount % 10",
    "case when kind = 'R' then -abs(amount) else amount end",
    "to_json(struct(price as net, quantity * 2 as double))",
    "case kind when ('R') then (1) else (2) end",
    "to_timestamp(day, 'dd.MM.yyyy HH:mm')",
    "cast(price as decimal(18, 2))",
    "price::double",
    "try_cast(quantity as int)",
    "TRIM(upper(name)) || '-' || lpad(id, 8, '0')",
    "concat_ws('-', shop, till)",
    "'store'",
    '"it\'s"',
    "'a; b -- c /* d */ (select 1) java_method(x)'",
    r"r'\d+'",
    r"'it\'s'",
    "regexp_extract(code, '([A-Z]+)', 1)",
    "code like 'C%' and not (quantity in (1, 2)) or code is null",
    "quantity between 1 and (2 + 3)",
    "if(quantity > 100, 1, quantity)",
    "date_add(date '1970-01-01', days)",
    "bought_at + interval 1 hour",
    "from_utc_timestamp(at, 'Europe/Paris')",
    "exists(items, item -> item.price > 1)",
    "element_at(split(path, '/'), -1)",
    "a <=> b",
    "1.5e3 * a",
    "null",
    "`größe` * 2",
]


@pytest.mark.parametrize("expression", ACCEPTED)
def test_an_expression_over_the_row_is_accepted_as_it_is(my: Path, expression: str) -> None:
    my.write_text(shop({"amount": expression}), encoding="utf-8")
    sources = load_config([my]).sources
    assert sources is not None
    assert sources.transactions[0].columns.amount == expression


def test_a_column_with_letters_that_spark_reads_in_backticks_alone_gets_them(my: Path) -> None:
    my.write_text(shop({"amount": "Stückpreis"}), encoding="utf-8")
    sources = load_config([my]).sources
    assert sources is not None
    assert sources.transactions[0].columns.amount == "`Stückpreis`"


REJECTED = {
    "": "is empty; name a column",
    "Stückzahl * 2": "has 'Stückzahl', which Spark takes for a column in backticks alone: `Stückzahl`",
    "price *": "is not one Spark SQL expression (near *)",
    "Customer ID": "(near ID); a column name with spaces or signs needs backticks, and the whole quotes: '`",
    "(price": "is not one Spark SQL expression",
    "if price > 0": "is not one Spark SQL expression",
    "(if price)": "is not one Spark SQL expression",
    "a, b": "is not one Spark SQL expression",
    "price as amount": "is not one Spark SQL expression (near as)",
    "'open": "has a quote ' that is not closed",
    "`open": "has a quote ` that is not closed",
    "price -- net": "holds an SQL comment; write comments in YAML",
    "price /* net */": "holds an SQL comment",
    "a; drop table orders": "must be one Spark SQL expression; ';' has no place in it",
    "a;": "';' has no place in it",
    "1; select 2": "';' has no place in it",
    "drop table orders": "is not one Spark SQL expression (near drop)",
    "set spark.sql.ansi.enabled = false": "is not one Spark SQL expression",
    "select 1": "is not one Spark SQL expression (near select)",
    "a union select 1": "is not one Spark SQL expression (near union)",
    "(select max(price) from orders)": "holds a subquery",
    "a in (select id from customers)": "holds a subquery",
    "exists (select 1)": "holds a subquery",
    "(values (1))": "holds a subquery",
    "(with x as (select 1) select * from x)": "holds a subquery",
    "sum(price)": "holds an aggregate over other rows",
    "count(*)": "holds ",
    "max(price) filter (where a > 1)": "holds an aggregate over other rows",
    "try_sum(price)": "the function try_sum is rejected",
    "some(a)": "the function some is rejected",
    "row_number() over (order by price)": "holds a window over other rows",
    "explode(items)": "holds a function that makes several rows",
    "inline_outer(items)": "the function inline_outer is rejected",
    "orders.*": "holds *",
    "struct(*)": "holds *",
    "java_method('java.lang.System', 'exit', 1)": "the function java_method is rejected",
    "lower(reflect('java.lang.System', 'getenv', 'HOME'))": "the function reflect is rejected",
    "`my\r\nown`(a)": "the function `my own` is rejected",
    "a `x\ny`": "is not one Spark SQL expression (near `x y`)",
    "`reflect`('a', 'b')": "the function `reflect` is rejected",
    "Try_Reflect ('a', 'b')": "the function Try_Reflect is rejected",
    "r'\\' || reflect('a', 'b') || ''": "the function reflect is rejected",
    "from_protobuf(a, 'b', '/etc/passwd')": "the function from_protobuf is rejected",
    "ai_query('model', name)": "the function ai_query is rejected",
    "my_own(a)": "the function my_own is rejected; use Spark's own functions of a single row",
    "coalesc(a, b)": "the function coalesc is rejected; did you mean coalesce?",
    "system.builtin.lower(a)": "the function lower is rejected",
    "identifier('sum')(a)": "is not one Spark SQL expression",
    "rand()": "the function rand is rejected",
    "uuid()": "the function uuid is rejected",
    "now()": "the function now is rejected",
    "CURRENT_DATE": "holds current_date",
    "datediff(current_timestamp, t)": "holds current_timestamp",
    "unix_timestamp()": "holds the clock",
    "session_user": "holds session_user",
    "${env:HOME}": "holds ${, which Spark replaces by its settings or environment",
    "'${spark.hadoop.fs.s3a.secret.key}'": "holds ${",
    ":name": "':' has no place in it",
    "?": "'?' has no place in it",
    "@x": "'@' has no place in it",
    "{x}": "'{' has no place in it",
    "(" * 500 + "a" + ")" * 500: "is nested too deeply",
    "not " * 1_200 + "a": "is nested too deeply",
    "a" * 6_000: "is an expression of 6,000 characters; at most 5,000 are read",
    "+".join(["a"] * 4_000): "at most 5,000 are read",
}


@pytest.mark.parametrize(("expression", "fragment"), REJECTED.items(), ids=[text[:40] for text in REJECTED])
def test_an_expression_that_leaves_the_row_is_rejected(
    my: Path, capfd: pytest.CaptureFixture[str], expression: str, fragment: str
) -> None:
    my.write_text(shop({"amount": expression}), encoding="utf-8")
    message = error_of(my)
    assert "sources.transactions.columns.amount: " in message
    assert fragment in message
    assert capfd.readouterr().err == ""
    assert "; found '" in message or '; found "' in message


@pytest.mark.parametrize("source", ["customers", "engagement"])
def test_expressions_of_every_source_are_judged(source: str) -> None:
    message = error_of(settings=[f"sources.{source}.columns.customer_id=sum(x)"])
    assert (
        f"sources.{source}.columns.customer_id: may only use the row's own columns, but holds an aggregate" in message
    )


def test_an_attribute_of_a_customer_is_judged_as_an_expression() -> None:
    message = error_of(settings=["sources.customers.columns={customer_id: c, age: max(age)}"])
    assert "sources.customers.columns.age: may only use" in message


@pytest.mark.parametrize("name", ["a", "_a", "A1_b", "a" * 128])
def test_a_plain_name_is_safe(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "a b", "a-b", "a.b", "a`b", "a\n", "ä", "a" * 129, "a;b", "../a"])
def test_any_other_name_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match="is not a safe name"):
        check_name(name)


def test_catalogs_schemas_and_tables_may_have_hyphens_and_spark_reads_them_quoted() -> None:
    config = Config.model_validate({"tables": {"catalog": "market-trends", "schema": "shop_2"}})

    assert (config.tables.catalog, config.tables.schema_) == ("market-trends", "shop_2")
    assert quoted_place("market-trends.shop_2.my-orders") == "`market-trends`.shop_2.`my-orders`"
    with pytest.raises(ValueError, match="is not a safe name"):
        check_place("a`b")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("out/report.html", "out/report.html"),
        ("dbfs:/Volumes/main/shop/report.html", "/Volumes/main/shop/report.html"),
        ("file:///tmp/report.html", "/tmp/report.html"),
    ],
)
def test_a_page_goes_to_a_file_of_this_machine(given: str, path: str) -> None:
    assert Config.model_validate({"report": {"path": given}}).report.path == path


@pytest.mark.parametrize("master", ["local", "local[2]", "local[*]", "local-cluster[2,1,1024]"])
def test_a_master_is_on_this_machine(master: str) -> None:
    assert Config.model_validate({"spark": {"master": master}}).spark.master == master


# What is accepted, and how layers combine


def test_a_later_file_wins_key_by_key_and_replaces_a_list_whole(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yml", tmp_path / "second.yml"
    first.write_text("clustering: {k: 4, k_max: 7, features: [frequency, monetary]}\ntables: {root: a}")
    second.write_text("clustering: {k: auto, features: [recency_days]}")
    config = load_config([first, second])
    assert (config.clustering.k, config.clustering.k_max) == ("auto", 7)
    assert config.clustering.features == ["recency_days"]
    assert config.tables.root == "a"
    assert load_config([second, first]).clustering.k == 4


def test_settings_win_over_files_and_as_of_over_all(my: Path) -> None:
    my.write_text("as_of: 2020-01-01\nseed: 1")
    config = load_config([my], ["seed=2", "as_of=2021-01-01", "seed=3"], as_of="2022-02-02")
    assert (config.as_of, config.seed) == (date(2022, 2, 2), 3)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("clustering.k=6", {"clustering": {"k": 6}}),
        ("clustering.k=auto", {"clustering": {"k": "auto"}}),
        (" checks.max_quantity = 1e6", {"checks": {"max_quantity": 1_000_000.0}}),
        ("generate.lines=1_000_000", {"generate": {"lines": 1_000_000}}),
        ("clustering.features=[monetary, frequency]", {"clustering": {"features": ["monetary", "frequency"]}}),
        ("generate.dirt={duplicate: 0.1}", {"generate": {"dirt": {"duplicate": 0.1}}}),
        ("generate.dirt.duplicate=0", {"generate": {"dirt": {"duplicate": 0}}}),
        ("report.title=a=b", {"report": {"title": "a=b"}}),
        ("report.title='2024'", {"report": {"title": "2024"}}),
        ("tables.root=null", {"tables": {"root": None, "schema": "s"}}),
        ("as_of=2024-02-29", {"as_of": date(2024, 2, 29)}),
        ("as_of='2024-02-29'", {"as_of": date(2024, 2, 29)}),
        ("spark.conf.spark.ui.enabled=false", {"spark": {"conf": {"spark.ui.enabled": False}}}),
        ("spark.conf.x=|", {"spark": {"conf": {"x": "|"}}}),
        ("spark.conf.x=no", {"spark": {"conf": {"x": "no"}}}),
        ("spark.conf.x=12:30", {"spark": {"conf": {"x": "12:30"}}}),
        ("spark.conf.x=010", {"spark": {"conf": {"x": "010"}}}),
        ("spark.conf.x=2024-01-01", {"spark": {"conf": {"x": "2024-01-01"}}}),
    ],
)
def test_a_setting_is_typed_as_its_yaml_says(setting: str, expected: dict[str, Any]) -> None:
    others = ["tables.schema=s"] if setting.startswith("tables") else []
    config = load_config([], [*others, setting])
    assert config == Config.model_validate(expected)
    assert repr(config.spark.conf) == repr(Config.model_validate(expected).spark.conf)


def test_a_setting_can_make_a_source_that_no_file_has() -> None:
    columns = "{customer_id: c, order_id: o, ordered_at: t, amount: a}"
    config = load_config([], [f"sources.transactions.columns={columns}", "sources.transactions.path=p"])
    assert config.sources is not None
    assert config.sources.transactions[0].path == "p"


def test_a_single_source_or_look_up_equals_a_list_of_one(tmp_path: Path) -> None:
    lookup = {"path": "p", "using": ["x"]}
    data = yaml.safe_load(shop(joins=lookup))
    one, listed = tmp_path / "one.yml", tmp_path / "list.yml"
    one.write_text(yaml.safe_dump(data))
    data["sources"]["transactions"]["joins"] = [lookup]
    data["sources"]["transactions"] = [data["sources"]["transactions"]]
    listed.write_text(yaml.safe_dump(data))
    assert load_config([one]) == load_config([listed])


def test_a_later_file_takes_back_a_path_by_null(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yml", tmp_path / "second.yml"
    first.write_text(shop())
    second.write_text("sources: {transactions: {table: shop.orders}}")
    assert "set the one that an earlier --config file gave to null" in error_of(first, second)
    second.write_text("sources: {transactions: {table: shop.orders, path: null}}")
    sources = load_config([first, second]).sources
    assert sources is not None
    assert sources.transactions[0].table == "shop.orders"


def test_a_message_names_the_layer_that_the_value_came_from(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yml", tmp_path / "second.yml"
    first.write_text("seed: x\nclustering: {k_min: 8}\nreport: {title: [1]}\n")
    second.write_text("clustering: {k_max: 4}\nreport: {title: 1}\ntables: {rot: x}")
    message = error_of(first, second, settings=["checks.max_quantity=-1"])
    told = {line.split(": ")[0].removeprefix("  - "): line.rpartition(" (")[2] for line in message.splitlines()[1:]}
    assert told == {
        "seed": f"{first})",
        "report.title": f"{second})",
        "tables.rot": f"{second})",
        "checks.max_quantity": "--set)",
        "clustering": f"{first}, {second})",
    }


def test_what_is_missing_is_told_with_the_layers_around_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yml", tmp_path / "second.yml"
    first.write_text("seed: 1")
    second.write_text(shop({"order_id": None}))
    assert error_of(first, second).endswith(f"({second})")


def test_a_value_replaced_by_a_later_layer_is_not_told_of(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yml", tmp_path / "second.yml"
    first.write_text("sources: {transactions: [1, 2]}\nclustering: {k: {a: {b: 1}}}")
    second.write_text("sources: null\nclustering: {k: 1}")
    message = error_of(first, second)
    assert str(first) not in message
    assert len(message.splitlines()) == 2


def test_yaml_reads_as_people_expect(my: Path) -> None:
    my.write_bytes(
        "\ufeff# with a byte order mark, as some editors write\r\n"
        "report: {title: no}\r\n"
        "checks: {max_quantity: 1e6, earliest_order: '2000-01-01'}\r\n"
        "features: {response_events: &same [on, off]}\r\n"
        "clustering: {k: 5, max_iterations: 1_000}\r\n".encode()
    )
    config = load_config([my])
    assert config.report.title == "no"
    assert config.checks.max_quantity == 1_000_000
    assert config.checks.earliest_order == date(2000, 1, 1)
    assert config.features.response_events == ["on", "off"]
    assert config.clustering.max_iterations == 1_000


def test_an_alias_repeats_what_its_anchor_holds(my: Path) -> None:
    columns = "&c {customer_id: c, order_id: o, ordered_at: t, amount: a}"
    my.write_text(f"sources: {{transactions: [{{path: a, columns: {columns}}}, {{path: b, columns: *c}}]}}")
    sources = load_config([my]).sources
    assert sources is not None
    assert sources.transactions[0].columns == sources.transactions[1].columns


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}"])
def test_an_empty_file_changes_nothing(my: Path, text: str) -> None:
    my.write_text(text)
    assert load_config([my]) == load_config([]) == Config()


@pytest.mark.parametrize("file", sorted(BASE.parent.glob("*.yml")), ids=lambda file: file.name)
def test_every_configuration_that_comes_along_is_valid(file: Path) -> None:
    clustering = load_config([BASE, file]).clustering

    assert clustering.model_copy(update={"k_min": Config().clustering.k_min}) == Config().clustering


def test_a_configuration_is_frozen() -> None:
    config = load_config([])
    for section, key in ((config, "seed"), (config.clustering, "k"), (config.tables, "schema_")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, key, 3)


@pytest.mark.parametrize("source", [TransactionSource, CustomerSource, EngagementSource])
def test_every_kind_of_source_takes_what_any_source_takes(source: type[BaseModel]) -> None:
    of_lines = {"decimal_comma", "accounting", "watermark", "overlap", "missing_files"}
    own = {"columns", *of_lines} if source is TransactionSource else {"columns"}
    assert set(source.model_fields) == {*Source.model_fields, *own}


def test_a_broken_file_is_rejected_before_anything_slow_is_imported(my: Path) -> None:
    my.write_text("clustering: {k: 1}\n" + shop({"amount": "sum(x)"}))
    program = f"""
import json, sys
from customer_segmentation.config import load_config
from customer_segmentation.contract import columns, errors, features
load_config([{str(BASE)!r}])
try:
    load_config([{str(my)!r}])
except errors.ConfigurationError as error:
    print(json.dumps([str(error), sorted(sys.modules)]))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    message, modules = json.loads(run.stdout)
    assert "2 problems" in message
    assert not {"pyspark", "pandas", "sklearn", "numpy", "pyarrow"} & set(modules)


# Whatever comes, nothing but a ConfigurationError is raised

KEYS = sorted({part for key in schema_keys(Config) for part in key.split(".")} | {"x", "0", "<<", "password"})
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.dates(),
    st.sampled_from(["auto", "csv", "frequency", "a.b", "sum(x)", "2024-01-01", "p", "'", "`"]),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)
PIECES = """
    a `a b` 'x' "y" r'\\' 1 1.5 ( ) [ ] , . * + - / = < > :: -> || and not in is null case when then end cast as int
    decimal sum max lower if over partition by select from values interval date explode { } ; -- /* */ ' ` \\ ${ : ?
    @ # ! ~ exists x between distinct array< struct lambda İ ſ
"""
SQL = st.lists(st.sampled_from(PIECES.split()) | st.text(max_size=3), max_size=25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


def is_config_or_rejected(files: list[Path], chosen: list[str] | None = None) -> None:
    try:
        assert isinstance(load_config(files, chosen or []), Config)
    except ConfigurationError as error:
        lines = str(error).splitlines()
        assert all(line.startswith("  - ") for line in lines[1:])


@pytest.mark.slow
@settings(deadline=None, max_examples=75)
@given(layers=st.lists(st.dictionaries(st.sampled_from(KEYS), DATA, max_size=5), max_size=3))
def test_any_data_in_layers_is_a_configuration_or_rejected(folder: Path, layers: list[dict[str, Any]]) -> None:
    files = []
    for number, layer in enumerate(layers):
        file = folder / f"{number}.yml"
        file.write_text(yaml.safe_dump(layer), encoding="utf-8")
        files.append(file)
    is_config_or_rejected(files)


@settings(deadline=None, max_examples=200)
@given(key=st.sampled_from(sorted(schema_keys(Config))), value=DATA, listed=st.booleans())
def test_any_data_at_any_key_is_a_configuration_or_rejected(folder: Path, key: str, value: Any, listed: bool) -> None:
    data = yaml.safe_load(shop(joins={"path": "p", "using": ["x"]}))
    *parents, last = key.split(".")
    section = data
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = [value] if listed else value
    file = folder / "one.yml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    is_config_or_rejected([file])


@settings(deadline=None)
@given(content=st.binary(max_size=60) | st.text("ab:-[]{}&*!|>'\"%@`,#?\n\t <=0", max_size=60).map(str.encode))
def test_any_bytes_are_a_configuration_or_rejected(folder: Path, content: bytes) -> None:
    file = folder / "bytes.yml"
    file.write_bytes(content)
    is_config_or_rejected([file])


@settings(deadline=None)
@given(chosen=st.lists(st.builds("{}={}".format, st.sampled_from(sorted(schema_keys(Config))), st.text()) | st.text()))
def test_any_settings_are_a_configuration_or_rejected(chosen: list[str]) -> None:
    is_config_or_rejected([], chosen)


@settings(deadline=None, max_examples=500)
@given(parts=SQL)
def test_any_expression_is_accepted_as_it_is_or_rejected(parts: list[str]) -> None:
    text = " ".join(parts)
    try:
        is_quoted = not text.isascii() and text.strip().isidentifier()
        assert check_expression(text) == (f"`{text.strip()}`" if is_quoted else text)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 (not to be raised is fine, too)


def test_segments_and_k_are_two_names_of_one_setting() -> None:
    assert (Clustering(segments=5).k, Clustering(k=6).segments, Clustering(segments=5, k=5).k) == (5, 6, 5)
    assert (Clustering().k, Clustering().k_min, Clustering().k_max) == ("auto", 3, 8)
    with pytest.raises(ValueError, match="has segments = 5 and k = 6, which are two names of one setting"):
        Clustering(segments=5, k=6)
