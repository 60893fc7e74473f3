"""The value models that features were made by, in `value_models`, until a segmentation that is trained has its own."""

import json
from collections.abc import Callable, Mapping

from pyspark.sql import DataFrame

from customer_segmentation.clustering import SegmentationModel
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.stages.run import Run
from customer_segmentation.storage import literal
from customer_segmentation.value import ValueModel, fit_value


def value_model(run: Run, model: SegmentationModel | None, everybody: Callable[[], DataFrame]) -> ValueModel:
    """The value model of a segmentation; without one that of the run's features, else a fit.

    Args:
        everybody: gives what is fitted to, where that is needed: the features of all customers, those too who bought
            too long ago to be segmented.
    """
    if model is not None and model.value:
        return ValueModel.from_dict(model.value)
    if run.features_id in run.fitted_values:
        return run.fitted_values[run.features_id]
    if run.warehouse.exists(t.VALUE_MODELS):
        row = run.warehouse.rows(t.VALUE_MODELS, column=c.MADE_FROM, value=run.features_id).select("model").first()
        if row is not None:
            return ValueModel.from_dict(json.loads(row["model"]))
    run.fitted_values[run.features_id] = fit_value(everybody(), run.config.value)
    return run.fitted_values[run.features_id]


def keep_value_models(run: Run, fitted: Mapping[str, ValueModel]) -> None:
    """Write the models by what the features were made from."""
    if not fitted:
        return
    rows = [
        {c.MADE_FROM: made_from, "model": json.dumps(each.to_dict()), "messages": each.messages}
        for made_from, each in fitted.items()
    ]
    listed = ", ".join(map(literal, fitted))
    run.warehouse.replace_rows_where(t.VALUE_MODELS, rows, f"{c.MADE_FROM} IN ({listed})")
