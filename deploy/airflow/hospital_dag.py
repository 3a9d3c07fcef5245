"""The hospital lakehouse as a DAG of Airflow 3.3 or later: each task is one `lakehouse` command.

Put this file into the DAGs folder. `lakehouse` must be on the workers' PATH, and their environment
says where it works, see docs/scheduling.md. Every task can be repeated at any time: what is done is
not done twice.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

DOMAIN = "hospital"
ANOTHER_RUN = 5


class Lakehouse(BashOperator):
    """One command that gives a line of JSON; returns how many files it refused.

    Exit code 5, another run was first, is tried again. A run that only refused a file goes on, as
    the other files are loaded; `refused` tells it. Any other exit code fails at once, as the same
    data would fail again.
    """

    def __init__(self, words: str, **given: Any) -> None:
        # The line comes last: standard error is in the task's log too.
        command = f'line=$(lakehouse {words}); code=$?; echo "$line"; exit $code'
        super().__init__(bash_command=command, **given)

    def execute(self, context: Any) -> int:
        ran = self.subprocess_hook.run_command(
            ["bash", "-c", self.bash_command], env=self.get_env(context)
        )
        if ran.exit_code == ANOTHER_RUN:
            raise AirflowException("exit code 5: another run was first")
        line = json.loads(ran.output) if ran.output.startswith("{") else {}
        if ran.exit_code and line.get("status") != "refused":
            raise AirflowFailException(f"exit code {ran.exit_code}: {line.get('error', '')}")
        return len(line.get("refused", []))


@task
def refused(files: int) -> None:
    """Fails when a file was refused, so that the DAG's run is not green."""
    if files:
        raise AirflowFailException(f"{files} file(s) refused, see: lakehouse plan {DOMAIN}")


# What no run could tell itself, such as that it was killed. A failure that it told is not repeated.
FAILED = (
    "{% set states = ti.get_task_states(dag_id=dag.dag_id, run_ids=[run_id])[run_id] %}"
    "{% for name, state in states.items() if state == 'failed' %}{{ name }} {% endfor %}"
)

with DAG(
    dag_id=f"lakehouse_{DOMAIN}",
    description="Files to bronze, silver and gold",
    schedule="*/15 * * * *",
    start_date=pendulum.datetime(2025, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=2)},
) as dag:
    check_source = Lakehouse(task_id="check_source", words=f"plan {DOMAIN} --json")
    load = Lakehouse(task_id="load", words=f"run {DOMAIN} --layer bronze --json")
    conform = Lakehouse(task_id="conform", words=f"run {DOMAIN} --layer silver --json")
    checks = Lakehouse(task_id="checks", words=f"checks {DOMAIN} --layer silver --json")
    gold = Lakehouse(task_id="gold", words=f"run {DOMAIN} --layer gold --json")
    report = BashOperator(task_id="report", bash_command=f"lakehouse report {DOMAIN}")
    alert = BashOperator(
        task_id="alert", bash_command=f"lakehouse alert {DOMAIN} --failed '{FAILED}'"
    )
    known = refused(load.output)

    check_source >> load >> conform >> checks >> gold >> report
    # A teardown: it runs whatever happened, and does not decide whether the DAG's run is green.
    [known, report] >> alert.as_teardown()
