"""scikit-learn, compiled for real: answers compared row by row outside the compiler."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.unit.containers import programs
from tests.unit.containers.programs import Job

pytestmark = programs.NEEDS_LIBGOMP

# Fits kinds of estimators, and leaves what they answer to rows that the compiler never sees.
FIT = """
import json, sys, warnings, joblib, numpy as np
from pathlib import Path
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestRegressor, GradientBoostingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet, LinearRegression, LogisticRegression, PoissonRegressor, Ridge, SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer, MaxAbsScaler, MinMaxScaler, Normalizer, OneHotEncoder, OrdinalEncoder, PolynomialFeatures,
    RobustScaler, StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC
warnings.simplefilter("ignore")

def calibrated(machine, **more):
    return CalibratedClassifierCV(machine, cv=3, **{"ensemble": False, **more})

KINDS = {
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "trees": lambda: ExtraTreesClassifier(20, random_state=0),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=20, random_state=0),
    "network": lambda: MLPClassifier((16,), max_iter=50, random_state=0),
    "deep network two classes": lambda: MLPClassifier(
        (20, 9), activation="tanh", max_iter=50, random_state=0
    ),
    "network regression": lambda: MLPRegressor(max_iter=50, activation="logistic", random_state=0),
    "boosting two classes": lambda: GradientBoostingClassifier(n_estimators=10, random_state=0),
    "logistic two classes": lambda: make_pipeline(MinMaxScaler(clip=True), LogisticRegression()),
    "words": lambda: LogisticRegression(),
    "svm uncalibrated": lambda: SVC(gamma=0.05),
    "svm of pairs": lambda: SVC(gamma=0.05, decision_function_shape="ovo"),
    "svm uncalibrated two classes": lambda: SVC(kernel="sigmoid", gamma=0.05, coef0=0.5),
    "linear": lambda: LinearSVC(random_state=0),
    "linear calibrated": lambda: calibrated(
        make_pipeline(RobustScaler(), LinearSVC(random_state=0)), ensemble=True
    ),
    "svm": lambda: calibrated(SVC(gamma=0.05)),
    "svm linear kernel": lambda: calibrated(SVC(kernel="linear")),
    "svm poly": lambda: calibrated(SVC(kernel="poly", coef0=1, gamma=0.05)),
    "svm in pipeline": lambda: make_pipeline(StandardScaler(), calibrated(SVC(gamma=0.1))),
    "svm two classes": lambda: calibrated(SVC(gamma=0.05)),
    "svm several": lambda: calibrated(SVC(gamma=0.05), ensemble=True),
    "mean regression": lambda: VotingRegressor([("one", Ridge()), ("other", LinearRegression())]),
    "svm regression": lambda: SVR(gamma=0.05),
    "regression": lambda: LinearRegression(),
    "several regression": lambda: make_pipeline(MaxAbsScaler(), Ridge()),
    "counts regression": lambda: PoissonRegressor(),
    "polynomial regression": lambda: make_pipeline(PolynomialFeatures(3), StandardScaler(), Ridge()),
    "components regression": lambda: make_pipeline(PCA(4, whiten=True), ElasticNet(0.01)),
    "selected": lambda: make_pipeline(
        SelectKBest(k=3), Normalizer(), SGDClassifier("log_loss", random_state=0)
    ),
    "searched": lambda: GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2),
    "discriminant": lambda: LinearDiscriminantAnalysis(),
    "bayes": lambda: GaussianNB(),
    "bayes of counts": lambda: make_pipeline(MinMaxScaler(clip=True), MultinomialNB()),
    "bayes of bits": lambda: make_pipeline(Binarizer(threshold=0.2), BernoulliNB()),
    "columns": lambda: make_pipeline(
        SimpleImputer(strategy="median"),
        ColumnTransformer([
            ("scaled", StandardScaler(), [0, 2]),
            ("one hot", OneHotEncoder(handle_unknown="ignore", drop="if_binary"), [3, 4]),
            ("code", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), [5]),
        ], remainder="passthrough"),
        FeatureUnion([("few", TruncatedSVD(2)), ("all", "passthrough")]),
        LogisticRegression(),
    ),
    "forest regression": lambda: RandomForestRegressor(10, random_state=0),
    "lightgbm": lambda: LGBMClassifier(n_estimators=10, verbose=-1),
}
generator = np.random.default_rng(3)
plain = generator.normal(size=(400, 6)).astype(np.float32).astype(np.float64)
for kind in sys.argv[2:] or KINDS:
    directory = Path(sys.argv[1]) / kind
    rows = plain.copy()
    target = rows[:, 0] - rows[:, 1] ** 2 + rows[:, 2] * rows[:, 3]
    if kind == "columns":
        rows[:, 3:] = np.floor(rows[:, 3:] * [1, 5, 2])
        rows[::7, 0] = np.nan
    if "several" in kind and "regression" in kind:
        target = np.stack([target, -2 * target + 1, rows[:, 4]], axis=1)
    elif "counts regression" in kind:
        target = np.floor(np.abs(target))
    elif "regression" not in kind:
        edges = [0.0] if "two classes" in kind else [-1.5, -0.3, 0.8]
        target = np.digitize(target, edges) * 3
        if kind == "words":
            target = np.array(["a", "b", "c", "d"])[target // 3]
    model = KINDS[kind]().fit(rows[:300], target[:300])
    (directory / "model").mkdir(parents=True)
    joblib.dump(model, directory / "model/model.joblib")
    np.savetxt(directory / "model/calibration.csv", rows[:50], delimiter=",")
    answers = {"rows": rows[300:].tolist()}
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(model, method):
            answers[method] = getattr(model, method)(rows[300:]).tolist()
    (directory / "answers.json").write_text(json.dumps(answers))
"""

# Answers without scikit-learn, from the manifest; prints what is wrong with each, by kind.
RUN = """
import ctypes, json, sys, numpy as np
sys.modules["sklearn"] = sys.modules["joblib"] = None
from pathlib import Path

def native(library, manifest, rows):
    (described,) = manifest["outputs"]
    function = ctypes.CDLL(library).predict_at_level
    function.argtypes = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int)
    function.restype = None
    for level in (0, 2, 3):
        for count in (len(rows), 1, 3, 0):
            given = np.ascontiguousarray(rows[:count])
            answers = np.full((count, *described["shape"][1:]), np.nan, described["dtype"])
            function(given.ctypes.data, count, answers.ctypes.data, level)
            yield count, [answers]

