"""Exact DBSCAN of any number of customers: by the driver where they are few enough, else by DataFrames alone."""

import math
from dataclasses import KW_ONLY, dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from customer_segmentation.clustering.calibrating import BOOTSTRAPS, calibrated
from customer_segmentation.clustering.dbscan.eps import suggested_eps
from customer_segmentation.clustering.dbscan.kernel import clusters, inverse_permutation
from customer_segmentation.clustering.dbscan.model import DBSCANModel, fingerprint
from customer_segmentation.clustering.dbscan.space import SpacePartition, clustering_halo, component_roots
from customer_segmentation.clustering.dbscan.workers import (
    COMPONENT,
    CORE,
    HOME,
    ID,
    RANK,
    REGION,
    SEGMENT,
    SHARED,
    WEIGHT,
    clustering,
    coordinates,
    order_of,
    routing,
)
from customer_segmentation.clustering.estimator.base import SegmentationEstimator
from customer_segmentation.clustering.estimator.points import Points, in_order
from customer_segmentation.clustering.selection.coreset import Coreset
from customer_segmentation.contract.columns import CUSTOMER_ID
from customer_segmentation.preparation import sql
from customer_segmentation.preparation.rounding import rounded
from customer_segmentation.spark.persistence import checkpointed, persisted

MAX_DRIVER_POINTS = 1_000_000
POINTS_PER_REGION = 100_000
SAMPLED_PER_REGION = 200
"""Sampled points by which a region's cuts are placed."""

MAX_CALIBRATED_POINTS = 200_000
"""Most different points that are clustered again for a calibration."""
MIN_SAMPLE_SIZE = 20_000
QUERIES = 2_000
"""Customers whose distances to their neighbours are measured to suggest eps."""


