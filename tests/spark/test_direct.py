"""What this process writes and reads by itself is what Spark would; the rest is left to Spark."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse import commits, config, direct, scan
from lakehouse.commits import Point, metadata
from lakehouse.dictionary import Comments
from lakehouse.direct import DirectWriter
from lakehouse.merge import DELETE, Writer
from lakehouse.session import fork, values
from lakehouse.tables import Tables
from tests.spark.lake import log, writer

META = metadata("r1", "definition", {})
TABLE = "silver.things"
ODD = [
    "A B",
    "Ear, Nose & Throat",
    "Ob/Gyn",
    "50%",
    "x%20y",
    "ü",
    "a:b",
    "p=q",
    "O'Hara",
    'q"t',
    "#",
]


@pytest.fixture
def ours(spark: SparkSession, tmp_path: Path) -> Writer:
    return writer(spark, tmp_path / "warehouse")


@pytest.fixture
def theirs(spark: SparkSession, tmp_path: Path) -> Writer:
    return writer(spark, tmp_path / "spark", Writer)


def kinds(writer: Writer) -> DataFrame:
    """Rows with a value of every type that tables have, at its edges too."""
    return writer.spark.sql(
        """
        select * from values
            ('a', 1, 10000000000L, 1.5d, 12345678901234.56bd, true, date'0001-01-01',
             timestamp'9999-12-31 23:59:59.999999', array('x', null), named_struct('n', 1L)),
            ('b', null, null, null, null, null, null, null, null, null),
            ('', -1, -1L, -0.0d, -0.01bd, false, date'9999-12-31',
             timestamp'1583-01-01 00:00:00', array(), named_struct('n', null))
        as t (id, small, big, real, money, flag, day, moment, many, one)
        """
    )


def said(writer: Writer) -> list[str]:
    """Every row, as Spark's own Delta reader gives it, as text."""
    return texts(writer.spark.read.format("delta").load(str(writer.tables.path(TABLE))))


def texts(frame: DataFrame) -> list[str]:
    """Every row as text."""
    return sorted(row["said"] for row in frame.selectExpr("to_json(struct(*)) as said").collect())


def test_every_value_is_stored_as_spark_stores_it(ours: Writer, theirs: Writer) -> None:
    for one in (ours, theirs):
        one.create(TABLE, kinds(one), META, private=["money"])
        one.append(TABLE, kinds(one).where("id = 'a'"), META, 0)
    assert said(ours) == said(theirs)
    mine, other = (scan.frame(one.spark, one.tables, TABLE) for one in (ours, theirs))
    assert texts(mine) == texts(other) == said(theirs)
    assert mine.schema == other.schema
    (added,) = log(ours, TABLE)[0].of("add")
    assert "money" not in json.loads(added["stats"])["minValues"]


def test_odd_partitions_are_read_as_they_were_written(ours: Writer, theirs: Writer) -> None:
    rows = values([(str(n), name) for n, name in enumerate([*ODD, None])], "id STRING, ward STRING")
    for one in (ours, theirs):
        one.create(TABLE, rows, META, partition_by=["ward"])
        found = scan.frame(one.spark, one.tables, TABLE).select("id", "ward").collect()
        assert {row["id"]: row["ward"] for row in found} == dict(
            zip(map(str, range(len(ODD) + 1)), [*ODD, None], strict=True)
        )


def made_by(writer: Writer) -> list[str]:
    """Who made each commit of the table."""
    place = writer.tables.path(TABLE)
    assert place is not None
    infos = [
        json.loads(line)["commitInfo"]
        for path in sorted(place.glob("_delta_log/*.json"))
        for line in path.read_text("utf-8").splitlines()
        if "commitInfo" in line
    ]
    return ["delta-rs" if "delta-rs" in info["engineInfo"] else "Spark" for info in infos]


