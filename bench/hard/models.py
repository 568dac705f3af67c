"""Exports models and compares a server's scores with the libraries' own. Called by bench/models: GREENLIGHT [--json] …"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxmltools
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import server
from lightgbm import LGBMClassifier
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn import ensemble, impute, linear_model, naive_bayes, neighbors, neural_network, preprocessing, svm, tree
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from xgboost import XGBClassifier

TRAINED, ASKED = 2_000, 1_000
NUMBERS, WITH_MISSING, TEXTS = ["n0", "n1", "n2", "n3"], ["m0"], ["t0", "t1"]
ALL = NUMBERS + WITH_MISSING + TEXTS
GREENLIGHT_ONLY = {"unit", "day", "bought"}


def table(random, rows):
    """Numbers that are exact in single precision, one of them with missing values, and two texts."""
    frame = pd.DataFrame({name: random.normal(size=rows).astype(np.float32) for name in NUMBERS + WITH_MISSING})
    frame.loc[random.random(rows) < 0.1, "m0"] = np.nan
    frame["t0"] = random.choice(["red", "green", "blue"], rows)
    frame["t1"] = random.choice(["a", "b", "c", "d"], rows)
    logit = 1.5 * frame["n0"] - frame["n1"] ** 2 + 0.5 * frame["m0"].fillna(0.7) + (frame["t0"] == "red") - 0.2
    return frame, (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)


def preparation():
    number = make_pipeline(impute.SimpleImputer(strategy="median"), preprocessing.StandardScaler())
    text = preprocessing.OneHotEncoder(handle_unknown="ignore")
    return ColumnTransformer([("numbers", number, NUMBERS + WITH_MISSING), ("texts", text, TEXTS)])


def scaled(model):
    return Pipeline([("scale", ColumnTransformer([("s", preprocessing.StandardScaler(), NUMBERS)])), ("model", model)])


def plain(model):
    return Pipeline([("take", ColumnTransformer([("p", "passthrough", NUMBERS)])), ("model", model)])


def prepared(model):
    return Pipeline([("prepare", preparation()), ("model", model)])


def sklearn_models():
    """Name, model and the columns that it takes."""
    small = {"n_estimators": 20, "random_state": 1}
    logistic = linear_model.LogisticRegression
    simple = {
        "logistic": plain(logistic()),
        "logistic, elastic net": scaled(logistic(l1_ratio=0.5, solver="saga", C=0.1)),
        "SGD, log loss": scaled(linear_model.SGDClassifier(loss="log_loss", random_state=1)),
        "ridge, calibrated": scaled(CalibratedClassifierCV(linear_model.RidgeClassifier(), cv=3)),
        "linear SVM, calibrated": scaled(CalibratedClassifierCV(svm.LinearSVC(), method="isotonic", cv=3)),
        "SVC, probability": scaled(svm.SVC(probability=True, random_state=1)),
        "decision tree": plain(tree.DecisionTreeClassifier(max_depth=6, random_state=1)),
        "random forest": plain(ensemble.RandomForestClassifier(**small)),
        "extra trees": plain(ensemble.ExtraTreesClassifier(**small)),
        "bagging": plain(ensemble.BaggingClassifier(random_state=1)),
        "AdaBoost": plain(ensemble.AdaBoostClassifier(**small)),
        "gradient boosting": plain(ensemble.GradientBoostingClassifier(**small)),
        "hist gradient boosting": plain(ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=1)),
        "network (MLP)": scaled(neural_network.MLPClassifier((16, 8), max_iter=200, random_state=1)),
        "k nearest neighbours": scaled(neighbors.KNeighborsClassifier(7)),
        "naive Bayes, Gaussian": plain(naive_bayes.GaussianNB()),
        "naive Bayes, Bernoulli": plain(naive_bayes.BernoulliNB()),
        "linear discriminant": plain(LinearDiscriminantAnalysis()),
        "Gaussian process": scaled(GaussianProcessClassifier(random_state=1)),
        "voting": plain(
            ensemble.VotingClassifier(
                [("l", logistic()), ("t", tree.DecisionTreeClassifier(max_depth=4)), ("b", naive_bayes.GaussianNB())],
                voting="soft",
                flatten_transform=False,
            )
        ),
        "stacking": plain(
            ensemble.StackingClassifier([("l", logistic()), ("t", tree.DecisionTreeClassifier(max_depth=4))])
        ),
        "polynomial + logistic": plain(make_pipeline(preprocessing.PolynomialFeatures(2), logistic(max_iter=500))),
        "k bins + logistic": plain(make_pipeline(preprocessing.KBinsDiscretizer(4, encode="onehot-dense"), logistic())),
        "robust scaler + logistic": plain(make_pipeline(preprocessing.RobustScaler(), logistic())),
    }
    yield from ((name, model, NUMBERS) for name, model in simple.items())
    yield "impute + scale + one-hot + logistic", prepared(logistic(max_iter=500)), ALL
    yield "impute + scale + one-hot + forest", prepared(ensemble.RandomForestClassifier(**small)), ALL
    yield "impute + scale + one-hot + network", prepared(neural_network.MLPClassifier((8,), max_iter=200, random_state=1)), ALL


def export_sklearn(model, columns):
    kinds = {name: StringTensorType if name in TEXTS else FloatTensorType for name in columns}
    inputs = [(name, kind([None, 1])) for name, kind in kinds.items()]
    options = {"zipmap": False}
    return convert_sklearn(model, initial_types=inputs, options=options, target_opset=18).SerializeToString()


def cases(frame, outcome, folder):
    """Name, file and the library's own probabilities of rows."""
    for name, model, columns in sklearn_models():
        model.fit(frame[columns], outcome)
        yield name, lambda m=model, c=columns: export_sklearn(m, c), lambda rows, m=model, c=columns: m.predict_proba(rows[c])[:, 1]
    x = frame[NUMBERS + WITH_MISSING]

    def matrix(model):
        return lambda rows: model.predict_proba(rows[NUMBERS + WITH_MISSING])[:, 1]

    light = LGBMClassifier(n_estimators=30, num_leaves=15, random_state=1, verbose=-1).fit(x, outcome)
    light.booster_.save_model(folder / "light.txt")
    yield "LightGBM, its own file", (folder / "light.txt").read_bytes, matrix(light)
    kinds = [("input", ToolsFloat([None, x.shape[1]]))]
    converted = lambda: onnxmltools.convert_lightgbm(light, initial_types=kinds, zipmap=False, target_opset=15)  # noqa: E731
    yield "LightGBM, onnxmltools", lambda: converted().SerializeToString(), matrix(light)
    extreme = XGBClassifier(n_estimators=30, max_depth=4, random_state=1).fit(x, outcome)
    for ending in ("json", "ubj"):
        extreme.save_model(folder / f"extreme.{ending}")
        yield f"XGBoost, its own {ending.upper()}", (folder / f"extreme.{ending}").read_bytes, matrix(extreme)
    unnamed = XGBClassifier(n_estimators=30, max_depth=4, random_state=1).fit(x.to_numpy(), outcome)
    converted = lambda: onnxmltools.convert_xgboost(unnamed, initial_types=kinds, target_opset=15)  # noqa: E731
    yield "XGBoost, onnxmltools", lambda: converted().SerializeToString(), lambda rows: unnamed.predict_proba(rows[NUMBERS + WITH_MISSING].to_numpy())[:, 1]


