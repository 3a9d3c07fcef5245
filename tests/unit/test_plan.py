"""What is due and why: a table is built again when, and only when, its rows could come out otherwise."""

# ruff: noqa: E501  - a case of a table stands in one line

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from lakehouse import commits, plan
from lakehouse import domain as domains
from lakehouse.commits import Commit, Point, State, metadata
from lakehouse.config import Environment, Run
from lakehouse.errors import ConfigError
from lakehouse.plan import Step

ROOT = Path(__file__).parents[2]
Edit = tuple[str, str, str]


@pytest.fixture(scope="module")
def steps() -> dict[str, Step]:
    """The steps of the hospital."""
    return plan.steps(domains.load(ROOT / "conf", "hospital"))


@pytest.fixture
def after(conf: Path) -> Callable[[Edit], dict[str, Step]]:
    """The steps after an edit: (file, text that stands once, its replacement)."""

    def edited(edit: Edit) -> dict[str, Step]:
        name, old, new = edit
        path = conf / "hospital" / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return plan.steps(domains.load(conf, "hospital"))

    return edited


def redefined(before: dict[str, Step], now: dict[str, Step], *layers: str) -> set[str]:
    """Tables of these layers whose definition is another."""
    changed = {t for t in before if t not in now or now[t].definition != before[t].definition}
    return {table for table in changed if table.split(".")[0] in layers}


# -- order -----------------------------------------------------------------------------------------


def test_every_table_comes_after_what_it_reads(steps: dict[str, Step]) -> None:
    order = list(steps)
    for table, step in steps.items():
        for needed in step.inputs:
            made_by = needed.replace("quarantine.", "silver.")
            assert order.index(made_by) < order.index(table), f"{table} before {made_by}"


def test_every_declared_table_is_a_step(steps: dict[str, Step]) -> None:
    hospital = domains.load(ROOT / "conf", "hospital")
    layers = {
        layer: [s.name for s in steps.values() if s.layer == layer] for layer in ("silver", "gold")
    }
    assert set(layers["silver"]) == set(hospital.entities)
    assert set(layers["gold"]) == set(hospital.gold)
    assert sum(step.layer == "bronze" for step in steps.values()) == 15


def test_a_child_waits_for_its_parents_rows_and_for_those_held_back(steps: dict[str, Step]) -> None:
    """A parent in quarantine gives its child another reason than a parent nobody knows."""
    assert {"silver.patients", "quarantine.patients"} <= set(steps["silver.visits"].inputs)
    assert {"bronze.visits", "bronze.pyqnml_visits"} <= set(steps["silver.visits"].inputs)


def test_code_tables_are_built_only_where_gold_reads_them(steps: dict[str, Step]) -> None:
    assert [table for table in steps if table.startswith("codes.")] == ["codes.countries"]


def test_the_same_declarations_give_the_same_steps_in_the_same_order(
    steps: dict[str, Step], conf: Path
) -> None:
    again = plan.steps(domains.load(conf, "hospital"))
    assert list(again.items()) == list(steps.items())


# -- definitions -----------------------------------------------------------------------------------

