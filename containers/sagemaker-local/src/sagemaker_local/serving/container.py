"""What a model's container is made of, once packages and defaults are resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sagemaker_local.serving.artefact import Artefact
from sagemaker_local.store import NotFound, Record, Store


class ContainerError(Exception):
    """The model's container cannot be resolved; the message is AWS's."""


@dataclass(frozen=True, slots=True)
class Container:
    """One serving container; plain data, so that an endpoint can keep it when its model is deleted.

    Attributes:
        image: The image URI.
        model: The artefact that becomes ``/opt/ml/model``, or None when the image brings its own.
        additional: Artefacts of ``/opt/ml/additional-model-data-sources/<channel>`` by channel.
        environment: Added to the image's ENV.
        multi_model: ``model`` is the prefix of many artefacts, loaded when they are asked for.
        cache_models: They stay loaded until there is no room for them.
        hostname: Its ContainerHostname, or one of ours.
        others: The model's further containers, in their order.
        direct: Requests name the container that is to answer; else each container gets what the one before
            it answered.
        isolated: It has no network but to answer (EnableNetworkIsolation).
    """

    image: str
    model: Artefact | None = None
    additional: Mapping[str, Artefact] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    multi_model: bool = False
    cache_models: bool = True
    hostname: str = ""
    others: tuple[Container, ...] = ()
    direct: bool = False
    isolated: bool = False

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Container:
        """The reverse of :meth:`to_json`."""
        return cls(
            image=stored["image"],
            model=Artefact(**stored["model"]) if stored["model"] else None,
            additional={name: Artefact(**artefact) for name, artefact in stored["additional"].items()},
            environment=stored["environment"],
            multi_model=stored.get("multi_model", False),
            cache_models=stored.get("cache_models", True),
            hostname=stored.get("hostname", ""),
            others=tuple(cls.from_json(other) for other in stored.get("others", ())),
            direct=stored.get("direct", False),
            isolated=stored.get("isolated", False),
        )


def resolve(store: Store, model: Record) -> Container:
    """The container of a model, with those that stand behind it; packages that are named must be approved.

    Raises:
        ContainerError: a package is missing, not approved or has no image.
    """
    definitions = model.document.get("Containers") or [model.document["PrimaryContainer"]]
    isolated = bool(model.document.get("EnableNetworkIsolation"))
    first, *others = (
        replace(
            _resolved(store, model, given),
            isolated=isolated,
            hostname=given.get("ContainerHostname", f"container-{number}"),
        )
        for number, given in enumerate(definitions, start=1)
    )
    mode = model.document.get("InferenceExecutionConfig", {}).get("Mode")
    return replace(first, others=tuple(others), direct=bool(others) and mode == "Direct")


def _resolved(store: Store, model: Record, given: Mapping[str, Any]) -> Container:
    if package_name := given.get("ModelPackageName"):
        return _of_package(_package(store, package_name, model), given)
    if "Image" not in given:
        raise ContainerError("Image or ModelPackageName is required for a container definition.")
    return _container(given, given.get("Environment", {}))


def artefacts(container: Container) -> Iterator[Artefact]:
    """All artefacts that the container needs."""
    if container.model:
        yield container.model
    yield from container.additional.values()
    for other in container.others:
        yield from artefacts(other)


def _package(store: Store, name_or_arn: str, model: Record) -> Record:
    wanted = name_or_arn
    if not wanted.startswith("arn:"):
        wanted = f"{model.arn.partition(':model/')[0]}:model-package/{name_or_arn.lower()}"
    try:
        package = store.get_by_arn(wanted)
    except NotFound:
        raise ContainerError(f"ModelPackage {wanted} does not exist.") from None
    approval = package.document.get("ModelApprovalStatus", "Approved")
    if approval != "Approved":
        raise ContainerError(
            f"Cannot use Model Package {wanted}: its ModelApprovalStatus is {approval}. "
            "Only Approved model packages can be deployed; approve it with UpdateModelPackage first."
        )
    return package


def _of_package(package: Record, given: Mapping[str, Any]) -> Container:
    specification = package.document.get("InferenceSpecification")
    if name := given.get("InferenceSpecificationName"):
        named = {each["Name"]: each for each in package.document.get("AdditionalInferenceSpecifications", [])}
        specification = named.get(name)
    if not specification:
        raise ContainerError(f"ModelPackage {package.arn} has no such inference specification to deploy.")
    containers = specification["Containers"]
    if len(containers) != 1 or "Image" not in containers[0]:
        raise ContainerError(
            f"The local SageMaker serves packages of one container with an Image, which {package.arn} is not."
        )
    environment = {**containers[0].get("Environment", {}), **given.get("Environment", {})}
    return _container(containers[0], environment)


def _container(definition: Mapping[str, Any], environment: Mapping[str, str]) -> Container:
    model = None
    multi_model = definition.get("Mode") == "MultiModel"
    if source := definition.get("ModelDataSource", {}).get("S3DataSource"):
        model = Artefact.of_source(source)
    elif url := definition.get("ModelDataUrl"):
        model = Artefact(url, is_prefix=multi_model)
    return Container(
        image=definition["Image"],
        model=model,
        additional={
            source["ChannelName"]: Artefact.of_source(source["S3DataSource"])
            for source in definition.get("AdditionalModelDataSources", [])
        },
        environment=dict(environment),
        multi_model=multi_model,
        cache_models=definition.get("MultiModelConfig", {}).get("ModelCacheSetting") != "Disabled",
    )
