"""The command line: every verb is one call of the library.

What takes a moment to load, and is not needed to look what is due, is imported by the verb itself.
"""

import importlib
import re
import sys
import threading
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from lakehouse import (
    alert,
    answers,
    commits,
    config,
    console,
    engines,
    export,
    gates,
    quarantine,
)
from lakehouse import domain as domains
from lakehouse import plan as plans
from lakehouse.config import Run
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.landing import files_in
from lakehouse.run import LAYERS, Opener, Result, execute, preview
from lakehouse.session import running, start
from lakehouse.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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
Wait = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="Wait so long for another run to end."),
]
ConfirmDeletes = Annotated[
    bool, typer.Option("--confirm-deletes", help="Delete more keys than max_deleted allows.")
]
Json = Annotated[
    bool,
    typer.Option("--json", help="One line of JSON on standard output, all else on standard error."),
]
Table = Annotated[str | None, typer.Option(help="Only rows of this silver table, such as x.")]
Reason = Annotated[str | None, typer.Option(help="Only rows held back for this reason.")]
RunId = Annotated[
    str | None, typer.Option("--run", metavar="RUN_ID", help="Not the last run, but this one.")
]


class Layer(str, Enum):
    """The layers that can be built alone."""

    bronze = "bronze"
    silver = "silver"
    gold = "gold"


Layers = Annotated[
    list[Layer] | None, typer.Option("--layer", help="Only this layer; may be repeated.")
]


class Failed(typer.Exit):
    """The end of a command that failed, with the type of the error and what was said of it."""

    def __init__(self, message: str, code: int, error_type: str) -> None:
        super().__init__(code)
        self.message = message
        self.error_type = error_type


def guarded(call: Callable[[], Returned]) -> Returned:
    """The call's result; what goes wrong becomes one clear message and its exit code."""
    try:
        return call()
    except LakehouseError as error:
        _fail(str(error), error.exit_code, error)
    except KeyboardInterrupt as error:
        said = "Interrupted. Tables that were written are whole; run again to go on from there."
        _fail(said, 1, error)
    except Exception as error:
        if _came_second(error):
            _fail("Another run wrote the same table first. Nothing is lost; run again.", 5, error)
        _fail(_worded(error), 1, error)


def _came_second(error: Exception) -> bool:
    """Whether another run wrote first; without the module that writes nothing was written."""
    merge = sys.modules.get("lakehouse.merge")
    return merge is not None and merge.conflicts(error)


def _fail(message: str, code: int, error: BaseException) -> NoReturn:
    console.err.print(message, style="red", markup=False, soft_wrap=True)
    raise Failed(message, code, type(error).__name__)


def _worded(error: Exception) -> str:
    """A failure in one sentence; an unforeseen one without values that could come from a row."""
    text = str(error)
    if isinstance(error, LakehouseError):
        return text
    if isinstance(error, ModuleNotFoundError):
        return f"The package {error.name} is not installed."
    if "No space left on device" in text:
        return (
            "The disk is full. Tables that were written are whole and the last good state is "
            "still there. Make room and run again."
        )
    if "Permission denied" in text or "Read-only file system" in text:
        return "The warehouse cannot be written: permission denied. Nothing was published."
    condition = error.getCondition() if hasattr(error, "getCondition") else None  # by Spark
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
    layer: Layers = None,
    env: Env = None,
    wait: Wait = 0,
    confirm_deletes: ConfirmDeletes = False,
    as_json: Json = False,
) -> None:
    """Build what is due: files to bronze, bronze to silver, silver to gold."""

    def settings() -> Run:
        return _settings(
            domain, landing, warehouse, business_date, only, env, wait, confirm_deletes
        )

    run_layers(settings, _chosen(layer), as_json)


def _chosen(layers: list[Layer] | None) -> tuple[str, ...]:
    """The layers named, in the order in which they are built; all when none is."""
    named = {layer.value for layer in layers or Layer}
    return tuple(layer for layer in LAYERS if layer in named)


