"""The instances that a job runs on: here directories, sandboxes and addresses of their own on one machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagemaker_local.executors.base import RunningProgram
from sagemaker_local.instances import Allotment, allot
from sagemaker_local.jobs import left_behind
from sagemaker_local.serving.container_log import ContainerLog

LAST_LINES = 12
"""Lines of output that explain a failure when the program wrote no reason itself."""

HOMOGENEOUS = "homogeneousCluster"
"""What AWS calls the one group of a cluster without InstanceGroups."""


ADDRESSED_JOBS = 128 * 250
"""So many jobs have addresses of their own, then they come round again."""


@dataclass(frozen=True, slots=True)
class Group:
    """Instances of one type."""

    name: str
    instance_type: str
    count: int


@dataclass(slots=True, eq=False)
class Host:
    """One instance of a job.

    Attributes:
        name: ``algo-1``, ``algo-2``, …
        address: Where the others reach it, for as long as the job has it.
        group: The instances that it belongs to.
        directory: Below it everything of the host lies.
        log: Its log stream.
        network_interface: Through which it reaches the others.
        last_lines: The end of its output.
        pid: The first process of its program, once that runs.
        program: Its program, once that was started.
    """

    name: str
    address: str
    group: Group
    directory: Path
    log: ContainerLog
    network_interface: str = "lo"
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    pid: int | None = None
    program: RunningProgram | None = None

    @property
    def program_ended(self) -> bool:
        """Whether its program was started and is over."""
        return self.program is not None and self.program.ended_at is not None

    @property
    def opt_ml(self) -> Path:
        """What its program sees as /opt/ml."""
        return self.directory / "ml"

    @property
    def allotment(self) -> Allotment:
        """What it gets of this machine."""
        return allot(self.group.instance_type)

    def failure_text(self, *files: str) -> str:
        """Why its program says it failed: the first file below /opt/ml that has text, else its last lines."""
        for name in files:
            if said := left_behind.text(self.opt_ml / name):
                return said
        return "\n".join(self.last_lines).strip() or "the program printed nothing"


def groups_of(cluster: Mapping[str, Any]) -> tuple[Group, ...]:
    """The instance groups of a ResourceConfig or ClusterConfig."""
    if groups := cluster.get("InstanceGroups"):
        return tuple(
            Group(group["InstanceGroupName"], group["InstanceType"], group["InstanceCount"])
            for group in groups
        )
    return (Group(HOMOGENEOUS, cluster.get("InstanceType", ""), cluster.get("InstanceCount", 1)),)


def host_names(groups: Sequence[Group]) -> list[tuple[str, Group]]:
    """``algo-1`` and so on, through all groups."""
    members = [group for group in groups for _ in range(group.count)]
    return [(f"algo-{number}", group) for number, group in enumerate(members, start=1)]


def address(job_number: int, host_number: int) -> str:
    """An address of the machine's own network that no other job's host has at the same time.

    All of 127.0.0.0/8 is the loopback interface's: https://www.rfc-editor.org/rfc/rfc1122 3.2.1.3.
    """
    return f"127.{64 + job_number // 250 % 128}.{1 + job_number % 250}.{host_number}"


def resource_config(host: Host, hosts: Sequence[Host]) -> dict[str, Any]:
    """``/opt/ml/input/config/resourceconfig.json`` of a training job.

    Source:
    https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
    """
    groups = dict.fromkeys(each.group for each in hosts)
    return {
        "current_host": host.name,
        "current_instance_type": host.group.instance_type,
        "current_group_name": host.group.name,
        "hosts": [each.name for each in hosts],
        "instance_groups": [
            {
                "instance_group_name": group.name,
                "instance_type": group.instance_type,
                "hosts": [each.name for each in hosts if each.group == group],
            }
            for group in groups
        ],
        "network_interface_name": host.network_interface,
    }
