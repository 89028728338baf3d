"""The architecture on one page: which request goes where, and what starts and stops with the server.

Requests are routed by AWS's own marks, in this order: the ``X-Amz-Target`` header (JSON services), the path
of an invocation (SageMaker runtime is REST under the signing name ``sagemaker``), the signing name of a query
service (IAM, STS: moto), and everything else is S3.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local import __doc__ as about
from sagemaker_local import wire
from sagemaker_local.api import (
    application_autoscaling,
    auto_ml_job,
    cloudwatch,
    compilation_job,
    endpoint,
    endpoint_config,
    experiment,
    hyper_parameter_tuning_job,
    identity,
    image,
    image_version,
    logs,
    model,
    model_package,
    model_package_group,
    notebook_instance,
    pipeline,
    pipeline_execution,
    processing_job,
    runtime,
    sagemaker_metrics,
    search,
    service_quotas,
    tag,
    training_job,
    transform_job,
    trial,
    trial_component,
)
from sagemaker_local.auth.browsers import BrowserGuard
from sagemaker_local.auth.gate import AuthenticationGate
from sagemaker_local.auth.keys import KeyRing
from sagemaker_local.cloudwatch import protocol as cloudwatch_protocol
from sagemaker_local.cloudwatch.alarms import AlarmStore
from sagemaker_local.cloudwatch.invocations import InvocationMetrics
from sagemaker_local.cloudwatch.metric_store import MetricStore
from sagemaker_local.errors import UnknownOperationException
from sagemaker_local.executors.choice import choose_executor
from sagemaker_local.faults import api as faults_api
from sagemaker_local.faults.injection import FaultInjection
from sagemaker_local.faults.plan import FaultPlan
from sagemaker_local.jobs.engine import JobEngine
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.protocol import Handler, JsonProtocol, error_response
from sagemaker_local.s3.app import create_app as create_s3_app
from sagemaker_local.s3.app import operation_name as s3_operation_name
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.services import Services
from sagemaker_local.serving.supervisor import EndpointSupervisor
from sagemaker_local.settings import Settings
from sagemaker_local.status import app as status_app
from sagemaker_local.store import Store

SAGEMAKER: Mapping[str, Handler] = {
    **processing_job.OPERATIONS,
    **training_job.OPERATIONS,
    **compilation_job.OPERATIONS,
    **transform_job.OPERATIONS,
    **hyper_parameter_tuning_job.OPERATIONS,
    **pipeline.OPERATIONS,
    **pipeline_execution.OPERATIONS,
    **experiment.OPERATIONS,
    **trial.OPERATIONS,
    **trial_component.OPERATIONS,
    **search.OPERATIONS,
    **model.OPERATIONS,
    **endpoint_config.OPERATIONS,
    **endpoint.OPERATIONS,
    **model_package_group.OPERATIONS,
    **model_package.OPERATIONS,
    **auto_ml_job.OPERATIONS,
    **notebook_instance.OPERATIONS,
    **image.OPERATIONS,
    **image_version.OPERATIONS,
    **tag.OPERATIONS,
}

JSON_TARGETS = {
    "SageMaker": ("sagemaker", SAGEMAKER),
    "Logs_20140328": ("logs", logs.OPERATIONS),
    "AnyScaleFrontendService": ("application-autoscaling", application_autoscaling.OPERATIONS),
    "ServiceQuotasV20190624": ("service-quotas", service_quotas.OPERATIONS),
}
"""``X-Amz-Target`` prefix → botocore's service name and its operations."""

INVOCATION_PATH = re.compile(r"/endpoints/[^/]+/(async-)?invocations(-response-stream)?")


def signing_name(request: Request) -> str | None:
    """The service that the caller signed for, or None when the request is not signed."""
    return wire.signing_name(request.scope)


