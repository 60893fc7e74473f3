"""Customer segmentation on Spark: order lines in, named and explained segments out.

    import customer_segmentation as cs

    spark = cs.get_session()
    lines = cs.order_lines(frame, customer_id="CustomerID", order_id="InvoiceNo", ordered_at="InvoiceDate",
                           quantity="Quantity", unit_price="UnitPrice")
    features = cs.customer_features(lines.accepted, as_of="2011-12-10")
    preparation = cs.Preparation(columns=["recency_days", "frequency", "monetary"], skewed="log").fit(features)
    segments = cs.KMeans(k=5).fit(features, preparation=preparation).assign(features)
    cs.profile(segments)

Each name is imported when it is first used, so that what needs no Spark starts without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from customer_segmentation import plots
    from customer_segmentation.clustering import (
        DBSCAN,
        AgglomerativeClustering,
        BisectingKMeans,
        GaussianMixture,
        KMeans,
        Preparation,
        compare,
        load_model,
    )
    from customer_segmentation.config.schema import Checks
    from customer_segmentation.contract.checks import Check
    from customer_segmentation.contract.errors import ConfigurationError, DataRejectedError
    from customer_segmentation.contract.features import Feature
    from customer_segmentation.features.build import customer_features
    from customer_segmentation.features.rfm_scores import CutPoints, cut_points, rfm_scores
    from customer_segmentation.ingest.order_lines import OrderLines, order_lines
    from customer_segmentation.insight.profiles import profile
    from customer_segmentation.insight.segment_names import segment_names
    from customer_segmentation.spark.session import get_session
    from customer_segmentation.value import ValueModel, fit_value, with_value

__version__ = "0.2.0.dev0"

__all__ = [
    "DBSCAN",
    "AgglomerativeClustering",
    "BisectingKMeans",
    "Check",
    "Checks",
    "ConfigurationError",
    "CutPoints",
    "DataRejectedError",
    "Feature",
    "GaussianMixture",
    "KMeans",
    "OrderLines",
    "Preparation",
    "ValueModel",
    "compare",
    "customer_features",
    "cut_points",
    "fit_value",
    "get_session",
    "load_model",
    "order_lines",
    "plots",
    "profile",
    "rfm_scores",
    "segment_names",
    "with_value",
]

_MODULES = {
    "Check": "contract.checks",
    "Checks": "config.schema",
    "ConfigurationError": "contract.errors",
    "CutPoints": "features.rfm_scores",
    "DataRejectedError": "contract.errors",
    "Feature": "contract.features",
    "OrderLines": "ingest.order_lines",
    "ValueModel": "value",
    "customer_features": "features.build",
    "cut_points": "features.rfm_scores",
    "fit_value": "value",
    "get_session": "spark.session",
    "order_lines": "ingest.order_lines",
    "profile": "insight.profiles",
    "rfm_scores": "features.rfm_scores",
    "segment_names": "insight.segment_names",
    "with_value": "value",
}
"""Where a public name is, if not in `clustering`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "plots":
        return import_module(f"{__name__}.plots")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'clustering')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
