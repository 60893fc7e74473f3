"""A registered model as MLflow loads it: customers' features as pandas in, their segments out.

MLflow keeps this file beside the model's numbers, and runs it where the model is loaded; nothing is pickled.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from customer_segmentation.spark.session import get_session
from customer_segmentation.stages.tracking import FOLDER, OUTPUTS, read_model


class Segments(mlflow.pyfunc.PythonModel):  # type: ignore[misc] # MLflow has no stubs
    """The segments of customers, in the order of the rows given."""

    def load_context(self, context: Any) -> None:
        """Read the model once."""
        self.model = read_model(get_session(), Path(context.artifacts[FOLDER]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Assign customers; a missing value is one to the model too."""
        numbers = {name: pd.to_numeric(model_input[name]) for name in self.model.preparation.numbers}
        numbered = model_input.assign(**numbers, _row=range(len(model_input)))
        rows = self.model.assign(get_session().createDataFrame(numbered)).toPandas().set_index("_row").sort_index()
        named = rows.assign(segment_name=rows["segment_id"].map(self.model.names))
        return named[[*OUTPUTS]].set_index(model_input.index)


mlflow.models.set_model(Segments())
