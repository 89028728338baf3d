"""Service Quotas of SageMaker: what ``--quota`` says, as AWS's service of that name tells it.

Source: https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_Operations.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sagemaker_local.errors import AwsError
from sagemaker_local.protocol import Handler
from sagemaker_local.services import Services

SERVICE_CODE = "sagemaker"
SERVICE_NAME = "Amazon SageMaker"
PAGE_DEFAULT = 100


class NoSuchResourceException(AwsError):
    """There is no such service or quota."""

    code = "NoSuchResourceException"


class InvalidPaginationTokenException(AwsError):
    """The token is not one that this server gave."""

    code = "InvalidPaginationTokenException"


def quota_code(name: str) -> str:
    """``L-`` and eight hexadecimal digits, as AWS's codes are; the same for the same name."""
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"


def _quota(services: Services, name: str) -> dict[str, Any]:
    settings, code = services.settings, quota_code(name)
    return {
        "ServiceCode": SERVICE_CODE,
        "ServiceName": SERVICE_NAME,
        "QuotaArn": f"arn:aws:servicequotas:{settings.region}:{settings.account}:{SERVICE_CODE}/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(settings.quotas[name]),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }


def _require_service(request: Mapping[str, Any]) -> None:
    if request["ServiceCode"] != SERVICE_CODE:
        raise NoSuchResourceException(
            f"The local SageMaker has quotas of 'sagemaker' only, not of '{request['ServiceCode']}'"
        )


async def list_service_quotas(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListServiceQuotas, by name."""
    _require_service(request)
    token = request.get("NextToken", "0")
    if not token.isdecimal():
        raise InvalidPaginationTokenException("The NextToken is not one that ListServiceQuotas gave")
    names = [
        name
        for name in sorted(services.settings.quotas)
        if request.get("QuotaCode") in (None, quota_code(name))
    ]
    first, size = int(token), request.get("MaxResults", PAGE_DEFAULT)
    answer: dict[str, Any] = {"Quotas": [_quota(services, name) for name in names[first : first + size]]}
    if first + size < len(names):
        answer["NextToken"] = str(first + size)
    return answer


async def get_service_quota(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """GetServiceQuota."""
    _require_service(request)
    for name in services.settings.quotas:
        if quota_code(name) == request["QuotaCode"]:
            return {"Quota": _quota(services, name)}
    raise NoSuchResourceException(f"There is no quota '{request['QuotaCode']}' of the service 'sagemaker'")


OPERATIONS: Mapping[str, Handler] = {
    "ListServiceQuotas": list_service_quotas,
    "GetServiceQuota": get_service_quota,
}
