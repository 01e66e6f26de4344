#!/usr/bin/env python3
"""Trains small models and pipelines of scikit-learn, LightGBM, XGBoost and CatBoost, exports them as ONNX (skl2onnx,
onnxmltools, catboost), and compares `hayate run` on the reference backend and on native with ONNX Runtime.

Run by hand, not by ./test.sh: pip install -r tests/exporters/sklearn_requirements.txt. With --write FOLDER the models
of `kept` are written there in the layout of ONNX's tests (model.onnx, test_data_set_0/input_0.pb, output_0.pb), the
outputs being ONNX Runtime's; those are what ./test.sh runs. Exit status: 0 when all agree, 1 when one differs or is
refused, 2 when there was nothing to compare.

Floats pass within 1e-5 relative + 1e-6 absolute of ONNX Runtime's, times the slack of a case (why stands beside it);
integers must be equal.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROWS, FEATURES = 400, 8


def table(classes=0, seed=5, positive=False):
    """Rows of book-like features, and a target that they explain: a number, or one of `classes`."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((ROWS, FEATURES)).astype(np.float32)
    x[:, 5] = np.round(x[:, 5] * 2)
    y = x[:, 0] - 0.5 * x[:, 1] * x[:, 2] + np.sin(2 * x[:, 3]) + 0.2 * random.standard_normal(ROWS).astype(np.float32)
    if positive:
        x = np.abs(x)
    if classes == 0:
        return x, y
    return x, np.digitize(y, np.quantile(y, np.arange(1, classes) / classes))


def holes(x, seed=9):
    x = x.copy()
    x[np.random.default_rng(seed).random(x.shape) < 0.1] = np.nan
    return x