def onnx(graph, manifest, rows):
    import onnxruntime
    names = [output["name"] for output in manifest["outputs"]]
    yield len(rows), onnxruntime.InferenceSession(graph).run(names, {manifest["inputs"][0]["name"]: rows})

def complaints(directory):
    manifest = json.loads((directory / "compiled/manifest.json").read_text())
    wanted = json.loads((directory / "answers.json").read_text())
    rows = np.array(wanted["rows"], manifest["inputs"][0]["dtype"])
    is_native = manifest["runtime"] == "native"
    run, most = (native, 1e-11) if is_native else (onnx, 1e-5)
    for count, answers in run(directory / "compiled" / manifest["model_file"], manifest, rows):
        for output, got in zip(manifest["outputs"], answers):
            right = np.array(wanted[output["method"]])[:count]
            same = str(got.dtype).replace("object", "string") == output["dtype"]
            if not same or len(output["shape"]) != got.ndim:
                yield f"{output} is {got.dtype} of shape {got.shape}"
            got = got.reshape(right.shape)
            if right.dtype.kind == "U" or output["dtype"] == "int64":
                if (got != right).any():
                    yield f"{output} has other labels"
            elif count and not abs(got - right).max() <= most * max(1, abs(right).max()):
                yield f"{output} is off by {abs(got - right).max()}"

print(json.dumps({path.name: list(complaints(path)) for path in map(Path, sys.argv[1:])}))
"""

ONNX = {  # what has no native code, with the outputs of its graph
    "mean regression": ("predict",),
}
NATIVE = {
    "trees": "predict_proba",
    "boosting": "predict_proba",
    "boosting two classes": "predict_proba",
    "forest regression": "predict",
    "lightgbm": "predict_proba",
    "pipeline": "predict_proba",
    "network": "predict_proba",
    "deep network two classes": "predict_proba",
    "network regression": "predict",
    "logistic two classes": "predict_proba",
    "words": "predict_proba",
    "linear": "decision_function",
    "linear calibrated": "predict_proba",
    "svm uncalibrated": "decision_function",
    "svm of pairs": "decision_function",
    "svm uncalibrated two classes": "decision_function",
    "svm": "predict_proba",
    "svm linear kernel": "predict_proba",
    "svm poly": "predict_proba",
    "svm in pipeline": "predict_proba",
    "svm two classes": "predict_proba",
    "svm several": "predict_proba",
    "svm regression": "predict",
    "regression": "predict",
    "several regression": "predict",
    "counts regression": "predict",
    "polynomial regression": "predict",
    "components regression": "predict",
    "selected": "predict_proba",
    "searched": "predict_proba",
    "discriminant": "predict_proba",
    "bayes": "predict_proba",
    "bayes of counts": "predict_proba",
    "bayes of bits": "predict_proba",
    "columns": "predict_proba",
}
CLOSE = ("network regression", "deep network two classes")
"""Of those, where native code is less than twice as fast: on another processor it may be slower."""
METHODS = {**ONNX, **{kind: (method,) for kind, method in NATIVE.items()}}


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
    assert tuple(output["method"] for output in manifest["outputs"]) == METHODS[kind]
    if kind in CLOSE:
        assert manifest["why"].startswith(f"{manifest['runtime']} took least")
    else:
        assert manifest["runtime"] == ("native" if kind in NATIVE else "onnxruntime"), manifest["why"]
    assert manifest["check"]["calibration"]["rows"] == 50
    assert complaints[kind] == []


def test_the_manifest_says_why(fitted: Path, compiled: dict[str, Job]) -> None:
    def why(kind: str) -> str:
        manifest = json.loads((fitted / kind / "compiled/manifest.json").read_text())
        return str(manifest["why"])

    assert re.search(
        r"native took least, in µs for 1 / 32 / 1024 rows: native \S+ / .*; onnxruntime ", why("svm")
    )
    reason = "not native: VotingRegressor is not one of the native estimators"
    assert reason in why("mean regression")
    assert "not onnxruntime: Pipeline has a part that skl2onnx" in why("columns")


def test_classes_are_told(fitted: Path, compiled: dict[str, Job]) -> None:
    manifest = json.loads((fitted / "words/compiled/manifest.json").read_text())
    assert manifest["classes"] == ["a", "b", "c", "d"]


def test_compiling_again_gives_the_same_bytes(
    fitted: Path, compiled: dict[str, Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("svm", "mean regression"):
        first = programs.compiled_content(compiled[kind].base / "output/compiled.tar.gz")
        for seed in ("1",):  # the order of sets, which must not reach the artefact
            monkeypatch.setenv("PYTHONHASHSEED", seed)
            again = programs.compile_model(
                tmp_path / kind / seed, "SKLEARN", fitted / kind / "model.tar.gz", 6
            )
            assert again.code == 0, again.output
            assert programs.compiled_content(again.base / "output/compiled.tar.gz") == first


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
