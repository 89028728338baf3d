"""What Service Quotas says about instances of SageMaker's."""

from __future__ import annotations

from airflow_sagemaker.hooks.faults import translated
from airflow_sagemaker.hooks.sagemaker import SageMakerHook

SERVICE_CODE = "sagemaker"


class QuotaHook:
    """The quotas of the connection's account in its region."""

    def __init__(self, sagemaker: SageMakerHook) -> None:
        self.sagemaker = sagemaker

    def all(self) -> dict[str, int]:
        """Instances by AWS's name of the quota, such as ``ml.m5.large for training job usage``."""
        client = self.sagemaker.client("service-quotas")
        with translated("Service Quotas"):
            pages = client.get_paginator("list_service_quotas").paginate(ServiceCode=SERVICE_CODE)
            return {
                str(quota["QuotaName"]): int(quota["Value"])
                for page in pages
                for quota in page["Quotas"]
                if "Value" in quota
            }