CHANGES: dict[str, tuple[Edit, set[str]]] = {
    "a rule's limit": (
        ("entities/treatments.yml", "treatment_cost <= 1000000", "treatment_cost <= 999"),
        {"silver.treatments"},
    ),
    "a rule's severity": (
        ("entities/treatments.yml", "<= 1000000, severity: warn", "<= 1000000, severity: quarantine"),
        {"silver.treatments"},
    ),
    "a rule taken out": (
        ("entities/visits.yml", "  - {id: department_mismatch, expect: department = doctors.department, severity: warn}\n", "  []\n"),
        {"silver.visits"},
    ),
    "a bound": (("entities/doctors.yml", "max: 70", "max: 60"), {"silver.doctors"}),
    "a cleaner": (
        ("entities/doctors.yml", "{type: string, clean: [proper], is: full name}", "{type: string, clean: [title], is: full name}"),
        {"silver.doctors"},
    ),
    "a type": (("entities/doctors.yml", "type: int", "type: bigint"), {"silver.doctors"}),
    "the name of a reason": (
        ("entities/treatments.yml", "min: negative_cost", "min: cost_below_zero"),
        {"silver.treatments"},
    ),
    "the order among rivals": (
        ("entities/doctors.yml", "key: [doctor_id]", "key: [doctor_id]\norder_by: [years_experience desc]"),
        {"silver.doctors"},
    ),
    "which columns make a version": (
        ("entities/doctors.yml", "history: versions", "history: versions\ntrack: [department]"),
        {"silver.doctors"},
    ),
    "that a source delivers extracts of everything": (
        ("sources/virajmore.yml", "pattern: doctors*.csv", "pattern: doctors*.csv\n    delivery: full"),
        {"silver.doctors"},
    ),
    "a source's mapping": (
        ("sources/virajmore.yml", "treatment_type: treatment_type", "treatment_type: description"),
        {"silver.treatments"},
    ),
    "a source's formats": (
        ("sources/sivareddy.yml", "{from: dob, formats: [yyyy-M-d]}", "{from: dob, formats: [d-M-yyyy]}"),
        {"silver.patients"},
    ),
    "a source's words for nothing": (
        ("sources/virajmore.yml", "nulls: [N/A]", "nulls: [N/A, nil]"),
        {"silver.patients", "silver.doctors", "silver.visits", "silver.treatments"},
    ),
    "an alias of a code": (
        ("codes/departments.csv", "Cardio|", "Cardio|Herz|"),
        {"silver.doctors", "silver.visits"},
    ),
    "the key of the unknown member": (
        ("domain.yml", "unknown_key: UNK", "unknown_key: NONE"),
        {"silver.patients", "silver.doctors", "silver.visits", "silver.treatments"},
    ),
    "the SQL of a view": (
        ("gold/follow_up_summary.sql", "where visit_id <> 'UNK'", "where visit_id <> 'XXX'"),
        {"gold.follow_up_summary"},
    ),
    "the version of a view": (
        ("gold/follow_up_summary.sql", "version: 1", "version: 2"),
        {"gold.follow_up_summary"},
    ),
    "the Z-order of a view": (
        ("gold/follow_up_summary.sql", "zorder_by: [department]", "zorder_by: [visit_count]"),
        {"gold.follow_up_summary"},
    ),
    "the PHI class of a gold column": (
        ("gold/follow_up_summary.sql", "visit_count: {type: bigint,", "visit_count: {type: bigint, phi: quasi,"),
        {"gold.follow_up_summary"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_what_changes_rows_changes_the_definition_of_just_those_tables(
    steps: dict[str, Step], after: Callable[[Edit], dict[str, Step]], case: str
) -> None:
    edit, expected = CHANGES[case]
    assert redefined(steps, after(edit), "silver", "gold") == expected


def test_the_name_of_a_code_changes_the_code_table(
    steps: dict[str, Step], after: Callable[[Edit], dict[str, Step]]
) -> None:
    now = after(("codes/countries.csv", "AD,Andorra,", "AD,Andorra la Bella,Andorra|"))
    assert "codes.countries" in redefined(steps, now, "codes")


WORDS: dict[str, Edit] = {
    "a YAML comment in an entity": (
        "entities/visits.yml", "# A cardiologist may well be called to Emergency: worth a look, no error.", "# Other words.",
    ),
    "what an entity is": ("entities/doctors.yml", "is: Doctors who treat", "is: Physicians"),
    "what a column is": ("entities/doctors.yml", "is: years in the profession", "is: seniority"),
    "what a source is": (
        "sources/virajmore.yml", "is: Hand-kept clinic tables with first and last names", "is: Tables",
    ),
    "a file pattern": ("sources/virajmore.yml", "pattern: doctors*.csv", "pattern: [doctors*.csv, dr*.csv]"),
    "which delimiters are tried": ("sources/virajmore.yml", "nulls: [N/A]", "nulls: [N/A]\ndelimiters: [',']"),
    "what the domain is": ("domain.yml", "is: One hospital's patients, doctors, visits and treatments", "is: A hospital"),
    "the question of a view": (
        "gold/follow_up_summary.sql", "question: Which", "question: Tell me, which",
    ),
    "a comment in a header": ("gold/follow_up_summary.sql", "version: 1", "version: 1  # the first"),
    "what a gold column is": (
        "gold/weekly_visit_trends.sql", "is: \"label such as 2025-W01\"", "is: \"the week's label\"",
    ),
    "a unit": ("gold/dim_doctors.sql", "years_experience: {type: int, unit: years", "years_experience: {type: int, unit: a"),
    "the order of a header's keys": (
        "gold/follow_up_summary.sql", "zorder_by: [department]\nversion: 1", "version: 1\nzorder_by: [department]",
    ),
    "an order of code lines": (
        "codes/genders.csv", "male,Male,M|Man|1\nfemale,Female,F|Woman|2", "female,Female,F|Woman|2\nmale,Male,M|Man|1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WORDS)
def test_words_change_no_definition(
    steps: dict[str, Step], after: Callable[[Edit], dict[str, Step]], case: str
) -> None:
    """Else every better sentence costs a rebuild of the table and all that hangs on it."""
    assert redefined(steps, after(WORDS[case]), "silver", "gold", "codes") == set()


def test_the_engine_s_own_meaning_is_part_of_every_definition(
    steps: dict[str, Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SEMANTICS", plan.SEMANTICS + 1)
    now = plan.steps(domains.load(ROOT / "conf", "hospital"))
    assert redefined(steps, now, "silver", "gold") == {
        table for table in steps if table.startswith(("silver.", "gold."))
    }


def test_a_step_is_dated_when_its_declaration_names_the_business_date(
    steps: dict[str, Step],
) -> None:
    dated = {table for table, step in steps.items() if step.dated}
    assert dated == {"silver.patients", "silver.visits"}


# -- verdicts --------------------------------------------------------------------------------------

STEP = Step("silver.thing", ("bronze.thing", "silver.parent"), "abc")
FOUR = {"numTargetRowsInserted": 0, "numTargetRowsUpdated": 3, "numTargetRowsDeleted": 1}
NOW = {"bronze.thing": Point(4, "b4"), "silver.parent": Point(7, "s7")}


def run(day: str = "2025-06-30") -> Run:
    """A run at a business date."""
    return Run(
        domain="shop",
        conf=Path("conf"),
        landing=Path("landing"),
        warehouse="warehouse",
        environment=Environment(environment="test"),
        business_date=date.fromisoformat(day),
        run_id="r2",
    )


def written(definition: str = "abc", day: str = "2025-06-30", **inputs: Point) -> State:
    """A table of ours, last built from these inputs."""
    points = {name.replace("__", "."): point for name, point in inputs.items()} or NOW
    said = metadata("r1", definition, points, business_date=day)
    return State(3, Point(3, "r1"), 0, said)


def status(
    state: State | None, step: Step = STEP, now: dict[str, Point] = NOW, day: str = "2025-06-30"
) -> str:
    """`status: reason` of a table in this state."""
    verdict = plan._compare(step, run(day), state, now)
    assert verdict.due == (verdict.status != "fresh")
    return f"{verdict.status}: {verdict.reason}"


def test_a_table_that_is_not_there_is_new() -> None:
    assert status(None) == "new: does not exist yet"


def test_a_table_with_nothing_changed_is_fresh() -> None:
    assert status(written()) == "fresh: "


def test_an_input_that_moved_makes_it_stale_and_is_named() -> None:
    now = {**NOW, "silver.parent": Point(9, "s9")}
    assert status(written(), now=now) == "stale: silver.parent"


def test_every_input_that_came_or_went_is_named() -> None:
    bronze = {"bronze.thing": NOW["bronze.thing"]}
    assert status(written(bronze__thing=bronze["bronze.thing"])) == "stale: silver.parent"
    assert status(written(), now=bronze) == "stale: silver.parent"
    assert status(written(), now={}) == "stale: bronze.thing, silver.parent"


def test_an_input_that_went_back_makes_it_stale() -> None:
    """Its table was dropped and made again."""
    now = {**NOW, "bronze.thing": Point(0, "b0")}
    assert status(written(), now=now) == "stale: bronze.thing"


def test_a_table_made_in_the_place_of_an_input_is_another_one_at_the_same_version() -> None:
    now = {**NOW, "bronze.thing": Point(4, "other")}
    assert status(written(), now=now) == "stale: bronze.thing"


def test_what_moved_is_told_with_versions_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are told where the input's log can still say them."""
    then = {"bronze__thing": Point(2, "b2"), "silver__parent": Point(7, "s7")}
    now = {"bronze.thing": Point(4, "b4"), "silver.parent": Point(9, "s9")}
    states = {table: State(9, point, 0) for table, point in now.items()}
    states[STEP.table] = written(codes__x=Point(1, "c1"), **then)
    feeds = {
        "silver.parent": [
            Commit(8, "WRITE", 0, {}, {"numOutputRows": "1200"}),
            Commit(9, "MERGE", 0, {}, FOUR),
        ]
    }
    monkeypatch.setattr(commits, "state", lambda spark, tables, table: states.get(table))
    monkeypatch.setattr(commits, "since", lambda spark, tables, table, point: feeds.get(table))
    verdict, state, inputs = plan.verdict(None, None, STEP, run())
    assert (state, inputs) == (states[STEP.table], now)
    assert verdict.reason == (
        "bronze.thing 2 → 4, codes.x 1 → absent, silver.parent 7 → 9 (1,204 rows)"
    )


def test_another_definition_makes_it_redefined() -> None:
    assert status(written("xyz")).startswith("redefined: ")


def test_rows_changed_by_something_else_make_it_stale() -> None:
    assert status(State(5, Point(5, ""), 0)) == "stale: version 5 was written by something else"


def test_a_definition_that_changed_says_more_than_an_input_that_moved() -> None:
    now = {**NOW, "silver.parent": Point(9, "s9")}
    assert status(written("xyz"), now=now).startswith("redefined: ")


def test_another_business_date_matters_only_to_what_is_dated() -> None:
    dated = Step(STEP.table, STEP.inputs, STEP.definition, dated=True)
    assert status(written(), dated) == "fresh: "
    assert (
        status(written(), dated, day="2025-07-01") == "stale: business date 2025-06-30 → 2025-07-01"
    )
    assert status(written(), day="2025-07-01") == "fresh: "


@pytest.mark.parametrize(
    ("quarantine", "status"),
    [(Point(5, "q5"), "fresh"), (Point(6, "q6"), "stale"), (None, "stale")],
)
def test_a_quarantine_that_moved_alone_is_what_a_killed_run_left(
    monkeypatch: pytest.MonkeyPatch, quarantine: Point | None, status: str
) -> None:
    """Rows that were taken up again have left it, and did not reach silver."""
    states = {table: State(9, point, 0) for table, point in NOW.items()}
    states[STEP.table] = written()
    states[STEP.table].meta["held"] = [5, "q5"]
    if quarantine:
        states["quarantine.thing"] = State(9, quarantine, 0)
    monkeypatch.setattr(commits, "state", lambda spark, tables, table: states.get(table))
    verdict, _, _ = plan.verdict(None, None, STEP, run())
    assert verdict.status == status


# -- choosing --------------------------------------------------------------------------------------


def test_an_unknown_table_is_a_config_error_that_names_the_known(steps: dict[str, Step]) -> None:
    with pytest.raises(ConfigError, match=r"No table `gold.dim_x` is declared.*gold.dim_patients"):
        plan.chosen(steps, ["gold.dim_x", "gold.dim_patients"], ("gold",))


def test_all_unknown_tables_are_named(steps: dict[str, Step]) -> None:
    with pytest.raises(ConfigError, match=r"`a\.b`, `c\.d`"):
        plan.chosen(steps, ["c.d", "a.b"], ("gold",))


def test_named_tables_are_chosen_in_building_order(steps: dict[str, Step]) -> None:
    named = ["gold.fact_treatments", "silver.visits", "silver.patients"]
    chosen = list(plan.chosen(steps, named, ("bronze", "silver", "gold")))
    assert chosen == [table for table in steps if table in named]


@pytest.mark.parametrize("layer", ["bronze", "silver"])
def test_a_layer_is_chosen_whole_and_alone(steps: dict[str, Step], layer: str) -> None:
    chosen = plan.chosen(steps, (), (layer,))
    assert {step.layer for step in chosen.values()} == {layer}
    assert len(chosen) == sum(step.layer == layer for step in steps.values())


def test_gold_brings_the_code_tables_it_reads(steps: dict[str, Step]) -> None:
    assert {step.layer for step in plan.chosen(steps, (), ("gold",)).values()} == {"codes", "gold"}


def test_all_layers_are_everything(steps: dict[str, Step]) -> None:
    assert plan.chosen(steps, (), ("bronze", "silver", "gold")) == steps
