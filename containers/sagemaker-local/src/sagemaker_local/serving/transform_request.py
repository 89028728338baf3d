"""What a transform job asks for: its settings with AWS's defaults, and what is refused before it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_local import limits
from sagemaker_local.errors import ValidationException
from sagemaker_local.serving.data_processing import DataProcessing

MAX_PAYLOAD_DEFAULT_MB = 6
MAX_PAYLOAD_MOST_MB = 100
INVOCATIONS_TIMEOUT_DEFAULT_S = 600
INVOCATIONS_RETRIES_DEFAULT = 3
STRATEGIES = {"MultiRecord": "MULTI_RECORD", "SingleRecord": "SINGLE_RECORD"}
"""As the API and as the container spell them."""


@dataclass(frozen=True, slots=True)
class TransformSettings:
    """How the objects are fed to the container.

    Attributes:
        by_line: SplitType Line.
        many_records: BatchStrategy MultiRecord.
        max_payload_bytes: Largest payload; 0 sends an object of any size as one chunked request.
        max_concurrent: Requests under way at each instance, whose payloads together are never more than a
            job may ask for.
        gzip: The objects are gzipped.
        assemble_by_line: AssembleWith Line.
        timeout_s: For one request.
        retries: Of a request that timed out or met a 5xx.
        headers: Sent with every request.
        accept: The content type of the output, if one is asked for.
        processing: Filters and join, if any are asked for.
    """

    by_line: bool
    many_records: bool
    max_payload_bytes: int
    max_concurrent: int
    gzip: bool
    assemble_by_line: bool
    timeout_s: float
    retries: int
    headers: Mapping[str, str]
    accept: str | None
    processing: DataProcessing | None

    @classmethod
    def of(cls, job: Mapping[str, Any], container: Mapping[str, Any]) -> TransformSettings:
        """From the job's description; the container's /execution-parameters fill what it leaves open."""
        source, output = job["TransformInput"], job["TransformOutput"]
        client = job.get("ModelClientConfig", {})
        strategy = job.get("BatchStrategy") or {v: k for k, v in STRATEGIES.items()}.get(
            str(container.get("BatchStrategy")), "MultiRecord"
        )
        megabytes = job.get("MaxPayloadInMB")
        if megabytes is None:
            megabytes = container.get("MaxPayloadInMB", MAX_PAYLOAD_DEFAULT_MB)
        accept = output.get("Accept")
        headers = {"content-type": source.get("ContentType"), "accept": accept}
        return cls(
            by_line=source.get("SplitType") == "Line",
            many_records=strategy == "MultiRecord",
            max_payload_bytes=int(megabytes) * limits.MIB,
            max_concurrent=min(
                int(job.get("MaxConcurrentTransforms") or container.get("MaxConcurrentTransforms") or 1),
                MAX_PAYLOAD_MOST_MB // max(int(megabytes), 1) or 1,
            ),
            gzip=source.get("CompressionType") == "Gzip",
            assemble_by_line=output.get("AssembleWith") == "Line",
            timeout_s=float(client.get("InvocationsTimeoutInSeconds", INVOCATIONS_TIMEOUT_DEFAULT_S)),
            retries=int(client.get("InvocationsMaxRetries", INVOCATIONS_RETRIES_DEFAULT)),
            headers={name: value for name, value in headers.items() if value},
            accept=accept,
            processing=DataProcessing.of(job),
        )

    def said(self) -> str:
        """What the job and the container came to, as AWS logs it."""
        strategy = STRATEGIES["MultiRecord" if self.many_records else "SingleRecord"]
        return (
            f"MaxConcurrentTransforms={self.max_concurrent}, "
            f"MaxPayloadInMB={self.max_payload_bytes // limits.MIB}, BatchStrategy={strategy}"
        )


def check_transform(request: Mapping[str, Any]) -> None:
    """Refuse a CreateTransformJob request that could not be carried out as asked.

    Raises:
        ValidationException: says which field.
    """
    source = request["TransformInput"]
    split = source.get("SplitType", "None")
    if split in ("RecordIO", "TFRecord"):
        raise ValidationException(
            f"The local SageMaker splits by Line or not at all (None); SplitType {split} is not served"
        )
    if source.get("CompressionType") == "Bzip2":
        raise ValidationException(
            "The local SageMaker reads input of CompressionType None or Gzip; Bzip2 is not served"
        )
    if source["DataSource"]["S3DataSource"]["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise ValidationException("S3DataType of a transform job must be S3Prefix or ManifestFile.")
    megabytes = request.get("MaxPayloadInMB", MAX_PAYLOAD_DEFAULT_MB)
    if megabytes > MAX_PAYLOAD_MOST_MB:
        raise ValidationException(f"MaxPayloadInMB must not be greater than {MAX_PAYLOAD_MOST_MB}.")
    if request.get("MaxConcurrentTransforms", 0) * megabytes > MAX_PAYLOAD_MOST_MB:
        raise ValidationException(
            "MaxConcurrentTransforms * MaxPayloadInMB must not be greater than "
            f"{MAX_PAYLOAD_MOST_MB} MB; lower one of them."
        )
    DataProcessing.of(request)
    if request.get("DataCaptureConfig"):
        raise ValidationException("The local SageMaker does not serve DataCaptureConfig of a transform job")


def environment(job: Mapping[str, Any]) -> dict[str, str]:
    """What the container finds in its environment because it runs for a transform job."""
    known = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": job.get("MaxPayloadInMB", MAX_PAYLOAD_DEFAULT_MB),
        "SAGEMAKER_BATCH_STRATEGY": STRATEGIES.get(job.get("BatchStrategy", "MultiRecord")),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": job.get("MaxConcurrentTransforms") or None,
    }
    return {name: str(value) for name, value in known.items() if value is not None}