def run_layers(
    settings: Callable[[], Run],
    layers: tuple[str, ...],
    as_json: bool = False,
    retry: bool = False,
) -> None:
    """Build what is due in some layers, show it, and exit with the run's code.

    `retry` judges held rows again, due or not.
    """
    begun: list[Result] = []
    page: Path | None = None

    def call() -> int:
        result = Result(settings())
        begun.append(result)
        _carry_out(result, layers, retry)
        return 1 if result.found.refused else 0

    code, message, error_type = 0, "", ""
    with console.apart(as_json):
        try:
            code = guarded(call)
        except Failed as failed:
            code, message, error_type = failed.exit_code, failed.message, failed.error_type
        if begun:
            page = _page_after(begun[0].run)
    result = begun[0] if begun else None
    line = console.run_line(layers, result, code, message, error_type, page)
    for problem in alert.after_run(line, result):
        console.say(problem, "alert", "yellow", console.err)
    if as_json:
        console.line(line)
    if code:
        raise typer.Exit(code)


def _carry_out(result: Result, layers: tuple[str, ...], retry: bool) -> None:
    """Run and show it, also what was done by a run that ends early."""
    run = result.run
    steps = plans.chosen(plans.steps(domains.load(run.conf, run.domain)), run.only, layers)
    console.say(f"at {run.business_date}: {', '.join(layers)}", run.domain, "bold")
    try:
        with console.progress(len(steps)) as watch:
            execute(_opener(run, lambda: result.short), run, layers, watch, retry, result)
    except LakehouseError:
        console.layers(result.outcomes)
        raise
    console.summary(result)


def _page_after(run: Run) -> Path | None:
    """Make the page of a run that did something, and say where it is; it never fails the run."""
    if not running():
        return None  # Nothing was due, or the run ended before it began.
    from lakehouse import report

    try:
        page = report.page_if_any(run, lambda: start(run.environment), run.run_id)
    except Exception as error:
        console.say(
            f"not made ({_worded(error)}). Try again: lakehouse report {run.domain}",
            "Report    ",
            "yellow",
        )
        return None
    if page is not None:
        console.say(str(page), "Report    ")
    return page


@app.command("plan")
def plan_command(
    domain: DomainName,
    landing: Landing = None,
    warehouse: Warehouse = None,
    business_date: BusinessDate = None,
    only: Only = None,
    env: Env = None,
    as_json: Json = False,
) -> None:
    """Show what a run would do and why, and how long that took last time; nothing is written."""

    def call() -> object:
        run = _settings(domain, landing, warehouse, business_date, only, env)
        found, verdicts, seconds = preview(_opener(run), run)
        console.forecast(found, verdicts, seconds)
        return console.plan_line(run, found, verdicts, seconds)

    _reported(call, as_json)


def _reported(
    call: Callable[[], object], as_json: bool, known: Mapping[str, object] | None = None
) -> None:
    """Make the call, and tell a machine what it gives back, or that it failed and what is known."""
    with console.apart(as_json):
        try:
            said = guarded(call)
        except Failed as failed:
            if as_json:
                line = console.failed_line(failed.exit_code, failed.message)
                console.line({**line, **(known or {})})
            raise
    if as_json:
        console.line(said)


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


@app.command("files")
def files_command(
    domain: DomainName, warehouse: Warehouse = None, env: Env = None, as_json: Json = False
) -> None:
    """Show how tables lie in storage: files, bytes, and how many files are small."""
    from lakehouse import maintenance

    def call() -> object:
        run = _settings(domain, None, warehouse, None, None, env)
        found = maintenance.layouts(_opener(run), run)
        body = [[f.table, f.files, f"{f.bytes:,}", f.small] for f in found]
        console.rows(["table", "files", "bytes", "small files"], body)
        return {"tables": [asdict(one) for one in found]}

    _reported(call, as_json)


@app.command("optimize")
def optimize_command(
    domain: DomainName, warehouse: Warehouse = None, env: Env = None, as_json: Json = False
) -> None:
    """Rewrite the files of gold tables that have a Z-order, whether that is due or not."""
    from lakehouse import maintenance

    def call() -> object:
        run = _settings(domain, None, warehouse, None, None, env)
        done = maintenance.optimize(start(run.environment), run)
        for table in done:
            console.say(table, "optimized")
        return {"optimized": done}

    _reported(call, as_json)


@app.command("vacuum")
def vacuum_command(
    domain: DomainName,
    warehouse: Warehouse = None,
    env: Env = None,
    keep_days: Annotated[
        int, typer.Option(metavar="DAYS", help="Keep what versions of so many days need.")
    ] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the files.")] = False,
    as_json: Json = False,
) -> None:
    """Delete files that no table needs any more, and those that killed runs left."""
    from lakehouse import maintenance

    def call() -> object:
        run = _settings(domain, None, warehouse, None, None, env)
        found = maintenance.vacuum(_opener(run), run, keep_days, dry_run)
        title = "files that would be deleted" if dry_run else "files deleted"
        console.rows(["table", title], [[table, count] for table, count in found.items() if count])
        console.say(f"{sum(found.values()):,} {title}")
        return {"dry_run": dry_run, "files": found}

    _reported(call, as_json)


