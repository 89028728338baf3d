from __future__ import annotations

import httpx
import pytest

from demo import airflow_api
from demo.airflow_api import AirflowApi, AirflowApiError


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.airflow_api.time.sleep", lambda seconds: None)


def api(*answers: httpx.Response | Exception) -> tuple[AirflowApi, list[httpx.Request]]:
    """A client that gets these answers one after another; log-ins always work."""
    seen: list[httpx.Request] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            return httpx.Response(201, json={"access_token": "fresh"})
        seen.append(request)
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    client = AirflowApi("http://airflow", user="admin", password="secret")
    client._client = httpx.Client(base_url="http://airflow", transport=httpx.MockTransport(answer))
    return client, seen


LOCKED = httpx.Response(500, json={"detail": {"reason": "Database error"}})
OK = httpx.Response(200, json={"fine": True})


def test_an_expired_login_is_renewed() -> None:
    client, seen = api(httpx.Response(401), OK)
    assert client.get("/dags") == {"fine": True}
    assert seen[1].headers["Authorization"] == "Bearer fresh"


def test_a_busy_database_is_asked_again_because_it_rolled_back() -> None:
    client, seen = api(LOCKED, LOCKED, OK)
    assert client.post("/dags/x/dagRuns", {}) == {"fine": True}
    assert len(seen) == 3


def test_reading_outlives_a_restart_of_the_server() -> None:
    client, _ = api(httpx.ConnectError("refused"), OK)
    assert client.get("/dags") == {"fine": True}


def test_a_write_that_may_have_arrived_is_not_repeated() -> None:
    client, seen = api(httpx.ReadTimeout("late"), OK)
    with pytest.raises(AirflowApiError, match="ReadTimeout"):
        client.post("/dags/x/dagRuns", {})
    assert len(seen) == 1


def test_a_refusal_says_what_the_server_said() -> None:
    client, _ = api(httpx.Response(404, text="no such dag"))
    with pytest.raises(AirflowApiError, match="GET /dags/x: 404 no such dag"):
        client.get("/dags/x")


def test_endless_refusal_of_the_login_ends() -> None:
    client, _ = api(*[httpx.Response(401)] * airflow_api.ATTEMPTS)
    with pytest.raises(AirflowApiError, match="401"):
        client.get("/dags")


def test_health_of_a_server_that_is_down_is_empty() -> None:
    client, _ = api(httpx.ConnectError("refused"))
    assert client.health() == {}