def manifests(names):
    """One data set, and an initiative, an endpoint and a policy for each model."""
    template = pathlib.Path(__file__).parent.parent.joinpath("endpoint/manifests.yaml").read_text()
    parts = {part.split("kind: ")[1].split("\n")[0]: part for part in template.split("---\n")}
    features = {name: "text" if name in TEXTS else "number" for name in ALL}
    # A matrix that a converter made is known by the places of its columns.
    features |= {f"input[{place}]": "number" for place in range(len(NUMBERS + WITH_MISSING))}
    optional = {"m0", f"input[{len(NUMBERS)}]"}
    listed = "\n    ".join(
        f"\"{name}\": {{ type: {kind}, known: before{', nullable: true' if name in optional else ''} }}"
        for name, kind in features.items()
    )
    # A model may be weak here: what is asked is whether it is scored as its library scores it.
    policy = parts["Policy"].replace("percent: 90", "percent: 95").replace("min_auc: 0.5", "min_auc: 0.01")
    for bound in ("min_value_against_holdout", "min_value_against_idle"):
        policy = policy.replace(f"{bound}: 0", f"{bound}: -1000000")
    endpoints = [parts["Endpoint"].replace("name: bench\n", f"name: {name}\n") for name in names]
    initiatives = [parts["Initiative"].replace("name: bench\n", f"name: {name}\n") for name in names]
    endpoints = [text.replace("initiative: bench", f"initiative: {name}") for name, text in zip(names, endpoints)]
    return "---\n".join([parts["Dataset"].replace("FEATURES", listed), policy, *initiatives, *endpoints])


