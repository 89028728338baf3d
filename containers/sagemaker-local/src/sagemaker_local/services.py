"""Everything that an operation may use, wired once at start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sagemaker_local.auth.keys import KeyRing
from sagemaker_local.autoscaling.engine import AutoScaling
from sagemaker_local.cloudwatch import notifications
from sagemaker_local.cloudwatch.alarm_evaluator import AlarmEvaluator
from sagemaker_local.cloudwatch.alarms import AlarmStore
from sagemaker_local.cloudwatch.instance_metrics import InstanceMetrics
from sagemaker_local.cloudwatch.invocations import InvocationMetrics
from sagemaker_local.cloudwatch.metric_store import MetricStore
from sagemaker_local.cloudwatch.trial_metrics import TrialMetricStore
from sagemaker_local.executors.base import Executor
from sagemaker_local.faults.plan import FaultPlan
from sagemaker_local.image_versions import ImageVersionEngine
from sagemaker_local.jobs.engine import JobEngine
from sagemaker_local.logs.log_store import LogStore
from sagemaker_local.moto_bridge import MotoBridge
from sagemaker_local.notebooks.engine import NotebookEngine
from sagemaker_local.s3.object_store import ObjectStore
from sagemaker_local.serving.asynchronous import AsynchronousInference
from sagemaker_local.serving.capture import DataCapture
from sagemaker_local.serving.invocation import Invoker
from sagemaker_local.serving.supervisor import EndpointSupervisor
from sagemaker_local.settings import Settings
from sagemaker_local.store import Store

if TYPE_CHECKING:
    from sagemaker_local.automl.engine import AutoMLEngine
    from sagemaker_local.eventbridge.emitter import StateChangeEvents
    from sagemaker_local.pipelines.engine import PipelineEngine
    from sagemaker_local.tuning.engine import TuningEngine


@dataclass(slots=True)
class Services:
    """The parts of a running server; handed to every operation handler."""

    settings: Settings
    store: Store
    objects: ObjectStore
    logs: LogStore
    executor: Executor
    jobs: JobEngine
    endpoints: EndpointSupervisor
    metrics: MetricStore
    invocations: InvocationMetrics
    alarms: AlarmStore
    faults: FaultPlan = field(default_factory=FaultPlan)
    keys: KeyRing = field(default_factory=KeyRing)
    tuning: TuningEngine = field(init=False)
    pipelines: PipelineEngine = field(init=False)
    moto: MotoBridge = field(init=False)
    capture: DataCapture = field(init=False)
    invoker: Invoker = field(init=False)
    asynchronous: AsynchronousInference = field(init=False)
    alarm_evaluator: AlarmEvaluator = field(init=False)
    autoscaling: AutoScaling = field(init=False)
    notebooks: NotebookEngine = field(init=False)
    automl: AutoMLEngine = field(init=False)
    image_versions: ImageVersionEngine = field(init=False)
    instance_metrics: InstanceMetrics = field(init=False)
    trial_metrics: TrialMetricStore = field(init=False)
    state_changes: StateChangeEvents = field(init=False)

    def __post_init__(self) -> None:
        """Wire the parts that act through the others, as clients do."""
        # These modules take this class.
        from sagemaker_local.automl.engine import AutoMLEngine
        from sagemaker_local.eventbridge.emitter import StateChangeEvents
        from sagemaker_local.pipelines.engine import PipelineEngine
        from sagemaker_local.tuning.engine import TuningEngine

        self.automl = AutoMLEngine(self)
        self.image_versions = ImageVersionEngine(self.store, self.executor)
        self.tuning = TuningEngine(self)
        self.pipelines = PipelineEngine(self)
        self.alarm_evaluator = AlarmEvaluator(self.alarms, self.metrics)
        self.autoscaling = AutoScaling(self)
        self.notebooks = NotebookEngine(self.settings, self.store, self.logs, self.executor)
        self.instance_metrics = InstanceMetrics(self)
        self.trial_metrics = TrialMetricStore(self.settings.data_dir / "cloudwatch")
        self.moto = MotoBridge(self.settings.account, self.settings.region)
        self.state_changes = StateChangeEvents(self)
        self.alarm_evaluator.actions[notifications.SNS] = notifications.publisher(self.moto.publish)
        self.capture = DataCapture(self.settings.data_dir / "capture", self.objects)
        self.invoker = Invoker(
            self.settings, self.store, self.endpoints, self.invocations, self.metrics, self.capture
        )
        self.asynchronous = AsynchronousInference(
            self.settings,
            self.store,
            self.objects,
            self.endpoints,
            self.invoker,
            self.metrics,
            self.moto.publish,
        )
