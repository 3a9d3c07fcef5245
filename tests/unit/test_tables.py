"""Where tables answer to their names, as far as it can be told without Spark."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pyspark.sql import SparkSession

from lakehouse import config
from lakehouse.tables import LAYERS, Tables


class Asked:
    """Stands for a session, and keeps the SQL that it is given."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def sql(self, text: str) -> Any:
        self.statements.append(text)


@pytest.mark.parametrize("writing", [False, True])
def test_in_a_catalog_a_name_with_its_layer_is_enough(writing: bool) -> None:
    """`select * from gold.x` means the catalog of the run, not the one the session began with."""
    asked = Asked()
    run = config.settings("hospital", env="databricks", warehouse="lakehouse_trial")
    Tables(run).register(cast(SparkSession, asked), writing=writing)
    made = [f"CREATE SCHEMA IF NOT EXISTS lakehouse_trial.{layer}" for layer in LAYERS]
    assert asked.statements == ["USE CATALOG lakehouse_trial", *(made if writing else [])]