def test_what_is_too_large_is_left_to_spark(ours: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    ours.create(TABLE, kinds(ours), META)
    monkeypatch.setattr(scan, "MOST", 0)
    deleted = kinds(ours).where("id = 'a'").selectExpr("*", f"true as {DELETE}")
    ours.append(TABLE, kinds(ours).where("id = 'b'"), META, 0)
    ours.apply(TABLE, deleted, ["id"], META)
    ours.sync(TABLE, kinds(ours), ["id"], META)
    ours.optimize(TABLE, ["id"], META)
    ours.create(TABLE, kinds(ours), META)
    assert made_by(ours) == ["delta-rs", *["Spark"] * 5]
    assert scan.frame(ours.spark, ours.tables, TABLE).count() == 3


def test_other_columns_words_or_properties_are_spark_s_to_set(ours: Writer) -> None:
    assert isinstance(ours, DirectWriter)
    ours.create(TABLE, kinds(ours), META)
    ours.create(TABLE, kinds(ours).drop("real"), META)
    ours.comments = {TABLE: Comments("Things.", {"id": "its name"})}
    ours.create(TABLE, kinds(ours).drop("real"), META)
    ours.create(TABLE, kinds(ours).drop("real"), META, private=["id"])
    ours.create(TABLE, kinds(ours).drop("real"), META, private=["id"])
    assert made_by(ours) == ["delta-rs", "Spark", "Spark", "Spark", "delta-rs"]
    (field, *_) = scan.frame(ours.spark, ours.tables, TABLE).schema
    assert field.metadata == {"comment": "its name"}


def test_a_table_of_no_rows_can_be_made_and_read(ours: Writer) -> None:
    ours.create(TABLE, kinds(ours).where("false"), META)
    assert scan.frame(ours.spark, ours.tables, TABLE).count() == 0
    ours.append(TABLE, kinds(ours), META, 0)
    assert made_by(ours) == ["delta-rs"] * 2
    assert scan.frame(ours.spark, ours.tables, TABLE).count() == 3


def test_a_merge_that_changes_nothing_is_told_by_a_mark(ours: Writer) -> None:
    ours.create(TABLE, kinds(ours), META)
    again = metadata("r2", "definition", {"bronze.things": Point(2, "r2")})
    ours.sync(TABLE, kinds(ours), ["id"], again)
    gone = (
        kinds(ours).where("id = 'a'").selectExpr("'no' as id", f"true as {DELETE}", "* except (id)")
    )
    ours.apply(TABLE, gone, ["id"], again)
    state = commits.state(ours.spark, ours.tables, TABLE)
    assert state is not None
    assert (state.version, state.meta["run_id"], state.content) == (2, "r2", Point(0, "r1"))
    assert state.inputs == {"bronze.things": Point(2, "r2")}


def test_a_folder_with_an_odd_name_is_left_to_spark(spark: SparkSession, tmp_path: Path) -> None:
    tables = Tables(config.settings("hospital", warehouse=str(tmp_path / "a b%20[1]")))
    one = direct.writer(fork(spark), tables)
    tables.register(one.spark, writing=True)
    assert type(one) is Writer
    one.create(TABLE, kinds(one), META)
    one.append(TABLE, kinds(one), META, 0)
    assert scan.frame(one.spark, tables, TABLE).count() == 6


def test_columns_keep_their_order_whichever_way_they_are_read(ours: Writer) -> None:
    ours.create(TABLE, kinds(ours), META, partition_by=["small"])
    assert scan.frame(ours.spark, ours.tables, TABLE).columns == kinds(ours).columns


def test_a_clustered_table_is_spark_s_to_write(ours: Writer) -> None:
    assert isinstance(ours, DirectWriter)

    def clustered() -> list[str]:
        place = ours.tables.path(TABLE)
        detail = ours.spark.sql(f"DESCRIBE DETAIL delta.`{place}`").collect()[0]
        return list(detail["clusteringColumns"])

    ours.create(TABLE, kinds(ours), META, cluster_by=["small"])
    assert clustered() == ["small"]
    ours.append(TABLE, kinds(ours).withColumn("id", F.concat("id", F.lit("2"))), META, 0)
    late = kinds(ours).where("id = 'a'").withColumns({"small": F.lit(9), DELETE: F.lit(False)})
    ours.apply(TABLE, late, ["id"], metadata("r2", "definition", {}))
    ours.optimize(TABLE, [], commits.maintenance("r2"))
    state = commits.state(None, ours.tables, TABLE)
    assert state is not None
    ours.mark(TABLE, state.kept(**metadata("r3", "definition", {})))
    assert made_by(ours) == ["Spark"] * 5
    assert scan.frame(ours.spark, ours.tables, TABLE).where("small = 9").count() == 1
    assert clustered() == ["small"]
    ours.create(TABLE, kinds(ours), META)
    assert clustered() == []


def test_rows_put_aside_are_not_computed_again(ours: Writer) -> None:
    kept = ours.put_aside(kinds(ours), "somewhere", "r1")
    with mock.patch.object(ours, "put_aside", wraps=ours.put_aside) as put_aside:
        ours.create(TABLE, kept, META)
        ours.append(TABLE, kept.where("id = 'a'"), META, 0)
    again = [call.args[1] for call in put_aside.call_args_list]
    assert again == [f"rows.{TABLE}"]
    assert scan.frame(ours.spark, ours.tables, TABLE).count() == 4
