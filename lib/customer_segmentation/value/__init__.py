"""What a customer will be worth: when customers buy again, whether they still do, and what they spend.

    model = fit_value(features)                  # a row per customer, see `customer_features`
    with_value(features, model)                  # the same rows with expected orders and spend

The models are fitted on the driver to counts of distinct histories, and score customers in batches on the workers.
"""

from customer_segmentation.value.model import ValueModel
from customer_segmentation.value.scoring import FITTED_TO, fit_value, purchase_counts, with_value

__all__ = ["FITTED_TO", "ValueModel", "fit_value", "purchase_counts", "with_value"]
