from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from airflow_sagemaker.errors import (
    CapacityError,
    ForeignResourceError,
    InvocationError,
    JobTimedOutError,
    QuotaExceededError,
    RolloutError,
)
from airflow_sagemaker.hooks.endpoints import EndpointHook
from airflow_sagemaker.hooks.models import ModelHook
from airflow_sagemaker.hooks.object_storage import ObjectStorageHook
from airflow_sagemaker.operators.endpoint import (
    EndpointRolloutOperator,
    InvokeEndpointOperator,
    RevertEndpointOperator,
)
from airflow_sagemaker.operators.endpoint_state import SERVE, SETTLE, STATE_KEY
from airflow_sagemaker.specs.endpoint import EndpointRollout
from airflow_sagemaker.submission import NameTakenError
from airflow_sagemaker.triggers import worker_wait
from airflow_sagemaker.triggers.pause import PauseTrigger

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/digits/3"


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Endpoint:
    def __init__(self) -> None:
        self.state: dict[str, Any] | None = None
        self.calls: list[str] = []
        self.tags = {"airflow:dag_id": "d"}
        self.taken = False
        self.changes = 0

    def is_(self, status: str, config: str = "asked", **more: Any) -> None:
        self.changes += 1
        self.state = {
            "EndpointStatus": status,
            "EndpointConfigName": config,
            "EndpointArn": "arn:e",
            "LastModifiedTime": self.changes,
            **more,
        }


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    seen = Endpoint()

    def create(_: EndpointHook, config: str, tags: Any) -> None:
        if seen.taken:
            raise NameTakenError
        assert tags == seen.tags
        seen.calls.append(f"create {config}")

    monkeypatch.setattr(EndpointHook, "describe", lambda _: seen.state)
    monkeypatch.setattr(EndpointHook, "tags", lambda *_: seen.tags)
    monkeypatch.setattr(EndpointHook, "create", create)
    monkeypatch.setattr(EndpointHook, "update", lambda _, config: seen.calls.append(f"update {config}"))
    monkeypatch.setattr(EndpointHook, "delete", lambda _: seen.calls.append("delete"))
    monkeypatch.setattr(ModelHook, "ensure_model", lambda *_: "model")
    monkeypatch.setattr(ModelHook, "ensure_endpoint_config", lambda *_: "asked")
    return seen


@pytest.fixture(autouse=True)
def connection(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"bucket": "data", "role_arn": "arn:aws:iam::123456789012:role/sagemaker"}
    extra = {"region_name": "us-east-1", "endpoint_url": "http://127.0.0.1:9", "sagemaker": settings}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SAGEMAKER", json.dumps({"conn_type": "aws", "extra": extra}))


@pytest.fixture
def rollout() -> EndpointRolloutOperator:
    with DAG("d", schedule=None):
        return EndpointRolloutOperator(
            task_id="t", endpoint=EndpointRollout(endpoint_name="e", model_package_arn=ARN, max_rollout_s=60)
        )


def context(store: Store | None = None, *, try_number: int = 1, max_tries: int = 1) -> Any:
    ti = SimpleNamespace(
        dag_id="d",
        run_id="r",
        task_id="t",
        map_index=-1,
        try_number=try_number,
        max_tries=max_tries,
        task=SimpleNamespace(retries=1),
    )
    return {"ti": ti, "task_state_store": store if store is not None else Store()}


@pytest.mark.parametrize(
    ("status", "config", "calls", "phase"),
    [
        (None, None, ["create asked"], SERVE),
        ("InService", "earlier", ["update asked"], SERVE),
        ("Failed", "broken", ["delete"], SETTLE),
        ("Creating", "asked", [], SETTLE),
        ("Updating", "earlier", [], SETTLE),
        ("Deleting", "earlier", [], SETTLE),
    ],
)
def test_the_state_of_the_endpoint_decides_what_is_done(
    rollout: EndpointRolloutOperator,
    endpoint: Endpoint,
    status: str | None,
    config: str,
    calls: list[str],
    phase: str,
) -> None:
    if status:
        endpoint.is_(status, config)
    with pytest.raises(TaskDeferred) as raised:
        rollout.execute(context())
    assert endpoint.calls == calls
    fields = raised.value.trigger.serialize()[1]
    assert (fields["phase"], fields["wanted_config"], fields["endpoint_name"]) == (phase, "asked", "e")


