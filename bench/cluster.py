"""The same suite on Spark's own cluster manager: a master and two workers on this machine.

The pipeline runs twice over the same files: in this process, and submitted to the cluster by
`spark-submit.sh` with the environment `cluster`. Both lakehouses must hold the same rows.
`python -m bench.cluster --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import HERE
from bench.run import timed
from lakehouse import config
from lakehouse.duck import Duck
from lakehouse.launch import delta_jars, prepare
from lakehouse.tables import Tables

DAY = "2025-06-30"
PATIENCE = 60


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def daemon(kind: str, log: Path, *options: str | int | Path) -> Iterator[None]:
    """A master or worker of Spark's cluster manager, as long as it is needed."""
    command = [f"{os.environ['SPARK_HOME']}/bin/spark-class", f"org.apache.spark.deploy.{kind}"]
    with log.open("wb") as text:
        process = subprocess.Popen(
            [*command, *map(str, options)], stdout=text, stderr=text, start_new_session=True
        )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def cluster(folder: Path, workers: int, memory: str) -> Iterator[str]:
    """A cluster on this machine; its address."""
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    where = ("--host", "127.0.0.1", "--webui-port", 0)
    with ExitStack() as stack:
        stack.enter_context(daemon("master.Master", folder / "master.log", *where, "--port", port))
        _await(port)
        for number in range(workers):
            work = ("--work-dir", folder / f"work{number}", "--cores", 1, "--memory", memory)
            log = folder / f"worker{number}.log"
            stack.enter_context(daemon("worker.Worker", log, *where, *work, address))
        yield address


def _await(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit(f"no master on port {port} after {PATIENCE} s")


def submitted(address: str, landing: Path, warehouse: Path, memory: str) -> list[str | Path]:
    """The command that a user of such a cluster gives."""
    return [
        *("env", "LAKEHOUSE_ENV=cluster", HERE.parent / "spark-submit.sh", "--master", address),
        *("--jars", ",".join(map(str, delta_jars()))),
        *("--conf", f"spark.executor.memory={memory}", "--conf", "spark.driver.host=127.0.0.1"),
        *("jobs/pipeline.py", "--domain", "hospital", "--business-date", DAY),
        *("--landing", landing, "--warehouse", warehouse),
    ]


def unlike(one: Path, other: Path) -> list[str]:
    """The silver and gold tables whose rows differ."""
    ducks = [Duck(Tables(config.settings("hospital", warehouse=str(at)))) for at in (one, other)]
    names = [name for name in ducks[0].names() if name.startswith(("silver.", "gold."))]
    assert names
    assert names == [n for n in ducks[1].names() if n.startswith(("silver.", "gold."))]
    return [name for name in names if _rows(ducks[0], name) != _rows(ducks[1], name)]


def _rows(duck: Duck, name: str) -> list[str]:
    return sorted(str(row) for row in duck.run(f"FROM {name}").to_pylist())


def main() -> None:
    """Run both, compare, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=20)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="1g", help="of each executor")
    options = parser.parse_args()
    from data_gen.hospital import generate

    prepare(config.environment("local"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        landing, here, there = (folder / name for name in ("landing", "here", "there"))
        generate(landing, seed=options.seed, scale=options.scale)
        alone: list[str | Path]
        alone = [sys.executable, "-m", "lakehouse.cli", "run", "hospital", "--landing", landing]
        alone += ["--warehouse", here, "--business-date", DAY]
        found = {"one process": timed(alone, HERE.parent)}
        with cluster(folder, options.workers, options.memory) as address:
            # Else the settings of this process's own session would be taken for the cluster's.
            del os.environ["SPARK_CONF_DIR"]
            command = submitted(address, landing, there, options.memory)
            found[f"{options.workers} workers"] = timed(command, HERE.parent)
            executors = list(folder.glob("work*/app-*/*"))
        assert len(executors) >= options.workers, "the run had no workers of the cluster"
        wrong = unlike(here, there)
        shutil.rmtree(folder / "there")
    for name, seconds in found.items():
        print(f"{name:>12} {seconds:7.1f} s")
    if wrong:
        raise SystemExit(f"not the same rows: {', '.join(wrong)}")
    print("the same rows in every silver and gold table")
    said = {"scale": options.scale, "seconds": found}
    (HERE / "cluster.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
