"""XGBoost models, given and trained here, beside the library's own predict()."""

import json
import os

import numpy as np

from tree_compare import awkward, compare


def thresholds_of(booster):
    learner = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    found = {}
    for tree in learner.get("gbtree", learner)["model"].get("trees", []):
        for left, f, condition, kind in zip(
            tree["left_children"], tree["split_indices"], tree["split_conditions"], tree["split_type"]
        ):
            if left != -1:
                found.setdefault(f, []).extend(range(-1, 40) if kind == 1 else [condition])
    return {f: np.unique(np.asarray(t, dtype=np.float32)) for f, t in found.items()}


def check(report, engine, path, name, random, rows, group="XGBoost given", still=False):
    import xgboost

    try:
        booster = xgboost.Booster({"nthread": 1}, model_file=path)
    except xgboost.core.XGBoostError:
        report.refused.append(name)
        return
    with np.errstate(over="ignore"):
        x = awkward(random, rows, booster.num_features(), thresholds_of(booster), True).astype(np.float32)
    # The library takes infinity only in place: not for gblinear, and for dart with sums in another order than predict().
    finite_only = any(f'"{kind}"' in booster.save_config() for kind in ("gblinear", "dart"))
    x = np.where(np.isinf(x), np.float32(7), x) if finite_only else x
    matrix = xgboost.DMatrix(
        np.where(np.isinf(x), np.float32(np.nan), x), feature_names=booster.feature_names, feature_types=booster.feature_types, nthread=1
    )
    finite = ~np.isinf(x).any(axis=1)
    for raw in (False, True):
        wanted = np.asarray(booster.predict(matrix, output_margin=raw))
        if not finite_only:
            kind = "margin" if raw else "value"
            whole = np.asarray(booster.inplace_predict(x, predict_type=kind, validate_features=False)).reshape(wanted.shape)
            if not np.array_equal(whole[finite], wanted[finite], equal_nan=True):
                report.add(group, name, f"the library's two predictions differ by {np.nanmax(np.abs(whole[finite] - wanted[finite])):.3g}")
            wanted = whole
        compare(report, engine, group, name + (" raw" if raw else ""), path, {"input": x}, {"output": wanted}, raw, still=still)


