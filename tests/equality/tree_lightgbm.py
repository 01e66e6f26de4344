"""LightGBM models, given and trained here, beside the library's own predict()."""

import os

import numpy as np

from tree_compare import awkward, close, compare


def thresholds_of(text):
    found = {}
    for block in text.split("Tree=")[1:]:
        lines = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        kinds = [int(k) for k in lines.get("decision_type", "").split()]
        for f, t, k in zip(lines.get("split_feature", "").split(), lines.get("threshold", "").split(), kinds):
            found.setdefault(int(f), []).extend([float(t)] if k & 1 == 0 else range(-1, 40))
    return {f: np.unique(t) for f, t in found.items()}


def check(report, engine, path, name, random, rows, group="LightGBM given", still=False):
    import lightgbm

    try:
        booster = lightgbm.Booster(model_file=path)
    except lightgbm.basic.LightGBMError:
        report.refused.append(name)
        return
    with open(path, errors="replace") as file:
        x = awkward(random, rows, booster.num_feature(), thresholds_of(file.read()))
    for raw in (False, True):
        wanted = np.asarray(booster.predict(x, raw_score=raw, num_threads=1), dtype=np.float64)
        compare(report, engine, group, name + (" raw" if raw else ""), path, {"input": x}, {"output": wanted}, raw, still=still)


def check_recorded(report, engine, folder):
    """Models with the predictions that their authors recorded."""
    leaves, given = os.path.join(folder, "models/gbt/leaves"), os.path.join(folder, "models/lightgbm")
    for model, rows, predictions, raw in [
        ("genlin_fmtp_gamma_AvgClaimAmount", "genlin_fmtp_gamma_AvgClaimAmount_features.tsv", "", False),
        ("genlin_fmtp_poisson_Frequency", "genlin_fmtp_poisson_Frequency_features.tsv", "", False),
        ("genlin_fmtp_tweedie_PurePremium", "genlin_fmtp_tweedie_PurePremium_features.tsv", "", False),
        ("lg_dart_breast_cancer", "breast_cancer_test.tsv", "", False),
        ("lg_kddcup99", "kddcup99_test.tsv", "", True),
        ("lgmulticlass", "multiclass_test.tsv", "", False),
        ("lgmulticlass", "multiclass_test.tsv", "_raw", True),
    ]:
        wanted = np.loadtxt(os.path.join(leaves, f"{model}_true{predictions}_predictions.txt"))
        x = load(os.path.join(leaves, rows), features_of(os.path.join(leaves, model + ".model")))
        compare(report, engine, "LightGBM recorded predictions", f"{model} recorded{predictions}", os.path.join(leaves, model + ".model"), {"input": x}, {"output": wanted}, raw, close)
    # Recorded by LightGBM 2, which did not pass a forest's average through the sigmoid, as the library does now.
    path = os.path.join(leaves, "lg_rf_iris.model")
    wanted = np.loadtxt(os.path.join(leaves, "lg_rf_iris_true_predictions.txt"))
    x = load(os.path.join(leaves, "iris_test.libsvm"), features_of(path))
    compare(report, engine, "LightGBM recorded predictions", "lg_rf_iris recorded", path, {"input": x}, {"output": wanted}, True, lambda got, record: close(got / 30, record))
    path = os.path.join(given, "toy_categorical_model.txt")
    wanted = np.loadtxt(os.path.join(given, "toy_categorical.test.pred"))
    x = load(os.path.join(given, "toy_categorical.test"), features_of(path))
    compare(report, engine, "LightGBM recorded predictions", "toy_categorical recorded", path, {"input": x}, {"output": wanted}, same=close)


def features_of(path):
    with open(path) as file:
        return next(int(line.split("=")[1]) + 1 for line in file if line.startswith("max_feature_idx="))


def load(path, features):
    """Rows of a .tsv (a label before them is left out) or of libsvm text (what is not there is 0)."""
    if path.endswith(".tsv"):
        return np.loadtxt(path)[:, -features:]
    with open(path) as file:
        lines = [line.split()[1:] for line in file if line.strip()]
    x = np.zeros((len(lines), features))
    for row, words in zip(x, lines):
        for word in words:
            row[int(word.split(":")[0])] = float(word.split(":")[1])
    return x