@dataclass(repr=False, eq=False)
class DBSCAN(SegmentationEstimator[DBSCANModel]):
    """Density-based clustering (Ester, Kriegel, Sander, Xu 1996), exact on any number of customers.

    A customer is core when at least `min_samples` customers, itself included, lie within `eps`. Core customers within
    eps of one another are of one segment; another customer within eps of a core customer belongs to the nearest one's
    segment, in a tie to that of the smallest customer_id (of the smallest coordinates where there are no ids). The
    others are noise, segment -1. Core customers, their partition and noise equal scikit-learn's.

    Segments are numbered from 1 by their core customers, the most first, in a tie by their smallest customer_id. There
    are none where all customers are noise.

    Args:
        eps: distance in prepared units, above 0; "auto" takes the knee of the distances within which min_samples
            customers lie, measured for a sample that depends on the data and the seed only.
        min_samples: customers that make a place dense, at least 1.
        seed: of the samples.
        max_driver_points: up to so many different points are clustered by the driver, with all of its cores, about 100
            bytes each; 0: always by tasks.
        points_per_region: about how many different points a task clusters, or assigns customers by. The result depends
            neither on it nor on max_driver_points.
        bootstraps: samples the confidence is calibrated on, see `clustering.calibrating`; 0, and with more than 200,000
            different points: none, the confidence is then 1 - distance to the nearest core point / eps.

    Example:
        >>> from customer_segmentation.clustering import DBSCAN
        >>> features = spark.createDataFrame([(1.0,), (1.2,), (1.4,), (9.0,)], "orders double")
        >>> model = DBSCAN(eps=0.5, min_samples=3).fit(features, columns=["orders"])
        >>> [row.segment_id for row in model.assign(features).orderBy("orders").collect()]
        [1, 1, 1, -1]
    """

    algorithm = "dbscan"

    eps: float | str = "auto"
    min_samples: int = 10
    _: KW_ONLY
    seed: int = 42
    max_driver_points: int = MAX_DRIVER_POINTS
    points_per_region: int = POINTS_PER_REGION
    bootstraps: int = BOOTSTRAPS

    def _validate(self) -> None:
        self._require_whole("min_samples", minimum=1)
        self._require_whole("max_driver_points", minimum=0)
        self._require_whole("points_per_region", minimum=1)
        self._require_whole("bootstraps", minimum=0)
        eps = self.eps
        if isinstance(eps, int | float) and not isinstance(eps, bool):
            is_valid = math.isfinite(eps) and eps > 0
        else:
            is_valid = eps == "auto"
        if not is_valid:
            raise self._error("eps", 'a finite number above 0 or "auto"', eps)

    def _fit(self, points: Points) -> DBSCANModel:
        names = points.inputs
        with persisted(_distinct(points.frame, names)) as distinct:
            count = distinct.count()
            sample = self._sample(distinct, names, count)
            eps = self._eps(distinct, sample, names)
            max_points = self.points_per_region * len(sample) / count
            regions = SpacePartition.cut_evenly(sample, halo=clustering_halo(eps), max_points=max_points)
            if count <= self.max_driver_points:
                segments, core = _by_the_driver(distinct, names, eps, self.min_samples)
            else:
                segments, core = _by_tasks(distinct, regions, names, eps, self.min_samples)
        return DBSCANModel(
            algorithm=self.algorithm,
            preparation=points.preparation,
            segment_ids=tuple(range(1, len(segments.sizes) + 1)),
            eps_=eps,
            min_samples=self.min_samples,
            sizes_=segments.sizes,
            centers_=segments.centers,
            regions_=regions,
            fingerprint_=fingerprint(core),
            core_points_=core,
        )

    def _calibrated(self, model: DBSCANModel, points: Points) -> DBSCANModel:
        """The model with a calibration by all customers: a sample of them is less dense."""
        if not self.bootstraps or not model.k:
            return model
        rows = points.frame.groupBy(*points.inputs).count().limit(MAX_CALIBRATED_POINTS + 1).toPandas().to_numpy(float)
        if len(rows) > MAX_CALIBRATED_POINTS:
            return model
        rows = rows[in_order(rows)] + 0.0  # no negative zero
        everybody = Coreset(rows[:, :-1], rows[:, -1], points.count)
        return calibrated(model, everybody, seed=self.seed, bootstraps=self.bootstraps, outlier_share=0.0)

    def _sample(self, points: DataFrame, names: list[str], count: int) -> np.ndarray:
        """Some of the distinct points, the same ones for a seed whatever the partitions, in a fixed order.

        No points where nothing is asked of them: eps is given, and one region holds all points.
        """
        if self.eps != "auto" and count <= self.points_per_region:
            return np.empty((0, len(names)))
        size = max(MIN_SAMPLE_SIZE, SAMPLED_PER_REGION * count // self.points_per_region)
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
    """Segments from 1: the core customers and the mean of each, and the number of each part's segment."""

    sizes: tuple[int, ...]
    centers: np.ndarray
    number: np.ndarray


def _numbered(parts: pd.DataFrame, names: list[str]) -> _Segments:
    """Numbers the segments, the most core customers first, in a tie by the first of them.

    Args:
        parts: of segments: the segment that it is of, as any number from 0; `size`, its core customers; `first`, the
            first of them; and the sum of each coordinate over them.
    """
    merged = parts.groupby("of").agg({"size": "sum", "first": "min"} | dict.fromkeys(names, "sum"))
    merged = merged.assign(fewest=-merged["size"]).sort_values(["fewest", "first"], kind="stable")
    number = np.zeros(int(parts["of"].max() if len(parts) else -1) + 1, dtype=np.int32)
    number[merged.index.to_numpy(dtype=np.int64)] = np.arange(1, len(merged) + 1)
    sizes = merged["size"].to_numpy(dtype=np.int64)
    centers = rounded(merged[names].to_numpy(dtype=float) / sizes[:, None])
    return _Segments(tuple(sizes.tolist()), centers, number)


def _by_the_driver(points: DataFrame, names: list[str], eps: float, min_samples: int) -> tuple[_Segments, DataFrame]:
    """The segments, and the distinct core points with their segments and ranks."""
    table = points.toArrow()
    values, weights, order = coordinates(table, names), np.asarray(table.column(WEIGHT)), order_of(table, names)
    fitted = clusters(values, weights=weights, order=order, eps=eps, min_samples=min_samples, workers=-1)
    values, weights, order, labels = (each[fitted.core] for each in (values, weights, order, fitted.labels))
    parts = pd.DataFrame(values * weights[:, None], columns=names).assign(of=labels, size=weights, first=order)
    segments = _numbered(parts, names)
    columns = [*values.T, inverse_permutation(np.argsort(order)), segments.number[labels]]
    core = pa.table([pa.array(column) for column in columns], names=[*names, RANK, SEGMENT])
    return segments, points.sparkSession.createDataFrame(core, from_arrow_schema(core.schema))


def _by_tasks(
    points: DataFrame, regions: SpacePartition, names: list[str], eps: float, min_samples: int
) -> tuple[_Segments, DataFrame]:
    """The segments, and the distinct core points with their segments and ranks, region by region."""
    with persisted(_clustered(points, regions, names, eps, min_samples)) as clustered:
        components, segments = _merge_components(clustered, names)
        return segments, _core_points(clustered, components, segments.number, names)


def _clustered(points: DataFrame, regions: SpacePartition, names: list[str], eps: float, min_samples: int) -> DataFrame:
    """The points with whether they are core and their component, unique across regions; some more than once.

    Rows that are not `_home` are core points that their own region has too.
    """
    columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in points.schema.fields)
    schema = f"{HOME} boolean, {SHARED} boolean, {columns}"
    sent = points.mapInArrow(routing(regions, names, eps), f"{REGION} int, {schema}")
    by_region = sent.repartition(regions.count, REGION).groupBy(REGION)
    return by_region.applyInArrow(clustering(names, eps, min_samples), f"{schema}, {CORE} boolean, {COMPONENT} bigint")


