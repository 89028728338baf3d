"""Health check of a container: ``python healthy.py COMPONENT`` ends with 0 when the component is well.

Airflow's own command would import all of Airflow every time: five seconds of a processor.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import urllib.request

TIMEOUT_S = 5.0
WORKER_LOG_PORT = 8793
"""A worker serves its logs as long as it runs."""


def reported(component: str) -> bool:
    """Whether the API server has a fresh heartbeat of the component."""
    host = "127.0.0.1" if component == "metadatabase" else "api-server"
    url = os.environ.get("HEALTH_URL", f"http://{host}:8080/api/v2/monitor/health")
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - of this network
        return json.load(answer)[component]["status"] == "healthy"


def listening(port: int) -> bool:
    """Whether a process of this container listens."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S):
        return True


def main(component: str) -> int:
    """Exit code for Docker."""
    try:
        well = listening(WORKER_LOG_PORT) if component == "worker" else reported(component)
    except (OSError, ValueError, KeyError) as error:
        print(f"{component}: {error!r}")
        return 1
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
