"""Models that are scripts: model_fn, input_fn, predict_fn, output_fn, transform_fn in AWS's toolkit.

The toolkit's Transformer expects the context that multi-model-server gives it; :class:`Context` is that.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from sagemaker_inference import decoder, encoder, errors, transformer, utils

from .model import JSON, Answer, Model, as_bytes
from .user_code import PROGRAM, install_requirements


class RequestProcessor:
    """The request, as the toolkit asks for it."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._properties = properties

    def get_request_properties(self) -> Mapping[str, str]:
        """The headers."""
        return self._properties


class Context:
    """What multi-model-server hands to a handler, as far as the toolkit and scripts use it."""

    def __init__(self, model_dir: Path) -> None:
        self.system_properties = {"model_dir": str(model_dir), "gpu_id": None, "batch_size": 1}
        self.model_name = os.environ.get("SAGEMAKER_MODEL_NAME", "model")
        self.manifest: dict[str, Any] = {}
        self.begin({})

    def begin(self, headers: Mapping[str, str]) -> None:
        """Forget the last request."""
        titled = {name.title(): value for name, value in headers.items()}
        self.request_processor = [RequestProcessor(titled)]
        self.status = 200
        self.content_type: str | None = None

    def get_request_header(self, index: int, name: str) -> str | None:
        """One header of the request."""
        return self.request_processor[index].get_request_properties().get(name.title())

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """The status of the answer."""
        self.status = code

    def set_response_content_type(self, request_id: int, value: str) -> None:
        """The type of the answer."""
        self.content_type = value


class ScriptModel:
    """A model that is a script and the framework's default functions.

    Args:
        model_dir: The artefact.
        defaults: An object with ``default_model_fn`` and so on.
        module: The script, where it is not the one module that SAGEMAKER_PROGRAM names.
    """

    def __init__(self, model_dir: Path, defaults: object, module: ModuleType | None = None) -> None:
        self.context = Context(model_dir)
        self.transformer = transformer.Transformer(defaults)
        if module is not None:
            # The toolkit imports by name; a module under a name of its own serves one model of several.
            os.environ[PROGRAM], before = module.__name__, os.environ.get(PROGRAM)
            try:
                self.transformer.validate_and_initialize(str(model_dir), self.context)
            finally:
                os.environ.pop(PROGRAM) if before is None else os.environ.update({PROGRAM: before})
        else:
            self.transformer.validate_and_initialize(str(model_dir), self.context)

    def answer(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Run the script's functions."""
        self.context.begin(headers)
        (response,) = self.transformer.transform([{"body": body}], self.context)
        if self.context.status >= 400:
            print(response, file=sys.stderr)
        return Answer(as_bytes(response), self.context.content_type or JSON, self.context.status)


class Defaults:
    """The toolkit's default functions, with the statuses of scikit-learn's and XGBoost's images.

    Source: https://github.com/aws/sagemaker-containers/blob/master/src/sagemaker_containers/_transformer.py
    """

    def default_model_fn(self, model_dir: str, context: object = None) -> Any:
        """There is none: only the script knows what it saved."""
        raise NotImplementedError(
            "Please provide a model_fn implementation. See documentation for model_fn at "
            "https://sagemaker.readthedocs.io/en/stable/"
        )

    def default_input_fn(self, input_data: Any, content_type: str, context: object = None) -> Any:
        """From CSV, JSON, NPY or NPZ to an array; 415 for other types."""
        try:
            return decoder.decode(input_data, utils.parse_accept(content_type or JSON)[0].partition(";")[0])
        except errors.UnsupportedFormatError as error:
            raise errors.GenericInferenceToolkitError(415, str(error)) from error

    def default_predict_fn(self, data: Any, model: Any, context: object = None) -> Any:
        """The model's own ``predict``."""
        return model.predict(data)

    def default_output_fn(self, prediction: Any, accept: str, context: object = None) -> tuple[Any, str]:
        """To the first type of the Accept header that is known; 406 where none is."""
        for content_type in utils.parse_accept(accept):
            if content_type in encoder.SUPPORTED_CONTENT_TYPES:
                return encoder.encode(prediction, content_type), content_type
        raise errors.GenericInferenceToolkitError(406, f"None of '{accept}' can be answered")


def load(model_dir: Path, defaults: object | None = None) -> Model:
    """A model whose script is the one module of this server, or, of several models, its own ``code``."""
    if os.environ.get("SAGEMAKER_MULTI_MODEL", "").lower() == "true":
        return ScriptModel(model_dir, defaults or Defaults(), own_module(model_dir))
    return ScriptModel(model_dir, defaults or Defaults())


def own_module(model_dir: Path) -> ModuleType | None:
    """The script in a model's ``code``, imported under a name that no other model has."""
    code = model_dir / "code"
    path = code / os.environ.get(PROGRAM, "inference.py")
    if not path.is_file():
        return None
    install_requirements(code)
    name = f"{path.stem}_{abs(hash(str(model_dir)))}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    # Modules beside the script are found, and shared with other models when they have the same name.
    sys.path.insert(0, str(code))
    specification.loader.exec_module(module)
    return module
