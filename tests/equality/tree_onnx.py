"""ONNX's tree operators, made here at random, beside ONNX Runtime with one thread."""

import os

import numpy as np

from tree_compare import awkward, compare


def check(report, engine, path, name, random, rows, group="ONNX given", still=False):
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
    with np.errstate(over="ignore"):
        x = x.astype({"tensor(float)": np.float32, "tensor(double)": np.float64}[given.type])
    if isinstance(given.shape[0], int):
        x = x[: given.shape[0]]
    names = [o.name for o in session.get_outputs() if o.type.startswith("tensor")]
    wanted = dict(zip(names, session.run(names, {given.name: x})))
    still = still or "base2" in name  # ONNX Runtime's second base value may replace what the leaves gave
    compare(report, engine, group, name, path, {given.name: x}, wanted, still=still)


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


def regressor(targets, aggregate, transform, **fields):
    from onnx import helper

    return helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=targets,
        aggregate_function=aggregate,
        post_transform=transform,
        **fields,
    )


def made(folder, random):
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
            node = regressor(
                targets, aggregate, transform,
                target_treeids=[i[0] for i in ids],
                target_nodeids=[i[1] for i in ids],
                target_ids=[i[2] for i in ids],
                target_weights=[float(w) for w in random.standard_normal(len(ids)).astype(np.float32)],
                **nodes,
                **extra,
            )
            name = f"regressor {mode or 'mixed'} {aggregate} {targets} {transform}{' base' if base else ''}{' missing' if missing else ''}{' double' if double else ''}"
            yield f"ONNX regressor {aggregate}", "made ONNX " + name, model_of(
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
            node = regressor(
                targets, aggregate, transform,
                **fields,
                **nodes,
                **extra,
            )
            yield f"ONNX regressor {aggregate}", f"made ONNX {name} one tree", model_of(
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
        yield "ONNX TreeEnsemble 5", "made ONNX " + name, path
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
                        yield f"ONNX classifier {transform}", "made ONNX " + name, model_of(
                            node, outputs, os.path.join(folder, name.replace(" ", "_") + ".onnx")
                        )