def trained(folder, tables):
    """(group, name, path, still) of models over every objective, booster and kind of split."""
    import lightgbm

    x, classes, positive = tables["adult"]
    adult = dict(categorical_feature=tables["adult_categorical"], free_raw_data=False)
    age, higgs = tables["abalone"], tables["higgs"]
    dense = np.nan_to_num(x[:, [j for j in range(x.shape[1]) if j not in tables["adult_categorical"]]])
    groups, rf = {"group": [100] * 30}, {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
    jobs = [
        ("objective", objective, {"objective": objective}, age[0], age[1] / (30 if "cross" in objective else 1), {})
        for objective in (
            "regression regression_l1 huber fair quantile mape poisson gamma tweedie cross_entropy cross_entropy_lambda"
        ).split()
    ]
    jobs += [
        ("objective", f"{o} sqrt", {"objective": o, "reg_sqrt": True}, *age, {}) for o in ("regression", "regression_l1")
    ]
    # fmt: off
    jobs += [
        ("objective", "binary", {"objective": "binary", "sigmoid": 0.7}, x, positive, adult),
        ("objective", "multiclass", {"objective": "multiclass", "num_class": 4}, x, classes, adult),
        ("objective", "multiclassova", {"objective": "multiclassova", "num_class": 4, "sigmoid": 1.3}, x, classes, adult),
        ("objective", "lambdarank", {"objective": "lambdarank"}, x[:3000], positive[:3000], groups),
        ("objective", "rank_xendcg", {"objective": "rank_xendcg"}, x[:3000], positive[:3000], groups),
        ("objective", "none", {"objective": lambda score, data: (score - data.get_label(), np.ones_like(score))}, *age, {}),
        ("missing", "zero_as_missing", {"objective": "binary", "zero_as_missing": True}, x, positive, adult),
        ("missing", "use_missing=false", {"objective": "binary", "use_missing": False}, x, positive, adult),
        ("missing", "none in training", {"objective": "binary"}, dense, positive, {}),
        ("categorical", "onehot", {"objective": "binary", "max_cat_to_onehot": 64}, x, positive, adult),
        ("categorical", "bitsets", {"objective": "binary", "max_cat_to_onehot": 1, "min_data_per_group": 5, "cat_smooth": 1}, x, positive, adult),
        ("booster", "dart", {"objective": "binary", "boosting": "dart"}, x, positive, adult),
        ("booster", "dart multiclass", {"objective": "multiclass", "num_class": 4, "boosting": "dart"}, x, classes, adult),
        ("booster", "goss", {"objective": "binary", "data_sample_strategy": "goss"}, x, positive, adult),
        ("booster", "rf", {"objective": "binary"} | rf, x, positive, adult),
        ("booster", "rf regression", {"objective": "regression"} | rf, *age, {}),
        ("booster", "rf multiclass", {"objective": "multiclass", "num_class": 4} | rf, x, classes, adult),
        ("linear_tree", "regression", {"objective": "regression", "linear_tree": True}, *age, {}),
        ("linear_tree", "binary", {"objective": "binary", "linear_tree": True, "linear_lambda": 0.1}, dense, positive, {}),
        ("linear_tree", "multiclass", {"objective": "multiclass", "num_class": 4, "linear_tree": True}, x, classes, adult),
        ("linear_tree", "dart", {"objective": "regression", "linear_tree": True, "boosting": "dart"}, *age, {}),
        ("linear_tree", "constant", {"objective": "regression", "linear_tree": True, "min_data_in_leaf": 10**8}, *age, {}),
        ("shape", "large leaves", {"objective": "binary", "num_leaves": 255, "min_data_in_leaf": 3}, x, positive, adult),
        ("shape", "64 leaves", {"objective": "regression", "num_leaves": 64, "min_data_in_leaf": 3}, *higgs, {}),
        ("shape", "stumps", {"objective": "regression", "num_leaves": 2}, *higgs, {}),
        ("shape", "extra trees", {"objective": "regression", "extra_trees": True, "feature_fraction": 0.5}, *higgs, {}),
        ("shape", "constant", {"objective": "regression", "min_data_in_leaf": 10**8}, *higgs, {}),
        ("shape", "constant binary", {"objective": "binary", "min_data_in_leaf": 10**8}, x, positive, {}),
    ]
    # fmt: on
    for group, label, parameters, data, target, options in jobs:
        booster = lightgbm.train(settings(parameters), lightgbm.Dataset(data, target, **options), 25)
        yield f"LightGBM {group} {label}", *saved(folder, booster, label, group), "constant" in label
    yield from continued(folder, tables)


def settings(parameters):
    return {"num_leaves": 15, "verbosity": -1, "num_threads": 1, "seed": 1, "learning_rate": 0.2} | parameters


def saved(folder, booster, label, group):
    path = os.path.join(folder, f"lightgbm_{group}_{label}.txt".replace(" ", "_").replace("=", "_"))
    booster.save_model(path)
    return f"trained LightGBM {group} {label}", path


def continued(folder, tables):
    """Models that training went on from a file, stopped early, was cut, refitted or shuffled."""
    import lightgbm

    x, y = tables["higgs"]
    noisy = y + 0.3 * np.random.default_rng(3).standard_normal(len(y))  # soon overfitted
    parameters = settings({"objective": "regression", "num_leaves": 31})
    first = lightgbm.train(parameters, lightgbm.Dataset(x, y), 8)
    second = lightgbm.train(
        parameters | {"learning_rate": 0.05}, lightgbm.Dataset(x, y), 8, init_model=saved(folder, first, "first", "training")[1]
    )
    stopped = lightgbm.train(
        parameters | {"metric": "l2"},
        lightgbm.Dataset(x[:1000], noisy[:1000]),
        200,
        valid_sets=[lightgbm.Dataset(x[1000:], noisy[1000:])],
        callbacks=[lightgbm.early_stopping(3, verbose=False)],
    )
    assert 1 < stopped.best_iteration < 200, stopped.best_iteration
    x4, classes, _ = tables["adult"]
    adult = dict(categorical_feature=tables["adult_categorical"], free_raw_data=False)
    multi = settings({"objective": "multiclass", "num_class": 4})
    started = lightgbm.train(multi, lightgbm.Dataset(x4, classes, **adult), 4)
    linear = settings({"objective": "regression", "linear_tree": True})
    noise = np.random.default_rng(4).integers(0, 4, len(classes))
    confused = np.where(np.random.default_rng(5).random(len(classes)) < 0.4, noise, classes)
    stopped_multi = lightgbm.train(
        multi | {"learning_rate": 0.9, "num_leaves": 63},
        lightgbm.Dataset(x4[:1500], confused[:1500], **adult),
        60,
        valid_sets=[lightgbm.Dataset(x4[1500:], confused[1500:], **adult)],
        callbacks=[lightgbm.early_stopping(2, verbose=False)],
    )
    assert stopped_multi.best_iteration < 60, stopped_multi.best_iteration
    for label, booster in [
        ("continued", second),
        ("early-stopped", stopped),
        ("early-stopped multi", stopped_multi),
        ("continued multi", lightgbm.train(multi, lightgbm.Dataset(x4, classes, **adult), 4, init_model=started)),
        ("continued linear_tree", lightgbm.train(linear, lightgbm.Dataset(x, y), 4, init_model=lightgbm.train(linear, lightgbm.Dataset(x, y), 4))),
        ("refitted", first.refit(x, y + 1)),
        ("shuffled", lightgbm.Booster(model_str=second.model_to_string()).shuffle_models()),
    ]:
        yield f"LightGBM training {label}", *saved(folder, booster, label, "training"), False
    path = os.path.join(folder, "lightgbm_cut.txt")
    second.save_model(path, start_iteration=3, num_iteration=5)
    yield "LightGBM training cut", "trained LightGBM iterations 3 to 7", path, False
