"""What ``sagemaker-local`` is told on its command line and in its environment."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sagemaker_local import limits, quotas
from sagemaker_local.auth.keys import (
    ENVIRONMENT_ID,
    ENVIRONMENT_SECRET,
    from_environment,
    generate,
    generated_file,
    read_file,
)
from sagemaker_local.errors import AwsError
from sagemaker_local.faults.plan import FaultPlan
from sagemaker_local.settings import Settings

CREDENTIALS_FILE = "credentials"
"""Below the data directory: the key that a server makes for itself when it is given none."""

EPILOG = f"""\
environment:
  {ENVIRONMENT_ID}, {ENVIRONMENT_SECRET}
                        a key that may sign requests, with --require-auth
  SAGEMAKER_LOCAL_CACHE where environments of images are kept (default: ~/.cache/sagemaker-local)
  SSL_CERT_FILE, REQUESTS_CA_BUNDLE
                        certificates of authorities, which programs get too

examples:
  sagemaker-local --data build/sagemaker
  sagemaker-local --host 0.0.0.0 --require-auth --credentials ~/.aws/sagemaker-local
"""


def command_line() -> argparse.ArgumentParser:
    """The options, each with its help."""
    parser = argparse.ArgumentParser(
        prog="sagemaker-local",
        description="Amazon SageMaker on one machine: jobs, endpoints and batch transforms run as processes.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("sagemaker-local-data"),
        help="directory for everything durable, made when missing (default: %(default)s)",
    )
    parser.add_argument(
        "--containers",
        type=Path,
        default=Path("containers"),
        help="directory whose folders are the images (default: %(default)s)",
    )
    parser.add_argument(
        "--images", type=Path, metavar="FILE", help="TOML table that maps further image URIs to folders"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; any but loopback needs --require-auth (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, default=4566, help="port to listen on; 0 takes a free one (default: %(default)s)"
    )
    parser.add_argument("--region", default="us-east-1", help="the one region served (default: %(default)s)")
    parser.add_argument(
        "--account", default="123456789012", help="the one account, twelve digits (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs", type=int, default=4, help="jobs that run side by side; the rest wait (default: %(default)s)"
    )
    parser.add_argument(
        "--executor",
        default="auto",
        choices=["auto", "bubblewrap", "unshare", "base-directory", "docker"],
        help="what programs run in (default: %(default)s, the best of those that work here)",
    )
    parser.add_argument(
        "--ping-timeout-s",
        type=float,
        default=limits.PING_START_TIMEOUT_S,
        help="how long a serving container may take to answer its first /ping (default: %(default)s)",
    )
    parser.add_argument(
        "--stop-grace-s",
        type=float,
        default=limits.STOP_GRACE_S,
        help="time between SIGTERM and SIGKILL of a stopped job (default: %(default)s)",
    )
    parser.add_argument(
        "--deployment-wait-scale",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="multiplies the waits of endpoint deployments, such as baking periods: with 0.01 ten minutes "
        "take six seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--scaling-time-scale",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="multiplies the periods of target tracking's alarms and the cool-downs of policies: with "
        "0.05 a minute takes three seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--require-auth",
        action="store_true",
        help="answer only requests signed with a known key; one is made in DATA/credentials if none is given",
    )
    parser.add_argument(
        "--credentials",
        type=Path,
        metavar="FILE",
        help="AWS credentials file, mode 600: the key of every profile in it may sign requests",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a further name in the Host header to answer under; may be repeated",
    )
    parser.add_argument(
        "--faults",
        type=Path,
        metavar="FILE",
        help="a fault plan to start with, as PUT /_local/faults takes it",
    )
    parser.add_argument(
        "--quota",
        action="append",
        default=[],
        metavar="TYPE=COUNT",
        help="instances of a type that each kind of use may have at once, such as ml.m5.large=2; or of one "
        "use: 'ml.m5.large for training job usage=2'; may be repeated",
    )
    return parser


def parse(arguments: list[str] | None) -> Settings:
    """Read the command line.

    Raises:
        SystemExit: it asks for what cannot be; standard error says what.
    """
    parser = command_line()
    options = parser.parse_args(arguments)
    settings = Settings(
        data_dir=options.data.resolve(),
        containers_dir=options.containers.resolve(),
        images_file=options.images.resolve() if options.images else None,
        host=options.host.strip("[]"),
        port=options.port,
        region=options.region,
        account=options.account,
        max_running_jobs=options.jobs,
        executor=options.executor,
        ping_start_timeout_s=options.ping_timeout_s,
        stop_grace_s=options.stop_grace_s,
        deployment_wait_scale=options.deployment_wait_scale,
        scaling_time_scale=options.scaling_time_scale,
        require_auth=options.require_auth,
        allowed_hosts=tuple(options.allow_host),
        fault_plan=_fault_plan(parser, options.faults),
        quotas=_quotas(parser, options.quota),
    )
    if not re.fullmatch(r"\d{12}", settings.account):
        parser.error(f"--account must have twelve digits, not '{settings.account}'")
    if settings.max_running_jobs < 1:
        parser.error(f"--jobs must be at least 1, not {settings.max_running_jobs}")
    if not 0 <= settings.deployment_wait_scale <= 1:
        parser.error(f"--deployment-wait-scale must be from 0 to 1, not {settings.deployment_wait_scale:g}")
    if not 0 < settings.scaling_time_scale <= 1:
        parser.error(f"--scaling-time-scale must be above 0, at most 1, not {settings.scaling_time_scale:g}")
    if not 0 <= settings.port <= 65535:
        parser.error(f"--port must be from 0 to 65535, not {settings.port}")
    if not settings.is_loopback and not settings.require_auth:
        parser.error(
            f"--host {options.host} can be reached from other machines, and whoever reaches this server runs "
            "programs here: add --require-auth, or stay on 127.0.0.1"
        )
    if options.credentials is not None and not settings.require_auth:
        parser.error("--credentials has no effect without --require-auth: give both or neither")
    if settings.require_auth:
        return _with_keys(parser, settings, options.credentials)
    return settings


def _with_keys(parser: argparse.ArgumentParser, settings: Settings, credentials: Path | None) -> Settings:
    """The settings with the keys that may sign, and one that programs get."""
    try:
        keys = from_environment(os.environ)
        if credentials is not None:
            keys += read_file(credentials)
        elif not keys:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
            keys = generated_file(settings.data_dir / CREDENTIALS_FILE)
    except ValueError as error:
        parser.error(f"--require-auth: {error}")
    return dataclasses.replace(settings, keys=keys, program_key=generate())


def _quotas(parser: argparse.ArgumentParser, given: list[str]) -> dict[str, int]:
    try:
        return quotas.parse(given)
    except ValueError as error:
        parser.error(f"--quota: {error}")


def _fault_plan(parser: argparse.ArgumentParser, path: Path | None) -> object:
    if path is None:
        return None
    try:
        plan: object = json.loads(path.read_text())
        FaultPlan().replace(plan)
    except (OSError, ValueError, AwsError) as error:
        parser.error(f"--faults {path}: {error}")
    return plan


def _version() -> str:
    try:
        return version("sagemaker-local")
    except PackageNotFoundError:
        return "from a source tree"
