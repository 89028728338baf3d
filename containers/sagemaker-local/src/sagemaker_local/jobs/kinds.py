"""The four kinds of job as data: what their fields and states are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Statuses:
    """One kind's words for the states that all jobs go through."""

    starting: str = "InProgress"
    in_progress: str = "InProgress"
    completed: str = "Completed"
    failed: str = "Failed"
    stopping: str = "Stopping"
    stopped: str = "Stopped"

    @property
    def alive(self) -> frozenset[str]:
        """The states that a job leaves again."""
        return frozenset({self.starting, self.in_progress, self.stopping})


@dataclass(frozen=True, slots=True)
class JobKind:
    """How AWS names one kind of job.

    Attributes:
        kind: The store's word, and the noun of this package's modules.
        noun: Prefix of operations and fields: ``TrainingJob`` → ``TrainingJobName``.
        clock: Prefix of the times: ``Training`` → ``TrainingStartTime``.
        words: The noun in messages: ``training job``.
        statuses: The words for its states.
        has_secondary_status: Only training jobs tell their steps.
    """

    kind: str
    noun: str
    clock: str
    words: str
    statuses: Statuses = Statuses()
    has_secondary_status: bool = False
    cluster_path: tuple[str, ...] = ()
    """Where its request says which instances it wants."""

    def cluster(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part of its Describe answer that says which instances its program runs on."""
        for name in self.cluster_path:
            document = document.get(name, {})
        return document if self.cluster_path else {}

    @property
    def name_field(self) -> str:
        """For example ``TrainingJobName``."""
        return f"{self.noun}Name"

    @property
    def arn_field(self) -> str:
        """For example ``TrainingJobArn``."""
        return f"{self.noun}Arn"

    @property
    def status_field(self) -> str:
        """For example ``TrainingJobStatus``."""
        return f"{self.noun}Status"

    @property
    def start_field(self) -> str:
        """For example ``TrainingStartTime``."""
        return f"{self.clock}StartTime"

    @property
    def end_field(self) -> str:
        """For example ``TrainingEndTime``."""
        return f"{self.clock}EndTime"

    @property
    def log_group(self) -> str:
        """The CloudWatch log group of all jobs of the kind."""
        return f"/aws/sagemaker/{self.noun}s"


PROCESSING = JobKind(
    "processing_job", "ProcessingJob", "Processing", "processing job",
    cluster_path=("ProcessingResources", "ClusterConfig"),
)  # fmt: skip
TRAINING = JobKind(
    "training_job", "TrainingJob", "Training", "training job",
    has_secondary_status=True, cluster_path=("ResourceConfig",),
)  # fmt: skip
COMPILATION = JobKind(
    "compilation_job", "CompilationJob", "Compilation", "compilation job",
    Statuses("STARTING", "INPROGRESS", "COMPLETED", "FAILED", "STOPPING", "STOPPED"),
)  # fmt: skip
TRANSFORM = JobKind(
    "transform_job", "TransformJob", "Transform", "transform job", cluster_path=("TransformResources",)
)

KINDS = {kind.kind: kind for kind in (PROCESSING, TRAINING, COMPILATION, TRANSFORM)}

SECONDARY_MESSAGES = {
    "Starting": "Preparing the instances for training",
    "Pending": "Training job waiting for capacity",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "Interrupted": "Training job interrupted because the managed spot training instances were reclaimed",
    "MaxWaitTimeExceeded": "Training job stopped because it exceeded the maximum allowed wait time",
    "Restarting": "Restarting the training job",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "Failed": "Training job failed",
}
"""Secondary status of a training job → the StatusMessage that AWS gives with it."""
