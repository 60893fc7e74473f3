"""Fetches the few jars that Delta needs once, and those of configured packages, and keeps them.

Spark's own resolver (`spark.jars.packages`) would bring 87 MB, most of which Spark already has, and
resolve at every start. Ivy, which comes with Spark, is asked for just these instead.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from customer_segmentation.contract.errors import CustomerSegmentationError
from customer_segmentation.spark.prerequisites import java_command, java_problem

Artifact = tuple[str, str, str]
"""Group, name and version of a jar."""

DELTA_VERSION = "4.4.0"
UNITY_CATALOG_VERSION = "0.6.0"
_SCALA = "2.13"


def delta_jars() -> list[Path]:
    """The jars that Delta needs beside Spark's own, fetched from Maven Central when not yet here.

    They are kept in `$CUSTOMER_SEGMENTATION_CACHE`, by default `~/.cache/customer-segmentation`.

    Raises:
        CustomerSegmentationError: they are not here and can't be fetched.
    """
    import pyspark

    spark_line = ".".join(pyspark.__version__.split(".")[:2])
    return _cached(_artifacts(spark_line), f"delta-{DELTA_VERSION}-spark-{spark_line}", "Delta's jars (13 MB, once)")


def package_jars(packages: Iterable[str]) -> list[Path]:
    """The jars of Maven packages such as `org.postgresql:postgresql:42.7.4`, kept like Delta's.

    A package is the one jar, without those it depends on: a database driver needs no other.

    Raises:
        CustomerSegmentationError: one is not here and can't be fetched.
    """
    jars = []
    for package in packages:
        group, name, version = package.split(":")
        jars += _cached([(group, name, version)], f"{group}-{name}-{version}", f"{package} (once)")
    return jars


def _cached(wanted: list[Artifact], name: str, description: str) -> list[Path]:
    import pyspark

    home = cache_folder() / name
    if not home.is_dir():
        print(f"Fetching {description} ...", file=sys.stderr)
        _fetch(wanted, home, Path(pyspark.__file__).parent / "jars")
    return [home / f"{name}-{version}.jar" for _, name, version in wanted]


def cache_folder() -> Path:
    """Where what is fetched or made once per machine is kept."""
    named = os.environ.get("CUSTOMER_SEGMENTATION_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "customer-segmentation"


def _artifacts(spark_line: str) -> list[Artifact]:
    delta = [
        f"delta-spark_{spark_line}_{_SCALA}",
        "delta-storage",
        "delta-kernel-api",
        "delta-kernel-defaults",
        "delta-kernel-unitycatalog",
    ]
    unity = ["unitycatalog-client", "unitycatalog-hadoop"]
    return [("io.delta", name, DELTA_VERSION) for name in delta] + [
        ("io.unitycatalog", name, UNITY_CATALOG_VERSION) for name in unity
    ]


def _fetch(wanted: list[Artifact], home: Path, spark_jars: Path) -> None:
    problem = java_problem()
    if problem:
        raise CustomerSegmentationError(problem)
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        work = Path(folder)
        (work / "settings.xml").write_text(
            '<ivysettings><settings defaultResolver="central"/>'
            '<resolvers><ibiblio name="central" m2compatible="true"/></resolvers></ivysettings>'
        )
        dependencies = "".join(
            f'<dependency org="{org}" name="{name}" rev="{version}" transitive="false" conf="default->master"/>'
            for org, name, version in wanted
        )
        (work / "ivy.xml").write_text(
            '<ivy-module version="2.0"><info organisation="customer-segmentation" module="jars"/>'
            '<configurations><conf name="default"/></configurations>'
            f"<dependencies>{dependencies}</dependencies></ivy-module>"
        )
        command = [
            java_command() or "java",
            *("-cp", str(next(spark_jars.glob("ivy-*.jar"))), "org.apache.ivy.Main", "-error"),
            *("-settings", str(work / "settings.xml"), "-ivy", str(work / "ivy.xml"), "-cache", str(work / "ivy")),
            *("-retrieve", str(work / "jars" / "[artifact]-[revision].[ext]")),
        ]
        result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        missing = [n for _, n, v in wanted if not (work / "jars" / f"{n}-{v}.jar").is_file()]
        if result.returncode or missing:
            detail = next((line.strip() for line in result.stdout.splitlines() if "not found" in line), "no answer")
            raise CustomerSegmentationError(
                f"{', '.join(missing)} could not be fetched from Maven Central ({detail}). Check the network, or name "
                "jars that are already here: --set 'spark.conf={spark.jars: /path/delta-spark.jar,...}'"
            )
        try:
            (work / "jars").rename(home)
        except OSError:  # another process was faster; its jars are the same
            shutil.rmtree(work / "jars", ignore_errors=True)


if __name__ == "__main__":
    try:
        print(",".join(str(jar) for jar in delta_jars()))
    except CustomerSegmentationError as error:
        sys.exit(str(error))