def _merge_components(clustered: DataFrame, names: list[str]) -> tuple[np.ndarray, _Segments]:
    """Merges components that share core points: the components, sorted, and their segments."""
    shared = clustered.where(f"{SHARED} AND {CORE}").groupBy(*names).agg(F.collect_set(COMPONENT).alias("of"))
    pairs = shared.where("size(of) > 1").select(F.array_min("of").alias("first"), F.explode("of").alias("other"))
    edges = pairs.where("first < other").distinct().toArrow()
    by = F.min(ID if ID in clustered.columns else F.array(*names))
    own = clustered.where(f"{HOME} AND {CORE}").groupBy(COMPONENT)
    sums = [F.sum(F.col(name) * F.col(WEIGHT)).alias(name) for name in names]
    parts = own.agg(F.sum(WEIGHT).alias("size"), by.alias("first"), *sums).toPandas()
    # A component whose core points are all of the halo has no row of its own, but may connect others.
    ends = [np.asarray(edges.column(name)) for name in ("first", "other")]
    components = np.unique(np.concatenate([parts[COMPONENT].to_numpy(dtype=np.int64), *ends]))
    roots = component_roots(components, np.stack(ends))
    parts["of"] = roots[np.searchsorted(components, parts[COMPONENT].to_numpy(dtype=np.int64))]
    parts["first"] = [tuple(value) if isinstance(value, np.ndarray | list) else value for value in parts["first"]]
    segments = _numbered(parts, names)
    return components, replace(segments, number=segments.number[roots])


def _core_points(clustered: DataFrame, components: np.ndarray, segment: np.ndarray, names: list[str]) -> DataFrame:
    """The distinct core points with their segments and ranks, computed."""
    table = pa.table({COMPONENT: pa.array(components, pa.int64()), SEGMENT: pa.array(segment, pa.int32())})
    of = F.broadcast(clustered.sparkSession.createDataFrame(table))
    ids = [name for name in (ID,) if name in clustered.columns]
    core = clustered.where(f"{HOME} AND {CORE}").select(COMPONENT, *names, *ids)
    return _ranked(core.join(of, COMPONENT, "inner").select(*names, *ids, SEGMENT), names, by=[*ids, *names])


def _ranked(core: DataFrame, names: list[str], *, by: list[str]) -> DataFrame:
    """The core points with their rank in the order of these columns, from 0, instead of the ids.

    Spark sorts them into partitions; a row's rank is its place in its own one after all rows of those before.
    """
    partition, place = f"int(shiftright({RANK}, 33))", f"({RANK} & {(1 << 33) - 1})"  # as Spark numbers rows
    numbered = core.orderBy(*by).select(*names, SEGMENT, F.monotonically_increasing_id().alias(RANK))
    with persisted(numbered) as rows:
        sizes = rows.groupBy(F.expr(partition).alias("partition")).count().collect()
        counts = np.zeros(max((row["partition"] for row in sizes), default=0) + 1, dtype=np.int64)
        counts[[row["partition"] for row in sizes]] = [row["count"] for row in sizes]
        before = np.cumsum(counts) - counts
        rank = F.expr(f"{sql.integers(before)}[{partition}] + {place}").cast("bigint")
        return checkpointed(rows.select(*names, rank.alias(RANK), SEGMENT))
