"""Notebook instances: a Jupyter server that a client of Jupyter can use, whose files outlive it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import LocalServer
from tests.contract.serving_probe import ROLE, eventually, unique

OFTEN = {"Delay": 1, "MaxAttempts": 300}
NOTEBOOK = {
    "type": "notebook",
    "content": {
        "cells": [{"cell_type": "markdown", "metadata": {}, "source": "kept"}],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 4,
    },
}


class Instance:
    """One notebook instance of a server."""

    def __init__(self, server: LocalServer) -> None:
        self.server, self.name = server, unique("notebook")
        self.sagemaker = server.client("sagemaker")
        self.sagemaker.create_notebook_instance(
            NotebookInstanceName=self.name, InstanceType="ml.t3.medium", RoleArn=ROLE
        )

    def wait(self, state: str) -> Instance:
        waiter = self.server.client("sagemaker").get_waiter(f"notebook_instance_{state}")
        waiter.wait(NotebookInstanceName=self.name, WaiterConfig=OFTEN)
        return self

    def described(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.server.client("sagemaker").describe_notebook_instance(
            NotebookInstanceName=self.name
        )
        return answer

    def jupyter(self) -> httpx.Client:
        """A client of the notebook itself, let in by the presigned address."""
        address = self.server.client("sagemaker").create_presigned_notebook_instance_url(
            NotebookInstanceName=self.name
        )["AuthorizedUrl"]
        token = parse_qs(urlsplit(address).query)["token"][0]
        return httpx.Client(
            base_url=f"http://{urlsplit(address).netloc}",
            headers={"authorization": f"token {token}"},
            timeout=60,
        )


def test_a_notebook_lives_and_its_files_outlive_it(server: LocalServer) -> None:
    instance = Instance(server)
    sagemaker = instance.sagemaker
    with pytest.raises(ClientError, match=r"Status \((Pending|InService)\) not in \(\[Stopped, Failed\]\)"):
        sagemaker.delete_notebook_instance(NotebookInstanceName=instance.name)
    instance.wait("in_service")
    with instance.jupyter() as jupyter:
        assert jupyter.put("/api/contents/first.ipynb", json=NOTEBOOK).status_code == 201
        kernel = jupyter.post("/api/kernels", json={"name": "python3"})
        assert kernel.status_code == 201, kernel.text
    assert httpx.get(f"http://{instance.described()['Url']}/api/contents", timeout=60).status_code == 403
    with pytest.raises(ClientError, match="RecordNotFound"):
        sagemaker.describe_notebook_instance(NotebookInstanceName="no-such-instance")
    sagemaker.stop_notebook_instance(NotebookInstanceName=instance.name)
    instance.wait("stopped")
    assert "Url" not in instance.described()
    sagemaker.update_notebook_instance(NotebookInstanceName=instance.name, InstanceType="ml.m5.xlarge")
    assert instance.described()["InstanceType"] == "ml.m5.xlarge"
    sagemaker.start_notebook_instance(NotebookInstanceName=instance.name)
    instance.wait("in_service")
    with instance.jupyter() as jupyter:
        kept = jupyter.get("/api/contents/first.ipynb").json()
    assert kept["content"]["cells"][0]["source"] == "kept"
    sagemaker.stop_notebook_instance(NotebookInstanceName=instance.name)
    instance.wait("stopped")
    sagemaker.delete_notebook_instance(NotebookInstanceName=instance.name)
    instance.wait("deleted")
    assert not (server.data / "notebooks" / instance.name).exists()


def test_a_notebook_comes_back_with_the_server(start_server: Callable[..., LocalServer]) -> None:
    server = start_server()
    instance = Instance(server).wait("in_service")
    with instance.jupyter() as jupyter:
        jupyter.put("/api/contents/first.ipynb", json=NOTEBOOK)
    server.kill()
    server.start()
    eventually(lambda: instance.described()["NotebookInstanceStatus"] == "InService", 300)
    with instance.jupyter() as jupyter:
        assert jupyter.get("/api/contents/first.ipynb").status_code == 200
    listed = server.client("sagemaker").list_notebook_instances()["NotebookInstances"]
    assert [each["NotebookInstanceName"] for each in listed] == [instance.name]
    assert json.dumps(listed, default=str).count("InService") == 1


def test_what_is_not_served_is_refused_by_name(server: LocalServer) -> None:
    with pytest.raises(ClientError, match="does not serve LifecycleConfigName"):
        server.client("sagemaker").create_notebook_instance(
            NotebookInstanceName=unique("notebook"),
            InstanceType="ml.t3.medium",
            RoleArn=ROLE,
            LifecycleConfigName="some",
        )
