"""AWS's published limits that the local SageMaker keeps, in one table.

Source: https://docs.aws.amazon.com/general/latest/gr/sagemaker.html and the API references.
"""

from __future__ import annotations

MIB = 1024 * 1024

INVOKE_BODY_BYTES = 6 * MIB
"""Largest request body of InvokeEndpoint."""

INVOKE_TIMEOUT_S = 60.0
"""Longest a model container may take to answer an invocation."""

PING_START_TIMEOUT_S = 240.0
"""A serving container must answer /ping with 200 within this time of its start."""

PING_TIMEOUT_S = 2.0
"""A single /ping must be answered within this time."""

STOP_GRACE_S = 120.0
"""Time between SIGTERM and SIGKILL when a job is stopped."""

SERVE_STOP_GRACE_S = 30.0
"""Time between SIGTERM and SIGKILL when a serving container is stopped."""

JSON_BODY_BYTES = 16 * MIB
"""Largest JSON request body read into memory."""

FAILURE_REASON_CHARACTERS = 1024
"""A job's FailureReason is cut here."""

JOB_INSTANCES = 20
"""Instances of one job."""

KEEP_ALIVE_MOST_S = 3600
"""Longest that a warm pool is kept."""

LIST_PAGE_DEFAULT = 10
