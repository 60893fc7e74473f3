"""`customer_features` to a registered model in `model_runs`, or the model that serves on."""

import json
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from customer_segmentation import __version__
from customer_segmentation.clustering import ALGORITHMS, SegmentationModel
from customer_segmentation.clustering.kmeans.rapids import rapids_problem
from customer_segmentation.clustering.training import Training, train
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.features.lines_by_customer import DAY
from customer_segmentation.features.rfm_scores import cut_points
from customer_segmentation.insight.activity import PurchaseRates, purchase_rates, segment_evidence
from customer_segmentation.insight.lineage import describe_lineage, first_lineage, lineage
from customer_segmentation.insight.naming import name_segments
from customer_segmentation.insight.profiles import Profile, feature_means, segment_profiles
from customer_segmentation.spark.concurrently import at_once, started
from customer_segmentation.spark.mllib import mllib_problem
from customer_segmentation.spark.persistence import persisted
from customer_segmentation.stages.backtest import hindsight
from customer_segmentation.stages.customer_history import bring_up_to_date
from customer_segmentation.stages.features import (
    clustered_features,
    fitted_to,
    scored_anew,
    undeclared_features,
    without_lists,
)
from customer_segmentation.stages.run import Run
from customer_segmentation.stages.tracking import log_training
from customer_segmentation.stages.value_models import value_model


def train_segments(run: Run, *, retrain: bool = False) -> None:
    """Train on the run's customers, name the segments and register the model, what it needs first.

    A model that is registered stays as it is: a training on other customers, or by other settings, is another one.

    Args:
        retrain: train even where a registered model is young enough to serve on.
    """
    with run.progress.stage("train", "choosing and fitting segments") as stage:
        model = None if retrain else run.models.reusable
        if model is not None:
            run.serve(model)
            stage.result = f"{model.version}, trained as of {model.trained_as_of}, stays in service: {model.k} segments"
            return
        version = run.version_to_train
        model = run.models.registered(version)
        if model is not None:
            if retrain:  # what `run` trained before serves once it is published
                run.models.ask_again(version)
            run.serve(model)
            stage.result = f"{version} was trained on these customers before, {model.k} segments"
            return
        features = clustered_features(run)
        run.warehouse.require(t.CUSTOMER_DAYS, command="features")
        bring_up_to_date(run)  # a run of an earlier date may have been in between
        if run.models.reusable_version is not None:  # whose scores they have
            features = scored_anew(run, features)
        with (
            persisted(without_lists(features)) as features,
            started(
                lambda: cut_points(features),
                lambda: value_model(run, None, lambda: fitted_to(run, features)),
                lambda: _purchase_rates(run, features),
            ) as (cuts_found, value_fitted, rates_found),
        ):
            incumbent = run.models.incumbent
            training = train(
                features,
                run.config.clustering,
                seed=run.config.seed,
                incumbent=incumbent,
                usefulness=hindsight(run),
            )
            if incumbent is None:  # an id that other segments had means nothing else
                highest = run.models.highest_id_elsewhere
                training = training.numbered([highest + segment for segment in training.model.segment_ids])
            assigned = training.model.assign(features)
            cuts, value, rates = cuts_found(), value_fitted(), rates_found()
            profiles, evidence = at_once(
                lambda: segment_profiles(assigned, training.model, derived=undeclared_features(run)),
                lambda: segment_evidence(assigned, rates),
            )
            named_segments = name_segments(
                profiles,
                evidence,
                run.config.segments,
                kept=incumbent.names if incumbent else None,
            )
        named = replace(
            training.model,
            version=version,
            trained_as_of=run.as_of,
            names={segment: named.name for segment, named in named_segments.items()},
            actions={segment: named.action for segment, named in named_segments.items()},
            activities={segment: named.activity for segment, named in named_segments.items()},
            purchase_rates=rates.to_dict(),
            value=value.to_dict(),
            feature_means=feature_means(profiles),
            stability=training.stability,
            cut_points=cuts.to_dict(),
        )
        stage.rows = sum(profile.customers for profile in profiles)
        rows = _lineage_rows(training, incumbent, profiles)
        described = _described(run, named, training) | {"command": "train" if retrain else run.command}
        run.models.register(named, described, lineage=rows)
        run.serve(named)
        stage.result = f"{named.version}: {named.k} segments, {training.description}"
        if incumbent is not None:
            stage.result += f"; segments since {incumbent.trained_as_of}: {describe_lineage(rows)}"
        if copied := log_training(run, named, described):
            stage.result += f"; {copied}"
        for library, why in _not_fitted_by(run, named).items():
            stage.result += f"; fitted without {library}, which can't be used here: {why}"
        for name, why in named.preparation.dropped_.items():
            stage.result += f"; feature {name} was dropped: it {why}"


def _lineage_rows(
    training: Training, incumbent: SegmentationModel | None, profiles: list[Profile]
) -> list[dict[str, Any]]:
    """What became of the incumbent's segments; all are born without one."""
    if training.overlap is None or incumbent is None:
        return first_lineage({each.segment_id: each.customers for each in profiles if each.segment_id != c.NOISE_ID})
    return [{**row, "previous_model_version": incumbent.version} for row in lineage(training.overlap)]


def _purchase_rates(run: Run, features: DataFrame) -> PurchaseRates:
    """How often customers bought before, by their state then, up to the run's date."""
    days = run.warehouse.read(t.CUSTOMER_DAYS).where((F.col("lines") > 0) & (F.col(DAY) < F.lit(run.as_of)))
    return purchase_rates(days, features, as_of=run.as_of, horizon_days=run.config.segments.horizon_days)


def _not_fitted_by(run: Run, model: SegmentationModel) -> dict[str, str]:
    """The libraries that would have fitted the model and can't be used here, each with the reason."""
    problems: dict[str, str | None] = {}
    if ALGORITHMS[model.algorithm].by_mllib:
        problems["MLlib"] = mllib_problem(run.spark)
    if run.config.clustering.gpu:
        is_known = ALGORITHMS[model.algorithm].by_rapids
        problems["RAPIDS"] = rapids_problem(run.spark) if is_known else f"it does not fit {model.algorithm} here"
    return {library: why for library, why in problems.items() if why}


def _described(run: Run, model: SegmentationModel, training: Training) -> dict[str, Any]:
    """What `model_runs` has of a training beside the model."""
    settings = run.config.clustering.model_dump(mode="json", exclude={"features", "algorithm"})
    found = {f"auto_{name}": value for name, value in training.auto_parameters.items()}
    used: dict[str, Any] = {"seed": run.config.seed, **found}
    used |= {f"without_{library.lower()}": why for library, why in _not_fitted_by(run, model).items()}
    return {
        "parameters": {name: json.dumps(value) for name, value in (settings | used).items()},
        "quality": training.quality,
        "candidates": training.candidate_rows(),
        "code_version": __version__,
        "data_version": run.inputs.versions[t.TRANSACTIONS.name],
    }
