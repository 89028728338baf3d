"""CloudWatch alarms: put, describe, set and delete them; their history, actions and tags.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sagemaker_local.api import alarm_history
from sagemaker_local.cloudwatch import alarm_rules, queries
from sagemaker_local.cloudwatch.alarm_definition import check_metric_alarm
from sagemaker_local.cloudwatch.alarms import COMPOSITE, METRIC, Alarm
from sagemaker_local.cloudwatch.protocol import Operation
from sagemaker_local.cloudwatch.queries import InvalidParameterValue
from sagemaker_local.cloudwatch.transitions import UNCHECKED, set_state
from sagemaker_local.errors import AwsError, ValidationException
from sagemaker_local.services import Services

PAGE_DEFAULT = 50
LISTS = {METRIC: "MetricAlarms", COMPOSITE: "CompositeAlarms"}


class ResourceNotFound(AwsError):
    """There is no such alarm."""

    code = "ResourceNotFound"
    status_code = 404


class TaggedResourceNotFound(AwsError):
    """There is no such alarm to tag."""

    code = "ResourceNotFoundException"
    status_code = 404


class InvalidFormat(AwsError):
    """StateReasonData is not JSON."""

    code = "InvalidFormat"


def alarm_arn(services: Services, name: str) -> str:
    """The ARN of an alarm."""
    settings = services.settings
    return f"arn:aws:cloudwatch:{settings.region}:{settings.account}:alarm:{name}"


def put_metric_alarm(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """PutMetricAlarm: a new alarm, or a new definition of one, which keeps its state."""
    check_metric_alarm(request)
    put_alarm(services, METRIC, request)
    return {}


def put_composite_alarm(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """PutCompositeAlarm; suppressors of actions are refused."""
    for name in ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod",
                 "ActionConfiguration"):  # fmt: skip
        if name in request:
            raise ValidationException(f"{name} is not served by the local SageMaker")
    try:
        children = alarm_rules.alarms_of(request["AlarmRule"])
    except alarm_rules.RuleError as error:
        raise ValidationException(str(error)) from error
    for child in children:
        try:
            services.alarms.get(child)
        except KeyError:
            raise ValidationException(
                f"Could not save the composite alarm as alarms [{alarm_arn(services, child)}] in the alarm "
                "rule "
                "do not exist"
            ) from None
    if request["AlarmName"] in children:
        raise ValidationException(f"The alarm rule of {request['AlarmName']} names the alarm itself")
    put_alarm(services, COMPOSITE, request)
    return {}


def put_alarm(
    services: Services, kind: str, request: Mapping[str, Any], private: Mapping[str, Any] | None = None
) -> Alarm:
    """Write an alarm; also for the alarms that scaling policies make."""
    name, at = request["AlarmName"], time.time()
    definition = {key: value for key, value in request.items() if key != "Tags"}
    definition = {"ActionsEnabled": True, "OKActions": [], "AlarmActions": [], "InsufficientDataActions": [],
                  **({"Dimensions": []} if kind == METRIC and "Metrics" not in request else {}),
                  **definition}  # fmt: skip
    try:
        before = services.alarms.get(name)
        if before.kind != kind:
            raise ValidationException(f"{name} is the name of a {before.kind}; it cannot become a {kind}")
        summary, tags = f'Alarm "{name}" updated', {}
    except KeyError:
        summary = f'Alarm "{name}" created'
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
    document = {
        **definition,
        "AlarmArn": alarm_arn(services, name),
        "AlarmConfigurationUpdatedTimestamp": at,
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": UNCHECKED,
        "StateUpdatedTimestamp": at,
        "StateTransitionedTimestamp": at,
    }
    alarm = Alarm(name, kind, document, dict(private or {}))
    type_ = "Create" if summary.endswith("created") else "Update"
    services.alarms.put(alarm, summary, {"version": "1.0", "type": type_, f"{kind}": definition}, tags)
    return alarm


def describe_alarms(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeAlarms: metric alarms only, unless AlarmTypes says otherwise, as on AWS."""
    names, prefix = request.get("AlarmNames"), request.get("AlarmNamePrefix", "")
    if names and prefix:
        raise ValidationException("AlarmNames and AlarmNamePrefix are mutually exclusive")
    family = [name for name in ("ChildrenOfAlarmName", "ParentsOfAlarmName") if name in request]
    types = request.get("AlarmTypes", [METRIC, COMPOSITE] if family else [METRIC])
    actions = request.get("ActionPrefix", "")
    found = [
        alarm
        for alarm in services.alarms.all()
        if alarm.kind in types
        and (not names or alarm.name in names)
        and alarm.name.startswith(prefix)
        and request.get("StateValue", alarm.state) == alarm.state
        and (not actions or any(action.startswith(actions) for action in alarm.document["AlarmActions"]))
    ]
    for name in family:
        relatives = _relatives(services, name, request[name])
        found = [alarm for alarm in found if alarm.name in relatives]
    page, token = _page(found, request.get("MaxRecords", PAGE_DEFAULT), request.get("NextToken"))
    answer: dict[str, Any] = {
        LISTS[kind]: [_described(alarm, brief=bool(family)) for alarm in page if alarm.kind == kind]
        for kind in (METRIC, COMPOSITE)
    }
    return answer | ({"NextToken": token} if token else {})


