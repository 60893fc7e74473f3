"""`python -m benchmarks.peers.duckdb_sklearn LINES COLUMNS AS_OF OUT`: the same as `notebook`, on one machine's terms.

DuckDB for the features and scores, scikit-learn for k-means, Parquet files; the silhouette of a sample.
"""

import json
import sys
from pathlib import Path

import duckdb
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from benchmarks.peers.notebook import KS

FEATURES = """
with lines as (
    select {columns} from (select distinct * from read_{format}('{path}'))
), kept as (
    select * replace (cast(amount as decimal(18, 2)) as amount, cast(ordered_at as timestamp) as ordered_at) from lines
    where customer_id is not null and quantity > 0 and amount > 0
        and cast(ordered_at as timestamp) < timestamp '{as_of}'
), days as (
    select customer_id, day, day - lag(day) over (partition by customer_id order by day) as gap
    from (select distinct customer_id, cast(ordered_at as date) as day from kept)
), gaps as (
    select customer_id, coalesce(avg(gap), 0) as gap from days group by customer_id
), rfm as (
    select
        customer_id,
        date '{as_of}' - cast(max(ordered_at) as date) as recency,
        count(distinct order_id) as frequency,
        sum(amount) as monetary,
        count(distinct product_id) as products,
        date '{as_of}' - cast(min(ordered_at) as date) as tenure,
    from kept group by customer_id
)
select
    rfm.*, gap, cast(monetary as double) / frequency as basket,
    ntile(5) over (order by recency desc) as r,
    ntile(5) over (order by frequency) as f,
    ntile(5) over (order by monetary) as m
from rfm join gaps using (customer_id)
"""
USED = ["recency", "frequency", "monetary", "products", "tenure", "gap", "basket"]
SAMPLE = 10_000


def main(path: str, columns: dict[str, str], as_of: str, out: str) -> None:
    """Read, compute, cluster, write."""
    Path(out).mkdir(parents=True)
    mapped = ", ".join(f"{expression} as {name}" for name, expression in columns.items())
    files = "csv" if path.endswith("csv") else "parquet"
    pattern = path if Path(path).is_file() else f"{path}/*.{files}"
    customers = duckdb.sql(FEATURES.format(columns=mapped, format=files, path=pattern, as_of=as_of)).df()
    points = StandardScaler().fit_transform(customers[USED].astype(float))
    fits = {k: KMeans(k, n_init=1, random_state=1).fit(points) for k in KS}
    drawn = np.random.default_rng(1).choice(len(points), min(SAMPLE, len(points)), replace=False)
    best = max(KS, key=lambda k: silhouette_score(points[drawn], fits[k].labels_[drawn]))
    segmented = customers.assign(segment_id=fits[best].labels_)
    segmented.to_parquet(f"{out}/rfm.parquet")
    profiles = segmented.groupby("segment_id")[USED].mean()
    profiles.to_parquet(f"{out}/profiles.parquet")
    print(profiles)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], sys.argv[4])