def trained(folder, tables):
    """(group, name, path, still) of models over every objective, booster and kind of split."""
    import xgboost

    x, classes, positive = tables["adult"]
    types = ["c" if i in tables["adult_categorical"] else "q" for i in range(x.shape[1])]
    adult = dict(feature_types=types, enable_categorical=True)
    age, higgs = tables["abalone"], tables["higgs"]
    two = np.stack([higgs[1], higgs[0][:, 3]], 1)
    query = {"qid": np.arange(3000) // 100}
    linear = {"booster": "gblinear", "updater": "coord_descent"}
    vector = {"multi_strategy": "multi_output_tree", "tree_method": "hist"}
    jobs = [
        ("objective", objective, {"objective": objective}, age[0], age[1] / scale, {})
        for objective, scale in [
            ("reg:squarederror", 1),
            ("reg:linear", 1),
            ("reg:squaredlogerror", 1),
            ("reg:pseudohubererror", 10),
            ("reg:absoluteerror", 1),
            ("reg:logistic", 30),
            ("reg:gamma", 1),
            ("reg:tweedie", 1),
            ("count:poisson", 1),
            ("survival:cox", 1),
        ]
    ]
    # fmt: off
    jobs += [
        ("objective", "reg:quantileerror", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, *age, {}),
        ("objective", "survival:aft", {"objective": "survival:aft"}, age[0], None, {"label_lower_bound": age[1], "label_upper_bound": age[1] + 1}),
        ("objective", "binary:logistic", {"objective": "binary:logistic"}, x, positive, adult),
        ("objective", "binary:logitraw", {"objective": "binary:logitraw"}, x, positive, adult),
        ("objective", "binary:hinge", {"objective": "binary:hinge"}, x, positive, adult),
        ("objective", "multi:softprob", {"objective": "multi:softprob", "num_class": 4}, x, classes, adult),
        ("objective", "multi:softmax", {"objective": "multi:softmax", "num_class": 4}, x, classes, adult),
        ("objective", "rank:ndcg", {"objective": "rank:ndcg"}, x[:3000], positive[:3000], query),
        ("objective", "rank:pairwise", {"objective": "rank:pairwise"}, x[:3000], positive[:3000], query),
        ("objective", "rank:map", {"objective": "rank:map"}, x[:3000], positive[:3000], query),
        ("base_score", "binary:logistic 0.3", {"objective": "binary:logistic", "base_score": 0.3}, x, positive, adult),
        ("base_score", "count:poisson 2", {"objective": "count:poisson", "base_score": 2}, *age, {}),
        ("base_score", "per class", {"objective": "multi:softprob", "num_class": 4}, x, classes, {}),
        ("base_score", "per target", {"objective": "reg:absoluteerror"}, higgs[0], two, {}),
        ("categorical", "onehot", {"objective": "binary:logistic", "max_cat_to_onehot": 64}, x, positive, adult),
        ("categorical", "partitions", {"objective": "binary:logistic", "max_cat_to_onehot": 1, "max_cat_threshold": 64}, x, positive, adult),
        ("booster", "dart", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3}, x, positive, adult),
        ("booster", "dart multi", {"objective": "multi:softprob", "num_class": 4, "booster": "dart", "rate_drop": 0.3}, x, classes, adult),
        ("booster", "gblinear", {"objective": "reg:squarederror"} | linear, *age, {}),
        ("booster", "gblinear shotgun", {"objective": "reg:squarederror", "booster": "gblinear", "updater": "shotgun"}, *age, {}),
        ("booster", "gblinear logistic", {"objective": "binary:logistic", "base_score": 0.3} | linear, *[x, positive], {}),
        ("booster", "gblinear poisson", {"objective": "count:poisson", "eta": 0.1} | linear, *age, {}),
        ("booster", "gblinear multi", {"objective": "multi:softprob", "num_class": 4} | linear, x, classes, {}),
        ("num_parallel_tree", "binary", {"objective": "binary:logistic", "num_parallel_tree": 5, "subsample": 0.7}, x, positive, adult),
        ("num_parallel_tree", "multi", {"objective": "multi:softprob", "num_class": 4, "num_parallel_tree": 3, "subsample": 0.7}, x, classes, adult),
        ("num_parallel_tree", "dart", {"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.5, "num_parallel_tree": 3}, *age, {}),
        ("targets", "one tree each", {"objective": "reg:squarederror"}, higgs[0], two, {}),
        ("targets", "multi_output_tree", {"objective": "reg:squarederror"} | vector, higgs[0], two, {}),
        ("targets", "multi_output_tree softprob", {"objective": "multi:softprob", "num_class": 4} | vector, np.nan_to_num(x), classes, {}),
        ("targets", "multi_output_tree quantiles", {"objective": "reg:quantileerror", "quantile_alpha": [0.2, 0.8]} | vector, *age, {}),
        ("shape", "deep", {"objective": "binary:logistic", "max_depth": 12}, x, positive, adult),
        ("shape", "leafwise", {"objective": "binary:logistic", "grow_policy": "lossguide", "max_leaves": 63, "max_depth": 0}, x, positive, adult),
        ("shape", "pruned", {"objective": "reg:squarederror", "tree_method": "exact", "gamma": 5.0}, *higgs, {}),
        ("shape", "approx", {"objective": "reg:squarederror", "tree_method": "approx"}, *higgs, {}),
        ("shape", "no splits", {"objective": "reg:squarederror", "min_child_weight": 1e9}, *higgs, {}),
    ]
    # fmt: on
    agaricus = load_libsvm(os.path.join(tables["folder"], "data/xgboost_agaricus/agaricus.txt.train"))
    if agaricus is not None:
        jobs.append(("shape", "agaricus", {"objective": "binary:logistic"}, *agaricus, {}))
    for group, label, parameters, data, target, options in jobs:
        try:
            matrix = xgboost.DMatrix(data, target, nthread=1, **options)
            shape = {} if "gblinear" in label else {"max_depth": 5}
            booster = xgboost.train(shape | {"nthread": 1, "seed": 1, "verbosity": 0} | parameters, matrix, 12)
        except xgboost.core.XGBoostError as error:
            print(f"not trained: XGBoost {group} {label}: {str(error).splitlines()[0][:120]}")
            continue
        yield from saved(folder, booster, group, label)
    yield from continued(folder, tables)


def saved(folder, booster, group, label):
    for form in ("json", "ubj"):
        path = os.path.join(folder, f"xgboost_{group}_{label.replace(' ', '_').replace(':', '_')}.{form}")
        booster.save_model(path)
        yield f"XGBoost {group} {label}", f"trained XGBoost {group} {label} ({form})", path, label == "no splits"


def continued(folder, tables):
    """Models that training went on from, stopped early (predict() of a loaded Booster takes all rounds), or was cut."""
    import xgboost

    x, y = tables["higgs"]
    noisy = y + 0.3 * np.random.default_rng(3).standard_normal(len(y))  # soon overfitted
    whole = xgboost.DMatrix(x, y, nthread=1)
    parameters = {"max_depth": 4, "nthread": 1, "seed": 1}
    first = xgboost.train(parameters, whole, 6)
    stopped = xgboost.train(
        parameters | {"eta": 0.2},
        xgboost.DMatrix(x[:1000], noisy[:1000], nthread=1),
        200,
        evals=[(xgboost.DMatrix(x[1000:], noisy[1000:], nthread=1), "valid")],
        early_stopping_rounds=3,
        verbose_eval=False,
    )
    assert 0 < stopped.best_iteration < stopped.num_boosted_rounds() - 1
    x4, classes, _ = tables["adult"]
    multi = parameters | {"objective": "multi:softprob", "num_class": 4}
    noise = np.random.default_rng(4).integers(0, 4, len(classes))
    confused = np.where(np.random.default_rng(5).random(len(classes)) < 0.4, noise, classes)  # soon overfitted
    stopped_multi = xgboost.train(
        multi | {"eta": 0.9, "max_depth": 7},
        xgboost.DMatrix(x4[:1500], confused[:1500], nthread=1),
        60,
        evals=[(xgboost.DMatrix(x4[1500:], confused[1500:], nthread=1), "valid")],
        early_stopping_rounds=2,
        verbose_eval=False,
    )
    assert stopped_multi.best_iteration < stopped_multi.num_boosted_rounds() - 1
    dropped = parameters | {"booster": "dart", "rate_drop": 0.4}
    updated = {"process_type": "update", "updater": "refresh", "refresh_leaf": True}
    for label, booster in [
        ("continued", xgboost.train(parameters | {"eta": 0.1, "objective": "reg:squarederror"}, whole, 6, xgb_model=first)),
        ("early-stopped", stopped),
        ("early-stopped multi", stopped_multi),
        ("continued multi", xgboost.train(multi, xgboost.DMatrix(x4, classes, nthread=1), 3, xgb_model=stopped_multi)),
        ("continued dart", xgboost.train(dropped, whole, 6, xgb_model=xgboost.train(dropped, whole, 6))),
        ("cut", stopped[: stopped.best_iteration + 1]),
        ("refreshed", xgboost.train(parameters | updated, xgboost.DMatrix(x, y + 1, nthread=1), 6, xgb_model=first)),
    ]:
        yield from saved(folder, booster, "training", label)


def load_libsvm(path):
    if not os.path.exists(path):
        return None
    rows, labels = [], []
    with open(path) as file:
        for line in file:
            words = line.split()
            labels.append(float(words[0]))
            rows.append({int(k): float(v) for k, v in (word.split(":") for word in words[1:])})
    x = np.full((len(rows), max(max(r) for r in rows) + 1), np.nan)
    for i, row in enumerate(rows):
        x[i, list(row)] = list(row.values())
    return x, np.asarray(labels)
