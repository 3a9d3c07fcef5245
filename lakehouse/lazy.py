"""Libraries that take long to load, each loaded when something of it is first asked for.

What only reads declarations and table logs, such as `lakehouse plan`, needs none of them.
"""

from __future__ import annotations

import pkgutil
from functools import cached_property
from typing import TYPE_CHECKING, Any

__all__ = ["DataFrame", "F", "SparkSession", "Window", "pa", "spark_errors", "spark_types"]

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import errors as spark_errors
    from pyspark.sql import DataFrame, SparkSession, Window
    from pyspark.sql import functions as F
    from pyspark.sql import types as spark_types
else:

    class _Lazy:
        """Stands for a module, or a class `module:name`, until an attribute of it is asked for."""

        def __init__(self, place: str) -> None:
            self.place = place

        @cached_property
        def loaded(self) -> Any:
            return pkgutil.resolve_name(self.place)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.loaded, name)

    pa = _Lazy("pyarrow")
    spark_errors = _Lazy("pyspark.errors")
    DataFrame = _Lazy("pyspark.sql:DataFrame")
    SparkSession = _Lazy("pyspark.sql:SparkSession")
    Window = _Lazy("pyspark.sql:Window")
    F = _Lazy("pyspark.sql.functions")
    spark_types = _Lazy("pyspark.sql.types")