@app.command()
def sql(
    domain: DomainName,
    query: Annotated[
        str | None,
        typer.Argument(help='Such as "select * from gold.dim_x"; a shell opens without one.'),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="A file with statements; - is standard input.")
    ] = None,
    engine: Annotated[
        engines.Kind, typer.Option(help="DuckDB answers at once, in its own dialect.")
    ] = engines.Kind.spark,
    format: Annotated[
        answers.Format | None, typer.Option(help="As --out is named, else a table.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the answer to this file; only you can read it.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Most rows; 100 on the screen, else all.")
    ] = None,
    warehouse: Warehouse = None,
    env: Env = None,
) -> None:
    """Ask the tables questions in SQL: one query, a file of statements, or a shell."""

    def call() -> None:
        run = _settings(domain, None, warehouse, None, None, env)
        text = _sql_text(query, file)
        if text is not None:
            wanted = answers.wanted(format, out, limit)
            answers.ask(engines.opened(engine, run), text, wanted)
            return
        from lakehouse import shell

        wanted = answers.wanted(format, out, limit, shell.SHOWN)
        if out is not None:
            raise ConfigError("--out needs a query or a --file.")
        shell.talk(engines.opened(engine, run), wanted, _worded)

    guarded(call)


def _sql_text(query: str | None, file: Path | None) -> str | None:
    """The statements that were given, or None when a person is to type them."""
    if query is not None and file is not None:
        raise ConfigError("Give a query or a --file, not both.")
    if query is not None:
        return query
    if file == Path("-") or (file is None and not sys.stdin.isatty()):
        return sys.stdin.read()
    try:
        return None if file is None else file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from error


@app.command()
def generate(
    domain: DomainName,
    out: Annotated[Path, typer.Option(help="Folder to write the files to.")],
    seed: Annotated[int, typer.Option(help="Same seed, same files.")] = 42,
    scale: Annotated[float, typer.Option(help="1 is the sample size.")] = 1.0,
) -> None:
    """Make synthetic files of a domain, with planted defects and the answer key beside them."""
    guarded(lambda: _generated(domain, out, seed, scale))


def _generated(domain: str, out: Path, seed: int = 42, scale: float = 1) -> None:
    generator = domains.load(config.conf_folder(), domain).generator
    if generator is None:
        raise ConfigError(f"The domain {domain} declares no generator.")
    importlib.import_module(generator).generate(out, seed=seed, scale=scale)
    console.say(f"Made {domain} files in {out}, their answer key in {out / '_answers'}.")


@held.command("list")
def quarantine_list(
    domain: DomainName,
    warehouse: Warehouse = None,
    env: Env = None,
    limit: Annotated[int, typer.Option(min=0, help="Most groups to show.")] = 100,
    as_json: Json = False,
) -> None:
    """Count the rows held back by table, severity and reason; no value of a row is shown."""

    def call() -> object:
        run = _settings(domain, None, warehouse, None, None, env)
        found = quarantine.summary(start(run.environment), run)[:limit]
        _shown(found, "No row is held back.")
        return found

    _reported(call, as_json)


@held.command("show")
def quarantine_show(
    domain: DomainName,
    table: Table = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=0, help="Most rows to show.")] = 20,
    values: Annotated[
        bool,
        typer.Option(
            "--values", help="Also what stands in the rows: may be personal data, mind who looks."
        ),
    ] = False,
    warehouse: Warehouse = None,
    env: Env = None,
) -> None:
    """Show held rows one by one: where each stands and why; no value of a row without --values."""

    def call() -> None:
        run = _settings(domain, None, warehouse, None, None, env)
        spark = start(run.environment)
        found = quarantine.show(spark, run, table, reason, limit + 1, values)
        _shown(found[:limit], "No such row is held back.")
        if len(found) > limit:
            console.out.print(f"The first {limit} rows; more with --limit.")

    guarded(call)


def _shown(found: list[dict[str, object]], otherwise: str) -> None:
    if found:
        console.rows(list(found[0]), [list(line.values()) for line in found])
    else:
        console.out.print(otherwise)