def with_places(frame):
    return frame.assign(**{f"input[{i}]": frame[name] for i, name in enumerate(NUMBERS + WITH_MISSING)})


class Refused(Exception):
    pass


class House:
    """A server, and the people who bring a model through its gates."""

    def __init__(self, program, served, folder):
        self.program, self.served, self.folder = program, served, folder
        self.tokens = {role: self.command("token", "issue", "--name", role, "--role", role)["token"] for role in ("scientist", "approver", "operator")}

    def command(self, *arguments, role=None):
        token = self.tokens[role] if role else self.served.token
        named = os.environ | {"GREENLIGHT_URL": self.served.url, "GREENLIGHT_TOKEN": token}
        ran = subprocess.run([self.program, *arguments, "--json"], env=named, capture_output=True, text=True)
        if ran.returncode != 0:
            said = (ran.stdout + ran.stderr).strip()
            try:
                said = json.loads(said)["error"]
            except (json.JSONDecodeError, KeyError):
                pass
            raise Refused(f"{arguments[0]} {arguments[1]}: {said}")
        return json.loads(ran.stdout)

    def release(self, name, content, rows):
        file = self.folder / f"{name}.model"
        file.write_bytes(content)
        dataset = ["--dataset", "history@1", "--trained-until", "2024-11-01"]
        self.command("model", "register", name, str(file), *dataset, role="scientist")
        release = self.command("release", "submit", "--endpoint", name, "--model", f"{name}@1", role="scientist")["id"]
        self.command("release", "shadow", release, role="scientist")
        self.ask(name, rows.head(5), 0)
        self.command("release", "judge", release, role="scientist")
        self.command("release", "approve", release, role="approver")
        self.command("release", "rollout", release, role="operator")

    def engine(self, name, content):
        """What loads a file, asked of a server that has no ONNX Runtime."""
        file = self.folder / f"{name}.model"
        file.write_bytes(content)
        try:
            dataset = ["--dataset", "history@1", "--trained-until", "2024-11-01"]
            self.command("model", "register", name, str(file), *dataset, role="scientist")
        except Refused as refused:
            return "ONNX Runtime" if "needs ONNX Runtime" in str(refused) else "none"
        return "own evaluator"

    def ask(self, name, rows, again):
        tensors = [tensor("unit", [f"unit-{again}-{row}" for row in range(len(rows))])]
        tensors += [tensor(column, rows[column].tolist()) for column in rows.columns if column not in GREENLIGHT_ONLY]
        status, _, answer = self.served.ask(f"/v2/models/{name}/infer", {"inputs": tensors})
        if status != 200:
            raise Refused(f"infer: {status} {answer}")
        return next(output["data"] for output in answer["outputs"] if output["name"] == "probability")

    def scores(self, name, rows):
        """Of every row. Units that the holdout has are asked for again under another name."""
        found = np.full(len(rows), np.nan)
        for again in range(20):
            left = np.flatnonzero(np.isnan(found))
            if not left.size:
                return found
            told = self.ask(name, rows.iloc[left], again)
            found[left] = [np.nan if score is None else score for score in told]
        raise Refused(f"infer: {np.isnan(found).sum()} rows have no score")


