"""Treatments with their planted dirt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from data_gen.defects import (
    BAD_COSTS,
)
from data_gen.delivery import EntityFile
from data_gen.vocabulary import (
    MAPPED_TYPES,
    TYPE_NAMES,
    UNKNOWN_TYPE,
)
from data_gen.ward import TreatmentRow, VisitRow, Ward


def _negative_cost(row: TreatmentRow, ward: Ward) -> None:
    row.cost = f"-{row.cost}" if ward.rng.random() < 0.5 else f"({row.cost})"
    row.reasons = ("negative_cost",)


def _bad_cost(row: TreatmentRow, ward: Ward) -> None:
    row.cost, row.reasons = ward.rng.choice(BAD_COSTS), ("bad_cost",)


def _orphan_visit(row: TreatmentRow, ward: Ward) -> None:
    row.visit_id, row.reasons = ward.orphan(2), ("orphan_visit",)


def _null_visit_id(row: TreatmentRow, ward: Ward) -> None:
    row.visit_id, row.reasons = "", ("null_visit_id",)


def _treatment_null_pk(row: TreatmentRow, ward: Ward) -> None:
    row.key, row.reasons = "", ("null_pk",)


def _null_pk_negative_cost(row: TreatmentRow, ward: Ward) -> None:
    row.key, row.cost, row.reasons = "", f"-{row.cost}", ("null_pk", "negative_cost")


def _priced(row: TreatmentRow, text: str, cents: int | None) -> None:
    row.cost, row.truth = text, row.truth._replace(cents=cents)


def _unpriced(row: TreatmentRow, ward: Ward) -> None:
    _priced(row, ward.rng.choice(("", "", " ")), None)


def _zero_cost(row: TreatmentRow, ward: Ward) -> None:
    _priced(row, ward.rng.choice(("0", "0.00", "0.0")), 0)


def _cost_with_dollar(row: TreatmentRow, ward: Ward) -> None:
    cents = 100_000 + 50 * ward.rng.randrange(2_000)
    _priced(row, f"${cents // 100:,}.{cents % 100:02d}", cents)


def _cost_padded(row: TreatmentRow, ward: Ward) -> None:
    cents = 8_850 + 10 * ward.rng.randrange(300)
    _priced(row, f" {cents // 100}.{cents % 100 // 10} ", cents)


def _cost_with_prefix(row: TreatmentRow, ward: Ward) -> None:
    row.cost = f"USD {row.cost}"


def _type_unmapped(row: TreatmentRow, ward: Ward) -> None:
    code = len(MAPPED_TYPES) + (ward.rng.random() < 0.5)
    row.kind, row.truth = f"{TYPE_NAMES[code]} ", row.truth._replace(kind=code)
    row.warnings = ("treatment_type_unmapped",)


def _type_blank(row: TreatmentRow, ward: Ward) -> None:
    row.kind, row.truth = "", row.truth._replace(kind=UNKNOWN_TYPE)


def _treatment_id_lower(row: TreatmentRow, ward: Ward) -> None:
    row.key, row.visit_id = f" {row.key.lower()}", f"{row.visit_id.lower()} "


TREATMENT_EDITS: dict[str, Callable[[TreatmentRow, Ward], None]] = {
    "negative_cost": _negative_cost,
    "negative_cost_copied": _negative_cost,
    "bad_cost": _bad_cost,
    "repaired_later": _bad_cost,
    "orphan_visit": _orphan_visit,
    "null_visit_id": _null_visit_id,
    "null_pk": _treatment_null_pk,
    "null_pk_negative_cost": _null_pk_negative_cost,
    "unpriced": _unpriced,
    "zero_cost": _zero_cost,
    "cost_with_dollar": _cost_with_dollar,
    "cost_padded": _cost_padded,
    "cost_with_prefix": _cost_with_prefix,
    "type_unmapped": _type_unmapped,
    "type_blank": _type_blank,
    "id_lower": _treatment_id_lower,
}
COPIES = {"exact_copy": 1, "exact_copy_twice": 2, "negative_cost_copied": 1}
OVERTAKEN = ("corrected_later", "restored_later")
CHANGED_LATER = (*OVERTAKEN, "resent_later", "correction_fails", "repaired_later")


def _write_older(row: TreatmentRow, file: EntityFile) -> None:
    older = replace(row, kind="Medication" if row.truth.kind else "MRI", cost="")
    file.lose(older.fields(), row.clean_key, "superseded", ())


def _write_itself(row: TreatmentRow, visit: VisitRow, kind: str, file: EntityFile) -> None:
    if kind in OVERTAKEN:
        file.yield_later(row.fields(), row.clean_key)
    elif kind == "repaired_later":
        file.mend_later(row.fields(), row.clean_key, row.reasons)
    elif row.reasons or visit.reasons:
        reasons = row.reasons or ("parent_quarantined",)
        file.lose(row.fields(), row.clean_key, "quarantined", reasons)
    elif visit.waits:
        file.wait(row.fields(), row.clean_key, "parent_quarantined", row.warnings)
    else:
        file.keep(row.fields(), row.warnings)


def write_treatment(
    row: TreatmentRow, visit: VisitRow, kind: str, ward: Ward, file: EntityFile
) -> bool:
    """Write the treatment with its lesser copies and tell whether it is accepted with its visit."""
    if kind == "changed_copy":
        _write_older(row, file)
    _write_itself(row, visit, kind, file)
    for _ in range(COPIES.get(kind, 0)):
        file.lose(row.fields(), row.clean_key, "duplicate", ())
    if kind in CHANGED_LATER:
        ward.changed_later.append((kind, visit, row))
    return not (row.reasons or visit.reasons)