@held.command("replay")
def quarantine_replay(
    domain: DomainName,
    table: Table = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many rows would heal and stay.")
    ] = False,
    warehouse: Warehouse = None,
    business_date: BusinessDate = None,
    env: Env = None,
    wait: Wait = 0,
    confirm_deletes: ConfirmDeletes = False,
    as_json: Json = False,
) -> None:
    """Judge held rows again now, by today's declarations, and build what follows from them."""
    from lakehouse import replay

    def settings() -> Run:
        whole = _settings(domain, None, warehouse, business_date, None, env, wait, confirm_deletes)
        if not table:
            return whole
        only = replay.tables_of(domains.load(whole.conf, domain), table)
        return whole.model_copy(update={"only": tuple(only)})

    if dry_run:
        _reported(lambda: _rehearsed(settings()), as_json)
    else:
        run_layers(settings, replay.LAYERS, as_json, retry=True)


def _rehearsed(run: Run) -> object:
    from lakehouse import replay

    moves = replay.rehearse(start(run.environment), run)
    console.rehearsal(moves)
    return console.rehearsal_lines(moves)


@held.command("export")
def quarantine_export(
    domain: DomainName,
    table: Annotated[str, typer.Option(help="The silver table whose held rows are wanted.")],
    out: Annotated[Path, typer.Option(help="The CSV file to write; it may not exist yet.")],
    reason: Reason = None,
    warehouse: Warehouse = None,
    env: Env = None,
) -> None:
    """Write held rows as CSV, to be corrected and delivered again. Only you can read the files.

    They hold what stands in the rows, personal data too. Beside FILE, _FILE.reasons.csv says what
    is wrong with each row.
    """

    def call() -> None:
        run = _settings(domain, None, warehouse, None, None, env)
        written = export.export(start(run.environment), run, table, out, reason)
        console.exported(written)

    guarded(call)


@app.command("report")
def report_command(
    domain: DomainName,
    run_id: RunId = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    warehouse: Warehouse = None,
    env: Env = None,
) -> None:
    """Say where the page of the last run is, or of another one; make it if it is not there."""
    from lakehouse import report

    def call() -> None:
        run = _settings(domain, None, warehouse, None, None, env)
        page = report.page(run, lambda: start(run.environment), run_id)
        console.say(str(page))
        if show:
            webbrowser.open(page.resolve().as_uri())

    guarded(call)


