"""Airflow's public REST API, as far as the demo and the end-to-end tests need it.

Source: https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

import time
from typing import Any

import httpx

Json = dict[str, Any]

ATTEMPTS = 8
"""How often a call is made that a restart, an expired login or a busy database stopped."""


HEALTH_TIMEOUT_S = 30.0
TIMEOUT_S = 120.0
"""Of a call: what may have changed something cannot be asked again, however busy the machine is."""


class AirflowApiError(Exception):
    """The API server refused a call; says which and why."""


class AirflowApi:
    """A logged-in client of one API server.

    Attributes:
        url: ``http://127.0.0.1:8080``.
    """

    def __init__(self, url: str, *, user: str, password: str) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def health(self) -> dict[str, str]:
        """Component to its status; empty while the server does not answer."""
        try:
            answer = self._client.get("/api/v2/monitor/health", timeout=HEALTH_TIMEOUT_S)
        except httpx.TransportError:
            return {}
        if answer.status_code != httpx.codes.OK:
            return {}
        return {name: part.get("status") or "unknown" for name, part in answer.json().items() if part}

    def get(self, path: str, **query: Any) -> Json:
        """GET below /api/v2."""
        return self._call("GET", path, params=query)

    def post(self, path: str, body: Json) -> Json:
        """POST below /api/v2."""
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: Json) -> Json:
        """PATCH below /api/v2."""
        return self._call("PATCH", path, json=body)

    def put(self, path: str) -> Json:
        """PUT below /api/v2."""
        return self._call("PUT", path)

    def delete(self, path: str) -> Json:
        """DELETE below /api/v2."""
        return self._call("DELETE", path)

    def pause(self, dag_id: str) -> None:
        """Let the scheduler leave the runs of a DAG alone."""
        self.patch(f"/dags/{dag_id}", {"is_paused": True})

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler start runs of a DAG."""
        self.patch(f"/dags/{dag_id}", {"is_paused": False})

    def dag_ids(self) -> set[str]:
        """Ids of every DAG that was parsed."""
        return {dag["dag_id"] for dag in self.get("/dags", limit=200)["dags"]}

    def import_errors(self) -> list[Json]:
        """What the DAG processor could not parse."""
        errors: list[Json] = self.get("/importErrors", limit=50)["import_errors"]
        return errors

    def trigger(self, dag_id: str, *, logical_date: str | None = None, conf: Json | None = None) -> str:
        """Start a run; returns its id."""
        body = {"logical_date": logical_date, "conf": conf or {}}
        return str(self.post(f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> Json:
        """One DAG run."""
        return self.get(f"/dags/{dag_id}/dagRuns/{run_id}")

    def runs(self, dag_id: str, **query: Any) -> list[Json]:
        """Runs of a DAG, newest first."""
        query = {"order_by": "-run_after", "limit": 100} | query
        runs: list[Json] = self.get(f"/dags/{dag_id}/dagRuns", **query)["dag_runs"]
        return runs

    def tasks(self, dag_id: str, run_id: str) -> list[Json]:
        """Task instances of a run."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        tasks: list[Json] = self.get(path, limit=100)["task_instances"]
        return tasks

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """A task's result."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.get(path, deserialize=True)["value"]

    def run_xcoms(self, dag_id: str, run_id: str) -> list[Json]:
        """Which tasks of a run have a result."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/~/xcomEntries"
        entries: list[Json] = self.get(path, xcom_key="return_value", limit=100)["xcom_entries"]
        return entries

    def log_lines(self, dag_id: str, run_id: str, task_id: str, *, try_number: int) -> list[str]:
        """A task's log as plain lines."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.get(path, full_content=True)["content"]
        return [entry if isinstance(entry, str) else _line(entry) for entry in content]

    def asset_events(self, dag_id: str, run_id: str) -> list[Json]:
        """The asset events that started a run."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents"
        events: list[Json] = self.get(path)["asset_events"]
        return events

    def _call(self, method: str, path: str, **arguments: Any) -> Json:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._client.request(method, f"/api/v2{path}", **arguments)
            except httpx.TransportError as error:
                # The server restarts in tests and is slow on a busy machine; only reading is safe to repeat.
                if method != "GET" or attempt == ATTEMPTS:
                    raise AirflowApiError(f"{method} {path}: {type(error).__name__}: {error}") from error
                time.sleep(attempt * 0.3)
                continue
            if answer.status_code == httpx.codes.UNAUTHORIZED and attempt < ATTEMPTS:
                self._log_in()
                continue
            # SQLite refuses a writer at once while another writes; the call was rolled back as a whole.
            if answer.is_server_error and "Database error" in answer.text and attempt < ATTEMPTS:
                time.sleep(attempt * 0.3)
                continue
            if answer.is_error:
                raise AirflowApiError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
            body: Json = answer.json() if answer.content else {}
            return body
        raise AirflowApiError(f"{method} {path}: not let in; is the password still the one of this server?")

    def _log_in(self) -> None:
        answer = self._client.post("/auth/token", json=self._login)
        if answer.is_error:
            raise AirflowApiError(f"log-in as {self._login['username']}: {answer.status_code} {answer.text}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _line(entry: Json) -> str:
    extra = {key: value for key, value in entry.items() if key in ("error_detail", "exc_info") and value}
    text = f"{entry.get('timestamp') or ''} {entry.get('event', '')}".strip()
    for detail in extra.get("error_detail", []) if isinstance(extra.get("error_detail"), list) else []:
        text += f"\n  {detail.get('exc_type')}: {detail.get('exc_value')}"
    return text
