"""A session that is there already, and takes no options from a builder, as one of Databricks Connect."""

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from customer_segmentation.config.schema import Spark
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.spark.session import get_session
from customer_segmentation.spark.settings import changed

ZONE = "spark.sql.session.timeZone"


@pytest.fixture
def existing(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> SparkSession:
    """The suite's session, which takes no options from a builder."""
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "18.0")
    monkeypatch.setattr(type(SparkSession.builder), "getOrCreate", lambda builder: spark)
    return spark


def test_what_results_rest_on_and_the_configured_settings_are_set_in_it(
    existing: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        changed(existing, ZONE, "America/New_York"),
        changed(existing, "spark.sql.ansi.enabled", "false"),
        changed(existing, "spark.sql.files.maxPartitionBytes", "1000000"),
    ):
        session = get_session(Spark(conf={"spark.sql.files.maxPartitionBytes": "2000000"}))

        assert session is existing
        assert session.conf.get(ZONE) == "UTC"
        assert session.conf.get("spark.sql.ansi.enabled") == "true"
        assert session.conf.get("spark.sql.files.maxPartitionBytes") == "2000000"
    assert caplog.text == ""


def test_a_configured_setting_that_stays_another_is_named_without_its_value(
    existing: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    get_session(Spark(conf={"spark.sql.warehouse.dir": "/somewhere/else"}))

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "spark.sql.warehouse.dir" in caplog.text
    assert "/somewhere/else" not in caplog.text


def test_a_time_zone_that_can_not_be_made_utc_is_an_error_and_other_settings_of_the_library_are_not(
    existing: SparkSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> None:
        raise PySparkException("[CONFIG_NOT_AVAILABLE] Configuration is not available.")

    with changed(existing, "spark.sql.ansi.enabled", "false"), monkeypatch.context() as patch:
        patch.setattr(type(existing.conf), "set", refused)
        assert get_session() is existing
    assert caplog.text == ""
    with changed(existing, ZONE, "America/New_York"), monkeypatch.context() as patch:
        patch.setattr(type(existing.conf), "set", refused)
        with pytest.raises(ConfigurationError, match="time zone of the Spark session is America/New_York"):
            get_session()
