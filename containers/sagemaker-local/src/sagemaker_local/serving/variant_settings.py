"""What an endpoint config says about its invocations, as DescribeEndpoint tells it.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagemaker_local.serving.fleet_plan import FleetPlan, VariantPlan


def described_settings(plan: FleetPlan) -> dict[str, Any]:
    """The endpoint's own fields; None for one that it does not have."""
    return {"DataCaptureConfig": _capture_summary(plan), "AsyncInferenceConfig": plan.asynchronous}


def described_serverless(variant: VariantPlan) -> dict[str, Any]:
    """The fields of a serverless variant, which has no instances to count; nothing for another."""
    if variant.serverless is None:
        return {}
    return {
        "CurrentServerlessConfig": variant.serverless,
        "DesiredServerlessConfig": variant.serverless,
        "CurrentInstanceCount": 0,
        "DesiredInstanceCount": 0,
    }


def _capture_summary(plan: FleetPlan) -> dict[str, Any] | None:
    config = plan.data_capture
    if config is None:
        return None
    enabled = config.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),  # the service model requires it
    }
