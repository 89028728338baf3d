"""IAM, STS, ECR, SNS, SQS, EventBridge: moto's answers, and our own where its do not fit SageMaker's clients.

Everyone is allowed everything here: who may do what is AWS's to decide, and nothing of it is checked.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sagemaker_local import limits, wire
from sagemaker_local.api import container_registry, queue
from sagemaker_local.errors import SerializationException
from sagemaker_local.moto_bridge import Answer, Call, MotoBridge, query_answer
from sagemaker_local.s3 import xml
from sagemaker_local.services import Services

SIGNING_NAMES = frozenset({"iam", "sts", "ecr", "sns", "sqs", "events"})
"""Services that are signed for under these names come here."""

TARGETS = {"AmazonEC2ContainerRegistry_V20150921": "ecr", "AmazonSQS": "sqs", "AWSEvents": "events"}
"""And so do these prefixes of ``X-Amz-Target``; the service of each."""

CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
CALLER_ROLE = "sagemaker"
SESSION_NAME = "sagemaker-local"
ROLE_ID = "AROASAGEMAKERLOCAL000"

TRUST_POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}

Parameters = Mapping[str, str]
Operation = Callable[[MotoBridge, Call, Parameters, str], Answer]


def get_caller_identity(moto: MotoBridge, call: Call, _parameters: Parameters, account: str) -> Answer:
    """GetCallerIdentity: an assumed role, which SageMaker's clients take for their execution role.

    Credentials that AssumeRole gave out are known to moto, which then names their role.
    """
    answer = moto(call)
    if b":assumed-role/" in answer.body:
        return answer
    return query_answer(
        "sts",
        "GetCallerIdentity",
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{CALLER_ROLE}/{SESSION_NAME}",
            "UserId": f"{ROLE_ID}:{SESSION_NAME}",
            "Account": account,
        },
    )


def get_role(moto: MotoBridge, call: Call, parameters: Parameters, _account: str) -> Answer:
    """GetRole: a role that was not created is made on the way, trusting SageMaker.

    The role of a connection exists on AWS; a server that starts empty must not fail clients that look it up.
    """
    answer = moto(call)
    if answer.status != 404 or "RoleName" not in parameters:
        return answer
    form = {
        "Action": "CreateRole",
        "Version": parameters.get("Version", "2010-05-08"),
        "RoleName": parameters["RoleName"],
        "AssumeRolePolicyDocument": json.dumps(TRUST_POLICY),
    }
    headers = {**call.headers, "content-type": "application/x-www-form-urlencoded"}
    created = moto(Call("iam", "CreateRole", "POST", "/", "", headers, urlencode(form).encode()))
    return moto(call) if created.status == 200 else created


def simulate_principal_policy(
    _moto: MotoBridge, _call: Call, parameters: Parameters, _account: str
) -> Answer:
    """SimulatePrincipalPolicy: every action on every resource is allowed."""
    actions = _members(parameters, "ActionNames")
    resources = _members(parameters, "ResourceArns") or ["*"]
    results: list[xml.Value] = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": "allowed",
            "MatchedStatements": {},
            "MissingContextValues": {},
        }
        for action in actions
        for resource in resources
    ]
    return query_answer(
        "iam",
        "SimulatePrincipalPolicy",
        {"EvaluationResults": {"member": results}, "IsTruncated": False},
    )


OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("sts", "GetCallerIdentity"): get_caller_identity,
    ("iam", "GetRole"): get_role,
    ("iam", "SimulatePrincipalPolicy"): simulate_principal_policy,
}
"""What is answered here, at least in part; everything else is moto's."""


def create_app(services: Services) -> ASGIApp:
    """The application in front of moto."""
    moto = services.moto
    aws = re.compile(rb"https?://sqs\.[a-z0-9-]+\.amazonaws\.com/")
    here = f"{services.settings.url}/".encode()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            call, parameters = await _parse(request)
        except wire.BodyTooLarge as error:
            refused = SerializationException(f"The request has {error}; no more are read")
            await wire.error_response(wire.identify(scope), refused, scope["path"])(scope, receive, send)
            return
        operation = OPERATIONS.get((call.service, call.action))
        if (call.service, call.action) == ("sqs", "ReceiveMessage"):
            answer = await queue.receive_message(moto, call, request.is_disconnected)
        elif (call.service, call.action) == ("ecr", "BatchGetImage"):
            answer = await asyncio.to_thread(container_registry.batch_get_image, services, call)
        elif operation is None:
            answer = await asyncio.to_thread(moto, call)
        else:
            answer = await asyncio.to_thread(operation, moto, call, parameters, services.settings.account)
        if call.service == "sts" and answer.status == 200:
            services.keys.learn(answer.body)
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        # Queues are called by their URLs, which must lead here.
        content = aws.sub(here, answer.body) if call.service == "sqs" else answer.body
        await Response(content, answer.status, headers)(scope, receive, send)

    return application


async def _parse(request: Request) -> tuple[Call, Parameters]:
    """The service and operation, by the target header or by the query protocol's form."""
    body = await wire.read_body(request.receive, limits.JSON_BODY_BYTES)
    headers = {name.lower(): value for name, value in request.headers.items()}
    parameters: dict[str, str] = dict(request.query_params)
    if "x-amz-target" in headers:
        target, _, action = headers["x-amz-target"].partition(".")
        service = TARGETS[target]
    else:
        match = CREDENTIAL.search(headers.get("authorization", ""))
        service = match[1] if match else "sts"
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            parameters |= parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        action = parameters.get("Action", "")
    path: str = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1")
    call = Call(service, action, request.method, path, request.url.query, headers, body)
    return call, parameters


def _members(parameters: Parameters, name: str) -> list[str]:
    """The values of a list in the query protocol, which are called ``Name.member.1`` and so on."""
    prefix = f"{name}.member."
    numbered = [
        (int(key.removeprefix(prefix)), value) for key, value in parameters.items() if key.startswith(prefix)
    ]
    return [value for _, value in sorted(numbered)]
