"""Where tables answer to their names, as far as it can be told without Spark."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pyspark.sql import SparkSession

from lakehouse import config
from lakehouse.tables import LAYERS, Tables


class Asked:
    """Stands for a session with one schema, and keeps what it is asked to do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @property
    def catalog(self) -> Asked:
        return self

    def sql(self, text: str) -> Any:
        self.done.append(text)

    def setCurrentCatalog(self, name: str) -> None:
        self.done.append(f"use {name}")

    def databaseExists(self, name: str) -> bool:
        return name == "`lakehouse_trial`.gold"


@pytest.mark.parametrize("writing", [False, True])
def test_in_a_catalog_a_name_with_its_layer_is_enough(writing: bool) -> None:
    """`select * from gold.x` means the catalog of the run, not the one the session began with."""
    asked = Asked()
    run = config.settings("hospital", env="databricks", warehouse="lakehouse_trial")
    Tables(run).register(cast(SparkSession, asked), writing=writing)
    missing = [f"`lakehouse_trial`.{layer}" for layer in LAYERS if layer != "gold"]
    made = [f"CREATE SCHEMA IF NOT EXISTS {schema}" for schema in missing]
    assert asked.done == ["use lakehouse_trial", *(made if writing else [])]
