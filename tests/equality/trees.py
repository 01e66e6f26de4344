#!/usr/bin/env python3
"""Compares `hayate run` bit by bit with LightGBM, XGBoost and ONNX Runtime (one thread) on tree models.

Needs lightgbm, xgboost, onnxruntime, onnx and numpy. Models and data are read from $HAYATE_DATA (default: the folder
`shared` beside the checkout); further models are trained here, seeded, over the objectives of both libraries, with
missing values and categorical features. Exit status: 0 when every prediction has equal bits, 1 when one differs, 2 when
there was nothing to compare with.
"""

import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Report:
    def __init__(self, verbose):
        self.verbose, self.equal, self.failed, self.refused = verbose, 0, [], []

    def add(self, name, problem):
        if problem is None:
            self.equal += 1
        else:
            self.failed.append(name)
        if self.verbose or problem is not None:
            print(
                f"{'equal' if problem is None else 'DIFFERS'}  {name}{'' if problem is None else ': ' + problem}",
                flush=True,
            )


class Engine:
    """Runs the program under test on one model and one set of inputs."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def run(self, model, inputs, raw=False):
        given, made = os.path.join(self.folder, "in.npz"), os.path.join(self.folder, "out.npz")
        np.savez(given, **inputs)
        command = [self.program, "run", model, "--inputs", given, "--output", made] + (["--raw-score"] if raw else [])
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError((done.stderr or done.stdout).strip()[:300])
        with np.load(made) as arrays:
            return {key: arrays[key] for key in arrays.files}


def difference(got, wanted):
    """None where all bits agree (any NaN equals any NaN), else what differs."""
    wanted = np.asarray(wanted)
    if got.size != wanted.size:
        return f"{got.shape} instead of {wanted.shape}"
    if got.dtype != wanted.dtype:
        return f"{got.dtype} instead of {wanted.dtype}"
    got = got.reshape(wanted.shape)
    if wanted.dtype.kind != "f":
        bad = got != wanted
    else:
        bits = np.uint32 if wanted.dtype == np.float32 else np.uint64
        bad = (got.view(bits) != np.ascontiguousarray(wanted).view(bits)) & ~(np.isnan(got) & np.isnan(wanted))
    if not bad.any():
        return None
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{int(bad.sum())} of {bad.size} values, first at {at}: {got[at]!r}, library {wanted[at]!r}"


def moved(wanted):
    return any(value.size < 8 or np.unique(value, axis=0).shape[0] > 1 for value in wanted.values())


def compare(report, engine, name, model, inputs, wanted, raw=False):
    try:
        got = engine.run(model, inputs, raw)
        problems = [difference(got[key], value) for key, value in wanted.items()]
        if not moved(wanted) and "constant" not in name and "base2" not in name:
            problems.append("the inputs do not move the outputs")
        report.add(name, next((p for p in problems if p), None))
    except (RuntimeError, KeyError) as error:
        report.add(name, str(error))


def awkward(random, rows, columns, thresholds):
    """Rows that hit thresholds exactly and their neighbours, zeros, tiny values, infinities and NaN."""
    x = random.standard_normal((rows, columns)) * 2
    for f in range(columns):
        pool = np.asarray(thresholds.get(f, [0.0]), dtype=np.float64)
        pool = np.concatenate([pool, np.nextafter(pool, np.inf), np.nextafter(pool, -np.inf), pool * 1.01 + 0.1])
        pick = random.random(rows) < 0.7
        x[pick, f] = random.choice(pool, pick.sum())
    special = random.random((rows, columns))
    for value, low, high in [
        (np.nan, 0, 0.05),
        (0.0, 0.05, 0.08),
        (1e-36, 0.08, 0.09),
        (-1e-36, 0.09, 0.10),
        (1e-35, 0.10, 0.105),
        (-0.5, 0.105, 0.115),
        (3.7, 0.115, 0.125),
        (1e12, 0.125, 0.13),
        (-0.0, 0.13, 0.14),
    ]:
        x[(special >= low) & (special < high)] = value
    return x


# LightGBM


def lightgbm_thresholds(text):
    found = {}
    for block in text.split("Tree=")[1:]:
        lines = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        kinds = [int(k) for k in lines.get("decision_type", "").split()]
        for f, t, k in zip(lines.get("split_feature", "").split(), lines.get("threshold", "").split(), kinds):
            found.setdefault(int(f), []).extend([float(t)] if k & 1 == 0 else range(0, 40))
    return {f: np.unique(t) for f, t in found.items()}


def check_lightgbm(report, engine, path, name, random, rows):
    import lightgbm

    try:
        booster = lightgbm.Booster(model_file=path)
    except lightgbm.basic.LightGBMError:
        report.refused.append(name)
        return
    with open(path, errors="replace") as file:
        x = awkward(random, rows, booster.num_feature(), lightgbm_thresholds(file.read()))
    for raw in (False, True):
        wanted = np.asarray(booster.predict(x, raw_score=raw, num_threads=1), dtype=np.float64)
        compare(report, engine, name + (" raw" if raw else ""), path, {"input": x}, {"output": wanted}, raw)


def trained_lightgbm(folder, random, tables):
    import lightgbm

    x, classes, positive = tables["adult"]
    adult = dict(categorical_feature=tables["adult_categorical"], free_raw_data=False)
    jobs = []
    for objective in [
        "regression",
        "regression_l1",
        "huber",
        "fair",
        "quantile",
        "mape",
        "poisson",
        "gamma",
        "tweedie",
        "cross_entropy",
        "cross_entropy_lambda",
    ]:
        jobs.append(
            (
                objective,
                {"objective": objective},
                tables["abalone"][0],
                tables["abalone"][1] / (30 if "cross" in objective else 1),
                {},
            )
        )
    jobs += [
        (
            "regression sqrt",
            {"objective": "regression", "reg_sqrt": True},
            tables["abalone"][0],
            tables["abalone"][1],
            {},
        ),
        ("binary", {"objective": "binary", "sigmoid": 0.7}, x, positive, adult),
        ("binary zero_as_missing", {"objective": "binary", "zero_as_missing": True}, x, positive, adult),
        ("binary use_missing=false", {"objective": "binary", "use_missing": False}, x, positive, adult),
        ("binary cat onehot", {"objective": "binary", "max_cat_to_onehot": 64}, x, positive, adult),
        ("multiclass", {"objective": "multiclass", "num_class": 4}, x, classes, adult),
        ("multiclassova", {"objective": "multiclassova", "num_class": 4, "sigmoid": 1.3}, x, classes, adult),
        ("lambdarank", {"objective": "lambdarank"}, x[:3000], positive[:3000], {"group": [100] * 30}),
        ("rank_xendcg", {"objective": "rank_xendcg"}, x[:3000], positive[:3000], {"group": [100] * 30}),
        ("dart", {"objective": "binary", "boosting": "dart"}, x, positive, adult),
        (
            "rf",
            {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
            x,
            positive,
            adult,
        ),
        (
            "rf multiclass",
            {"objective": "multiclass", "num_class": 4, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
            x,
            classes,
            adult,
        ),
        ("large leaves", {"objective": "binary", "num_leaves": 255, "min_data_in_leaf": 3}, x, positive, adult),
        ("64 leaves", {"objective": "regression", "num_leaves": 64, "min_data_in_leaf": 3}, *tables["higgs"], {}),
        ("stumps", {"objective": "regression", "num_leaves": 2}, *tables["higgs"], {}),
        ("constant", {"objective": "regression", "min_data_in_leaf": 10**8}, *tables["higgs"], {}),
    ]
    for label, parameters, data, target, options in jobs:
        parameters = {"num_leaves": 15, "verbosity": -1, "num_threads": 1, "seed": 1, "learning_rate": 0.2} | parameters
        booster = lightgbm.train(parameters, lightgbm.Dataset(data, target, **options), 25)
        path = os.path.join(folder, f"lightgbm_{label.replace(' ', '_').replace('=', '_')}.txt")
        booster.save_model(path)
        yield "trained LightGBM " + label, path


# XGBoost


def xgboost_thresholds(booster):
    learner = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    found = {}
    for tree in learner.get("gbtree", learner)["model"]["trees"]:
        for left, f, condition, kind in zip(
            tree["left_children"], tree["split_indices"], tree["split_conditions"], tree["split_type"]
        ):
            if left != -1:
                found.setdefault(f, []).extend(range(-1, 40) if kind == 1 else [condition])
    return {f: np.unique(np.asarray(t, dtype=np.float32)) for f, t in found.items()}


def check_xgboost(report, engine, path, name, random, rows):
    import xgboost

    try:
        booster = xgboost.Booster({"nthread": 1}, model_file=path)
    except xgboost.core.XGBoostError:
        report.refused.append(name)
        return
    try:
        thresholds = xgboost_thresholds(booster)
    except KeyError:  # gblinear
        report.refused.append(name)
        return
    x = awkward(random, rows, booster.num_features(), thresholds).astype(np.float32)
    for f, pool in thresholds.items():  # neighbours in float32
        pick = random.random(rows) < 0.3
        x[pick, f] = np.nextafter(
            random.choice(pool, pick.sum()).astype(np.float32), np.float32(random.choice([-np.inf, np.inf]))
        )
    matrix = xgboost.DMatrix(x, feature_names=booster.feature_names, feature_types=booster.feature_types, nthread=1)
    for raw in (False, True):
        wanted = np.asarray(booster.predict(matrix, output_margin=raw))
        compare(report, engine, name + (" raw" if raw else ""), path, {"input": x}, {"output": wanted}, raw)


def trained_xgboost(folder, tables):
    import xgboost

    x, classes, positive = tables["adult"]
    types = ["c" if i in tables["adult_categorical"] else "q" for i in range(x.shape[1])]
    categorical = dict(feature_types=types, enable_categorical=True)
    age = tables["abalone"]
    jobs = []
    for objective in [
        "reg:squarederror",
        "reg:squaredlogerror",
        "reg:pseudohubererror",
        "reg:absoluteerror",
        "count:poisson",
        "reg:gamma",
        "reg:tweedie",
        "survival:cox",
    ]:
        jobs.append((objective, {"objective": objective}, *age, {}))
    jobs[2] = ("reg:pseudohubererror", {"objective": "reg:pseudohubererror"}, age[0], age[1] / 10, {})
    jobs += [
        ("reg:logistic", {"objective": "reg:logistic"}, age[0], age[1] / 30, {}),
        ("reg:quantileerror", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, *age, {}),
        ("binary:logistic", {"objective": "binary:logistic"}, x, positive, categorical),
        ("binary:logistic base_score", {"objective": "binary:logistic", "base_score": 0.3}, x, positive, categorical),
        ("binary:logistic onehot", {"objective": "binary:logistic", "max_cat_to_onehot": 64}, x, positive, categorical),
        ("binary:logitraw", {"objective": "binary:logitraw"}, x, positive, categorical),
        ("binary:hinge", {"objective": "binary:hinge"}, x, positive, categorical),
        ("multi:softprob", {"objective": "multi:softprob", "num_class": 4}, x, classes, categorical),
        ("multi:softmax", {"objective": "multi:softmax", "num_class": 4}, x, classes, categorical),
        ("rank:ndcg", {"objective": "rank:ndcg"}, x[:3000], positive[:3000], {"qid": np.arange(3000) // 100}),
        ("rank:pairwise", {"objective": "rank:pairwise"}, x[:3000], positive[:3000], {"qid": np.arange(3000) // 100}),
        ("rank:map", {"objective": "rank:map"}, x[:3000], positive[:3000], {"qid": np.arange(3000) // 100}),
        (
            "survival:aft",
            {"objective": "survival:aft"},
            age[0],
            None,
            {"label_lower_bound": age[1], "label_upper_bound": age[1] + 1},
        ),
        ("dart", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.3}, x, positive, categorical),
        (
            "dart multi",
            {"objective": "multi:softprob", "num_class": 4, "booster": "dart", "rate_drop": 0.3},
            x,
            classes,
            categorical,
        ),
        (
            "forest",
            {"objective": "binary:logistic", "num_parallel_tree": 5, "subsample": 0.7, "learning_rate": 0.8},
            x,
            positive,
            categorical,
        ),
        (
            "multi target",
            {"objective": "reg:squarederror"},
            tables["higgs"][0],
            np.stack([tables["higgs"][1], tables["higgs"][0][:, 3]], 1),
            {},
        ),
        ("deep", {"objective": "binary:logistic", "max_depth": 12}, x, positive, categorical),
        ("pruned", {"objective": "reg:squarederror", "tree_method": "exact", "gamma": 5.0}, *tables["higgs"], {}),
    ]
    agaricus = load_libsvm(os.path.join(tables["folder"], "data/xgboost_agaricus/agaricus.txt.train"))
    if agaricus is not None:
        jobs.append(("agaricus", {"objective": "binary:logistic"}, *agaricus, {}))
    for label, parameters, data, target, options in jobs:
        matrix = xgboost.DMatrix(data, target, nthread=1, **options)
        booster = xgboost.train({"max_depth": 5, "nthread": 1, "seed": 1} | parameters, matrix, 12)
        for form in ("json", "ubj"):
            path = os.path.join(folder, f"xgboost_{label.replace(' ', '_').replace(':', '_')}.{form}")
            booster.save_model(path)
            yield f"trained XGBoost {label} ({form})", path


# ONNX


def check_onnx(report, engine, path, name, random, rows):
    import onnx
    import onnxruntime

    model = onnx.load(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    columns = given.shape[1] if len(given.shape) > 1 and isinstance(given.shape[1], int) else onnx_features(model)
    thresholds = onnx_thresholds(model)
    x = awkward(random, rows, columns, thresholds)
    x = x.astype({"tensor(float)": np.float32, "tensor(double)": np.float64}[given.type])
    if isinstance(given.shape[0], int):
        x = x[: given.shape[0]]
    names = [o.name for o in session.get_outputs() if o.type.startswith("tensor")]
    wanted = dict(zip(names, session.run(names, {given.name: x})))
    compare(report, engine, name, path, {given.name: x}, wanted)


def onnx_thresholds(model):
    from onnx import numpy_helper

    found = {}
    for node in model.graph.node:
        fields = {a.name: a for a in node.attribute}
        if "nodes_featureids" not in fields:
            continue
        values = list(fields["nodes_values"].floats) if "nodes_values" in fields else None
        for key in ("nodes_values_as_tensor", "nodes_splits"):
            if key in fields:
                values = numpy_helper.to_array(fields[key].t)
        for f, t in zip(fields["nodes_featureids"].ints, values):
            found.setdefault(f, []).append(float(t))
    return {f: np.unique(t) for f, t in found.items()}


def onnx_features(model):
    return max(onnx_thresholds(model), default=0) + 1


def random_trees(random, trees, depth, features, missing, mode):
    """Attributes of nodes: a few random trees, and their leaves as (tree, node)."""
    nodes = {
        key: []
        for key in (
            "treeids",
            "nodeids",
            "featureids",
            "values",
            "modes",
            "truenodeids",
            "falsenodeids",
            "missing_value_tracks_true",
        )
    }
    leaves = []
    for tree in range(trees):
        pending, count = [(0, 0)], 1
        while pending:
            node, level = pending.pop(0)
            leaf = level == depth or (level > 1 and random.random() < 0.2)
            values = dict(
                treeids=tree,
                nodeids=node,
                featureids=0,
                values=0.0,
                modes="LEAF",
                truenodeids=0,
                falsenodeids=0,
                missing_value_tracks_true=0,
            )
            if leaf:
                leaves.append((tree, node))
            else:
                values.update(
                    featureids=int(random.integers(features)),
                    values=float(np.float32(random.standard_normal())),
                    truenodeids=count,
                    falsenodeids=count + 1,
                    modes=(
                        mode
                        if mode
                        else random.choice(
                            ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
                        )
                    ),
                    missing_value_tracks_true=int(missing and random.random() < 0.5),
                )
                pending += [(count, level + 1), (count + 1, level + 1)]
                count += 2
            for key, value in values.items():
                nodes[key].append(value)
    return {f"nodes_{key}": value for key, value in nodes.items()}, leaves


def ensemble5(random, targets, transform, aggregate, double):
    """A TreeEnsemble node of ai.onnx.ml 5: 20 random trees."""
    from onnx import helper, numpy_helper

    kind = np.float64 if double else np.float32
    nodes, leaves = dict(feature=[], mode=[], split=[], true=[], true_leaf=[], false=[], false_leaf=[], missing=[]), 0
    roots = []
    for _ in range(20):
        roots.append(len(nodes["mode"]))
        pending = [(None, None, 0)]
        while pending:
            parent, side, level = pending.pop(0)
            if level > 0 and (level == 4 or random.random() < 0.2):
                nodes[side][parent], nodes[side + "_leaf"][parent] = leaves, 1
                leaves += 1
                continue
            if parent is not None:
                nodes[side][parent] = len(nodes["mode"])
            pending += [(len(nodes["mode"]), "true", level + 1), (len(nodes["mode"]), "false", level + 1)]
            for key, item in dict(
                feature=int(random.integers(6)),
                mode=int(random.integers(6)),
                split=random.standard_normal(),
                true=0,
                true_leaf=0,
                false=0,
                false_leaf=0,
                missing=int(random.integers(2)),
            ).items():
                nodes[key].append(item)
    return helper.make_node(
        "TreeEnsemble",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=targets,
        post_transform=transform,
        aggregate_function=aggregate,
        tree_roots=roots,
        nodes_featureids=nodes["feature"],
        nodes_modes=numpy_helper.from_array(np.array(nodes["mode"], np.uint8)),
        nodes_splits=numpy_helper.from_array(np.array(nodes["split"], kind)),
        nodes_truenodeids=nodes["true"],
        nodes_trueleafs=nodes["true_leaf"],
        nodes_falsenodeids=nodes["false"],
        nodes_falseleafs=nodes["false_leaf"],
        nodes_missing_value_tracks_true=nodes["missing"],
        leaf_targetids=[int(random.integers(targets)) for _ in range(leaves)],
        leaf_weights=numpy_helper.from_array(random.standard_normal(leaves).astype(kind)),
    )


def made_onnx(folder, random):
    from onnx import TensorProto, helper, save

    def model_of(node, outputs, path, double=False):
        x = helper.make_tensor_value_info("x", TensorProto.DOUBLE if double else TensorProto.FLOAT, ["N", 6])
        graph = helper.make_graph([node], "made", [x], outputs)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        )
        model.ir_version = 8
        save(model, path)
        return path

    value = helper.make_tensor_value_info
    for mode in ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", ""):
        for aggregate, targets, transform, base, missing, double in [
            ("SUM", 1, "NONE", True, True, False),
            ("AVERAGE", 3, "SOFTMAX", True, False, False),
            ("MIN", 2, "LOGISTIC", False, True, False),
            ("MAX", 1, "LOGISTIC", True, False, False),
            ("SUM", 3, "SOFTMAX_ZERO", False, True, False),
            ("AVERAGE", 1, "NONE", False, True, False),
            ("SUM", 2, "NONE", True, True, True),
        ]:
            nodes, leaves = random_trees(random, 30, 5, 6, missing, mode)
            ids = [
                (t, n, k)
                for t, n in leaves
                for k in (range(targets) if random.random() < 0.5 else [int(random.integers(targets))])
            ]
            extra = (
                {"base_values": [float(b) for b in random.standard_normal(targets).astype(np.float32)]} if base else {}
            )
            node = helper.make_node(
                "TreeEnsembleRegressor",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                n_targets=targets,
                aggregate_function=aggregate,
                post_transform=transform,
                target_treeids=[i[0] for i in ids],
                target_nodeids=[i[1] for i in ids],
                target_ids=[i[2] for i in ids],
                target_weights=[float(w) for w in random.standard_normal(len(ids)).astype(np.float32)],
                **nodes,
                **extra,
            )
            name = f"regressor {mode or 'mixed'} {aggregate} {targets} {transform}{' base' if base else ''}{' missing' if missing else ''}{' double' if double else ''}"
            yield "made ONNX " + name, model_of(
                node,
                [value("y", TensorProto.FLOAT, ["N", targets])],
                os.path.join(folder, name.replace(" ", "_") + ".onnx"),
                double,
            )
            nodes, leaves = random_trees(random, 1, 3, 6, missing, mode)  # targets that no leaf touches
            fields = dict(
                target_treeids=[t for t, _ in leaves],
                target_nodeids=[n for _, n in leaves],
                target_ids=[int(random.integers(targets)) for _ in leaves],
                target_weights=[float(w) for w in random.standard_normal(len(leaves)).astype(np.float32)],
            )
            node = helper.make_node(
                "TreeEnsembleRegressor",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                n_targets=targets,
                aggregate_function=aggregate,
                post_transform=transform,
                **fields,
                **nodes,
                **extra,
            )
            yield f"made ONNX {name} one tree", model_of(
                node,
                [value("y", TensorProto.FLOAT, ["N", targets])],
                os.path.join(folder, name.replace(" ", "_") + "_1.onnx"),
                double,
            )
    for targets, transform, aggregate, double in [
        (1, 0, 1, False),
        (1, 0, 0, True),
        (3, 2, 1, False),
        (3, 0, 1, True),
        (2, 1, 2, False),
        (1, 0, 3, False),
    ]:
        node, name = (
            ensemble5(random, targets, transform, aggregate, double),
            f"TreeEnsemble 5: {targets} targets, transform {transform}, aggregate {aggregate}{' double' if double else ''}",
        )
        kind = TensorProto.DOUBLE if double else TensorProto.FLOAT
        graph = helper.make_graph([node], "made", [value("x", kind, ["N", 6])], [value("y", kind, ["N", targets])])
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 5)]
        )
        model.ir_version = 9
        path = os.path.join(folder, f"five_{targets}{transform}{aggregate}{double}.onnx")
        save(model, path)
        yield "made ONNX " + name, path
    for classes in (2, 3, 5):
        for transform in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"):
            for base in (0, 1, classes):
                for ids_of in ("all", "first", "last", "some"):
                    for positive in (False, True):
                        if classes > 2 and (base == 1 or ids_of in ("first", "last")):
                            continue
                        if (
                            classes == 2
                            and base < 2
                            and ids_of in ("first", "some")
                            and (transform == "PROBIT" or base == 1 and ids_of == "some")
                        ):
                            continue  # ONNX Runtime leaves the second score undefined
                        nodes, leaves = random_trees(random, 12, 4, 6, True, "BRANCH_LEQ")
                        choices = {"all": range(classes), "first": [0], "last": [classes - 1]}
                        ids = [
                            (t, n, k) for t, n in leaves for k in choices.get(ids_of, [int(random.integers(classes))])
                        ]
                        weights = random.standard_normal(len(ids)).astype(np.float32) * 0.3
                        weights = np.abs(weights) / 5 if positive else weights
                        extra = (
                            {"base_values": [float(b) for b in random.random(base).astype(np.float32)]} if base else {}
                        )
                        node = helper.make_node(
                            "TreeEnsembleClassifier",
                            ["x"],
                            ["label", "scores"],
                            domain="ai.onnx.ml",
                            post_transform=transform,
                            classlabels_int64s=[10 + 3 * k for k in range(classes)],
                            class_treeids=[i[0] for i in ids],
                            class_nodeids=[i[1] for i in ids],
                            class_ids=[i[2] for i in ids],
                            class_weights=[float(w) for w in weights],
                            **nodes,
                            **extra,
                        )
                        name = f"classifier {classes} {transform} base{base} {ids_of}{' positive' if positive else ''}"
                        outputs = [
                            value("label", TensorProto.INT64, ["N"]),
                            value("scores", TensorProto.FLOAT, ["N", classes]),
                        ]
                        yield "made ONNX " + name, model_of(
                            node, outputs, os.path.join(folder, name.replace(" ", "_") + ".onnx")
                        )


# Data


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


def load_tables(folder, random):
    import csv

    tables = {"folder": folder}
    with open(os.path.join(folder, "data/abalone.csv")) as file:
        rows = list(csv.DictReader(file))
    columns = [c for c in rows[0] if c != "Rings"]
    x = np.array(
        [[{"M": 0.0, "F": 1.0, "I": 2.0}.get(r[c]) if c == "Type" else float(r[c]) for c in columns] for r in rows]
    )
    x[random.random(x.shape) < 0.03] = np.nan
    tables["abalone"] = x, np.array([float(r["Rings"]) for r in rows])
    with open(os.path.join(folder, "data/adult_train.csv")) as file:
        rows = list(csv.DictReader(file))[:8000]
    columns = [c for c in rows[0] if c != "income"]
    numeric = [all(r[c].replace(".", "", 1).lstrip("-").isdigit() for r in rows if r[c].strip()) for c in columns]
    x = np.full((len(rows), len(columns)), np.nan)
    for j, column in enumerate(columns):
        codes = {
            value: float(i)
            for i, value in enumerate(sorted({r[column] for r in rows if r[column].strip() not in ("", "?")}))
        }
        for i, row in enumerate(rows):
            word = row[column].strip()
            if word not in ("", "?"):
                x[i, j] = float(word) if numeric[j] else codes[row[column]]
    income = np.array([float(">50K" in r["income"]) for r in rows])
    tables["adult"] = x, income + 2 * (np.nan_to_num(x[:, 0]) > 38), income
    tables["adult_categorical"] = [j for j, n in enumerate(numeric) if not n]
    higgs = np.loadtxt(os.path.join(folder, "data/lightgbm_examples/binary.train"))
    tables["higgs"] = higgs[:, 1:], higgs[:, 0] + 0.25 * higgs[:, 3]
    return tables


def given_models(folder):
    for path in sorted(glob.glob(os.path.join(folder, "models/lightgbm/*.txt"))) + [
        os.path.join(folder, "models/books/book_lightgbm.txt")
    ]:
        yield path, check_lightgbm
    for path in sorted(glob.glob(os.path.join(folder, "models/gbt/leaves/*"))):
        with open(path, "rb") as file:
            head = file.read(64)
        if head.startswith(b"tree\n"):
            yield path, check_lightgbm
        elif path.endswith(".model") and not head.startswith(b"ccopy_reg"):
            yield path, check_xgboost
    for name in (
        "xgboost_regressor_tree/model.onnx",
        "onnx2c_cases/simple_networks/treeensembleclassifier.onnx",
        "onnxruntime_testdata/testdata/tree_ensemble_as_tensor.onnx",
    ):
        yield os.path.join(folder, "models", name), check_onnx


def sample_models(folder):
    for path in sorted(glob.glob(os.path.join(folder, "**/*"), recursive=True)):
        if path.endswith((".json", ".ubj", ".txt")) and os.path.isfile(path):
            with open(path, "rb") as file:
                head = file.read(4096)
            if head.startswith(b"tree\n"):
                yield path, check_lightgbm
            elif head.startswith(b"{") and b"learner" in head:
                yield path, check_xgboost
        elif path.endswith(".onnx"):
            import onnx

            model = onnx.load(path)
            if any(node.op_type.startswith("TreeEnsemble") for node in model.graph.node):
                yield path, check_onnx


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "program",
        nargs="?",
        default=os.path.join(ROOT, "build/release/hayate"),
        help="the hayate program (default: build/release/hayate)",
    )
    parser.add_argument(
        "--data",
        default=os.environ.get("HAYATE_DATA", os.path.join(os.path.dirname(ROOT), "shared")),
        help="folder with models/ and data/ (default: $HAYATE_DATA)",
    )
    parser.add_argument("--rows", type=int, default=300, help="rows per comparison (default: 300)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="compare only models whose name contains this")
    parser.add_argument("--verbose", action="store_true", help="print equal comparisons too")
    arguments = parser.parse_args()
    if not os.path.isdir(os.path.join(arguments.data, "models")):
        print(f"no models in {arguments.data}; set HAYATE_DATA or --data", file=sys.stderr)
        return 2
    random, report = np.random.default_rng(arguments.seed), Report(arguments.verbose)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(arguments.program, folder)

        def check(name, path, how):
            if arguments.only in name:
                how(report, engine, path, name, random, arguments.rows)

        for path, how in list(given_models(arguments.data)):
            check(os.path.relpath(path, arguments.data), path, how)
        for path, how in list(sample_models(os.path.join(ROOT, "models"))):
            check(os.path.relpath(path, ROOT), path, how)
        tables = load_tables(arguments.data, random)
        for name, path in trained_lightgbm(folder, random, tables):
            check(name, path, check_lightgbm)
        for name, path in trained_xgboost(folder, tables):
            check(name, path, check_xgboost)
        for name, path in made_onnx(folder, random):
            check(name, path, check_onnx)
    print(
        f"{report.equal} comparisons equal bit by bit, {len(report.failed)} differ; not loadable by their own library: {', '.join(report.refused) or 'none'}"
    )
    return 1 if report.failed or report.equal == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
