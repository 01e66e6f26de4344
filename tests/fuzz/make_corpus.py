"""Small seeds for the fuzz targets: make_corpus.py FOLDER, over the samples of tests/data and what the libraries write."""
import io
import pathlib
import sys

import lightgbm
import numpy as np
import onnx
import xgboost
from onnx import TensorProto, helper, numpy_helper

root = pathlib.Path(__file__).resolve().parents[2]
out = pathlib.Path(sys.argv[1])


def keep(target, name, content):
    folder = out / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, inputs, outputs, constants=(), functions=(), opset=17):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    made = helper.make_model(graph, functions=list(functions), opset_imports=[
        helper.make_opsetid("", opset), helper.make_opsetid("own", 1), helper.make_opsetid("ai.onnx.ml", 3)])
    return made.SerializeToString()


def onnx_seeds():
    random = np.random.default_rng(1)
    array = lambda name, *shape: numpy_helper.from_array(random.normal(size=shape).astype("f4"), name)
    node = helper.make_node
    x, y = value("x", ["N", 4]), value("y", None)
    keep("onnx", "gemm", model([node("Gemm", ["x", "w", "b"], ["h"]), node("Relu", ["h"], ["y"])], [x], [y],
                               [array("w", 4, 3), array("b", 3)]))
    keep("onnx", "conv", model([node("Conv", ["x", "w"], ["h"], pads=[1, 1]), node("Sigmoid", ["h"], ["y"])],
                               [value("x", ["N", 2, 5])], [y], [array("w", 3, 2, 3)]))
    keep("onnx", "lstm", model([node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2)], [value("x", [3, "N", 2])], [y],
                               [array("w", 1, 8, 2), array("r", 1, 8, 2)]))
    one = numpy_helper.from_array(np.array([0, 0, -1], "i8"), "s")
    keep("onnx", "reshape", model([node("Reshape", ["x", "s"], ["h"]), node("Softmax", ["h"], ["y"])],
                                  [value("x", [2, 3, 4])], [y], [one]))
    body = helper.make_graph([node("Add", ["a", "e"], ["b"]), node("Identity", ["b"], ["o"])], "body",
                             [value("a", [2]), value("e", [2])], [value("b", [2]), value("o", [2])])
    keep("onnx", "scan", model([node("Scan", ["i", "x"], ["l", "y"], body=body, num_scan_inputs=1)],
                               [value("i", [2]), value("x", [3, 2])], [y]))
    then = helper.make_graph([node("Neg", ["x"], ["t"])], "t", [], [value("t", ["N", 4])])
    other = helper.make_graph([node("Abs", ["x"], ["e"])], "e", [], [value("e", ["N", 4])])
    keep("onnx", "if", model([node("If", ["c"], ["y"], then_branch=then, else_branch=other)], [x], [y],
                             [numpy_helper.from_array(np.array(True), "c")]))
    function = helper.make_function("own", "F", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])],
                                    [helper.make_opsetid("", 17)])
    keep("onnx", "function", model([node("F", ["x"], ["y"], domain="own")], [x], [y], functions=[function]))
    keep("onnx", "trees", model([node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2], nodes_featureids=[1, 0, 0], nodes_values=[.5, 0., 0.],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[1., 2.])], [x], [y]))
    keep("onnx", "quantized", model([
        node("DequantizeLinear", ["q", "s", "z"], ["w"]), node("MatMul", ["x", "w"], ["y"])], [x], [y],
        [numpy_helper.from_array(np.ones((4, 2), "i1"), "q"), numpy_helper.from_array(np.float32(.1), "s"),
         numpy_helper.from_array(np.int8(3), "z")]))


def tree_seeds():
    random = np.random.default_rng(2)
    rows = random.normal(size=(60, 3))
    target = rows[:, 0] + (rows[:, 1] > 0)
    kinds = {"regression": target, "binary": target > 0, "multiclass": np.digitize(target, [0, 1])}
    for name, wanted in kinds.items():
        extra = {"num_class": 3} if name == "multiclass" else {}
        options = {"objective": name, "num_leaves": 3, "min_data_in_leaf": 2, "verbose": -1, **extra}
        keep("lightgbm", name, lightgbm.train(options, lightgbm.Dataset(rows, wanted), 2).model_to_string())
    options = {"objective": "regression", "num_leaves": 3, "min_data_in_leaf": 2, "verbose": -1}
    whole = np.round(rows)
    keep("lightgbm", "categories", lightgbm.train(
        options, lightgbm.Dataset(np.abs(whole), target, categorical_feature=[0]), 2).model_to_string())
    keep("lightgbm", "linear", lightgbm.train(
        {**options, "linear_tree": True}, lightgbm.Dataset(rows, target), 1).model_to_string())
    for name, extra in {"squared": {}, "logistic": {"objective": "binary:logistic"}, "dart": {"booster": "dart"},
                        "linear": {"booster": "gblinear"},
                        "softmax": {"objective": "multi:softprob", "num_class": 3}}.items():
        wanted = np.digitize(target, [0, 1]) if name == "softmax" else target > 0
        made = xgboost.train({"max_depth": 2, **extra}, xgboost.DMatrix(rows, wanted), 2)
        keep("xgboost_json", name, bytes(made.save_raw("json")))
        keep("xgboost_ubj", name, bytes(made.save_raw("ubj")))


def array_seeds():
    for name, made in {"floats": np.ones((2, 3), "f4"), "turned": np.asfortranarray(np.ones((2, 3), "i8")),
                       "bools": np.array([True, False]), "one": np.float64(2), "none": np.zeros((0, 2), "i4")}.items():
        npy = io.BytesIO()
        np.save(npy, made)
        keep("arrays", name, b"n" + npy.getvalue())
    for name, write in {"stored": np.savez, "deflated": np.savez_compressed}.items():
        npz = io.BytesIO()
        write(npz, x=np.ones((2, 2), "f4"), y=np.arange(3))
        keep("arrays", name, b"z" + npz.getvalue())
    for kind in ("f4", "i8", "f2", "?"):
        keep("arrays", "tensor_" + kind.replace("?", "b"), b"p" + numpy_helper.from_array(
            np.ones((2, 2), kind), "t").SerializeToString())


def choice_seeds():
    random = np.random.default_rng(3)
    for i in range(8):
        keep("onnx_grammar", f"seed{i}", random.integers(0, 256, 200, "u1").tobytes())
        keep("differential", f"seed{i}", random.integers(0, 256, 200, "u1").tobytes())


onnx_seeds()
tree_seeds()
array_seeds()
choice_seeds()
