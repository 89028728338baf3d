"""Run in a compiler's own environment: makes a framework's models, and asks compiled and original the same.

python networks.py make <framework> <directory>
python networks.py compare <framework> <directory with model.onnx and expected.npz>
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
PIXELS = np.random.default_rng(3).uniform(0, 1, (5, 8, 8, 1)).astype(np.float32)


def pytorch(directory: Path) -> dict[str, Any]:
    """A traced convolutional net with two inputs; channels first."""
    import torch

    class Net(torch.nn.Module):  # type: ignore[misc]  # torch is there only where this runs
        def __init__(self):
            super().__init__()
            self.seen = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
            self.chosen = torch.nn.Linear(8 * 6 * 6 + 2, 10)

        def forward(self, pixels, hints):
            return torch.softmax(self.chosen(torch.cat([self.seen(pixels), hints], 1)), 1)

    torch.manual_seed(0)
    net = Net().eval()
    pixels, hints = PIXELS.transpose(0, 3, 1, 2).copy(), PIXELS[:, 0, :2, 0].copy()
    torch.jit.trace(net, (torch.rand(1, 1, 8, 8), torch.rand(1, 2))).save(str(directory / "model.pth"))
    with torch.inference_mode():
        answer = net(torch.from_numpy(pixels), torch.from_numpy(hints)).numpy()
    return {"pixels": pixels, "hints": hints, "answer": answer}


def onnx(directory: Path) -> dict[str, Any]:
    """A graph with something to fold."""
    import onnx as format_
    from onnx import TensorProto, helper, numpy_helper

    weights = np.arange(64 * 3, dtype=np.float32).reshape(64, 3) / 100
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["one", "one"], ["two"]),
            helper.make_node("MatMul", ["pixels", "weights"], ["product"]),
            helper.make_node("Mul", ["product", "two"], ["scores"]),
        ],
        "graph",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 64])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 3])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.ones(1, np.float32), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    format_.save(model, directory / "model.onnx")
    pixels = PIXELS.reshape(5, 64)
    return {"pixels": pixels, "answer": pixels @ weights * 2}


def network():
    """The same small net for TensorFlow and Keras."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((8, 8, 1), name="pixels"),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def keras(directory: Path) -> dict[str, Any]:
    """A whole model in one file."""
    net = network()
    net.save(directory / "model.h5")
    return {"pixels": PIXELS, "answer": net.predict(PIXELS, verbose=0)}


def tensorflow(directory: Path) -> dict[str, Any]:
    """A SavedModel in a numbered folder, as TensorFlow Serving has it."""
    net = network()
    net.export(directory / "1", format="tf_saved_model", verbose=False)
    return {"pixels": PIXELS, "answer": net.predict(PIXELS, verbose=0)}


def frozen(directory: Path) -> dict[str, Any]:
    """A frozen graph, as Neo took it before SavedModels."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    net = network()
    function = tf.function(net).get_concrete_function(tf.TensorSpec((None, 8, 8, 1), name="pixels"))
    definition = convert_variables_to_constants_v2(function).graph.as_graph_def()
    tf.io.write_graph(definition, str(directory), "model.pb", as_text=False)
    return {"pixels": PIXELS, "answer": net.predict(PIXELS, verbose=0)}


MAKERS = {each.__name__: each for each in (pytorch, onnx, keras, tensorflow, frozen)}


def compare(directory: Path) -> None:
    """The compiled model answers like the original for five rows, though one was declared."""
    import onnxruntime

    expected = dict(np.load(directory / "expected.npz"))
    wanted = expected.pop("answer")
    session = onnxruntime.InferenceSession(directory / "model.onnx", providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, expected)
    np.testing.assert_allclose(answer, wanted, rtol=1e-4, atol=1e-5)


if __name__ == "__main__":
    action, kind, place = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    if action == "make":
        np.savez(place.parent / "expected.npz", **MAKERS[kind](place))
    else:
        compare(place)
