"""The command line: every verb is one call of the library."""

import importlib
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from delta.exceptions import DeltaConcurrentModificationException
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse import commits, config, console, maintenance, quarantine
from lakehouse import domain as domains
from lakehouse import plan as plans
from lakehouse.config import Run
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.landing import files_in
from lakehouse.run import LAYERS, Result, execute, preview
from lakehouse.session import start
from lakehouse.tables import Tables

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
held = typer.Typer(no_args_is_help=True, help="Rows that broke their contract.")
app.add_typer(held, name="quarantine")

Returned = TypeVar("Returned")
DomainName = Annotated[str, typer.Argument(help="A folder in conf/, one per domain.")]
DomainOption = Annotated[str, typer.Option("--domain", help="A folder in conf/.")]
SampleIfEmpty = Annotated[
    bool, typer.Option("--sample", help="Make sample files when the landing folder is empty.")
]
Landing = Annotated[Path | None, typer.Option(help="Folder with the delivered files.")]
Warehouse = Annotated[str | None, typer.Option(help="Folder or catalog of the tables.")]
BusinessDate = Annotated[str | None, typer.Option(help="YYYY-MM-DD; today when not given.")]
Only = Annotated[
    list[str] | None, typer.Option(help="Only this table, such as gold.dim_x; may be repeated.")
]
Env = Annotated[str | None, typer.Option(help="A file in conf/environments; local by default.")]


def guarded(call: Callable[[], Returned]) -> Returned:
    """The call's result; what goes wrong becomes one clear message and its exit code."""
    try:
        return call()
    except LakehouseError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("Interrupted. Tables that were written are whole; run again to go on from there.", 1)
    except DeltaConcurrentModificationException:
        _fail("Another run wrote the same table first. Nothing is lost; run again.", 5)
    except Exception as error:
        _fail(_worded(error), 1)