def by_onnxruntime(content, rows):
    """What ONNX Runtime says of an export: a difference of its own is the converter's, not ours."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    matrix = rows[NUMBERS + WITH_MISSING].to_numpy(np.float32)
    given = {
        one.name: matrix if one.name == "input" else rows[[one.name]].to_numpy(object if one.name in TEXTS else np.float32)
        for one in session.get_inputs()
    }
    found = session.run(None, given)[1]
    return np.asarray(found, dtype=np.float64)[:, 1]


def tensor(name, values):
    is_text = isinstance(values[0], str)
    values = [None if not is_text and np.isnan(value) else value for value in values]
    return {"name": name, "shape": [len(values)], "datatype": "BYTES" if is_text else "FP64", "data": values}


def main():
    parser = argparse.ArgumentParser(prog="bench/models")
    parser.add_argument("greenlight")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("models", nargs="*")
    chosen = parser.parse_args()
    random = np.random.default_rng(5)
    frame, outcome = table(random, TRAINED)
    asked, _ = table(random, ASKED)
    with tempfile.TemporaryDirectory(prefix="greenlight-models-") as work:
        work = pathlib.Path(work)
        found = [(name, *rest) for name, *rest in cases(frame, outcome, work) if not chosen.models or name in chosen.models]
        folder = work / "manifests"
        folder.mkdir()
        names = {name: f"m{at}" for at, (name, *_) in enumerate(found)}
        (folder / "all.yaml").write_text(manifests(list(names.values())))
        days = np.datetime64("2023-01-01") + (np.arange(TRAINED) * 730 // TRAINED).astype("timedelta64[D]")
        history = with_places(frame).assign(day=days, bought=np.where(outcome == 1, "yes", "no"))
        columns = {name: history[name].astype(np.float64) if history[name].dtype == np.float32 else history[name] for name in history}
        arrow = pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})
        arrow = arrow.set_column(arrow.schema.get_field_index("day"), "day", pa.array(days))
        pyarrow.parquet.write_table(arrow, folder / "history.parquet")
        lines = []
        bare = {"ORT_DYLIB_PATH": "/nowhere/libonnxruntime.so"}
        with (
            server.running(chosen.greenlight, work / "data", work / "log") as whole,
            server.running(chosen.greenlight, work / "bare", work / "log", environment=bare) as bare,
        ):
            houses = [House(chosen.greenlight, served, work) for served in (whole, bare)]
            for house in houses:
                house.command("apply", "--file", str(folder), role="scientist")
            for name, export, own in found:
                lines.append(compare(houses, name, names[name], export, own, asked))
                shown = json.dumps(lines[-1]) if chosen.json else f"    {name}"
                print(shown, file=sys.stdout if chosen.json else sys.stderr, flush=True)
    if not chosen.json:
        print("| model | engine | largest difference | that of ONNX Runtime | rows over 1e-5 | or why not |\n| --- | --- | --- | --- | --- | --- |")
        for line in lines:
            print(f"| {line['model']} | {line['engine']} | {line.get('difference', '')} | {line.get('exported', '')} | {line.get('over', '')} | {line.get('refused', '')} |")


def compare(houses, name, endpoint, export, own, asked):
    house, bare = houses
    line = {"model": name, "engine": ""}
    try:
        content = export()
    except Exception as error:  # noqa: BLE001 - the converter's refusal is a result too
        return line | {"refused": f"the converter: {type(error).__name__}: {str(error).splitlines()[0][:150]}"}
    try:
        line["engine"] = bare.engine(endpoint, content)
        house.release(endpoint, content, with_places(asked))
        scores = house.scores(endpoint, with_places(asked))
    except Refused as error:
        return line | {"refused": str(error)[:300]}
    expected = own(asked)
    differences = np.abs(scores - expected)
    if content[:1] == b"\x08":
        line["exported"] = f"{np.nanmax(np.abs(by_onnxruntime(content, asked) - expected)):.1e}"
    return line | {"difference": f"{differences.max():.1e}", "over": int((differences > 1e-5).sum())}


main()