def scikit_learn():
    """(name, estimator, rows, target, options) of what skl2onnx exports."""
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.feature_selection import SelectKBest
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.mixture import GaussianMixture
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import FeatureUnion, make_pipeline
    from sklearn import preprocessing as pre

    x, y = table()
    _, two = table(2)
    _, three = table(3)
    small = dict(n_estimators=10, max_depth=4, random_state=1)

    def pipe(*steps):
        return make_pipeline(*steps)

    yield "standard_ridge", pipe(pre.StandardScaler(), linear_model.Ridge()), x, y
    yield "minmax_logistic", pipe(pre.MinMaxScaler(), linear_model.LogisticRegression()), x, two
    yield "robust_logistic_multi", pipe(pre.RobustScaler(), linear_model.LogisticRegression(C=0.5)), x, three
    yield "maxabs_sgd_classifier", pipe(pre.MaxAbsScaler(), linear_model.SGDClassifier(loss="log_loss", random_state=1)), x, three
    yield "sgd_hinge", pipe(pre.StandardScaler(), linear_model.SGDClassifier(random_state=1)), x, two
    yield "sgd_regressor", pipe(pre.StandardScaler(), linear_model.SGDRegressor(random_state=1)), x, y
    yield "lasso", linear_model.Lasso(alpha=0.01), x, y
    yield "elastic_net_multi", linear_model.ElasticNet(alpha=0.01), x, np.stack([y, -2 * y + 1], 1)
    yield "bayesian_ridge", linear_model.BayesianRidge(), x, y
    yield "huber", linear_model.HuberRegressor(), x, y
    yield "poisson", linear_model.PoissonRegressor(), x, np.exp(y / 3)
    yield "imputer_mean_forest", pipe(SimpleImputer(), ensemble.RandomForestRegressor(**small)), holes(x), y
    yield "imputer_median_logistic", pipe(SimpleImputer(strategy="median"), linear_model.LogisticRegression()), holes(x), two
    yield "imputer_constant_tree", pipe(SimpleImputer(strategy="constant", fill_value=-1.0), tree.DecisionTreeClassifier(max_depth=4)), holes(x), three
    for norm in ("l1", "l2", "max"):
        yield f"normalizer_{norm}_ridge", pipe(pre.Normalizer(norm), linear_model.Ridge()), x, y
    yield "polynomial_ridge", pipe(pre.PolynomialFeatures(2), linear_model.Ridge()), x, y
    yield "polynomial_interactions", pipe(pre.PolynomialFeatures(3, interaction_only=True, include_bias=False), linear_model.Ridge()), x, y
    yield "pca_logistic", pipe(pre.StandardScaler(), PCA(4), linear_model.LogisticRegression()), x, three
    yield "pca_whiten", pipe(PCA(4, whiten=True), linear_model.Ridge()), x, y
    yield "kbins_onehot", pipe(pre.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"), linear_model.LogisticRegression()), x, two
    yield "kbins_ordinal", pipe(pre.KBinsDiscretizer(4, encode="ordinal", strategy="uniform"), tree.DecisionTreeRegressor(max_depth=5)), x, y
    yield "binarizer_logistic", pipe(pre.Binarizer(threshold=0.1), linear_model.LogisticRegression()), x, two
    yield "power_ridge", pipe(pre.PowerTransformer(), linear_model.Ridge()), x, y
    yield "select_best", pipe(SelectKBest(k=4), linear_model.LogisticRegression()), x, two
    yield "feature_union", pipe(FeatureUnion([("pca", PCA(3)), ("scaled", pre.StandardScaler())]), linear_model.Ridge()), x, y
    yield "tree_regressor", tree.DecisionTreeRegressor(max_depth=6), x, y
    yield "tree_multi_output", tree.DecisionTreeRegressor(max_depth=6), x, np.stack([y, -y * y], 1)
    yield "forest_classifier", ensemble.RandomForestClassifier(**small), x, two
    yield "forest_multiclass", ensemble.RandomForestClassifier(**small), x, three
    yield "extra_trees_regressor", ensemble.ExtraTreesRegressor(**small), x, y
    yield "extra_trees_classifier", ensemble.ExtraTreesClassifier(**small), x, three
    yield "gradient_boosting_regressor", ensemble.GradientBoostingRegressor(**small), x, y
    yield "gradient_boosting_classifier", ensemble.GradientBoostingClassifier(**small), x, two
    yield "gradient_boosting_multiclass", ensemble.GradientBoostingClassifier(**small), x, three
    yield "hist_boosting_regressor", ensemble.HistGradientBoostingRegressor(max_iter=10, max_depth=4), holes(x), y
    yield "hist_boosting_classifier", ensemble.HistGradientBoostingClassifier(max_iter=10, max_depth=4), holes(x), two
    yield "hist_boosting_multiclass", ensemble.HistGradientBoostingClassifier(max_iter=10, max_depth=4), holes(x), three
    for kernel in ("linear", "poly", "rbf", "sigmoid"):
        yield f"svr_{kernel}", pipe(pre.StandardScaler(), svm.SVR(kernel=kernel, C=0.5)), x[:80], y[:80]
        yield f"svc_{kernel}", pipe(pre.StandardScaler(), svm.SVC(kernel=kernel)), x[:80], two[:80]
        yield f"svc_{kernel}_multiclass", pipe(pre.StandardScaler(), svm.SVC(kernel=kernel)), x[:80], three[:80]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield "svc_probability", svm.SVC(probability=True, random_state=1), x[:80], two[:80]
        yield "svc_probability_multiclass", svm.SVC(probability=True, random_state=1), x[:80], three[:80]
        yield "nusvc_probability", svm.NuSVC(probability=True, random_state=1), x[:80], three[:80]
    yield "nusvr", svm.NuSVR(), x[:80], y[:80]
    yield "linear_svc", svm.LinearSVC(), x, three
    yield "linear_svr", svm.LinearSVR(), x, y
    yield "one_class_svm", svm.OneClassSVM(nu=0.2), x[:80], None
    for activation in ("relu", "tanh", "logistic", "identity"):
        yield f"mlp_regressor_{activation}", neural_network.MLPRegressor(hidden_layer_sizes=(16, 8), activation=activation, max_iter=60, random_state=1), x, y
    yield "mlp_classifier", neural_network.MLPClassifier(hidden_layer_sizes=(16,), max_iter=60, random_state=1), x, two
    yield "mlp_multiclass", pipe(pre.StandardScaler(), neural_network.MLPClassifier(hidden_layer_sizes=(16, 8), max_iter=60, random_state=1)), x, three
    yield "knn_regressor", neighbors.KNeighborsRegressor(3), x[:80], y[:80]
    yield "knn_classifier", neighbors.KNeighborsClassifier(3), x[:80], three[:80]
    yield "gaussian_nb", naive_bayes.GaussianNB(), x, three
    yield "bernoulli_nb", naive_bayes.BernoulliNB(binarize=0.0), x, two
    yield "lda", LinearDiscriminantAnalysis(), x, three
    yield "voting_soft", ensemble.VotingClassifier([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3))], voting="soft", flatten_transform=False), x, three
    yield "voting_hard", ensemble.VotingClassifier([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3)), ("c", naive_bayes.GaussianNB())], flatten_transform=False), x, two
    yield "voting_regressor", ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))]), x, y
    yield "stacking_regressor", ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))], linear_model.Ridge()), x, y
    yield "stacking_classifier", ensemble.StackingClassifier([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3))]), x, three
    yield "bagging", ensemble.BaggingClassifier(tree.DecisionTreeClassifier(max_depth=3), 5, random_state=1), x, two
    yield "adaboost_classifier", ensemble.AdaBoostClassifier(n_estimators=8, random_state=1), x, three
    yield "adaboost_regressor", ensemble.AdaBoostRegressor(n_estimators=8, random_state=1), x, y
    yield "isolation_forest", ensemble.IsolationForest(n_estimators=8, max_samples=64, random_state=1), x, None
    yield "one_vs_rest", OneVsRestClassifier(linear_model.LogisticRegression()), x, three
    yield "calibrated", CalibratedClassifierCV(svm.LinearSVC(), cv=2), x, two
    yield "kmeans", KMeans(4, n_init=1, random_state=1), x, None
    yield "gaussian_process", GaussianProcessRegressor(alpha=0.1), x[:60], y[:60]
    yield "gaussian_mixture", GaussianMixture(3, random_state=1), x, None


