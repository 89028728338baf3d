"""EventBridge's rules, which moto keeps, and their targets: SQS queues, SNS topics, log groups.

moto's own delivery leaves the account out of the event, writes no times, tells disabled rules and stops at
the first target that it does not know. So only its rules, patterns and queues are used. These are internals
of moto: the version is pinned exactly in requirements.in.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local.logs.log_store import LogStore, now_ms
from sagemaker_local.settings import Settings

logger = logging.getLogger(__name__)

Event = Mapping[str, Any]
Target = Mapping[str, Any]

BUS = "default"
"""Services send their events to it."""


class Rules:
    """The rules of the default bus; whoever calls holds the lock of :class:`MotoBridge`.

    Args:
        settings: For account and region.
        logs: Takes what is meant for log groups.
    """

    def __init__(self, settings: Settings, logs: LogStore) -> None:
        self._account, self._region = settings.account, settings.region
        self._logs = logs

    def take(self, event: Event) -> None:
        """Send an event to the targets of every rule that it matches; one that fails holds up no other."""
        from moto.events.models import events_backends

        rules = events_backends[self._account][self._region].event_buses[BUS].rules
        for rule in list(rules.values()):
            # A rule without a pattern is one of a schedule, which moto would match with everything.
            pattern = rule.event_pattern
            if rule.state == "ENABLED" and pattern.get_pattern() and pattern.matches_event(dict(event)):
                for target in rule.targets:
                    self._send(rule.name, target, event)

    def _send(self, rule: str, target: Target, event: Event) -> None:
        service = target["Arn"].split(":")[2]
        send = self._services.get(service)
        if send is None:
            served = ", ".join(self._services)
            logger.warning(
                "rule '%s': no events are sent to %s; of targets only %s are served",
                rule,
                target["Arn"],
                served,
            )
            return
        try:
            send(target, content(target, event))
        except Exception as error:  # moto's own, of any class: a queue that is gone, a bad template
            logger.warning("rule '%s': %s took no event: %r", rule, target["Arn"], error)

    @property
    def _services(self) -> Mapping[str, Callable[[Target, str], None]]:
        return {"sqs": self._to_queue, "sns": self._to_topic, "logs": self._to_log_group}

    def _to_queue(self, target: Target, message: str) -> None:
        from moto.sqs import sqs_backends

        _, _, _, region, account, name = target["Arn"].split(":", 5)
        group = target.get("SqsParameters", {}).get("MessageGroupId")
        sqs_backends[account][region].send_message(name, message, group_id=group)

    def _to_topic(self, target: Target, message: str) -> None:
        from moto.sns import sns_backends

        _, _, _, region, account, _ = target["Arn"].split(":", 5)
        sns_backends[account][region].publish(message, arn=target["Arn"])

    def _to_log_group(self, target: Target, message: str) -> None:
        group = target["Arn"].split(":log-group:", 1)[1].removesuffix(":*")
        self._logs.append(group, str(uuid.uuid4()), [(now_ms(), message)])


def content(target: Target, event: Event) -> str:
    """What a target gets: the event, or what it wants in its place.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(_at(event, target["InputPath"]))
    if transformer := target.get("InputTransformer"):
        from moto.events.utils import EventTemplateParser

        paths = transformer.get("InputPathsMap", {})
        told = {**event, "ingestion-time": event["time"]}
        return json.dumps(EventTemplateParser.parse(transformer["InputTemplate"], paths, told))
    return json.dumps(event)


def _at(event: Event, path: str) -> Any:
    """The part of an event at ``$.detail.…``; None where there is none."""
    found: Any = event
    for name in path.removeprefix("$").split("."):
        if name:
            found = found.get(name) if isinstance(found, Mapping) else None
    return found
