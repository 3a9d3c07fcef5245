"""The small shop for tests in which something goes wrong: declared, and as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.again import small
from tests.again.house import conf_folder
from tests.again.small import Undisturbed


@pytest.fixture(scope="session")
def shop_conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's declarations."""
    return conf_folder(tmp_path_factory.mktemp("shop") / "conf")


@pytest.fixture(scope="session")
def undisturbed(
    spark: SparkSession, shop_conf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    """The shop after each small delivery, as it is when nothing happens."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_CONF", str(shop_conf))
        return small.undisturbed(spark, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def in_the_shop(shop_conf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shop is the project's declarations during a test."""
    monkeypatch.setenv("LAKEHOUSE_CONF", str(shop_conf))
    return shop_conf
