"""`customer_features` to a registered model in `model_runs`, or the model that serves on."""

import json
from dataclasses import replace

from customer_segmentation import __version__
from customer_segmentation.clustering import SegmentationModel
from customer_segmentation.clustering.training import Training, train
from customer_segmentation.contract import tables as t
from customer_segmentation.features.rfm_scores import cut_points
from customer_segmentation.insight.naming import segment_names
from customer_segmentation.insight.profiles import segment_profiles
from customer_segmentation.spark.persistence import persisted
from customer_segmentation.stages.features import clustered_features
from customer_segmentation.stages.run import Run


def train_segments(run: Run, *, retrain: bool = False) -> None:
    """Train on the run's customers, name the segments and register the model, what it needs first.

    Args:
        retrain: train even where a registered model is young enough to serve on.
    """
    with run.progress.stage("train", "choosing and fitting segments") as stage:
        model = None if retrain else run.models.reusable
        if model is not None:
            stage.result = f"{model.version} of {model.trained_as_of} serves on, {model.k} segments"
            return
        with persisted(clustered_features(run)) as features:
            training = train(features, run.config.clustering, seed=run.config.seed)
            assigned = training.model.assign(features)
            profiles = segment_profiles(assigned, training.model, derived=list(run.config.features.derived))
            cuts = cut_points(features)
        named = replace(
            training.model,
            version=f"{training.model.algorithm}-{run.as_of:%Y%m%d}-{run.models.settings}",
            trained_as_of=run.as_of,
            names=segment_names(profiles),
            stability=training.stability,
            cut_points=cuts.as_dict(),
        )
        _register(run, named, training)
        stage.result = f"{named.version}: {named.k} segments, {training.description}"
        for name, why in named.preparation.dropped_.items():
            stage.result += f"; {name} left out, it {why}"


def _register(run: Run, model: SegmentationModel, training: Training) -> None:
    settings = run.config.clustering.model_dump(mode="json", exclude={"features", "algorithm", "segments"})
    used = {"seed": run.config.seed, **{f"found_{name}": value for name, value in training.auto_parameters.items()}}
    row = {
        "parameters": {name: json.dumps(value) for name, value in (settings | used).items()},
        "quality": training.quality,
        "candidates": training.candidate_rows(),
        "code_version": __version__,
        "data_version": run.inputs.versions[t.TRANSACTIONS.name],
    }
    run.models.register(model, row)
