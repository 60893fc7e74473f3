"""A configuration names environment variables where it needs secrets, and holds none."""

from pathlib import Path

import pytest

from customer_segmentation.cli import main
from customer_segmentation.config import load_config
from customer_segmentation.config.schema import Spark
from customer_segmentation.config.secrets import is_secret_name
from customer_segmentation.contract.errors import ConfigurationError
from customer_segmentation.spark.session import get_session

SHOP = "sources.transactions={path: x, columns: {customer_id: a, order_id: b, ordered_at: c, amount: d}}"
DATABASE = SHOP.replace("path: x", "format: jdbc, table: t, options: {url: 'URL'}")
SECRET = "hunter2"


def rejected(tmp_path: Path, *settings: str) -> str:
    empty = tmp_path / "empty.yml"
    empty.touch()
    with pytest.raises(ConfigurationError) as told:
        load_config([empty], settings)
    return str(told.value)


@pytest.mark.parametrize(
    ("setting", "key"),
    [
        ("sources.transactions.options.password=hunter2", "sources.transactions.options.password"),
        ("sources.transactions.options.PassWord='hunter2'", "sources.transactions.options.PassWord"),
        ("sources.transactions.options.sslpassword=hunter2", "sources.transactions.options.sslpassword"),
        ("sources.transactions.options.accessToken=hunter2", "sources.transactions.options.accessToken"),
        (
            "sources.transactions.joins={path: y, using: [a], options: {pwd: hunter2}}",
            "sources.transactions.joins.options.pwd",
        ),
        ("sources.transactions.path=https://shop:hunter2@host/x", "sources.transactions.path"),
        ("sources.transactions.path='https://host/x?sig=hunter2'", "sources.transactions.path"),
        ("tables.root=s3a://key:hunter2@bucket/x", "tables.root"),
        ("generate.path=ftp://key:hunter2@host", "generate.path"),
        ("spark.conf.spark.hadoop.fs.s3a.secret.key=hunter2", "spark.conf"),
        ("spark.conf.spark.hadoop.fs.s3a.access.key=hunter2", "spark.conf"),
        ("spark.conf.spark.hadoop.fs.azure.account.key.x.dfs.core.windows.net=hunter2", "spark.conf"),
        ("spark.conf.spark.driver.extraJavaOptions='-Djavax.net.ssl.keyStorePassword=hunter2'", "spark.conf"),
        (DATABASE.replace("URL", "jdbc:mysql://h/d?user=u&password=hunter2"), "sources.transactions.options.url"),
        (DATABASE.replace("URL", "jdbc:postgresql://shop:hunter2@h/d"), "sources.transactions.options.url"),
        (DATABASE.replace("URL", "jdbc:sqlserver://h;database=d;password=hunter2"), "sources.transactions.options.url"),
        (DATABASE.replace("URL", "jdbc:oracle:thin:shop/hunter2@//h:1521/d"), "sources.transactions.options.url"),
    ],
)  # fmt: skip
def test_a_secret_in_a_configuration_is_rejected_by_its_key_and_not_shown(
    tmp_path: Path, setting: str, key: str
) -> None:
    settings = [setting] if "jdbc" in setting else [SHOP, setting]

    message = rejected(tmp_path, *settings)

    assert f"  - {key}" in message
    assert "environment" in message
    assert SECRET not in message


def test_numbers_are_passwords_too(tmp_path: Path) -> None:
    message = rejected(tmp_path, SHOP, "sources.transactions.options.password=20251126")

    assert "sources.transactions.options.password: is a secret" in message
    assert "20251126" not in message


@pytest.mark.parametrize(
    "setting",
    [
        "spark.conf.spark.hadoop.fs.s3a.aws.credentials.provider=com.amazonaws.auth.ProfileCredentialsProvider",
        "spark.conf.spark.hadoop.hadoop.security.credential.provider.path=jceks://hdfs/shop.jceks",
        "spark.conf.spark.security.credentials.hive.enabled=false",
        "spark.conf.spark.kubernetes.driver.secretKeyRef.S3_KEY=shop:key",
        "spark.conf.spark.kubernetes.driver.secrets.shop=/etc/secrets",
        "spark.conf.spark.authenticate.secret.file=/etc/secret",
        "spark.conf.spark.redaction.regex='(?i)secret|password'",
        "spark.conf.spark.sql.adaptive.enabled=false",
        "sources.transactions.options.sep=;",
        "sources.transactions.options.password=''",
        "sources.transactions.path=abfss://lake@shop.dfs.core.windows.net/orders",
        "tables.root=s3a://bucket/warehouse",
        "spark.environment.spark.hadoop.fs.s3a.secret.key=S3_SECRET",
    ],
)
def test_what_only_says_where_a_secret_is_may_stand_there(tmp_path: Path, setting: str) -> None:
    empty = tmp_path / "empty.yml"
    empty.touch()

    load_config([empty], [SHOP, setting])


@pytest.mark.parametrize("name", ["password", "sfPassword", "sasToken", "fs.s3a.session.token", "sas", "privateKey"])
def test_secrets_are_known_by_their_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["user", "url", "header", "disassemble", "fetchsize", "passThrough", "sasl.mechanism"])
def test_other_names_are_not_taken_for_secrets(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("section", ["sources.transactions", "spark"])
def test_a_variable_that_is_not_set_is_told_before_spark_starts(
    tmp_path: Path, section: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_SECRET", raising=False)
    empty = tmp_path / "empty.yml"
    empty.touch()
    arguments = ["check", "--config", str(empty), "--set", SHOP, "--set", f"{section}.environment.password=SHOP_SECRET"]

    assert main(arguments) == 2
    assert f"{section}.environment: the environment variable SHOP_SECRET is not set" in capsys.readouterr().err


def test_spark_is_not_started_without_a_variable_that_its_settings_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_SECRET", raising=False)

    with pytest.raises(ConfigurationError, match="SHOP_SECRET is not set"):
        get_session(Spark(environment={"spark.hadoop.x": "SHOP_SECRET"}))
