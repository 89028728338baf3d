"""scikit-learn → ONNX: compiled for real, answers compared row by row outside the compiler."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.containers import programs
from tests.unit.containers.programs import Job

# Fits kinds of estimators, and leaves what they answer to rows that the compiler never sees.
FIT = """
import json, sys, joblib, numpy as np
from pathlib import Path
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestRegressor, GradientBoostingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

KINDS = {
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "trees": lambda: ExtraTreesClassifier(20, random_state=0),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=20, random_state=0),
    "network": lambda: MLPClassifier((16,), max_iter=50, random_state=0),
    "two classes": lambda: GradientBoostingClassifier(n_estimators=10, random_state=0),
    "words": lambda: LogisticRegression(),
    "svm uncalibrated": lambda: SVC(gamma=0.05),
    "linear": lambda: LinearSVC(random_state=0),
    "svm": lambda: CalibratedClassifierCV(SVC(gamma=0.05), cv=3, ensemble=False),
    "svm linear kernel": lambda: CalibratedClassifierCV(SVC(kernel="linear"), cv=3, ensemble=False),
    "svm poly": lambda: CalibratedClassifierCV(SVC(kernel="poly", coef0=1, gamma=0.05), cv=3, ensemble=False),
    "svm in pipeline": lambda: make_pipeline(
        StandardScaler(), CalibratedClassifierCV(SVC(gamma=0.1), cv=3, ensemble=False)
    ),
    "svm of two classes": lambda: CalibratedClassifierCV(SVC(gamma=0.05), cv=3, ensemble=False),
    "svm several": lambda: CalibratedClassifierCV(SVC(gamma=0.05), cv=3, ensemble=True),
    "regression": lambda: LinearRegression(),
    "forest": lambda: RandomForestRegressor(10, random_state=0),
}
generator = np.random.default_rng(3)
rows = generator.normal(size=(400, 6)).astype(np.float32).astype(np.float64)
for kind in sys.argv[2:] or KINDS:
    directory = Path(sys.argv[1]) / kind
    target = rows[:, 0] - rows[:, 1] ** 2 + rows[:, 2] * rows[:, 3]
    if kind not in ("regression", "forest"):
        edges = [0.0] if "two classes" in kind else [-1.5, -0.3, 0.8]
        target = np.digitize(target, edges) * 3
        if kind == "words":
            target = np.array(["a", "b", "c", "d"])[target // 3]
    model = KINDS[kind]().fit(rows[:300], target[:300])
    (directory / "model").mkdir(parents=True)
    joblib.dump(model, directory / "model/model.joblib")
    answers = {"rows": rows[300:].tolist()}
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            answers[method] = getattr(model, method)(rows[300:]).tolist()
    (directory / "answers.json").write_text(json.dumps(answers))
"""

# Answers by ONNX Runtime and numpy alone, from the manifest; prints what is wrong with each, by kind.
RUN = """
import json, sys, numpy as np
sys.modules["sklearn"] = sys.modules["joblib"] = None
import onnxruntime
from pathlib import Path

def complaints(directory):
    manifest = json.loads((directory / "compiled/manifest.json").read_text())
    session = onnxruntime.InferenceSession(directory / "compiled" / manifest["model_file"])
    wanted = json.loads((directory / "answers.json").read_text())
    rows = np.array(wanted["rows"], manifest["inputs"][0]["dtype"])
    names = [output["name"] for output in manifest["outputs"]]
    for output, got in zip(manifest["outputs"], session.run(names, {manifest["inputs"][0]["name"]: rows})):
        right = np.array(wanted[output["method"]])
        if str(got.dtype).replace("object", "string") != output["dtype"] or len(output["shape"]) != got.ndim:
            yield f"{output} is {got.dtype} of shape {got.shape}"
        got = got.reshape(right.shape)
        if right.dtype.kind == "U" or output["dtype"] == "int64":
            if (got != right).any():
                yield f"{output} has other labels"
        elif abs(got - right).max() > 1e-5 * max(1, abs(right).max()):
            yield f"{output} is off by {abs(got - right).max()}"

print(json.dumps({path.name: list(complaints(path)) for path in map(Path, sys.argv[1:])}))
"""

METHODS = {
    "pipeline": ["predict", "predict_proba"],
    "trees": ["predict", "predict_proba"],
    "boosting": ["predict", "predict_proba"],
    "network": ["predict", "predict_proba"],
    "two classes": ["predict", "predict_proba"],
    "words": ["predict", "predict_proba"],
    "linear": ["predict", "decision_function"],
    "svm uncalibrated": ["predict", "decision_function"],
    "svm": ["predict", "predict_proba"],
    "svm linear kernel": ["predict", "predict_proba"],
    "svm poly": ["predict", "predict_proba"],
    "svm in pipeline": ["predict", "predict_proba"],
    "svm of two classes": ["predict", "predict_proba"],
    "svm several": ["predict", "predict_proba"],
    "regression": ["predict"],
    "forest": ["predict"],
}


def python(code: str, *arguments: str) -> str:
    return programs.in_environment("SKLEARN", code, *arguments)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for every kind, with its model and its answers."""
    base = tmp_path_factory.mktemp("fitted")
    python(FIT, str(base), *METHODS)
    for kind in METHODS:
        programs.pack(base / kind / "model", base / kind / "model.tar.gz")
    return base


@pytest.fixture(scope="module")
def compiled(fitted: Path) -> dict[str, Job]:
    """Every kind's job, its artefact unpacked."""
    bases = {
        kind: programs.compilation(fitted / kind / "job", "SKLEARN", fitted / kind / "model.tar.gz", 6)
        for kind in METHODS
    }
    jobs = programs.compile_together("SKLEARN", bases.values())
    for kind, base in bases.items():
        if jobs[base].code == 0:
            programs.unpack(base / "output/compiled.tar.gz", fitted / kind / "compiled")
    return {kind: jobs[base] for kind, base in bases.items()}


@pytest.fixture(scope="module")
def complaints(fitted: Path, compiled: dict[str, Job]) -> dict[str, list[str]]:
    """What is wrong with the answers of the kinds that were compiled."""
    found: dict[str, list[str]] = json.loads(
        python(RUN, *(str(fitted / kind) for kind, job in compiled.items() if job.code == 0))
    )
    return found


def refused(job: Job) -> str:
    assert job.code == 1, job.output
    assert not (job.base / "output/compiled.tar.gz").exists()
    assert job.read("output/failure") in job.output
    return job.read("output/failure")


@pytest.mark.parametrize("kind", METHODS)
def test_the_compiled_model_answers_like_the_original(
    fitted: Path, compiled: dict[str, Job], complaints: dict[str, list[str]], kind: str
) -> None:
    assert compiled[kind].code == 0, compiled[kind].read("output/failure")
    manifest = json.loads((fitted / kind / "compiled/manifest.json").read_text())
    assert [output["method"] for output in manifest["outputs"]] == METHODS[kind]
    assert complaints[kind] == []


def test_calibrated_machines_get_the_compact_graph(fitted: Path, compiled: dict[str, Job]) -> None:
    count = "import onnx, sys; print(len(onnx.load(sys.argv[1]).graph.node))"
    for kind, compact in (("svm", True), ("svm poly", True), ("svm several", False)):
        nodes = int(python(count, str(fitted / kind / "compiled/model.onnx")))
        assert (nodes < 25) is compact, (kind, nodes)


def test_compiling_again_gives_the_same_bytes(
    fitted: Path, compiled: dict[str, Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (compiled["svm"].base / "output/compiled.tar.gz").read_bytes()
    for seed in ("1", "2", "3"):  # the order of sets, which must not reach the artefact
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        again = programs.compile_model(tmp_path / seed, "SKLEARN", fitted / "svm/model.tar.gz", 6)
        assert again.code == 0, again.output
        assert (again.base / "output/compiled.tar.gz").read_bytes() == first


def test_a_wrong_request_says_what_is_right(fitted: Path, tmp_path: Path) -> None:
    model = fitted / "regression/model.tar.gz"
    wrong: dict[str, tuple[int, dict[str, str], str]] = {
        "width": (7, {}, 'declares 7 features, model.joblib was trained on 6: use {"input": [1, 6]}'),
        "name": (6, {"DataInputConfig": '{"pixels": [1, 6]}'}, "called 'input', not 'pixels'"),
        "version": (6, {"FrameworkVersion": "0.23"}, "FrameworkVersion 0.23 of SKLEARN"),
    }
    bases = {
        name: programs.compilation(tmp_path / name, "SKLEARN", model, features, source)
        for name, (features, source, _) in wrong.items()
    }
    jobs = programs.compile_together("SKLEARN", bases.values())
    for name, (_, _, complaint) in wrong.items():
        assert complaint in refused(jobs[bases[name]])


def test_a_model_of_another_version_is_refused(tmp_path: Path) -> None:
    python(FIT, str(tmp_path), "regression")
    path = tmp_path / "regression/model/model.joblib"
    assert path.read_bytes().count(b"1.9.1") == 1
    path.write_bytes(path.read_bytes().replace(b"1.9.1", b"1.8.0"))
    model = programs.pack(path.parent, tmp_path / "model.tar.gz")
    reason = refused(programs.compile_model(tmp_path / "job", "SKLEARN", model, 6))
    assert reason.startswith("model.joblib was saved with scikit-learn 1.8.0, this compiler has 1.9.1: ")


SPOILT = {
    "torn": ("(d / 'm.joblib').write_bytes(b'half a pickle')", "cannot be unpickled with scikit-learn 1.9.1"),
    "no estimator": ("joblib.dump({'a': 1}, d / 'm.joblib')", "holds a dict, need an estimator with predict"),
    "unfitted": ("from sklearn.svm import SVC; joblib.dump(SVC(), d / 'm.joblib')", "SVC is not fitted"),
    "own class": (
        "import types, sys; m = types.ModuleType('mine'); sys.modules['mine'] = m\n"
        "exec('class Mine: predict = 1', m.__dict__); joblib.dump(m.Mine(), d / 'm.joblib')",
        "without classes of your own",
    ),
    "two models": (
        "(d / 'a.joblib').touch(); (d / 'b.pkl').touch()",
        "several models (a.joblib, b.pkl); keep exactly one *.joblib or *.pkl",
    ),
    "no converter": (
        "from sklearn.cluster import Birch; import numpy as np\n"
        "joblib.dump(Birch().fit(np.random.default_rng(0).normal(size=(30, 6))), d / 'm.joblib')",
        "Birch has a part that skl2onnx",
    ),
}


def test_files_that_are_no_models_are_explained(tmp_path: Path) -> None:
    script = ["import joblib, pathlib, sys"]
    for kind, (code, _) in SPOILT.items():
        (tmp_path / kind / "model").mkdir(parents=True)
        script += [f"d = pathlib.Path(sys.argv[1]) / {kind!r} / 'model'", code]
    python("\n".join(script), str(tmp_path))
    bases = {
        kind: programs.compilation(
            tmp_path / kind / "job",
            "SKLEARN",
            programs.pack(tmp_path / kind / "model", tmp_path / kind / "model.tar.gz"),
            6,
        )
        for kind in SPOILT
    }
    jobs = programs.compile_together("SKLEARN", bases.values())
    for kind, (_, complaint) in SPOILT.items():
        assert complaint in refused(jobs[bases[kind]])
