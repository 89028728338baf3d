"""Trees in native code: every kind of them answers as its framework does, on the rows that part them.

Rows hold values equal to thresholds and next to them, infinities, missing values, zeros and next to zero, and
categories that nobody has seen; blocks are whole and not; all sets of instructions are tried.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.containers import programs

pytestmark = programs.NEEDS_LIBGOMP

PROVE = """
import json, os, sys, warnings
os.environ["OMP_NUM_THREADS"] = "1"  # several would only spin where others work too
sys.path.insert(0, sys.argv[1])
import numpy as np
from compilers import native, shared_object

warnings.simplefilter("ignore")
generator = np.random.default_rng(11)
COUNTS = (0, 1, 2, 7, 8, 63, 64, 65, 129, 300)

def rows_of(count, missing, categories, kind=np.float64):
    # One digit after the point, so that many values are equal to thresholds.
    rows = np.round(generator.normal(size=(count, 6)), 1).astype(kind)
    if categories:
        rows[:, 2] = generator.integers(0, 40, count)
        rows[:, 4] = generator.integers(0, 3, count)
    rows[generator.uniform(size=rows.shape) < missing] = np.nan
    return rows

def target_of(rows, classes):
    whole = np.nan_to_num(rows)
    target = whole[:, 0] - whole[:, 1] * whole[:, 3] + (whole[:, 2] % 3)
    if classes is None:
        return target.astype(np.float64)
    if classes == "positive":
        return np.abs(target) + 0.1
    return np.digitize(target, [0.5] if classes == 2 else [-1, 0, 1])

def to_the_edges(trees, rows, missing, infinite):
    # Thresholds themselves and their neighbours, where they are.
    for number, tree in enumerate(trees.trees[:10]):
        inner = np.flatnonzero(np.asarray(tree.left) >= 0)
        for place, node in enumerate(inner[:20]):
            if int(node) not in tree.sets and np.isfinite(tree.threshold[node]):
                edge = rows.dtype.type(tree.threshold[node])
                low, high = (np.nextafter(edge, rows.dtype.type(towards)) for towards in (-9, 9))
                around = (low, edge, high)
                rows[(60 * number + 3 * place) % len(rows)][tree.feature[node]] = around[place % 3]
    if infinite:
        rows[-9:-7, 0] = [np.inf, -np.inf]
    small = [0.0, -0.0, 1e-36, 1e-35, 1.1e-35, -1e-35, -1.1e-35]
    rows[-7:, 1] = small
    if missing:
        rows[-10] = np.nan

UNSEEN = [-1, -0.5, -0.0, 39.5, 40, 41, 63, 64, 255, 256, 1000, 1e7, 16777216, 1e30]

def complaints(trees, original, rows, ulps):
    wanted = original(rows)
    for cpu in ("x86_64_v2",):
        here = shared_object.here()
        library = native.build(trees, here, cpu if here == "X86_64" else "baseline")
        for level in (0, 2, 3):
            predict = native.loaded(library, trees, level)
            got = predict(rows)
            if got.shape != wanted.shape or got.dtype != wanted.dtype:
                yield f"{got.dtype} {got.shape}, wanted {wanted.dtype} {wanted.shape}"
                return
            # A bit of room for exponentials, of the size of the largest.
            apart = np.abs(got.astype(np.float64) - wanted)
            room = ulps * np.finfo(wanted.dtype).eps * np.maximum(np.abs(wanted), 1)
            if (apart > room).any():
                at = int((apart - room).reshape(len(rows), -1).max(axis=1).argmax())
                off = f"{(apart > room).sum()} off, row {rows[at].tolist()}"
                yield f"level {level}: {off}: {got[at]} {wanted[at]}"
            for count in COUNTS:
                if not np.array_equal(predict(rows[:count]), got[:count]):
                    yield f"level {level}: {count} rows differ from the same among {len(rows)}"
            single = np.concatenate([predict(row[None]) for row in rows])
            if not np.array_equal(single, got):
                yield f"level {level}: single rows differ"

found = {}
for name, case in CASES.items():
    trees, original, rows, ulps = case()
    found[name] = list(complaints(trees, original, rows, ulps))
print(json.dumps(found))
"""

SKLEARN = """
import lightgbm
from compilers import lightgbm_trees, sklearn_trees
from sklearn.ensemble import *
from sklearn.tree import *

