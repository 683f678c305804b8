"""mlsm as a task of Airflow 3: one run a night, which goes on where an earlier one stopped, and its report.

Exit codes: 2 and 6 (usage, configuration, bad data) fail the task at once; after any other, 5 (another run holds the store)
and 130 (the time was over) among them, it is tried again. Where the OpenLineage provider is installed and OPENLINEAGE_URL is
set, the events of the run name this task as their parent.
"""

import os
import subprocess
from datetime import datetime, timedelta

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.sdk import DAG, get_current_context, task

STORE = "/srv/mlsm/store"
RUN = [
    "mlsm", "run", "--config", "/srv/mlsm/birds.toml", "--no-wait", "--max-time", "5h30m",
    "--log-file", "/srv/mlsm/runs.jsonl", "--metrics-file", "/srv/mlsm/mlsm.prom",
]  # fmt: skip
REPORT = ["mlsm", "report", "--out", "/srv/mlsm/report.html"]
NO_USE_TO_RETRY = (2, 6)


def parent():
    """The variable that names this task as the parent of the run, where lineage is collected."""
    try:
        from airflow.providers.openlineage.plugins.macros import lineage_parent_id
    except ImportError:
        return {}
    return {"OPENLINEAGE_PARENT_ID": lineage_parent_id(get_current_context()["task_instance"])}


def call(command, variables):
    """Runs a command; its output goes to the log of the task."""
    code = subprocess.run(command, env=os.environ | {"MLSM_STORE": STORE} | variables).returncode
    if code in NO_USE_TO_RETRY:
        raise AirflowFailException(f"exit code {code}: mend the configuration or the data; the log says what")
    if code != 0:
        raise AirflowException(f"exit code {code}")


with DAG(
    dag_id="mlsm_birds",
    schedule="30 1 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["mlsm"],
    doc_md=__doc__,
) as dag:

    @task(retries=3, retry_delay=timedelta(minutes=10), execution_timeout=timedelta(hours=6))
    def run():
        call(RUN, parent())

    @task
    def report():
        call(REPORT, {})

    run() >> report()