def test_a_rollout_that_may_is_waited_for_on_its_worker(
    rollout: EndpointRolloutOperator, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(trigger: Any, _: Any, limit_s: float) -> dict[str, Any]:
        assert limit_s == 7
        return trigger.payload("completed", results=trigger.results)  # type: ignore[no-any-return]

    monkeypatch.setattr(worker_wait, "wait_on_worker", wait)
    rollout.worker_wait_s = 7
    assert rollout.execute(context())["endpoint_config_name"] == "asked"


def test_an_endpoint_that_serves_it_already_is_left_alone(
    rollout: EndpointRolloutOperator, endpoint: Endpoint
) -> None:
    endpoint.is_("InService")
    assert rollout.execute(context()) == {
        "endpoint_name": "e",
        "endpoint_config_name": "asked",
        "endpoint_arn": "arn:e",
        "model_package_arn": ARN,
        "previous_endpoint_config_name": None,
    }
    assert endpoint.calls == []


@pytest.mark.parametrize("status", ["OutOfService", "UpdateRollbackFailed"])
def test_an_endpoint_that_takes_no_update_is_refused(
    rollout: EndpointRolloutOperator, endpoint: Endpoint, status: str
) -> None:
    endpoint.is_(status)
    with pytest.raises(RolloutError, match=f"Endpoint 'e': it is {status}"):
        rollout.execute(context())


def test_an_endpoint_made_meanwhile_by_another_is_waited_for(
    rollout: EndpointRolloutOperator, endpoint: Endpoint
) -> None:
    endpoint.taken = True
    with pytest.raises(TaskDeferred) as raised:
        rollout.execute(context())
    assert raised.value.trigger.serialize()[1]["phase"] == SETTLE


def test_a_later_try_remembers_what_was_served_before(
    rollout: EndpointRolloutOperator, endpoint: Endpoint
) -> None:
    store = Store()
    endpoint.is_("InService", "earlier")
    with pytest.raises(TaskDeferred):
        rollout.execute(context(store))
    endpoint.is_("InService", "asked")
    result = rollout.execute(context(store))
    assert result["previous_endpoint_config_name"] == "earlier"
    assert store[STATE_KEY]["previous"] == "earlier"


def test_what_is_asked_for_is_written_down_before(
    rollout: EndpointRolloutOperator, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LostWorker(BaseException):
        pass

    def lost(*_: Any) -> None:
        raise LostWorker

    store = Store()
    monkeypatch.setattr(EndpointHook, "create", lost)
    with pytest.raises(LostWorker):
        rollout.execute(context(store))
    assert (store[STATE_KEY]["name"], store[STATE_KEY]["fingerprint"]) == ("e", "asked")


def asked_and_rolled_back(
    rollout: EndpointRolloutOperator, endpoint: Endpoint, reason: str = "no ping"
) -> Store:
    store = Store()
    endpoint.is_("InService", "earlier")
    with pytest.raises(TaskDeferred):
        rollout.execute(context(store))
    endpoint.is_("InService", "earlier", FailureReason=reason)
    endpoint.calls.clear()
    return store


def test_a_try_after_a_lost_worker_does_not_repeat_a_rollout_that_was_taken_back(
    rollout: EndpointRolloutOperator, endpoint: Endpoint
) -> None:
    store = asked_and_rolled_back(rollout, endpoint)
    with pytest.raises(RolloutError, match=r"with config earlier, not with asked as asked \(no ping\)"):
        rollout.execute(context(store, try_number=2))
    assert endpoint.calls == []


def test_a_cleared_rollout_is_tried_again(rollout: EndpointRolloutOperator, endpoint: Endpoint) -> None:
    store = asked_and_rolled_back(rollout, endpoint)
    with pytest.raises(TaskDeferred):
        rollout.execute(context(store, try_number=2, max_tries=2))
    assert endpoint.calls == ["update asked"]


def test_a_rollout_that_lacked_capacity_is_tried_again(
    rollout: EndpointRolloutOperator, endpoint: Endpoint
) -> None:
    store = asked_and_rolled_back(rollout, endpoint, "InsufficientInstanceCapacity error.")
    with pytest.raises(TaskDeferred):
        rollout.execute(context(store, try_number=2))
    assert endpoint.calls == ["update asked"]


def test_a_worker_lost_before_it_asked_leaves_the_asking_to_the_next(
    rollout: EndpointRolloutOperator, endpoint: Endpoint
) -> None:
    store = Store()
    endpoint.is_("InService", "earlier")
    with pytest.raises(TaskDeferred):
        rollout.execute(context(store))
    endpoint.calls.clear()
    with pytest.raises(TaskDeferred):
        rollout.execute(context(store, try_number=2))
    assert endpoint.calls == ["update asked"]


@pytest.mark.parametrize("status", ["InService", "Failed"])
@pytest.mark.parametrize("tags", [{}, {"airflow:dag_id": "another"}], ids=["no DAG's", "another DAG's"])
def test_somebody_elses_endpoint_is_neither_updated_nor_deleted(
    rollout: EndpointRolloutOperator, endpoint: Endpoint, status: str, tags: dict[str, str]
) -> None:
    endpoint.is_(status, "theirs")
    endpoint.tags = tags
    with pytest.raises(ForeignResourceError, match="airflow:dag_id=d to hand it over"):
        rollout.execute(context())
    assert endpoint.calls == []


def test_a_killed_task_begins_no_rollout(rollout: EndpointRolloutOperator, endpoint: Endpoint) -> None:
    rollout.on_kill()
    with pytest.raises(RolloutError, match="killed"):
        rollout.execute(context())
    assert endpoint.calls == []


def event(end: str, phase: str, **more: Any) -> dict[str, Any]:
    wanted = {"endpoint_name": "e", "endpoint_config_name": "asked"}
    return {"end": end, "wanted": wanted, "phase": phase, "limit_s": 60, "reason": None, **more}


def test_a_rolled_back_endpoint_is_not_green(rollout: EndpointRolloutOperator) -> None:
    back = event("settled", SERVE, status="InService", config="earlier", reason="no ping")
    with pytest.raises(
        RolloutError, match=r"InService with config earlier, not with asked as asked \(no ping\)"
    ):
        rollout.execute_complete(context(), back)


def test_once_it_is_at_rest_the_next_step_is_taken(
    rollout: EndpointRolloutOperator, endpoint: Endpoint
) -> None:
    with pytest.raises(TaskDeferred):
        rollout.execute_complete(context(), event("settled", SETTLE, status="missing"))
    assert endpoint.calls == ["create asked"]


def test_success_and_timeout(rollout: EndpointRolloutOperator) -> None:
    done = event("completed", SERVE, results={"endpoint_arn": "arn:e"})
    assert rollout.execute_complete(context(), done) == {"endpoint_arn": "arn:e"}
    with pytest.raises(JobTimedOutError, match=r"too long\. SageMaker goes on with it"):
        rollout.execute_complete(context(), event("timed_out", SERVE, reason="too long"))


@pytest.mark.parametrize("nothing", ["", "None"])
def test_with_nothing_to_go_back_to_a_revert_is_skipped(endpoint: Endpoint, nothing: str) -> None:
    with DAG("d", schedule=None):
        revert = RevertEndpointOperator(task_id="t", endpoint_name="e", endpoint_config_name=nothing)
    with pytest.raises(AirflowSkipException, match="'e' served nothing before"):
        revert.execute(context())


def test_a_revert_is_an_update_to_the_earlier_config(endpoint: Endpoint) -> None:
    endpoint.is_("InService", "broken")
    with DAG("d", schedule=None):
        revert = RevertEndpointOperator(task_id="t", endpoint_name="e", endpoint_config_name="earlier")
    with pytest.raises(TaskDeferred):
        revert.execute(context())
    assert endpoint.calls == ["update earlier"]


class TestTheSmokeTest:
    @pytest.fixture
    def sent(self, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        sent: list[bytes] = []

        def invoke(_: EndpointHook, body: bytes, content_type: str, accept: str) -> tuple[str, bytes]:
            sent.append(body)
            return "AllTraffic", b"".join(b"0.5\n" for _ in body.splitlines())

        monkeypatch.setattr(EndpointHook, "invoke", invoke)
        monkeypatch.setattr(ObjectStorageHook, "read_text", lambda *_: "label,a,b\n7,1,2\n8,3,4\n9,5,6\n")
        return sent

    def smoke(self, **arguments: Any) -> Any:
        with DAG("d", schedule=None):
            return InvokeEndpointOperator(task_id="t", endpoint_name="e", **arguments).execute(context())

    def test_rows_go_without_header_and_label(self, sent: list[bytes]) -> None:
        result = self.smoke(source="test.csv", skip_header=True, skip_columns=1, max_rows=2)
        assert sent == [b"1,2\n3,4\n"]
        assert result["rows"] == 2
        assert result["answers"] == ["0.5", "0.5"]

    def test_every_row_needs_an_answer(self, sent: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(EndpointHook, "invoke", lambda *_: ("AllTraffic", b"0.5\n"))
        with pytest.raises(InvocationError, match="1 lines for 2 rows"):
            self.smoke(body="1\n2\n")
        assert self.smoke(body="1\n2\n", expect_answers=False)["rows"] == 2

    def test_every_answer_has_to_look_right(self, sent: list[bytes]) -> None:
        self.smoke(body="1\n", expect_pattern=r"[0-9.]+")
        with pytest.raises(InvocationError, match=r"first '0\.5'"):
            self.smoke(body="1\n", expect_pattern=r"[0-9]")

    @pytest.mark.parametrize("arguments", [{}, {"body": ""}, {"body": "header\n", "skip_header": True}])
    def test_nothing_to_send_is_an_error(self, sent: list[bytes], arguments: dict[str, Any]) -> None:
        with pytest.raises(InvocationError):
            self.smoke(**arguments)


def test_an_endpoint_waits_for_its_quota_on_the_same_try(
    rollout: EndpointRolloutOperator, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise QuotaExceededError("Endpoint 'e'", "AWS answers ResourceLimitExceeded", "Wait")

    with monkeypatch.context() as full:
        full.setattr(EndpointHook, "create", refuse)
        with pytest.raises(TaskDeferred) as deferred:
            rollout.bring(context(), {"endpoint_name": "e", "endpoint_config_name": "asked"}, 60)
    assert isinstance(deferred.value.trigger, PauseTrigger)
    with pytest.raises(TaskDeferred) as again:
        rollout.resume_execution(deferred.value.method_name, dict(deferred.value.kwargs or {}), context())
    assert again.value.method_name == "execute_complete"
    assert endpoint.calls == ["create asked"]


def test_an_endpoint_that_lacks_capacity_is_tried_again_later(rollout: EndpointRolloutOperator) -> None:
    reason = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
    wanted = {"endpoint_name": "e", "endpoint_config_name": "asked"}
    event = {
        "end": "settled",
        "phase": SERVE,
        "status": "Failed",
        "config": "asked",
        "reason": reason,
        "wanted": wanted,
    }
    with pytest.raises(CapacityError, match=reason):
        rollout.execute_complete(context(), event)
