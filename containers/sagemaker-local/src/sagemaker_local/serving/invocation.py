"""One invocation of an endpoint: which variant and instance take it, and what becomes of it.

Every kind of invocation goes through here: InvokeEndpoint, its streaming sister, and the queue of the
asynchronous. Each is counted once.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable

from sagemaker_local.cloudwatch.invocations import MICROSECONDS, NAMESPACE, InvocationMetrics
from sagemaker_local.cloudwatch.metric_store import MetricStore
from sagemaker_local.errors import AwsError
from sagemaker_local.serving.capture import DataCapture
from sagemaker_local.serving.fleet import LOG_GROUP, Fleet
from sagemaker_local.serving.http import Answer, ConnectionLost, NotListening
from sagemaker_local.serving.invocation_errors import (
    LostRequest,
    ModelError,
    ServiceUnavailable,
    ValidationError,
)
from sagemaker_local.serving.invocation_request import Invocation, ask, choose
from sagemaker_local.serving.multi_model import LoadFailed
from sagemaker_local.serving.router import Variant
from sagemaker_local.serving.shadow import Shadowed
from sagemaker_local.serving.supervisor import EndpointSupervisor
from sagemaker_local.settings import Settings
from sagemaker_local.store import NotFound, Store

RESTART_WAIT_S = 5.0
"""A request waits so long for a container that is being started again."""
ORIGINAL_MESSAGE_BYTES = 64 * 1024


class Invoker:
    """Takes invocations to containers.

    Args:
        settings: Region and account, for messages.
        store: Tells why an endpoint serves nothing.
        endpoints: What serves.
        metrics: Counts.
        metric_store: Takes what only multi-model endpoints have.
        capture: Keeps what was asked and answered, where an endpoint is to.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        endpoints: EndpointSupervisor,
        metrics: InvocationMetrics,
        metric_store: MetricStore,
        capture: DataCapture,
    ) -> None:
        self._settings = settings
        self._store = store
        self._endpoints = endpoints
        self._metrics = metrics
        self._store_of_metrics = metric_store
        self._capture = capture

    def fleet(self, name: str) -> Fleet:
        """What serves an endpoint now.

        Raises:
            AwsError: nothing does; as the runtime words it.
        """
        fleet = self._endpoints.fleet(name)
        if fleet is not None:
            return fleet
        account = self._settings.account
        try:
            status = self._store.get("endpoint", name).document["EndpointStatus"]
        except NotFound:
            raise ValidationError(f"Endpoint {name} of account {account} not found.") from None
        if status in ("SystemUpdating", "Updating", "RollingBack", "UpdateRollbackFailed"):
            raise ServiceUnavailable(
                f"Endpoint {name} is coming back after a restart of the local SageMaker."
            )
        raise ValidationError(
            f"Endpoint {name} of account {account} is {status}; it takes requests when it is InService."
        )

    async def invoke(
        self,
        invocation: Invocation,
        *,
        sink: Callable[[bytes], None] | None = None,
        headed: Callable[[Answer], None] | None = None,
    ) -> Answer:
        """The container's answer; ``sink`` and ``headed`` as in :meth:`Client.request`.

        Raises:
            AwsError: there is none, or it is an error; as the runtime words it.
        """
        status = 500
        try:
            answer = await self._take(invocation, sink, headed)
            status = answer.status
        except ModelError as error:
            status = error.fields["OriginalStatusCode"]
            raise
        except AwsError as error:
            status = error.status_code
            raise
        finally:
            if invocation.variant:
                took_s = time.perf_counter() - invocation.started
                self._metrics.record(
                    invocation.endpoint,
                    invocation.variant,
                    status=status,
                    model_latency_s=invocation.model_latency_s,
                    overhead_s=took_s - (invocation.model_latency_s or 0.0),
                    model_setup_s=invocation.model_setup_s,
                )
                if invocation.model_loading_s is not None:
                    self._count_loading(invocation, invocation.model_loading_s)
                if invocation.fleet is not None and invocation.fleet.shadow is not None:
                    observe = functools.partial(self._shadowed, invocation, invocation.fleet)
                    invocation.fleet.shadow.mirror(invocation.headers, invocation.body, observe)
        # A stream is not captured: it is gone by now.
        if sink is None and invocation.fleet is not None and (config := invocation.fleet.plan.data_capture):
            await self._capture.capture(
                config,
                invocation.endpoint,
                invocation.variant,
                invocation.headers,
                invocation.body,
                answer.headers,
                bytes(answer.body),
            )
        return answer

    def _count_loading(self, invocation: Invocation, loading_s: float) -> None:
        """The metrics of multi-model endpoints.

        Source: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
        """
        place = {"EndpointName": invocation.endpoint, "VariantName": invocation.variant}
        self._store_of_metrics.put(NAMESPACE, "ModelCacheHit", place, float(not loading_s), "None")
        if loading_s:
            waited = loading_s * MICROSECONDS
            self._store_of_metrics.put(NAMESPACE, "ModelLoadingWaitTime", place, waited, "Microseconds")

    async def _shadowed(self, invocation: Invocation, fleet: Fleet, shadowed: Shadowed) -> None:
        """Count and capture what a shadow variant made of a copy."""
        self._metrics.record(
            invocation.endpoint,
            shadowed.variant,
            status=shadowed.status,
            model_latency_s=shadowed.latency_s,
            overhead_s=0.0,
        )
        if shadowed.answer is not None and (config := fleet.plan.data_capture):
            await self._capture.capture(
                config,
                invocation.endpoint,
                shadowed.variant,
                invocation.headers,
                invocation.body,
                shadowed.answer.headers,
                bytes(shadowed.answer.body),
            )

    async def _take(
        self,
        invocation: Invocation,
        sink: Callable[[bytes], None] | None,
        headed: Callable[[Answer], None] | None,
    ) -> Answer:
        """Sent again only while no container has taken it."""
        started = time.monotonic()
        while True:
            # Again each time: an update may have switched fleets.
            fleet = invocation.fleet = self._next_fleet(invocation)
            variant = self._variant(fleet, invocation)
            try:
                server = choose(variant, invocation)
                invocation.variant = variant.name
                if not server.ready and not await server.wait_ready(RESTART_WAIT_S):
                    raise ServiceUnavailable(
                        f"Endpoint {invocation.endpoint}: no container of variant {variant.name} is healthy."
                    )
                answer = await ask(server, invocation, sink, headed)
            except LoadFailed as error:
                answer = error.answer
            except NotListening as error:
                if time.monotonic() - started > RESTART_WAIT_S:
                    raise ServiceUnavailable(f"Endpoint {invocation.endpoint}: {error}.") from error
                await asyncio.sleep(0)
                continue
            except ConnectionLost as error:
                raise LostRequest(
                    "An exception occurred while sending request to model. Please contact customer support "
                    f"regarding request {invocation.request_id}. ({error})"
                ) from error
            except TimeoutError as error:
                text = (
                    "Your invocation timed out while waiting for a response from container primary. Review "
                    "the latency metrics for each container in Amazon CloudWatch, resolve the issue, and "
                    "try again."
                )
                raise self.model_error(invocation.endpoint, 0, text) from error
            if answer.status >= 300:
                text = bytes(answer.body[:ORIGINAL_MESSAGE_BYTES]).decode("utf-8", "replace")
                raise self.model_error(invocation.endpoint, answer.status, text)
            return answer

    def _next_fleet(self, invocation: Invocation) -> Fleet:
        """The fleet whose turn it is: an update may be moving the requests from one to another."""
        only = self.fleet(invocation.endpoint)
        traffic = self._endpoints.traffic(invocation.endpoint)
        try:
            return traffic.fleet(invocation.target_variant) if traffic else only
        except KeyError:
            return only  # which knows no such variant either, and says so

    def _variant(self, fleet: Fleet, invocation: Invocation) -> Variant:
        try:
            return fleet.router.variant(invocation.target_variant)
        except KeyError:
            raise ValidationError(
                f"Variant {invocation.target_variant} not found for endpoint {invocation.endpoint} "
                f"of account {self._settings.account}."
            ) from None

    def model_error(self, endpoint: str, status: int, original: str) -> ModelError:
        """The answer when a container gave an error, or none (status 0)."""
        settings, group = self._settings, LOG_GROUP.format(endpoint)
        blame = "client" if 400 <= status < 500 else "server"
        return ModelError(
            f'Received {blame} error ({status}) from primary with message "{original}". See '
            f"https://{settings.region}.console.aws.amazon.com/cloudwatch/home?region={settings.region}"
            f"#logEventViewer:group={group} in account {settings.account} for more information.",
            {
                "OriginalStatusCode": status,
                "OriginalMessage": original,
                "LogStreamArn": f"arn:aws:logs:{settings.region}:{settings.account}:log-group:{group}",
            },
        )
