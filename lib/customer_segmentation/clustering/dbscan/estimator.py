"""Exact DBSCAN of any number of customers: by the driver where they are few enough, else by DataFrames alone."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation.clustering.dbscan.eps import suggested_eps
from customer_segmentation.clustering.dbscan.kernel import clusters, places
from customer_segmentation.clustering.dbscan.model import DBSCANModel, fingerprint
from customer_segmentation.clustering.dbscan.space import Boxes, crowd_halo, united
from customer_segmentation.clustering.dbscan.workers import (
    BOX,
    COMPONENT,
    CORE,
    HOME,
    ID,
    RANK,
    SEGMENT,
    SHARED,
    WEIGHT,
    clustering,
    coordinates,
    order_of,
    routing,
)
from customer_segmentation.clustering.estimator.points import in_order, points_of
from customer_segmentation.contract.columns import CUSTOMER_ID
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.preparation import Preparation, sql
from customer_segmentation.preparation import estimator as checking
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.holding import held, settled

AT_ONCE = 1_000_000
POINTS_PER_BOX = 100_000
SAMPLED_PER_BOX = 200
"""Sampled points by which a box's cuts are placed."""

LEAST_SAMPLE = 20_000
QUERIES = 2_000
"""Customers whose distances to their neighbours are measured to suggest eps."""


