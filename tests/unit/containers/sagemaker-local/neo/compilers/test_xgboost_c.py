"""XGBoost → a shared object: compiled for real, answers compared row by row outside the compiler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.containers import programs
from tests.unit.containers.programs import Job

# Trains boosters, and leaves what they answer to other rows, some values of which are missing.
TRAIN = """
import json, sys, numpy as np, xgboost
from pathlib import Path
for name, parameters in json.loads(sys.argv[1]).items():
    directory = Path(sys.argv[2]) / name
    rounds, file_name = parameters.pop("rounds", 30), parameters.pop("file_name", "model.json")
    generator = np.random.default_rng(5)
    rows = generator.normal(size=(1500, 7)).astype(np.float32)
    rows[generator.uniform(size=rows.shape) < 0.1] = np.nan
    whole = np.nan_to_num(rows)
    target = whole[:, 0] - whole[:, 1] * whole[:, 2]
    objective = parameters.get("objective", "reg:squarederror")
    if objective.startswith("multi"):
        target = np.digitize(target, [-1, 0, 1])
    elif objective.startswith(("binary", "reg:logistic")):
        target = (target > 0.7).astype(float)
    elif objective.startswith(("count", "reg:gamma", "reg:tweedie")):
        target = np.ceil(np.exp(target / 2))
    types = ["c"] + ["q"] * 6 if parameters.pop("categories", False) else None
    if types:
        rows[:, 0] = generator.integers(0, 5, len(rows)); target = np.where(rows[:, 0] % 2, target, -target)
    if parameters.pop("targets", False):
        target = np.column_stack([target, -target])
    data = xgboost.DMatrix(rows[:500], target[:500], feature_types=types, enable_categorical=bool(types))
    booster = xgboost.train({"nthread": 1, "seed": 0, **parameters}, data, rounds)
    (directory / "model").mkdir(parents=True)
    booster.save_model(directory / "model" / file_name)
    rest = xgboost.DMatrix(rows[500:], feature_types=types, enable_categorical=bool(types))
    answers = booster.predict(rest)
    np.savez(directory / "answers.npz", rows=rows[500:], answers=answers)
"""

# Answers by ctypes and numpy alone, from the manifest, for numbers of rows around the sizes of blocks.
RUN = """
import ctypes, json, sys, numpy as np
sys.modules["xgboost"] = None
from pathlib import Path

def complaints(directory):
    manifest = json.loads((directory / "compiled/manifest.json").read_text())
    library = ctypes.CDLL(str(directory / "compiled" / manifest["model_file"]))
    predict = library[manifest["entry_point"]]
    predict.argtypes, predict.restype = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p), None
    kept = np.load(directory / "answers.npz")
    rows, right = np.ascontiguousarray(kept["rows"]), kept["answers"]
    (output,) = manifest["outputs"]
    if manifest["inputs"][0]["shape"] != [None, rows.shape[1]] or output["shape"] != [None, *right.shape[1:]]:
        yield f"shapes {manifest['inputs']} {output}, answers {right.shape}"
    for count in (0, 1, 2, 127, 128, 129, 256, 1000):
        got = np.full((count + 1, *right.shape[1:]), -7, np.float32)
        predict(rows.ctypes.data, count, got.ctypes.data)
        if (got[count] != -7).any():
            yield f"{count} rows: written beyond its end"
        if not np.allclose(got[:count], right[:count], rtol=1e-5, atol=1e-6):
            yield f"{count} rows: off by {abs(got[:count] - right[:count]).max()}"