def _relatives(services: Services, relation: str, name: str) -> set[str]:
    """Alarms in the rule of a composite alarm, or composite alarms that have an alarm in their rule."""
    if relation == "ParentsOfAlarmName":
        composites = (alarm for alarm in services.alarms.all() if alarm.kind == COMPOSITE)
        return {each.name for each in composites if name in alarm_rules.alarms_of(each.document["AlarmRule"])}
    try:
        rule = services.alarms.get(name).document.get("AlarmRule")
    except KeyError:
        raise ResourceNotFound(f"Alarm {name} does not exist") from None
    return set(alarm_rules.alarms_of(rule)) if rule else set()


def _described(alarm: Alarm, *, brief: bool = False) -> dict[str, Any]:
    if brief:
        shown = ("AlarmName", "AlarmArn", "StateValue", "StateUpdatedTimestamp", "ActionsEnabled")
        return {key: alarm.document[key] for key in shown if key in alarm.document}
    return alarm.document


def _page(found: Sequence[Alarm], most: int, token: str | None) -> tuple[Sequence[Alarm], str | None]:
    after = alarm_history.after(token) or ""
    left = [alarm for alarm in found if alarm.name > after]
    more = len(left) > most
    return left[:most], base64.urlsafe_b64encode(left[most - 1].name.encode()).decode() if more else None


def describe_alarms_for_metric(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeAlarmsForMetric."""
    dimensions = queries.dimensions_of(request.get("Dimensions"))
    asked = ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Unit")
    found = [
        alarm.document
        for alarm in services.alarms.all()
        if alarm.kind == METRIC
        and all(request[name] == alarm.document.get(name) for name in asked if name in request)
        and queries.dimensions_of(alarm.document.get("Dimensions")) == dimensions
    ]
    return {"MetricAlarms": found}


def delete_alarms(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteAlarms: those that are there; names of no alarm are passed over, as on AWS."""
    for name in request["AlarmNames"]:
        try:
            services.alarms.delete(name)
        except KeyError:
            continue
    return {}


def set_alarm_state(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """SetAlarmState: until the next evaluation says otherwise; its actions are carried out."""
    data = request.get("StateReasonData")
    if data:
        try:
            json.loads(data)
        except ValueError:
            raise InvalidFormat("StateReasonData is not valid JSON") from None
    try:
        before = services.alarms.state(request["AlarmName"])
        alarm = set_state(
            services.alarms, request["AlarmName"], request["StateValue"], request["StateReason"], data
        )
    except KeyError:
        raise ResourceNotFound(f"Alarm {request['AlarmName']} does not exist") from None
    if alarm.state != before:
        services.alarm_evaluator.fire(alarm)
    return {}


def _switch_actions(enabled: bool) -> Operation:
    def operation(services: Services, request: dict[str, Any]) -> dict[str, Any]:
        for name in request["AlarmNames"]:
            try:
                with services.alarms.changing(name) as (alarm, notes):
                    alarm.document["ActionsEnabled"] = enabled
                    word = "enabled" if enabled else "disabled"
                    data = {"version": "1.0", "type": "Update", "actionsEnabled": enabled}
                    notes.append(("ConfigurationUpdate", f'Actions of alarm "{name}" {word}', data))
            except KeyError:
                continue  # AWS passes over names of no alarm
        return {}

    return operation


def _tagged(services: Services, request: Mapping[str, Any]) -> str:
    """The name of the alarm of an ARN."""
    arn = request["ResourceARN"]
    prefix = alarm_arn(services, "")
    if not arn.startswith(prefix):
        raise InvalidParameterValue(f"{arn} is not the ARN of an alarm here; they begin with {prefix}")
    name = str(arn.removeprefix(prefix))
    try:
        services.alarms.get(name)
    except KeyError:
        raise TaggedResourceNotFound(f"Alarm {name} does not exist") from None
    return name


def list_tags_for_resource(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """ListTagsForResource, of alarms."""
    tags = services.alarms.tags(_tagged(services, request))
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tag_resource(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """TagResource, of alarms."""
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    services.alarms.set_tags(_tagged(services, request), tags)
    return {}


def untag_resource(services: Services, request: dict[str, Any]) -> dict[str, Any]:
    """UntagResource, of alarms."""
    services.alarms.set_tags(_tagged(services, request), {}, tuple(request["TagKeys"]))
    return {}


OPERATIONS: Mapping[str, Operation] = {
    "PutMetricAlarm": put_metric_alarm,
    "PutCompositeAlarm": put_composite_alarm,
    "DescribeAlarms": describe_alarms,
    "DescribeAlarmsForMetric": describe_alarms_for_metric,
    "DeleteAlarms": delete_alarms,
    "SetAlarmState": set_alarm_state,
    "DescribeAlarmHistory": alarm_history.describe_alarm_history,
    "EnableAlarmActions": _switch_actions(enabled=True),
    "DisableAlarmActions": _switch_actions(enabled=False),
    "ListTagsForResource": list_tags_for_resource,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}
