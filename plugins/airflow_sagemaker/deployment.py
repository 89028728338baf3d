"""Which Airflow a job belongs to: several may share an AWS account, and none may stop another's jobs.

The id lies in Airflow's own database, as the Variable ``airflow_sagemaker_deployment``: unique without being
configured, the same for all workers, gone with the database. A URL is not unique (every laptop's is
``http://localhost:8080``), and the DAG ids of two deployments may be the same.
"""

from __future__ import annotations

import logging
import time
import uuid

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowRuntimeError

DEPLOYMENT_TAG = "airflow:deployment"
VARIABLE = "airflow_sagemaker_deployment"
SETTLED_S = 3.0
"""Longer than a task takes from reading that there is no id to having written one."""

log = logging.getLogger(__name__)


def deployment_id() -> str | None:
    """The id of this Airflow, made by the first task that asks; None where Airflow does not answer.

    First tasks that run at once each make one, and the last stays: whoever made one reads it again until it
    has been the same for :data:`SETTLED_S`. A job with an id that was lost would be judged by nobody.
    """
    try:
        found = Variable.get(VARIABLE, default=None)
        if not found:
            made = uuid.uuid4().hex
            Variable.set(VARIABLE, made, description="Tags the SageMaker jobs of this Airflow")
            found, before = made, None
            while found != before:
                time.sleep(SETTLED_S)
                found, before = Variable.get(VARIABLE, default=None), found
    except (AirflowRuntimeError, ImportError) as error:  # ImportError: no supervisor, as in dag.test()
        log.warning("Jobs are made without the tag %s: %s", DEPLOYMENT_TAG, error)
        return None
    return str(found) if found else None


def deployment_tags() -> dict[str, str]:
    """The tag of this Airflow, for what it makes."""
    found = deployment_id()
    return {DEPLOYMENT_TAG: found} if found else {}