print(json.dumps({path.name: list(complaints(path)) for path in map(Path, sys.argv[1:])}))
"""

LOGISTIC: dict[str, object] = {"objective": "binary:logistic"}
# Those that a job may treat differently; every other kind of trees is in test_trees.py.
KINDS: dict[str, tuple[dict[str, object], str]] = {
    "logistic": (LOGISTIC, "predict_proba"),
    "stump": ({**LOGISTIC, "base_score": 0.2, "rounds": 1, "max_depth": 1}, "predict_proba"),
    "only leaves": ({"objective": "reg:squarederror", "gamma": 1e9}, "predict"),
    "gamma": ({"objective": "reg:gamma"}, "predict"),
    "classes": ({"objective": "multi:softprob", "num_class": 4}, "predict_proba"),
    "best class": ({"objective": "multi:softmax", "num_class": 4}, "predict"),
    "categories": ({"categories": True}, "predict"),
    "targets": ({"targets": True}, "predict"),
}
REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "lines": (
        {"booster": "gblinear"},
        "booster gblinear is not supported; train with booster=gbtree or dart",
    ),
    "trees of targets": (
        {"targets": True, "multi_strategy": "multi_output_tree"},
        "train with multi_strategy=one",
    ),
}


def python(code: str, *arguments: str) -> str:
    return programs.in_environment("XGBOOST", code, *arguments)


def train(base: Path, kinds: Mapping[str, Mapping[str, object]]) -> dict[str, Path]:
    """Model artefacts of some kinds, each in a folder of its own."""
    python(TRAIN, json.dumps(kinds), str(base))
    return {kind: programs.pack(base / kind / "model", base / kind / "model.tar.gz") for kind in kinds}


def compile_all(models: Mapping[str, Path]) -> dict[str, Job]:
    """Compile models by their kinds, and unpack the artefacts."""
    bases = {
        kind: programs.compilation(model.parent / "job", "XGBOOST", model, 7)
        for kind, model in models.items()
    }
    jobs = programs.compile_together("XGBOOST", bases.values())
    for base in bases.values():
        if jobs[base].code == 0:
            programs.unpack(base / "output/compiled.tar.gz", base.parent / "compiled")
    return {kind: jobs[base] for kind, base in bases.items()}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Job]:
    """Every kind's job, its artefact unpacked beside it."""
    base = tmp_path_factory.mktemp("compiled")
    return compile_all(train(base, {kind: parameters for kind, (parameters, _) in KINDS.items()}))


@pytest.fixture(scope="module")
def complaints(compiled: dict[str, Job]) -> dict[str, list[str]]:
    """What is wrong with the answers of the kinds that were compiled."""
    done = [str(job.base.parent) for job in compiled.values() if job.code == 0]
    found: dict[str, list[str]] = json.loads(python(RUN, *done))
    return found


def refused(job: Job) -> str:
    assert job.code == 1, job.output
    assert not (job.base / "output/compiled.tar.gz").exists()
    return job.read("output/failure")


@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_model_answers_like_the_original(
    compiled: dict[str, Job], complaints: dict[str, list[str]], kind: str
) -> None:
    job = compiled[kind]
    assert job.code == 0, job.read("output/failure")
    manifest = json.loads((job.base.parent / "compiled/manifest.json").read_text())
    assert manifest["outputs"][0]["method"] == KINDS[kind][1]
    assert complaints[kind] == []


def test_every_name_of_a_model_is_read(tmp_path: Path) -> None:
    names = ("model.ubj", "model.json", "model.model", "xgboost-model")
    train(tmp_path, {name: {**LOGISTIC, "rounds": 2, "file_name": name} for name in names})
    for name in names:
        programs.write(tmp_path / name / "model/baseline.json", '{"name": "majority class"}')
    jobs = compile_all(
        {name: programs.pack(tmp_path / name / "model", tmp_path / name / "model.tar.gz") for name in names}
    )
    for name, job in jobs.items():
        assert job.code == 0, job.output
        assert json.loads((tmp_path / name / "compiled/manifest.json").read_text())["source"]["file"] == name