@app.command()
def docs(
    domain: DomainName,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("site.html"),
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write a page about every table and column, with its lineage, from the declarations alone."""

    from lakehouse import site

    def call() -> None:
        site.write(domains.load(config.conf_folder(), domain), out)
        console.say(f"Wrote {out}.")
        if show:
            webbrowser.open(out.resolve().as_uri())

    guarded(call)


@app.command("serve")
def serve_command(
    domain: DomainName,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where clients connect.")] = 10000,
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's is open to others.")
    ] = "127.0.0.1",
    warehouse: Warehouse = None,
    env: Env = None,
) -> None:
    """Serve the tables to JDBC clients, such as BI tools, until Ctrl-C. Nobody is asked who it is.

    Whoever can connect can read and change all tables, and run programs as you.
    """
    from lakehouse import serve

    def ready(address: str) -> None:
        console.say(f"{address} (Ctrl-C ends it)", "serving", "bold")

    def call() -> None:
        if host not in serve.HERE:
            console.say(
                f"Whoever reaches {host}:{port} can read and change all tables, with the personal "
                "data in them, and run programs as you; nobody is asked for a password. Let only "
                "a closed network reach it.",
                "warning",
                "yellow",
                console.err,
            )
        serve.serve(_settings(domain, None, warehouse, None, None, env), host, port, ready)

    guarded(call)


@app.command("checks")
def checks_command(
    domain: DomainName,
    layer: Layers = None,
    warehouse: Warehouse = None,
    env: Env = None,
    as_json: Json = False,
) -> None:
    """Show what each check said last; ends with 4 when one that stops a run failed."""

    said: dict[str, object] = {}

    def call() -> object:
        run = _settings(domain, None, warehouse, None, None, env)
        tables = Tables(run)
        spark = start(run.environment) if tables.catalog else None
        loaded = domains.load(run.conf, domain)
        known = gates.before(spark, tables, run, loaded.checked("gold"))
        found = gates.standing(known, loaded, _chosen(layer))
        said["checks"] = found
        _shown(found, "No check is declared.")
        gates.stop_if_standing(found)
        return console.checks_line(run, found)

    _reported(call, as_json, said)


@app.command("alert")
def alert_command(
    domain: DomainName,
    failed: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP", help="A step that failed; may be repeated. Without it all are well."
        ),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Send a test message.")] = False,
    warehouse: Warehouse = None,
    env: Env = None,
) -> None:
    """Tell the addresses in LAKEHOUSE_ALERTS what no run can tell itself: that its step failed."""

    def call() -> None:
        run = _settings(domain, None, warehouse, None, None, env)
        if test:
            console.out.print(f"Sent to {alert.test(domain)} address(es).")
            return
        for problem in alert.after_steps(run, _names(failed)):
            console.say(problem, "alert", "yellow", console.err)

    guarded(call)


# -- declaring -------------------------------------------------------------------------------------

adding = typer.Typer(no_args_is_help=True, help="Begin a declaration, with comments.")
app.add_typer(adding, name="add")
NewName = Annotated[str, typer.Argument(help="Its name, in lower_snake_case.")]


@app.command()
def check(
    domain: Annotated[
        str | None, typer.Argument(help="A folder in conf/; all of them when not given.")
    ] = None,
) -> None:
    """Check declarations and gold SQL without data; print every problem as file:line: what."""

    def call() -> None:
        conf = config.conf_folder()
        names = [domain] if domain else domains.names(conf)
        found = [problem for name in names for problem in domains.problems(conf, name)]
        for problem in found:
            typer.echo(problem)
        if found or not names:
            what = f"{len(found)} problem(s)" if names else "No domain is declared"
            raise ConfigError(f"{what} in {conf}.")
        console.out.print(f"{', '.join(names)}: nothing is wrong.")

    guarded(call)


@app.command()
def init(domain: Annotated[str, typer.Argument(help="The folder in conf/ to make.")]) -> None:
    """Begin a domain: write its first declarations, with comments."""
    from lakehouse import skeleton

    guarded(
        lambda: console.wrote(
            skeleton.init(config.conf_folder(), domain),
            f"say what {domain} is about, then look at a delivered file: "
            f"lakehouse profile FILE --domain {domain} --write",
        )
    )


@adding.command("source")
def add_source(name: NewName, domain: DomainOption) -> None:
    """Write a source with every column of every entity."""
    from lakehouse import skeleton

    guarded(
        lambda: console.wrote(
            skeleton.source(config.conf_folder(), domain, name),
            "write in it how its files are named and which field is which column; take out what it "
            f"does not deliver. Then: lakehouse check {domain}",
        )
    )


@adding.command("entity")
def add_entity(name: NewName, domain: DomainOption) -> None:
    """Write the contract of a silver table with nothing but its key."""
    from lakehouse import skeleton

    guarded(
        lambda: console.wrote(
            skeleton.entity(config.conf_folder(), domain, name),
            "list its columns. Then say where its rows come from: "
            f"lakehouse profile FILE --domain {domain} --entity {name} --write",
        )
    )


@adding.command("view")
def add_view(
    name: NewName,
    domain: DomainOption,
    reads: Annotated[str | None, typer.Option(help="A table to count, such as gold.dim_x.")] = None,
) -> None:
    """Write a gold view that counts the rows of a table."""
    from lakehouse import skeleton

    guarded(
        lambda: console.wrote(
            skeleton.view(config.conf_folder(), domain, name, reads),
            "put your question and its SQL in its place, then: "
            f"lakehouse check {domain}; lakehouse run {domain} --only gold.{name}",
        )
    )


@app.command("profile")
def profile_command(
    files: Annotated[list[Path], typer.Argument(help="Delivered CSV files, one of each kind.")],
    domain: Annotated[str | None, typer.Option(help="The domain to propose for.")] = None,
    entity: Annotated[str | None, typer.Option(help="What one row of the file stands for.")] = None,
    source: Annotated[str | None, typer.Option(help="Name of the source they come from.")] = None,
    write: Annotated[
        bool,
        typer.Option("--write", help="Write what is proposed into conf/, beside what is there."),
    ] = False,
) -> None:
    """Look at unknown files, and propose a source and entities for them.

    Nothing personal is shown: of most columns only shapes such as AAA-999.
    """
    from lakehouse import profile, propose

    def call() -> None:
        conf = config.conf_folder()
        loaded = domains.load(conf, domain) if domain else None
        if write and loaded is None:
            raise ConfigError("--write needs --domain: the folder in conf/ to write to.")
        found = [profile.look(path) for path in files]
        for one in found:
            console.profiled(one)
        console.pointing(profile.shared(found))
        proposal = propose.propose(found, loaded, entity, source)
        if not write or loaded is None:
            typer.echo(propose.as_text(proposal, loaded))
            return
        following = f"read what was proposed, then: lakehouse check {domain}"
        console.wrote(propose.write(proposal, loaded), following)

    guarded(call)


@app.command("doctor")
def examine(
    domain: Annotated[
        str | None, typer.Argument(help="A folder in conf/; all of them when not given.")
    ] = None,
    landing: Landing = None,
    warehouse: Warehouse = None,
    env: Env = None,
) -> None:
    """Look whether a run can work here: Java, memory, disk, rights; nothing is started or written.

    Ends with 2 when something would stop a run.
    """
    from lakehouse import machine

    def call() -> bool:
        names = [domain] if domain else domains.names(config.conf_folder())
        found = list(machine.examine(names, env, landing, warehouse))
        console.findings(found)
        return any(one.state == "problem" for one in found)

    if guarded(call):
        raise typer.Exit(2)


def sample(domain: str, landing: Path) -> None:
    """Make the sample files of a domain when the landing folder holds none."""
    if not landing.is_dir() or not files_in(landing):
        console.say(f"{landing} is empty: making the sample {domain}")
        _generated(domain, landing)


def job(*layers: str) -> None:
    """The command line of a job: `run` for these layers, the domain given as an option."""

    def call(
        domain: DomainOption,
        landing: Landing = None,
        warehouse: Warehouse = None,
        business_date: BusinessDate = None,
        only: Only = None,
        env: Env = None,
        wait: Wait = 0,
        confirm_deletes: ConfirmDeletes = False,
        as_json: Json = False,
        sample_if_empty: SampleIfEmpty = False,
    ) -> None:
        def settings() -> Run:
            run = _settings(
                domain, landing, warehouse, business_date, only, env, wait, confirm_deletes
            )
            if sample_if_empty:
                sample(domain, run.landing)
            return run

        run_layers(settings, layers, as_json)

    _as_program(call)


def job_optimize() -> None:
    """The command line of the optimize job."""

    def call(domain: DomainOption, warehouse: Warehouse = None, env: Env = None) -> None:
        optimize_command(domain, warehouse, env)

    _as_program(call)


def job_quarantine() -> None:
    """The command line of the quarantine job."""

    def call(domain: DomainOption, warehouse: Warehouse = None, env: Env = None) -> None:
        quarantine_list(domain, warehouse, env)

    _as_program(call)


def job_report() -> None:
    """The command line of the report job."""

    def call(
        domain: DomainOption, run_id: RunId = None, warehouse: Warehouse = None, env: Env = None
    ) -> None:
        report_command(domain, run_id, warehouse=warehouse, env=env)

    _as_program(call)


def _as_program(call: Callable[..., None]) -> None:
    program = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    program.command()(call)
    try:
        program()
    except SystemExit as end:
        # A platform that calls a job as a function takes any SystemExit for a failure, 0 too.
        if end.code:
            raise


def _opener(run: Run, short: Callable[[], bool] = lambda: True) -> Opener:
    """Opens the run's session when it is first asked for, by whichever thread."""
    lock = threading.RLock()
    sessions: list[SparkSession] = []

    def opened() -> "SparkSession":
        with lock:
            if not sessions:
                sessions.append(start(run.environment, short()))
            return sessions[0]

    return opened


def _settings(
    domain: str,
    landing: Path | None,
    warehouse: str | None,
    business_date: str | None,
    only: list[str] | None,
    env: str | None,
    wait: float = 0,
    confirm_deletes: bool = False,
) -> Run:
    run = config.settings(
        domain,
        landing=landing,
        warehouse=warehouse,
        business_date=business_date,
        only=_names(only),
        env=env,
        wait=wait,
        confirm_deletes=confirm_deletes,
    )
    domains.folder(run.conf, domain)
    return run


def _names(given: list[str] | None) -> tuple[str, ...]:
    """The names of an option that may be repeated, or list them with commas or spaces."""
    return tuple(name for item in given or () for name in item.replace(",", " ").split())


def main() -> None:
    """Run the command line."""
    sys.exit(app())


if __name__ == "__main__":
    main()