def create_services(settings: Settings) -> Services:
    """Open everything durable below the data directory and wire the parts together."""
    store = Store(settings.data_dir / "sagemaker.sqlite")
    objects = ObjectStore(settings.data_dir / "s3")
    log_store = LogStore(settings.data_dir / "logs")
    metrics = MetricStore(settings.data_dir / "cloudwatch")
    invocations = InvocationMetrics(metrics)
    alarms = AlarmStore(settings.data_dir / "cloudwatch")
    faults = FaultPlan()
    if settings.fault_plan is not None:
        faults.replace(settings.fault_plan)
    keys = KeyRing(*settings.keys, settings.program_key)
    executor = choose_executor(settings)
    jobs = JobEngine(
        settings=settings,
        store=store,
        objects=objects,
        logs=log_store,
        executor=executor,
        faults=faults,
        metrics=metrics,
    )
    endpoints = EndpointSupervisor(
        settings=settings, store=store, objects=objects, logs=log_store, executor=executor, alarms=alarms
    )
    return Services(
        settings, store, objects, log_store, executor, jobs, endpoints, metrics, invocations, alarms, faults,
        keys,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """Requests that ``wanted`` takes go to ``app``; the first route that takes one answers it."""

    wanted: Callable[[Request], bool]
    app: ASGIApp


class App:
    """The server: an ordered list of routes over the parts of :class:`Services`.

    Args:
        settings: What the server was started with.
        services: The parts; made from the settings unless a test brings its own.
    """

    def __init__(self, settings: Settings, services: Services | None = None) -> None:
        self.services = services or create_services(settings)
        self.json = {
            prefix: JsonProtocol(service, operations, self.services)
            for prefix, (service, operations) in JSON_TARGETS.items()
        }
        long_tail = identity.create_app(self.services)
        self.routes: Sequence[Route] = (
            Route(lambda request: request.url.path == "/_local/health", self._health),
            Route(lambda request: request.url.path == faults_api.PATH,
                  faults_api.create_app(self.services.faults)),
            Route(lambda request: request.url.path.startswith(status_app.PREFIX),
                  status_app.create_app(self.services)),
            Route(lambda request: cloudwatch_protocol.wanted(request, signing_name(request)),
                  cloudwatch_protocol.create_app(self.services, cloudwatch.OPERATIONS)),
            Route(sagemaker_metrics.wanted, sagemaker_metrics.create_app(self.services)),
            Route(lambda request: target(request) in self.json, self._json),
            Route(lambda request: target(request) in identity.TARGETS, long_tail),
            Route(lambda request: "x-amz-target" in request.headers, self._unknown_target),
            Route(lambda request: INVOCATION_PATH.fullmatch(request.url.path) is not None
                  and signing_name(request) in (None, "sagemaker"), runtime.create_app(self.services)),
            Route(lambda request: signing_name(request) in identity.SIGNING_NAMES, long_tail),
            Route(lambda request: True, create_s3_app(self.services.objects, region=settings.region)),
        )  # fmt: skip
        objects = self.services.objects
        self.entry: ASGIApp = FaultInjection(
            self._route, self.services.faults, lambda scope: s3_operation_name(scope, objects)
        )
        if settings.require_auth:
            self.entry = AuthenticationGate(self.entry, self.services.keys, settings.region)
        self.entry = BrowserGuard(self.entry, settings.allowed_hosts, check_host=not settings.require_auth)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's start and stop."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        with contextlib.suppress(ClientDisconnect, wire.Disconnected):  # nobody is left to be answered
            await self.entry(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["path"] == "/" and target(request) in self.json:  # what no other route takes, and most ask
            await self._json(scope, receive, send)
            return
        app = next(route.app for route in self.routes if route.wanted(request))
        await app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take up what an earlier server left, serve, and leave nothing running behind."""
        await self.services.state_changes.start()
        await self.services.jobs.start()
        await self.services.tuning.start()
        await self.services.automl.start()
        await self.services.pipelines.start()
        await self.services.capture.start()
        await self.services.endpoints.start()
        await self.services.asynchronous.start()
        await self.services.alarm_evaluator.start()
        await self.services.autoscaling.start()
        await self.services.notebooks.start()
        await self.services.image_versions.start()
        await self.services.instance_metrics.start()
        try:
            yield
        finally:
            await self.services.image_versions.close()
            await self.services.notebooks.close()
            await self.services.pipelines.close()
            await self.services.automl.close()
            await self.services.tuning.close()
            await self.services.alarm_evaluator.close()
            await self.services.autoscaling.close()
            await self.services.instance_metrics.close()
            await self.services.asynchronous.close()
            await self.services.endpoints.close()
            await self.services.capture.close()
            await self.services.jobs.close()
            await self.services.executor.close()
            await self.services.state_changes.close()
            self.services.metrics.close()
            self.services.alarms.close()
            self.services.trial_metrics.close()
            self.services.store.close()
            self.services.logs.close()
            self.services.objects.close()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with contextlib.AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self.running())
            except Exception as error:  # the server of ASGI wants to be told why
                await send({"type": "lifespan.startup.failed", "message": f"{error!r}"})
                raise
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _json(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self.json[target(request)](request)
        await response(scope, receive, send)

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        settings = self.services.settings
        answer: Response = JSONResponse(
            {
                "status": "running",
                "about": about.strip().splitlines()[0],
                "region": settings.region,
                "account": settings.account,
                "executor": self.services.executor.name,
            }
        )
        await answer(scope, receive, send)

    @staticmethod
    async def _unknown_target(scope: Scope, receive: Receive, send: Send) -> None:
        asked = Request(scope, receive).headers["x-amz-target"]
        error = UnknownOperationException(f"The local SageMaker does not serve '{asked}'")
        await error_response(error)(scope, receive, send)


def target(request: Request) -> str:
    """The service part of ``X-Amz-Target``, or an empty string."""
    return request.headers.get("x-amz-target", "").partition(".")[0]