def test_a_target_of_another_architecture_is_built_for_it(compiled: dict[str, Job], tmp_path: Path) -> None:
    model = compiled["logistic"].base.parent / "model.tar.gz"
    machines = {}
    for device in ("ml_m5", "ml_m6g"):
        job = programs.compile_model(tmp_path / device, "XGBOOST", model, 7, TargetDevice=device)
        assert job.code == 0, job.output
        unpacked = programs.unpack(job.base / "output/compiled.tar.gz", tmp_path / device / "compiled")
        machines[device] = int.from_bytes((unpacked / "model.so").read_bytes()[18:20], "little")
    assert machines == {"ml_m5": 62, "ml_m6g": 183}  # ELF's numbers of x86-64 and AArch64


def test_a_processor_is_compiled_for_when_asked(compiled: dict[str, Job], tmp_path: Path) -> None:
    model = compiled["logistic"].base.parent / "model.tar.gz"
    wanted: dict[str, tuple[str, str | None]] = {
        "aws": ("{'mcpu': 'skylake-avx512'}", None),
        "unknown": (
            '{"mcpu": "skylake-512"}',
            "mcpu 'skylake-512' is not supported for X86_64; supported are",
        ),
    }
    linux = {"TargetPlatform": {"Os": "LINUX", "Arch": "X86_64"}}
    bases = {
        name: programs.compilation(tmp_path / name, "XGBOOST", model, 7, CompilerOptions=options, **linux)
        for name, (options, _) in wanted.items()
    }
    jobs = programs.compile_together("XGBOOST", bases.values())
    for name, (_, complaint) in wanted.items():
        job = jobs[bases[name]]
        if complaint:
            assert complaint in refused(job)
            continue
        assert job.code == 0, job.output
        unpacked = programs.unpack(job.base / "output/compiled.tar.gz", tmp_path / name / "compiled")
        manifest = json.loads((unpacked / "manifest.json").read_text())
        assert manifest["cpu"] == "skylake-avx512"
        assert {"avx512f", "avx512bw", "fma"} <= set(manifest["cpu_features"])


def test_compiling_again_gives_the_same_bytes(compiled: dict[str, Job], tmp_path: Path) -> None:
    first = compiled["classes"]
    again = programs.compile_model(tmp_path, "XGBOOST", first.base.parent / "model.tar.gz", 7)
    artefacts = [programs.compiled_content(job.base / "output/compiled.tar.gz") for job in (first, again)]
    assert artefacts[0] == artefacts[1]


def test_models_that_cannot_be_compiled_are_explained(tmp_path: Path) -> None:
    jobs = compile_all(train(tmp_path, {kind: parameters for kind, (parameters, _) in REFUSED.items()}))
    for kind, (_, complaint) in REFUSED.items():
        assert complaint in refused(jobs[kind]), kind


def test_a_wrong_request_says_what_is_right(compiled: dict[str, Job], tmp_path: Path) -> None:
    model = compiled["logistic"].base.parent / "model.tar.gz"
    reason = refused(programs.compile_model(tmp_path / "width", "XGBOOST", model, 8))
    assert 'declares 8 features, model.json was trained on 7: use {"input": [1, 7]}' in reason


def test_files_that_are_no_models_are_explained(tmp_path: Path) -> None:
    models = {}
    for number, content in enumerate(("", "{}", '{"learner": {}}', "binf no longer read")):
        programs.write(tmp_path / str(number) / "model/model.ubj", content)
        models[str(number)] = programs.pack(
            tmp_path / str(number) / "model", tmp_path / f"{number}/model.tar.gz"
        )
    for kind, job in compile_all(models).items():
        reason = refused(job)
        start = "model.ubj is " + ("empty" if kind == "0" else "not a model that XGBoost 3.2.0 reads (")
        assert reason.startswith(start)
        assert "Booster.save_model" in reason


def test_an_artefact_without_a_model_is_explained(tmp_path: Path) -> None:
    programs.write(tmp_path / "model/notes.json", '{"a": 1}')
    model = programs.pack(tmp_path / "model", tmp_path / "model.tar.gz")
    reason = refused(programs.compile_model(tmp_path / "job", "XGBOOST", model, 7))
    assert (
        "holds no model; exactly one xgboost-model or *.json or *.ubj or *.model is needed, found notes.json"
        in reason
    )