def _fail(message: str, code: int) -> NoReturn:
    console.err.print(message, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _worded(error: Exception) -> str:
    """An unforeseen failure in one sentence, without values that could come from a row."""
    text = str(error)
    if "No space left on device" in text:
        return (
            "The disk is full. Tables that were written are whole and the last good state is "
            "still there. Make room and run again."
        )
    if "Permission denied" in text or "Read-only file system" in text:
        return "The warehouse cannot be written: permission denied. Nothing was published."
    condition = error.getCondition() if isinstance(error, PySparkException) else None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", lines[0] if lines else "")
    return f"{type(error).__name__}{f' [{condition}]' if condition else ''}: {first[:400]}"


@app.command("run")
def run_command(
    domain: DomainName,
    landing: Landing = None,
    warehouse: Warehouse = None,
    business_date: BusinessDate = None,
    only: Only = None,
    env: Env = None,
) -> None:
    """Build what is due: files to bronze, bronze to silver, silver to gold."""
    run_layers(domain, LAYERS, landing, warehouse, business_date, only, env)


def run_layers(
    domain: str,
    layers: tuple[str, ...],
    landing: Path | None = None,
    warehouse: str | None = None,
    business_date: str | None = None,
    only: list[str] | None = None,
    env: str | None = None,
) -> None:
    """Build what is due in some layers, show it, and exit with the run's code."""

    def call() -> Result:
        run = _settings(domain, landing, warehouse, business_date, only, env)
        total = len(plans.chosen(plans.steps(domains.load(run.conf, domain)), run.only, layers))
        console.out.print(f"[bold]{domain}[/] at {run.business_date}: {', '.join(layers)}")
        with console.progress(total) as watch:
            result = execute(_opener(run), run, layers, watch)
        console.summary(result)
        return result

    result = guarded(call)
    if result.found.refused:
        raise typer.Exit(1)


@app.command("plan")
def plan_command(
    domain: DomainName,
    landing: Landing = None,
    warehouse: Warehouse = None,
    business_date: BusinessDate = None,
    only: Only = None,
    env: Env = None,
) -> None:
    """Show what a run would do and why; nothing is written."""

    def call() -> None:
        run = _settings(domain, landing, warehouse, business_date, only, env)
        found, verdicts, seconds = preview(_opener(run), run)
        files = [[d.file, d.source, d.entity, d.rows, d.layout.encoding] for d in found.deliveries]
        if files:
            console.rows(["file", "source", "entity", "rows", "encoding"], files, "Files to load")
        due = [[table, v.status, v.reason] for table, v in verdicts.items() if v.due]
        if due:
            console.rows(["table", "state", "because"], due, "Tables to build")
        for line in (*found.notes, *found.refused):
            console.out.print(line, soft_wrap=True)
        if not files and not due:
            console.out.print("Nothing to do: every table is up to date.")

    guarded(call)


@app.command()
def status(
    domain: DomainName,
    warehouse: Warehouse = None,
    business_date: BusinessDate = None,
    env: Env = None,
) -> None:
    """Show every table: version, when and by which run it was written, whether it is due."""

    def call() -> None:
        run = _settings(domain, None, warehouse, business_date, None, env)
        loaded = domains.load(run.conf, domain)
        tables = Tables(run)
        spark = start(run.environment) if tables.catalog else None
        body: list[list[object]] = []
        for step in plans.steps(loaded).values():
            verdict, state, _ = plans.verdict(spark, tables, step, run)
            if step.layer != "bronze":
                body.append(_status_row(step.table, verdict, state))
            elif state is not None:
                body.append(_status_row(step.table, plans.Verdict("loaded"), state))
        console.rows(["table", "state", "version", "written", "run", "because"], body)

    guarded(call)


def _status_row(table: str, verdict: plans.Verdict, state: commits.State | None) -> list[object]:
    if state is None:
        return [table, verdict.status, "", "", "", verdict.reason]
    run_id = state.meta.get("run_id", "")
    return [table, verdict.status, state.version, state.written, run_id, verdict.reason]


@app.command()
def sql(
    domain: DomainName,
    query: Annotated[str, typer.Argument(help='Such as "select * from gold.dim_x".')],
    warehouse: Warehouse = None,
    env: Env = None,
    limit: Annotated[int, typer.Option(help="Most rows to show.")] = 100,
) -> None:
    """Ask the tables a question in SQL."""

    def call() -> None:
        run = _settings(domain, None, warehouse, None, None, env)
        spark = start(run.environment)
        tables = Tables(run)
        tables.register(spark)
        try:
            answer = spark.sql(query)
        except PySparkException as error:
            raise ConfigError(str(error).strip().splitlines()[0]) from error
        found = answer.limit(limit + 1).collect()
        console.rows(answer.columns, [list(row) for row in found[:limit]])
        if len(found) > limit:
            console.out.print(f"The first {limit} rows; more with --limit.")

    guarded(call)


@app.command()
def generate(
    domain: DomainName,
    out: Annotated[Path, typer.Option(help="Folder to write the files to.")],
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 42,
    scale: Annotated[float, typer.Option(help="1 is the sample size.")] = 1.0,
) -> None:
    """Make synthetic files of a domain, with planted defects and the answer key beside them."""

    def call() -> None:
        generator = domains.load(config.conf_folder(), domain).generator
        if generator is None:
            raise ConfigError(f"The domain {domain} declares no generator.")
        importlib.import_module(generator).generate(out, seed=seed, scale=scale)
        console.out.print(f"Made {domain} files in {out}, their answer key in {out / '_answers'}.")

    guarded(call)


@held.command("list")
def quarantine_list(
    domain: DomainName,
    warehouse: Warehouse = None,
    env: Env = None,
    limit: Annotated[int, typer.Option(help="Most groups to show.")] = 100,
) -> None:
    """Count the rows held back by table, severity and reason; no value of a row is shown."""

    def call() -> None:
        run = _settings(domain, None, warehouse, None, None, env)
        found = quarantine.summary(start(run.environment), run)
        if not found:
            console.out.print("No row is held back.")
            return
        console.rows(["table", "severity", "reason", "rows", "files", "example"], found[:limit])

    guarded(call)


def sample(domain: str, landing: Path) -> None:
    """Make the sample files of a domain when the landing folder holds none."""
    if not landing.is_dir() or not files_in(landing):
        console.out.print(f"{landing} is empty: making the sample {domain}")
        generate(domain, landing)


def job(*layers: str) -> None:
    """The command line of a job: `run` for these layers, the domain given as an option."""

    def call(
        domain: DomainOption,
        landing: Landing = None,
        warehouse: Warehouse = None,
        business_date: BusinessDate = None,
        only: Only = None,
        env: Env = None,
        sample_if_empty: SampleIfEmpty = False,
    ) -> None:
        if sample_if_empty:
            run = guarded(lambda: _settings(domain, landing, warehouse, business_date, only, env))
            sample(domain, run.landing)
        run_layers(domain, layers, landing, warehouse, business_date, only, env)

    _as_program(call)


def job_optimize() -> None:
    """The command line of the optimize job."""

    def call(domain: DomainOption, warehouse: Warehouse = None, env: Env = None) -> None:
        run = guarded(lambda: _settings(domain, None, warehouse, None, None, env))
        for table in guarded(lambda: maintenance.optimize(start(run.environment), run)):
            console.out.print(f"optimized {table}")

    _as_program(call)


def job_quarantine() -> None:
    """The command line of the quarantine job."""

    def call(domain: DomainOption, warehouse: Warehouse = None, env: Env = None) -> None:
        quarantine_list(domain, warehouse, env)

    _as_program(call)


def _as_program(call: Callable[..., None]) -> None:
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    program.command()(call)
    program()


def _opener(run: Run) -> Callable[[], SparkSession]:
    """Opens the run's session when it is first asked for, by whichever thread."""
    lock = threading.RLock()
    sessions: list[SparkSession] = []

    def opened() -> SparkSession:
        with lock:
            if not sessions:
                sessions.append(start(run.environment))
            return sessions[0]

    return opened


def _settings(
    domain: str,
    landing: Path | None,
    warehouse: str | None,
    business_date: str | None,
    only: list[str] | None,
    env: str | None,
) -> Run:
    names = tuple(name for item in only or () for name in item.replace(",", " ").split())
    return config.settings(
        domain,
        landing=landing,
        warehouse=warehouse,
        business_date=business_date,
        only=names,
        env=env,
    )


def main() -> None:
    """Run the command line."""
    sys.exit(app())


if __name__ == "__main__":
    main()