def sklearn(model, classes=None, missing=0.0, categories=False, ulps=0):
    def case():
        rows = rows_of(800, missing, categories)
        model.fit(rows, target_of(rows, classes))
        trees = sklearn_trees.read(model)
        fresh = rows_of(500, missing, categories)
        if trees.row == "float32":  # What lies between two numbers of single precision is rounded alike.
            fresh[::3] += 1e-9 * generator.integers(-1, 2, size=fresh[::3].shape)
        hist = "Hist" in type(model).__name__
        to_the_edges(trees, fresh, missing, infinite=hist)
        if categories:
            fresh[: len(UNSEEN), 2] = UNSEEN
        return trees, model.predict_proba if hasattr(model, "classes_") else model.predict, fresh, ulps
    return case

def light(classes=None, missing=0.0, categories=False, ulps=0, rounds=20, **parameters):
    def case():
        rows = rows_of(1200, missing, categories)
        target = target_of(rows, classes)
        more = {"num_class": 4} if classes == 4 else {}
        given = {"verbose": -1, "seed": 1, "num_threads": 1, "min_data_per_group": 5, "cat_smooth": 1}
        data = lightgbm.Dataset(rows, target, categorical_feature=[2, 4] if categories else [])
        booster = lightgbm.train({**given, **more, **parameters}, data, rounds)
        trees = lightgbm_trees.read(booster.model_to_string())
        fresh = rows_of(500, missing, categories)
        to_the_edges(trees, fresh, True, infinite=True)
        if categories:
            fresh[: len(UNSEEN), 2] = UNSEEN
        return trees, booster.predict, fresh, ulps
    return case

BOTH = dict(categorical_features=[2, 4], max_iter=20)
CASES = {
    "forest": sklearn(RandomForestClassifier(10, random_state=0), 4),
    "forest, missing": sklearn(RandomForestClassifier(10, random_state=0, max_depth=6), 2, 0.1),
    "forest, regression": sklearn(RandomForestRegressor(10, random_state=0)),
    "extra trees, missing": sklearn(ExtraTreesRegressor(10, random_state=0), None, 0.1),
    "tree": sklearn(DecisionTreeClassifier(random_state=0), 4, 0.1),
    "only a leaf": sklearn(DecisionTreeRegressor(min_samples_leaf=700)),
    "boosting": sklearn(GradientBoostingClassifier(n_estimators=10), 2, ulps=4),
    "boosting, classes": sklearn(GradientBoostingClassifier(n_estimators=10, init="zero"), 4, ulps=4),
    "boosting, exponential": sklearn(
        GradientBoostingClassifier(n_estimators=10, loss="exponential"), 2, ulps=4),
    "boosting, regression": sklearn(GradientBoostingRegressor(loss="huber", n_estimators=10)),
    "histograms": sklearn(HistGradientBoostingClassifier(max_iter=20), 4, 0.1, ulps=4),
    "histograms, categories": sklearn(HistGradientBoostingClassifier(**BOTH), 2, 0.1, True, ulps=4),
    "histograms, poisson": sklearn(
        HistGradientBoostingRegressor(loss="poisson", max_iter=20), "positive", 0.1, ulps=4),
    "lightgbm": light(2, ulps=4, objective="binary", sigmoid=2.5),
    "lightgbm, missing": light(2, 0.1, ulps=4, objective="binary"),
    "lightgbm, zeros missing": light(2, 0.1, ulps=4, objective="binary", zero_as_missing=True),
    "lightgbm, no missing": light(2, 0.1, ulps=4, objective="binary", use_missing=False),
    "lightgbm, categories": light(4, 0.1, True, ulps=4, objective="multiclass"),
    "lightgbm, one against all": light(4, ulps=4, objective="multiclassova"),
    "lightgbm, root": light(reg_sqrt=True),
    "lightgbm, tweedie": light("positive", ulps=4, objective="tweedie"),
    "lightgbm, forest": light(
        2, ulps=4, objective="binary", boosting="rf", bagging_freq=1, bagging_fraction=0.5),
    "lightgbm, large": light(2, ulps=4, objective="binary", num_leaves=300, min_data_in_leaf=2, rounds=5),
}
"""

XGBOOST = """
import xgboost
from compilers import xgboost_trees