class DBSCAN:
    """Density-based clustering (Ester, Kriegel, Sander, Xu 1996), exact on any number of customers.

    A customer is core when at least `min_samples` customers, itself included, lie within `eps`. Core customers within
    eps of one another are of one segment; another customer within eps of a core customer belongs to the nearest one's
    segment, in a tie to that of the smallest customer_id (of the smallest coordinates where there are no ids). The
    others are noise, segment -1. Core customers, their partition and noise equal scikit-learn's.

    Args:
        eps: distance in prepared units, above 0; "auto" takes the knee of the distances within which min_samples
            customers lie, measured for a sample that depends on the data and the seed only.
        min_samples: customers that make a place dense, at least 1.
        seed: of the samples.
        at_once: up to so many different points are clustered by the driver, with all of its cores, about 100 bytes
            each; 0: always by tasks.
        points_per_box: about how many different points a task clusters, or assigns customers by. The result depends
            neither on it nor on at_once.
    """

    def __init__(
        self,
        eps: float | str = 0.3,
        min_samples: int = 10,
        *,
        seed: int = 42,
        at_once: int = AT_ONCE,
        points_per_box: int = POINTS_PER_BOX,
    ) -> None:
        self.eps = eps
        self.min_samples = min_samples
        self.seed = seed
        self.at_once = at_once
        self.points_per_box = points_per_box

    def fit(
        self, features: DataFrame, *, columns: list[str] | None = None, preparation: Preparation | None = None
    ) -> DBSCANModel:
        """Find the segments.

        Args:
            features: a row per customer, with `customer_id` to break ties by where there is one.
            columns: numeric columns to cluster on as they are; a missing value or NaN counts as 0.
            preparation: instead of columns, prepares the features first.

        Returns:
            The model. Segments are numbered from 1 by their core customers, the most first, in a tie by their smallest
            customer_id. There are none where all customers are noise.

        Raises:
            ConfigurationError: a parameter is out of range, or neither or both of columns and preparation are given.
            DataRefusedError: there are no customers, columns that are no numbers or have values that can't be measured,
                a customer with several rows; no eps can be suggested.
        """
        self._validate()
        customers = points_of(features, columns=columns, preparation=preparation, estimator="DBSCAN")
        names = customers.inputs
        with held(_distinct(customers.frame, names)) as points:
            count = points.count()
            sample = self._sample(points, names, count)
            eps = self._eps(points, sample, names)
            most = self.points_per_box * len(sample) / count
            boxes = Boxes.cut_evenly(sample, halo=crowd_halo(eps), most=most)
            if count <= self.at_once:
                segments, core = _by_the_driver(points, names, eps, self.min_samples)
            else:
                segments, core = _by_tasks(points, boxes, names, eps, self.min_samples)
        return DBSCANModel(
            algorithm="dbscan",
            preparation=customers.preparation,
            segment_ids=tuple(range(1, len(segments.sizes) + 1)),
            eps_=eps,
            min_samples=self.min_samples,
            sizes_=segments.sizes,
            centers_=segments.centers,
            boxes_=boxes,
            fingerprint_=fingerprint(core),
            core_points_=core,
        )

    def _validate(self) -> None:
        for name, least in (("min_samples", 1), ("at_once", 0), ("points_per_box", 1)):
            checking.whole("DBSCAN", name, getattr(self, name), least=least)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ConfigurationError(f"DBSCAN: seed must be a whole number; found {self.seed!r}")
        eps = self.eps
        if isinstance(eps, int | float) and not isinstance(eps, bool):
            allowed = math.isfinite(eps) and eps > 0
        else:
            allowed = eps == "auto"
        if not allowed:
            raise ConfigurationError(f'DBSCAN: eps must be a finite number above 0 or "auto"; found {eps!r}')

    def _sample(self, points: DataFrame, names: list[str], count: int) -> np.ndarray:
        """Some of the distinct points, the same ones for a seed whatever the partitions, in a fixed order.

        No points where nothing is asked of them: eps is given, and one box holds all points.
        """
        if self.eps != "auto" and count <= self.points_per_box:
            return np.empty((0, len(names)))
        size = max(LEAST_SAMPLE, SAMPLED_PER_BOX * count // self.points_per_box)
        drawn = F.pmod(F.xxhash64(F.lit(self.seed), *names), F.lit(max(1, count // size))) == 0
        rows = points.where(drawn).select(*names).toPandas().to_numpy(dtype=float)
        ordered: np.ndarray = rows[in_order(rows)]
        return ordered

    def _eps(self, points: DataFrame, sample: np.ndarray, names: list[str]) -> float:
        if isinstance(self.eps, int | float):
            return float(self.eps)
        queries = np.random.default_rng(self.seed).permutation(sample)[:QUERIES]
        return suggested_eps(points, queries, names=names, min_samples=self.min_samples)


def _distinct(prepared: DataFrame, names: list[str]) -> DataFrame:
    """The different points, with how many customers are there and the smallest of their ids."""
    smallest = [F.min(CUSTOMER_ID).alias(ID)] if CUSTOMER_ID in prepared.columns else []
    return prepared.groupBy(*names).agg(F.count(F.lit(1)).alias(WEIGHT), *smallest)


@dataclass(frozen=True)
class _Segments:
    """Segments from 1: the core customers and the mean of each, and the number that each part became."""

    sizes: tuple[int, ...]
    centers: np.ndarray
    number: np.ndarray


def _numbered(parts: pd.DataFrame, names: list[str]) -> _Segments:
    """Numbers the segments, the most core customers first, in a tie by the first of them.

    Args:
        parts: of segments: the segment that it is of, as any number from 0; `size`, its core customers; `first`, the
            first of them; and the sum of each coordinate over them.
    """
    whole = parts.groupby("of").agg({"size": "sum", "first": "min"} | dict.fromkeys(names, "sum"))
    whole = whole.assign(less=-whole["size"]).sort_values(["less", "first"], kind="stable")
    number = np.zeros(int(parts["of"].max() if len(parts) else -1) + 1, dtype=np.int32)
    number[whole.index.to_numpy(dtype=np.int64)] = np.arange(1, len(whole) + 1)
    sizes = whole["size"].to_numpy(dtype=np.int64)
    centers = rounded(whole[names].to_numpy(dtype=float) / sizes[:, None])
    return _Segments(tuple(sizes.tolist()), centers, number)


def _by_the_driver(points: DataFrame, names: list[str], eps: float, min_samples: int) -> tuple[_Segments, DataFrame]:
    """The segments, and the distinct core points with their segments and ranks."""
    table = points.toArrow()
    lying, weights, order = coordinates(table, names), np.asarray(table.column(WEIGHT)), order_of(table, names)
    found = clusters(lying, weights=weights, order=order, eps=eps, min_samples=min_samples, workers=-1)
    lying, weights, order, labels = (each[found.core] for each in (lying, weights, order, found.labels))
    parts = pd.DataFrame(lying * weights[:, None], columns=names).assign(of=labels, size=weights, first=order)
    segments = _numbered(parts, names)
    columns = [*lying.T, places(np.argsort(order)), segments.number[labels]]
    core = pa.table([pa.array(column) for column in columns], names=[*names, RANK, SEGMENT])
    return segments, points.sparkSession.createDataFrame(core)


def _by_tasks(
    points: DataFrame, boxes: Boxes, names: list[str], eps: float, min_samples: int
) -> tuple[_Segments, DataFrame]:
    """The same, found box by box."""
    with held(_clustered(points, boxes, names, eps, min_samples)) as found:
        components, segments = _joined(found, names)
        return segments, _core_points(found, components, segments.number, names)


def _clustered(points: DataFrame, boxes: Boxes, names: list[str], eps: float, min_samples: int) -> DataFrame:
    """The points with whether they are core and their component, unique across boxes; some more than once.

    Rows that are not `_home` are core points that their own box tells too.
    """
    columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in points.schema.fields)
    seen = f"{HOME} boolean, {SHARED} boolean, {columns}"
    sent = points.mapInArrow(routing(boxes, names, eps), f"{BOX} int, {seen}")
    by_box = sent.repartition(boxes.count, BOX).groupBy(BOX)
    return by_box.applyInArrow(clustering(names, eps, min_samples), f"{seen}, {CORE} boolean, {COMPONENT} bigint")


def _joined(found: DataFrame, names: list[str]) -> tuple[np.ndarray, _Segments]:
    """Joins components that share core points: the components, sorted, and what they became."""
    seen = found.where(f"{SHARED} AND {CORE}").groupBy(*names).agg(F.collect_set(COMPONENT).alias("of"))
    pairs = seen.where("size(of) > 1").select(F.array_min("of").alias("one"), F.explode("of").alias("other"))
    edges = pairs.where("one < other").distinct().toArrow()
    by = F.min(ID if ID in found.columns else F.array(*names))
    own = found.where(f"{HOME} AND {CORE}").groupBy(COMPONENT)
    sums = [F.sum(F.col(name) * F.col(WEIGHT)).alias(name) for name in names]
    told = own.agg(F.sum(WEIGHT).alias("size"), by.alias("first"), *sums).toPandas()
    # A component whose core points are all of the halo has no row of its own, but may connect others.
    ends = [np.asarray(edges.column(name)) for name in ("one", "other")]
    components = np.unique(np.concatenate([told[COMPONENT].to_numpy(dtype=np.int64), *ends]))
    one = united(components, np.stack(ends))
    told["of"] = one[np.searchsorted(components, told[COMPONENT].to_numpy(dtype=np.int64))]
    told["first"] = [tuple(value) if isinstance(value, np.ndarray) else value for value in told["first"]]
    segments = _numbered(told, names)
    return components, replace(segments, number=segments.number[one])


def _core_points(found: DataFrame, components: np.ndarray, segment: np.ndarray, names: list[str]) -> DataFrame:
    """The distinct core points with their segments and ranks, computed."""
    table = pa.table({COMPONENT: pa.array(components, pa.int64()), SEGMENT: pa.array(segment, pa.int32())})
    of = F.broadcast(found.sparkSession.createDataFrame(table))
    ids = [name for name in (ID,) if name in found.columns]
    core = found.where(f"{HOME} AND {CORE}").select(COMPONENT, *names, *ids)
    return _ranked(core.join(of, COMPONENT, "inner").select(*names, *ids, SEGMENT), names, by=[*ids, *names])


def _ranked(core: DataFrame, names: list[str], *, by: list[str]) -> DataFrame:
    """The core points with their place in the order of these columns, from 0, instead of the ids.

    Spark sorts them into partitions; a row's place is its place in its partition after those of the partitions before.
    """
    partition, place = f"int(shiftright({RANK}, 33))", f"({RANK} & {(1 << 33) - 1})"  # as Spark numbers rows
    numbered = core.orderBy(*by).select(*names, SEGMENT, F.monotonically_increasing_id().alias(RANK))
    with held(numbered) as rows:
        told = rows.groupBy(F.expr(partition).alias("partition")).count().collect()
        counts = np.zeros(max((row["partition"] for row in told), default=0) + 1, dtype=np.int64)
        counts[[row["partition"] for row in told]] = [row["count"] for row in told]
        before = np.cumsum(counts) - counts
        rank = F.expr(f"{sql.integers(before)}[{partition}] + {place}").cast("bigint")
        return settled(rows.select(*names, rank.alias(RANK), SEGMENT))
