"""What an ``ml.*`` instance type has: processors, memory, accelerators.

AWS's names follow rules, which are kept here instead of 450 lines: a family has so many GiB for each vCPU, a
size so many vCPUs (``large`` 2, ``xlarge`` 4, ``Nxlarge`` 4 N). What breaks them stands in the tables below.

Source: https://aws.amazon.com/ec2/instance-types/ and https://aws.amazon.com/sagemaker/ai/pricing/
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sagemaker_local.executors.base import Limits

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class InstanceType:
    """One instance type.

    Attributes:
        vcpus: Virtual processors.
        memory_gib: Memory in GiB.
        gpus: NVIDIA GPUs. Accelerators of AWS's own (Inferentia, Trainium) are not counted.
    """

    vcpus: int
    memory_gib: float
    gpus: int = 0

    @property
    def memory_bytes(self) -> int:
        """Memory in bytes."""
        return int(self.memory_gib * GIB)


SIZES = {"medium": 1, "large": 2, "xlarge": 4} | {
    f"{number}xlarge": 4 * number
    for number in (2, 3, 4, 6, 8, 9, 10, 12, 16, 18, 24, 32, 36, 48, 96)
}  # fmt: skip
"""Size → vCPUs."""

GIB_PER_VCPU: Mapping[float, str] = {
    1.875: "c4",
    2: "c5 c5d c6a c6g c6gd c6gn c6i c6id c6in c7g c7i c7i-flex c8a c8g c8i c8i-flex inf1",
    2.625: "c5n",
    4: (
        "m4 m5 m5d m6a m6g m6gd m6i m6id m7g m7i m7i-flex m8a m8g m8i m8i-flex "
        "g4dn g5 g6 g7 inf2 trn1 trn1n t2 t3"
    ),
    8: "r5 r5d r6g r6gd r6i r6id r7gd r7i r8g r8i r8i-flex i3en g6e gr6 g7e p3dn dl1",
    7.625: "p3",
    15.25: "p2",
    12: "p4d p4de",
    32 / 3: "p5 p5e p5en p6-b200 trn2",
    64 / 3: "p6-b300",
    20 / 3: "p6e-gb200",
}
"""GiB for each vCPU → families."""

GPUS: Mapping[str, Mapping[str, int]] = {
    "g4dn": {"12xlarge": 4},
    "g5": {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8},
    "g6": {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8},
    "g6e": {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8},
    "gr6": {},
    "g7": {"12xlarge": 2, "24xlarge": 4, "48xlarge": 8},
    "g7e": {"12xlarge": 2, "24xlarge": 4, "48xlarge": 8},
    "p2": {"8xlarge": 8, "16xlarge": 16},
    "p3": {"8xlarge": 4, "16xlarge": 8},
    "p3dn": {"24xlarge": 8},
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"48xlarge": 8},
    "p5e": {"48xlarge": 8},
    "p5en": {"48xlarge": 8},
    "p6-b200": {"48xlarge": 8},
    "p6-b300": {"48xlarge": 8},
    "p6e-gb200": {"36xlarge": 4},
}
"""Family → GPUs of its sizes; the sizes that are not named have one."""

EXCEPTIONS: Mapping[str, InstanceType] = {
    "ml.t2.medium": InstanceType(2, 4),
    "ml.t3.micro": InstanceType(2, 1),
    "ml.t3.small": InstanceType(2, 2),
    "ml.t3.medium": InstanceType(2, 4),
    "ml.c4.8xlarge": InstanceType(36, 60),
    "ml.c5n.9xlarge": InstanceType(36, 96),
    "ml.c5n.18xlarge": InstanceType(72, 192),
    "ml.p5.4xlarge": InstanceType(16, 256, 1),
    "ml.g7e.12xlarge": InstanceType(48, 512, 2),
    "ml.g7e.24xlarge": InstanceType(96, 1024, 4),
    "ml.g7e.48xlarge": InstanceType(192, 2048, 8),
    "ml.geospatial.interactive": InstanceType(16, 64),
}


def _by_rule() -> Iterator[tuple[str, InstanceType]]:
    for gib, families in GIB_PER_VCPU.items():
        for family in families.split():
            gpus = GPUS.get(family)
            for size, vcpus in SIZES.items():
                count = 0 if gpus is None else gpus.get(size, 1)
                yield f"ml.{family}.{size}", InstanceType(vcpus, round(gib * vcpus, 2), count)


INSTANCE_TYPES: Mapping[str, InstanceType] = {**dict(_by_rule()), **EXCEPTIONS}
"""Every type of botocore's enums, and sizes that a family does not have: those the service model refuses."""


def instance_type(name: str) -> InstanceType:
    """What an instance type has.

    Raises:
        KeyError: there is no such type.
    """
    return INSTANCE_TYPES[name]


@dataclass(frozen=True, slots=True)
class Allotment:
    """What of this machine a program on an instance type gets.

    Attributes:
        limits: For a program's start; open where the machine has no more anyway.
        vcpus: Processors that the program may count on (``SM_NUM_CPUS``).
        notice: What the type has and this machine has not, for the log; None when nothing is missing.
    """

    limits: Limits
    vcpus: int
    notice: str | None = None


def machine() -> tuple[int, int]:
    """Processors and bytes of memory that this machine has for programs."""
    return len(os.sched_getaffinity(0)), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def allot(name: str | None) -> Allotment:
    """What a program on an instance of that type gets here; everything when there is no such type."""
    vcpus, memory_bytes = machine()
    if name is None or name not in INSTANCE_TYPES:
        return Allotment(Limits(), vcpus)
    wanted = INSTANCE_TYPES[name]
    lacks = []
    if wanted.vcpus > vcpus:
        lacks.append(f"{wanted.vcpus} vCPUs (here {vcpus})")
    if wanted.memory_bytes > memory_bytes:
        lacks.append(f"{wanted.memory_gib:g} GiB of memory (here {memory_bytes / GIB:.1f})")
    if wanted.gpus:
        lacks.append(f"{wanted.gpus} GPU{'s' if wanted.gpus > 1 else ''} (none is handed on here)")
    said = f"sagemaker-local: {name} has {', '.join(lacks)}: running with what there is"
    return Allotment(
        Limits(
            vcpus=wanted.vcpus if wanted.vcpus < vcpus else None,
            memory_bytes=wanted.memory_bytes if wanted.memory_bytes < memory_bytes else None,
        ),
        vcpus=min(wanted.vcpus, vcpus),
        notice=said if lacks else None,
    )