def boosted(classes=None, missing=0.1, categories=False, ulps=0, targets=1, rounds=20, **parameters):
    def case():
        rows = rows_of(1200, missing, categories, np.float32)
        target = target_of(rows, classes)
        target = np.column_stack([target, -target]) if targets > 1 else target
        more = {"num_class": 4} if classes == 4 else {}
        types = ["q", "q", "c", "q", "c", "q"] if categories else None
        data = xgboost.DMatrix(rows, target, feature_types=types, enable_categorical=categories)
        if parameters.get("objective", "").startswith("rank"):
            data.set_group([100] * 12)
        booster = xgboost.train({"nthread": 1, "seed": 0, **more, **parameters}, data, rounds)
        trees = xgboost_trees.read(bytes(booster.save_raw("json")))
        fresh = rows_of(500, missing, categories, np.float32)
        to_the_edges(trees, fresh, True, infinite=True)
        if categories:
            fresh[: len(UNSEEN), 2] = UNSEEN
        return trees, booster.inplace_predict, fresh, ulps
    return case

CASES = {
    "logistic": boosted(2, ulps=4, objective="binary:logistic"),
    "dart": boosted(2, ulps=4, objective="binary:logistic", booster="dart", rate_drop=0.5),
    "large": boosted(
        2, ulps=4, objective="binary:logistic", max_depth=0, max_leaves=400, grow_policy="lossguide"),
    "hinge": boosted(2, objective="binary:hinge"),
    "ranking": boosted(2, objective="rank:ndcg"),
    "classes": boosted(4, ulps=4, objective="multi:softprob"),
    "targets": boosted(targets=2),
    "quantiles": boosted(objective="reg:quantileerror", quantile_alpha=[0.1, 0.5]),
    "raw": boosted(2, objective="binary:logitraw", base_score=0.2),
    "share": boosted(2, ulps=4, objective="reg:logistic"),
    "absolute": boosted(objective="reg:absoluteerror"),
    "counts": boosted("positive", ulps=4, objective="count:poisson"),
    "tweedie": boosted("positive", ulps=4, objective="reg:tweedie"),
    "forest": boosted(num_parallel_tree=3, subsample=0.5, rounds=5),
    "survival": boosted("positive", ulps=8, objective="survival:cox"),
    "categories": boosted(None, categories=True),
    "categories one by one": boosted(None, categories=True, max_cat_to_onehot=100),
    "categories, deep": boosted(None, categories=True, max_depth=9),
}
"""

KINDS = {
    framework: [line.split('"')[1] for line in code.splitlines() if line.startswith('    "')]
    for framework, code in (("SKLEARN", SKLEARN), ("XGBOOST", XGBOOST))
}


@pytest.fixture(scope="module")
def complaints() -> dict[str, dict[str, list[str]]]:
    """What is wrong with each kind, by framework."""
    found = {}
    for framework, cases in (("SKLEARN", SKLEARN), ("XGBOOST", XGBOOST)):
        start, end = PROVE.split("found = {}\n")
        code = start + cases + "\nfound = {}\n" + end
        found[framework] = json.loads(programs.in_environment(framework, code, str(programs.NEO)))
    return found


@pytest.mark.parametrize(("framework", "kind"), [(f, kind) for f, kinds in KINDS.items() for kind in kinds])
def test_rows_reach_the_leaves_of_the_framework(
    complaints: dict[str, dict[str, list[str]]], framework: str, kind: str
) -> None:
    assert complaints[framework][kind] == []


TEXT = """
import sys, lightgbm, numpy as np
rows = np.random.default_rng(0).normal(size=(300, 4))
parameters = {"objective": "binary", "verbose": -1, "num_threads": 1}
booster = lightgbm.train(parameters, lightgbm.Dataset(rows, rows[:, 0] > 0), 10)
booster.save_model(sys.argv[1] + "/model.txt")
"""


def test_a_booster_of_lightgbm_comes_as_scikit_learn(tmp_path: Path) -> None:
    programs.write(tmp_path / "model/notes.txt", "trained at night")
    programs.in_environment("SKLEARN", TEXT, str(tmp_path / "model"))
    model = programs.pack(tmp_path / "model", tmp_path / "model.tar.gz")
    job = programs.compile_model(tmp_path / "job", "SKLEARN", model, 4)
    assert job.code == 0, job.output
    unpacked = programs.unpack(job.base / "output/compiled.tar.gz", tmp_path / "compiled")
    manifest = json.loads((unpacked / "manifest.json").read_text())
    assert manifest["source"]["file"] == "model.txt"
    assert (manifest["inputs"][0]["dtype"], manifest["cpu_features"]) == ("float64", [])
    assert manifest["outputs"] == [
        {"name": "probabilities", "shape": [None], "dtype": "float64", "method": "predict_proba"}
    ]
