"""`customer_features` to a registered model in `model_runs`, or the model that serves on."""

import json
from dataclasses import replace

from customer_segmentation import __version__
from customer_segmentation.clustering.base import SegmentationModel
from customer_segmentation.clustering.dbscan import DBSCANModel, core_point_rows
from customer_segmentation.clustering.training import Training, train
from customer_segmentation.contract import columns as c
from customer_segmentation.contract import tables as t
from customer_segmentation.features.rfm import cut_points
from customer_segmentation.insight.naming import segment_names
from customer_segmentation.insight.profiles import segment_profiles
from customer_segmentation.spark.holding import held
from customer_segmentation.stages.run import Run


def train_segments(run: Run, *, anew: bool = False) -> None:
    """Train on the run's customers, name the segments and register the model, what it needs first.

    Args:
        anew: train even where a registered model is young enough to serve on.
    """
    with run.progress.stage("train", "choosing and fitting segments") as stage:
        model = None if anew else run.young_model
        if model is not None:
            stage.result = f"{model.version} of {model.trained_as_of} serves on, {model.k} segments"
            return
        with held(run.features()) as features:
            training = train(features, run.config.clustering, seed=run.config.seed)
            found = segment_profiles(training.model.assign(features), training.model)
            cuts = cut_points(features)
        settings = run.config.clustering
        named = replace(
            training.model,
            version=f"{settings.algorithm}-{run.as_of:%Y%m%d}-{run.model_settings}",
            trained_as_of=run.as_of,
            names=segment_names(found),
            stability=training.stability,
            cut_points=cuts.as_dict(),
        )
        _register(run, named, training)
        stage.result = f"{named.version}: {named.k} segments, {training.structure.word}"
        for name, why in named.preparation.dropped.items():
            stage.result += f"; {name} left out, it {why}"


def _register(run: Run, model: SegmentationModel, training: Training) -> None:
    settings = run.config.clustering.model_dump(mode="json", exclude={"features", "algorithm"})
    found = {"seed": run.config.seed, **{f"found_{name}": value for name, value in training.found.items()}}
    row = {
        c.MODEL_VERSION: model.version,
        "algorithm": model.algorithm,
        "k": model.k,
        "trained_as_of": model.trained_as_of,
        "parameters": {name: json.dumps(value) for name, value in (settings | found).items()},
        "features": model.preparation.names,
        "quality": training.quality,
        "candidates": training.candidate_rows(),
        "model": model.to_json(),
        "code_version": __version__,
        "data_version": run.input_versions[t.TRANSACTIONS.name],
        "configuration": run.model_settings,
    }
    if isinstance(model, DBSCANModel):
        points = core_point_rows(model)
        run.warehouse.replace(t.MODEL_CORE_POINTS, points, column=c.MODEL_VERSION, value=model.version)
    run.warehouse.replace_row(t.MODEL_RUNS, row, column=c.MODEL_VERSION, value=model.version)
    run.newest_model = model
