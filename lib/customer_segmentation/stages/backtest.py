"""`transactions`, `returns` and `engagement` to `backtests`: how well scores and segments told what came next."""

from collections.abc import Sequence
from datetime import timedelta

from pyspark.sql import functions as F
from rich.console import Console

from customer_segmentation.backtest import Hindsight, History, backtest, backtest_dates
from customer_segmentation.backtest.outcomes import outcomes
from customer_segmentation.clustering.fitting import Usefulness
from customer_segmentation.clustering.selection.metrics import Partition
from customer_segmentation.contract import columns as c
from customer_segmentation.display.formatting import count
from customer_segmentation.preparation import PreparationModel
from customer_segmentation.report.ranking import print_ranking
from customer_segmentation.stages.run import Run
from customer_segmentation.value import fit_value, with_value


def backtest_segments(run: Run, console: Console) -> None:
    """Fit at dates before the run's, evaluate by what followed up to it, write the figures and print what they say.

    Raises:
        ConfigurationError: no order lines have been read yet.
        DataRejectedError: the history is too short for any of the horizons.
    """
    with run.progress.stage("backtest", "fitting in the past, evaluating by what came next") as stage:
        settings = run.config.backtest
        dates = backtest_dates(
            run.inputs.order_days[0],
            run.as_of,
            horizons=settings.horizons,
            folds=settings.folds,
            dates=settings.dates,
        )
        result = backtest(
            _history(run),
            dates,
            features=run.config.features,
            clustering=run.config.clustering,
            settings=settings,
            seed=run.config.seed,
            with_value=lambda customers, everybody: with_value(customers, fit_value(everybody, run.config.value)),
        )
        rows = run.backtests.record(run.backtest_id, result.rows)
        stage.rows = result.evaluated
        folds = sum(map(len, dates.by_horizon.values()))
        stage.result = "; ".join(
            [
                f"{folds} dates, horizons of {', '.join(map(str, dates.by_horizon))} days, "
                f"{_evaluated(result.customers, result.evaluated)}",
                *result.skipped,
            ]
        )
    print_ranking(rows, console)


def hindsight(run: Run) -> Usefulness | None:
    """How useful segments would have been segments.horizon_days ago; nothing is read before that is asked for.

    None where too little is known: less than twice as many days, or customers are clustered by attributes, of which it
    is not known what they were then.
    """
    horizon = run.config.segments.horizon_days
    then = run.as_of - timedelta(horizon)
    if run.config.clustering.preparation.attributes or (then - run.inputs.order_days[0]).days < horizon:
        return None

    def usefulness(preparation: PreparationModel, partitions: Sequence[Partition]) -> Sequence[float]:
        history = _history(run)
        spend = outcomes(history.days_before(run.as_of), start=then, horizon_days=horizon)
        features = history.features_at(then, run.config.features)
        return Hindsight(features, spend, run.config.backtest.sample_size, run.config.seed)(preparation, partitions)

    return usefulness


def _history(run: Run) -> History:
    lines = run.inputs.transactions().where(F.col(c.ORDERED_AT) < F.lit(run.as_of).cast("timestamp"))
    return History(lines, run.inputs.returns(), run.inputs.engagement())


def _evaluated(customers: int, evaluated: int) -> str:
    if evaluated == customers:
        return f"{count(customers)} customers at the last date"
    return f"{count(evaluated)} of {count(customers)} customers at the last date, drawn by their ids"
