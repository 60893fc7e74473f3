"""Whether Spark's MLlib can be used in a session: serverless compute and some Spark Connect servers have none of it."""

import re
from weakref import WeakKeyDictionary

from pyspark.sql import SparkSession

from customer_segmentation.contract.errors import first_line
from customer_segmentation.spark.garbage import collect_garbage_after
from customer_segmentation.spark.settings import is_connect

_PROBLEMS: WeakKeyDictionary[SparkSession, str] = WeakKeyDictionary()
"""What is wrong with the MLlib of sessions that were asked; an empty text for nothing."""
_DETAILS = re.compile(r'details = "([^"]+)"')
"""What a server says, in the text of an error of Spark Connect."""


_REFUSALS = re.compile(
    r"not.?supported|unsupported|not.?implemented|not.?allowed|not.?available|whitelist|allow.?list|no module named"
    r"|ClassNotFound|NoClassDefFound",
    re.IGNORECASE,
)
_REFUSING = (AssertionError, AttributeError, ImportError, NotImplementedError)
"""What PySpark itself raises where a platform has no MLlib."""


def mllib_problem(spark: SparkSession) -> str | None:
    """Why MLlib can't be used in a session, as it says itself; None where it can.

    The virtual machine of a classic session always has it. A Connect session is asked once, by a fit of two rows.

    Raises:
        Exception: what the fit raises that refuses nothing, such as a connection that is lost.
    """
    if not is_connect(spark):
        return None
    if spark not in _PROBLEMS:
        _PROBLEMS[spark] = _problem_of_a_fit(spark)
    return _PROBLEMS[spark] or None


def _problem_of_a_fit(spark: SparkSession) -> str:
    """What a fit is refused with; empty where it is not."""
    try:
        from pyspark.ml.clustering import KMeans
        from pyspark.ml.feature import VectorAssembler

        rows = spark.createDataFrame([(0.0,), (1.0,)], "value double")
        with collect_garbage_after():
            points = VectorAssembler(inputCols=["value"], outputCol="features").transform(rows)
            KMeans(k=2, maxIter=1, seed=1).fit(points)
    except Exception as error:
        of_server = _DETAILS.search(str(error))
        text = of_server[1] if of_server else first_line(error)
        if not isinstance(error, _REFUSING) and not _REFUSALS.search(text):
            raise
        return text
    return ""
