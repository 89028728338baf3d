"""CloudWatch clients that speak each of its protocols: botocore would always choose the same one."""

from __future__ import annotations

import copy
from typing import Any

import botocore.session
from botocore.config import Config

from tests.contract.conftest import LocalServer

PROTOCOLS = ("smithy-rpc-v2-cbor", "json", "query")


def cloudwatch(server: LocalServer, protocol: str) -> Any:
    """A client of a model that knows only one protocol."""
    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    load = loader.load_service_model

    def load_service_model(service: str, kind: str, api_version: str | None = None) -> Any:
        model = load(service, kind, api_version)
        if kind == "service-2":
            model = copy.deepcopy(model)
            model["metadata"] |= {"protocols": [protocol], "protocol": protocol}
        return model

    loader.load_service_model = load_service_model
    client = session.create_client(
        "cloudwatch",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    assert client.meta.service_model.resolved_protocol == protocol
    return client