def columns():
    """A ColumnTransformer over several named inputs: float, integer categories, float with holes."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
    import pandas

    x, y = table(3)
    frame = pandas.DataFrame({"bid": x[:, 0], "ask": x[:, 1], "venue": x[:, 5].astype(np.int64), "depth": holes(x)[:, 3]})
    for name, encoder, last in (
        ("columns_onehot_logistic", OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
        ("columns_ordinal_forest", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), RandomForestClassifier(8, max_depth=4, random_state=1)),
    ):
        parts = [("prices", StandardScaler(), ["bid", "ask"]), ("venue", encoder, ["venue"]), ("depth", SimpleImputer(), ["depth"])]
        yield name, make_pipeline(ColumnTransformer(parts), last).fit(frame, y), frame


def boosters():
    """(name, model, rows, exporter) of the gradient boosting libraries."""
    import catboost
    import lightgbm
    import xgboost

    x, y = table()
    _, two = table(2)
    _, three = table(3)
    light = dict(n_estimators=10, num_leaves=12, verbose=-1, random_state=1)
    extreme = dict(n_estimators=10, max_depth=4, random_state=1)
    for suffix, rows in (("", x), ("_missing", holes(x))):
        yield f"lightgbm_regressor{suffix}", lightgbm.LGBMRegressor(**light).fit(rows, y), rows, "lightgbm"
        yield f"xgboost_regressor{suffix}", xgboost.XGBRegressor(**extreme).fit(rows, y), rows, "xgboost"
    yield "lightgbm_classifier", lightgbm.LGBMClassifier(**light).fit(x, two), x, "lightgbm"
    yield "lightgbm_multiclass", lightgbm.LGBMClassifier(**light).fit(x, three), x, "lightgbm"
    yield "xgboost_classifier", xgboost.XGBClassifier(**extreme).fit(x, two), x, "xgboost"
    yield "xgboost_multiclass", xgboost.XGBClassifier(**extreme).fit(x, three), x, "xgboost"
    cat = dict(iterations=12, depth=4, verbose=False, random_seed=1, allow_writing_files=False)
    yield "catboost_regressor", catboost.CatBoostRegressor(**cat).fit(x, y), x, "catboost"
    yield "catboost_classifier", catboost.CatBoostClassifier(**cat).fit(x, two), x, "catboost"
    yield "catboost_multiclass", catboost.CatBoostClassifier(**cat, loss_function="MultiClass").fit(x, three), x, "catboost"
    yield "catboost_missing", catboost.CatBoostRegressor(**cat).fit(holes(x), y), holes(x), "catboost"


def exported(model, rows, exporter, path):
    """Writes the ONNX file; the feeds for it."""
    import onnx

    if exporter == "catboost":
        model.save_model(path, format="onnx")
        return {onnx.load(path).graph.input[0].name: rows}
    from onnxmltools.convert.common.data_types import FloatTensorType

    kinds = [("input", FloatTensorType([None, rows.shape[1]]))]
    if exporter in ("lightgbm", "xgboost"):
        import onnxmltools

        convert = onnxmltools.convert_lightgbm if exporter == "lightgbm" else onnxmltools.convert_xgboost
        options = {"zipmap": False} if exporter == "lightgbm" else {}
        made = convert(model, initial_types=kinds, target_opset=15, **options)
    else:
        import skl2onnx
        from skl2onnx.common import data_types

        feeds = {"input": rows}
        kinds = [("input", data_types.FloatTensorType([None, FEATURES]))]
        if exporter == "columns":
            feeds = {name: rows[[name]].to_numpy() for name in rows.columns}
            types = {"f": data_types.FloatTensorType, "i": data_types.Int64TensorType}
            kinds = [(name, types[values.dtype.kind]([None, 1])) for name, values in feeds.items()]
        if exporter == "float64":
            feeds, kinds = {"input": rows.astype(np.float64)}, [("input", data_types.DoubleTensorType([None, FEATURES]))]
        opset = {"": 11, "ai.onnx.ml": 1} if exporter == "opset11" else {"": 18, "ai.onnx.ml": 3}
        options = None if exporter == "zipmap" else options_of(model)
        made = skl2onnx.to_onnx(model, initial_types=kinds, target_opset=opset, options=options)
        with open(path, "wb") as file:
            file.write(made.SerializeToString())
        return feeds
    with open(path, "wb") as file:
        file.write(made.SerializeToString())
    return {"input": rows}


def options_of(model):
    from sklearn.base import is_classifier
    from sklearn.svm import LinearSVC

    return {id(model): {"zipmap": False}} if is_classifier(model) and not isinstance(model, LinearSVC) else None


def accept_numpy_lists():
    """skl2onnx gives the nodes of HistGradientBoosting as numpy integers and booleans, which onnx 1.23 refuses in lists."""
    from onnx import helper

    strict = helper.make_attribute

    def lenient(key, value, *more, **options):
        if isinstance(value, list):
            value = [item.item() if isinstance(item, np.generic) else item for item in value]
            value = [int(item) if isinstance(item, bool) else item for item in value]
        return strict(key, value, *more, **options)

    helper.make_attribute = lenient


def cases(folder):
    """(name, path, feeds) of every model, or (name, None, why) where its exporter refuses it."""
    jobs = []
    accept_numpy_lists()
    for name, model, rows, target in scikit_learn():
        jobs.append((name, model.fit(rows, target) if target is not None else model.fit(rows), rows, "skl2onnx"))
    for name, model, rows, exporter in list(jobs):
        if name in VARIED:
            jobs += [(f"{name}_{how}", model, rows, how) for how in ("float64", "zipmap", "opset11")]
    jobs += [(name, model, rows, "columns") for name, model, rows in columns()]
    jobs += list(boosters())
    for name, model, rows, exporter in jobs:
        path = os.path.join(folder, name + ".onnx")
        try:
            yield name, path, {key: value[:64] for key, value in exported(model, rows, exporter, path).items()}
        except Exception as error:  # the exporter's own limits
            yield name, None, f"{exporter}: {type(error).__name__} {str(error).splitlines()[0][:160]}"


def peer(path, feeds):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return names, dict(zip(names, session.run(None, feeds)))


def hayate(program, folder, path, feeds, backend):
    given, made = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
    np.savez(given, **feeds)
    done = subprocess.run([program, "run", path, "--inputs", given, "--output", made, "--backend", backend], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[:300])
    with np.load(made) as arrays:
        return {key: arrays[key] for key in arrays.files}


# Exported in float64 too, with its scores as maps, and for old readers.
VARIED = """standard_ridge minmax_logistic robust_logistic_multi imputer_mean_forest imputer_median_logistic normalizer_l1_ridge polynomial_ridge
pca_logistic kbins_onehot tree_regressor forest_classifier forest_multiclass gradient_boosting_regressor gradient_boosting_classifier
hist_boosting_classifier svr_rbf svc_rbf_multiclass linear_svc mlp_classifier mlp_regressor_tanh knn_classifier gaussian_nb voting_soft
stacking_classifier adaboost_classifier isolation_forest lda sgd_hinge""".split()

# How far beyond the tolerance a case may lie, and why.
SLACK = {
    "power_ridge": 50,  # ONNX Runtime's float32 Pow and Log of values near 0
    "polynomial_interactions": 20,  # products and sums of float32 that cancel
    "gaussian_process": 50,  # distances as differences of large squares
    "gaussian_mixture": 50,  # the same
    "knn_regressor": 20,  # the same
    "kmeans": 100,  # the same
    "svc_probability_multiclass": 20,  # pairwise coupling stops when it is close enough
    "nusvc_probability": 20,
}


def fault(got, wanted, slack):
    """None where the output agrees."""
    if isinstance(wanted, list):  # a sequence of maps: hayate gives its scores as a tensor
        wanted = np.array([[row[key] for key in sorted(row)] for row in wanted])
        got = got.astype(wanted.dtype)
    if got.shape != wanted.shape:
        return f"{got.shape} instead of {wanted.shape}"
    if wanted.dtype.kind != "f":
        return None if np.array_equal(got, wanted) else f"{int((got != wanted).sum())} of {got.size} integers differ"
    equal = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    ratio = np.where(equal, 0, np.abs(got - wanted) / (1e-5 * np.abs(wanted) + 1e-6))
    return None if (ratio <= slack).all() else f"{int((~(ratio <= slack)).sum())} of {ratio.size} values, worst {ratio.max():.3g} of the bound"


def dull(wanted):
    """Whether no output changes over the rows: then the comparison would prove nothing."""
    return not any(isinstance(value, list) or np.unique(np.asarray(value), axis=0).shape[0] > 1 for value in wanted.values())


def check(program, folder, name, path, feeds):
    """None, or what is wrong with one model."""
    _, wanted = peer(path, feeds)
    if dull(wanted):
        return "the inputs do not move the outputs"
    for backend in ("reference", "native"):
        try:
            got = hayate(program, folder, path, feeds, backend)
        except RuntimeError as error:
            return f"[{backend}] {error}"
        for output, value in wanted.items():
            what = fault(got[output], value, SLACK.get(name, 2))
            if what:
                return f"[{backend}] {output}: {what}"
    return None


# Small ones of every kind, for ./test.sh.
KEPT = """standard_ridge robust_logistic_multi imputer_mean_forest normalizer_l2_ridge polynomial_ridge pca_logistic kbins_onehot
forest_multiclass gradient_boosting_classifier hist_boosting_regressor svr_rbf svc_poly_multiclass svc_probability linear_svc mlp_multiclass
knn_classifier gaussian_nb voting_soft adaboost_classifier isolation_forest columns_onehot_logistic lightgbm_multiclass xgboost_classifier
catboost_regressor catboost_classifier catboost_multiclass one_class_svm""".split()


def write_case(folder, name, path, feeds):
    """The model with eight rows and ONNX Runtime's answers, in the layout of ONNX's tests."""
    import onnx
    from onnx import numpy_helper

    feeds = {key: value[:8] for key, value in feeds.items()}
    names, wanted = peer(path, feeds)
    data = os.path.join(folder, name, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    model = onnx.load(path)
    onnx.save(model, os.path.join(folder, name, "model.onnx"))
    values = {"input": [feeds[i.name] for i in model.graph.input], "output": []}
    for output in names:
        value = wanted[output]
        value = np.array([[row[key] for key in sorted(row)] for row in value], np.float32) if isinstance(value, list) else value
        values["output"].append(value)
    for kind, arrays in values.items():
        for i, array in enumerate(arrays):
            with open(os.path.join(data, f"{kind}_{i}.pb"), "wb") as file:
                file.write(numpy_helper.from_array(np.ascontiguousarray(array)).SerializeToString())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build/release/hayate"))
    parser.add_argument("--write", metavar="FOLDER", help="write the kept cases there")
    parser.add_argument("--only", default="", help="only models whose name contains this")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    equal, failed, unexported = 0, [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, path, feeds in cases(folder):
            if arguments.only not in name:
                continue
            if path is None:
                unexported.append(f"{name} ({feeds})")
                continue
            try:
                what = check(arguments.program, folder, name, path, feeds)
            except Exception as error:  # ONNX Runtime itself fails on the file
                unexported.append(f"{name} (ONNX Runtime: {str(error).splitlines()[0][:160]})")
                continue
            print(f"{'equal' if what is None else 'FAILS'}  {name}{'' if what is None else ': ' + what}", flush=True)
            equal += what is None
            failed += [] if what is None else [name]
            if arguments.write and name in KEPT and what is None:
                write_case(arguments.write, name, path, feeds)
    for line in unexported:
        print("not exported:", line)
    print(f"{equal} exported models equal ONNX Runtime, {len(failed)} fail: {' '.join(failed) or 'none'}; {len(unexported)} not exported")
    return 1 if failed else 2 if equal == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
