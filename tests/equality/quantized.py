#!/usr/bin/env python3
"""Compares `hayate run` with ONNX Runtime (one thread) on made models of single operators: quantisation and integer
operators, of com.microsoft too, bit by bit; its fused operators of floats, and the linear models of ai.onnx.ml, within
1e-5 relative + 1e-6 absolute.

Needs onnxruntime, onnx and numpy. Exit status: 0 when everything agrees, 1 when something differs.
"""

import argparse
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, save

from tree_compare import Engine, Report, difference
from trees import ROOT

TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.int8): TensorProto.INT8,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int16): TensorProto.INT16,
    np.dtype(np.uint16): TensorProto.UINT16,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.bool_): TensorProto.BOOL,
}


def made(output, shapes):
    """An output: left to shape inference, or of ai.onnx.ml, which knows less: labels int64, everything else float32."""
    if shapes is None:
        return helper.make_empty_tensor_value_info(output)
    return helper.make_tensor_value_info(
        output, TensorProto.INT64 if output == "label" else TensorProto.FLOAT, shapes[output]
    )


def check(
    report,
    engine,
    folder,
    name,
    op,
    inputs,
    outputs,
    constants=(),
    domain="",
    opset=21,
    tolerance=None,
    shapes=None,
    step=0,
    named=(),
    **attributes,
):
    """One node; `inputs` are name -> array (None: left out), those named in `constants` become initializers; `named`
    are attributes that are called as an argument here is."""
    given = [key if value is not None else "" for key, value in inputs.items()]
    fed = {key: value for key, value in inputs.items() if value is not None and key not in constants}
    graph = helper.make_graph(
        [helper.make_node(op, given, outputs, domain=domain, **attributes, **dict(named))],
        "made",
        [helper.make_tensor_value_info(key, TYPES[value.dtype], value.shape) for key, value in fed.items()],
        [made(output, shapes) for output in outputs if output],
        [numpy_helper.from_array(inputs[key], key) for key in constants],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*each) for each in (("", opset), ("ai.onnx.ml", 3), ("com.microsoft", 1))]
    )
    model.ir_version = 9
    model = onnx.shape_inference.infer_shapes(model) if shapes is None else model
    path = os.path.join(folder, "operator.onnx")
    save(model, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    asked = [output for output in outputs if output]
    wanted = dict(
        zip(asked, onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(asked, fed))
    )
    for way in engine.ways:
        title = f"{name} [{' '.join(way).strip()}]"
        try:
            got = engine.run(path, fed, way)
        except RuntimeError as error:
            report.add(name, title, str(error))
            continue
        for key, value in wanted.items():
            report.add(name, f"{title} {key}", problem(got[key], value, tolerance, step))


STEPS_SHARE_MAX = 0.1
STEPS = [0, 0]  # outputs that hold values rounded to another step, and all that may


def problem(got, wanted, tolerance, step=0):
    """None where `got` is within the tolerance; where there is none, or for integers, where the bits agree. Where a
    recurrence rounds floats to steps, the last bits decide which: what is within what one step makes passes, counted."""
    if tolerance is None or wanted.dtype.kind != "f":
        return difference(got, wanted)
    off = np.abs(got - wanted) > tolerance * np.abs(wanted) + 1e-6
    if step:
        STEPS[0] += off.any()
        STEPS[1] += 1
        off = np.abs(got - wanted) > step
    return f"{int(off.sum())} values are off, e.g. {got[off][0]} for {wanted[off][0]}" if off.any() else None


def quantise(random, run):
    x = (random.standard_normal((5, 6, 7)) * 40).astype(np.float32)
    x.flat[:8] = [0.5, 1.5, 2.5, -0.5, -1.5, np.inf, -np.inf, 1e30]
    for kind in (np.uint8, np.int8, np.uint16, np.int16):
        info = np.iinfo(kind)
        one, zero = np.float32(0.25), kind(info.min // 2 + info.max // 2 + 3)
        many, zeros = (random.random(6) + 0.1).astype(np.float32), random.integers(info.min, info.max, 6).astype(kind)
        run(
            f"QuantizeLinear {kind.__name__}",
            "QuantizeLinear",
            {"x": x, "s": np.array(one), "z": np.array(zero)},
            ["y"],
        )
        run(f"QuantizeLinear {kind.__name__} axis", "QuantizeLinear", {"x": x, "s": many, "z": zeros}, ["y"], axis=1)
        q = random.integers(info.min, info.max, x.shape).astype(kind)
        run(
            f"DequantizeLinear {kind.__name__}",
            "DequantizeLinear",
            {"x": q, "s": np.array(one), "z": np.array(zero)},
            ["y"],
        )
        run(
            f"DequantizeLinear {kind.__name__} axis",
            "DequantizeLinear",
            {"x": q, "s": many, "z": zeros},
            ["y"],
            axis=-2,
        )
    half = np.array(np.float16(0.3))
    run("QuantizeLinear float16", "QuantizeLinear", {"x": x.astype(np.float16), "s": half}, ["y"])
    run("DequantizeLinear float16", "DequantizeLinear", {"x": bytes_of(random, np.uint8, (4, 5)), "s": half}, ["y"])
    run("QuantizeLinear no zero point", "QuantizeLinear", {"x": x, "s": np.array(np.float32(0.3))}, ["y"])
    run(
        "DequantizeLinear int32",
        "DequantizeLinear",
        {"x": random.integers(-(2**31), 2**31 - 1, (4, 5)).astype(np.int32), "s": np.array(np.float32(1e-4))},
        ["y"],
    )
    scales = (random.random((5, 3, 7)) + 0.1).astype(np.float32)
    run(
        "DequantizeLinear blocked",
        "DequantizeLinear",
        {"x": random.integers(-128, 127, x.shape).astype(np.int8), "s": scales},
        ["y"],
        axis=1,
        block_size=2,
    )
    for i in range(6):
        data = (random.standard_normal((3, 50)) * 10.0 ** random.integers(-3, 3) + [0, 5, -5, 0, 100, -100][i]).astype(
            np.float32
        )
        run(f"DynamicQuantizeLinear {i}", "DynamicQuantizeLinear", {"x": data}, ["y", "s", "z"])
    run("DynamicQuantizeLinear zeros", "DynamicQuantizeLinear", {"x": np.zeros((3, 4), np.float32)}, ["y", "s", "z"])


def bytes_of(random, kind, shape):
    return random.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, shape).astype(kind)


def products(random, run):
    scalar = lambda kind: np.array(bytes_of(random, kind, (1,))[0])
    for a, b in ((np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8)):
        for left, right in (((9, 33), (33, 7)), ((2, 3, 5, 8), (3, 8, 6)), ((8,), (8, 3))):
            name = f"{a.__name__} {b.__name__} {left} {right}"
            x, w = bytes_of(random, a, left), bytes_of(random, b, right)
            run("MatMulInteger " + name, "MatMulInteger", {"a": x, "b": w, "az": scalar(a), "bz": scalar(b)}, ["y"])
            if len(left) == 2:
                run(
                    "MatMulInteger columns " + name,
                    "MatMulInteger",
                    {"a": x, "b": w, "az": scalar(a), "bz": bytes_of(random, b, (right[1],))},
                    ["y"],
                    constants=("b", "bz"),
                )
            if len(left) > 1:
                scales = {
                    "as": np.array(np.float32(0.02)),
                    "bs": np.array(np.float32(0.03)),
                    "ys": np.array(np.float32(0.7)),
                }
                run(
                    "QLinearMatMul " + name,
                    "QLinearMatMul",
                    {
                        "a": x,
                        "as": scales["as"],
                        "az": scalar(a),
                        "b": w,
                        "bs": scales["bs"],
                        "bz": scalar(b),
                        "ys": scales["ys"],
                        "yz": scalar(a),
                    },
                    ["y"],
                    constants=("as", "az", "b", "bs", "bz", "ys", "yz"),
                )


def convolutions(random, run):
    shapes = [
        ((2, 4, 9, 10), (6, 4, 3, 3), 1, dict(pads=[1, 1, 1, 1], strides=[2, 1])),
        ((1, 6, 8, 8), (6, 1, 3, 3), 6, dict(pads=[0, 1, 2, 1])),
        ((1, 4, 20), (8, 2, 5), 2, dict(dilations=[2], pads=[4, 4])),
        ((1, 3, 7, 7), (5, 3, 2, 2), 1, dict(auto_pad="SAME_UPPER")),
        ((1, 2, 4, 5, 6), (3, 2, 2, 2, 2), 1, {}),
    ]
    for x_kind, w_kind in ((np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8)):
        for x_shape, w_shape, groups, attributes in shapes:
            name = f"{x_kind.__name__} {w_kind.__name__} {x_shape} {w_shape}"
            x, w = bytes_of(random, x_kind, x_shape), bytes_of(random, w_kind, w_shape)
            x_zero, w_zero = np.array(bytes_of(random, x_kind, (1,))[0]), np.array(
                w_kind(0 if w_kind == np.int8 else 128)
            )
            if x_kind == np.uint8:
                run(
                    "ConvInteger " + name,
                    "ConvInteger",
                    {"x": x, "w": w, "xz": x_zero, "wz": w_zero},
                    ["y"],
                    constants=("w", "xz", "wz"),
                    group=groups,
                    **attributes,
                )
            scale = lambda count: (random.random(count) * 0.02 + 0.01).astype(np.float32)
            for per_channel in (False, True):
                if per_channel and w_kind != np.int8:
                    continue
                inputs = {
                    "x": x,
                    "xs": np.array(np.float32(0.02)),
                    "xz": x_zero,
                    "w": w,
                    "ws": scale(w_shape[0]) if per_channel else scale(1).reshape(()),
                    "wz": np.zeros(w_shape[0], np.int8) if per_channel else w_zero,
                    "ys": np.array(np.float32(0.5)),
                    "yz": np.array(bytes_of(random, x_kind, (1,))[0]),
                    "b": random.integers(-2000, 2000, w_shape[0]).astype(np.int32),
                }
                run(
                    f"QLinearConv {name}{' channels' if per_channel else ''}",
                    "QLinearConv",
                    inputs,
                    ["y"],
                    constants=("xs", "xz", "w", "ws", "wz", "ys", "yz", "b"),
                    group=groups,
                    **attributes,
                )


def steps(random, run):
    """Operators from quantised values to quantised values."""
    number = lambda low, high: np.array(np.float32(random.uniform(low, high)))
    ours = dict(domain="com.microsoft")
    for kind in (np.uint8, np.int8):
        scalar = lambda: np.array(bytes_of(random, kind, (1,))[0])
        given = lambda key, shape: {key: bytes_of(random, kind, shape), key + "s": number(0.01, 0.1), key + "z": scalar()}
        to = lambda low=0.02, high=0.2: {"ys": number(low, high), "yz": scalar()}
        for op in ("QLinearAdd", "QLinearMul"):
            for left, right in (((7, 33), (7, 33)), ((5, 3, 6), (3, 1)), ((4, 9), (1,)), ((1,), (4, 9)), ((2, 5), ())):
                inputs = given("a", left) | given("b", right) | (to() if op == "QLinearAdd" else to(0.1, 2))
                constants = [key for key in inputs if key not in ("a", "b")]
                run(f"{op} {kind.__name__} {left} {right}", op, inputs, ["y"], constants, **ours)
        for op in ("QLinearSigmoid", "QLinearLeakyRelu"):
            inputs = given("x", (6, 50)) | to(0.003, 0.05)
            extra = {"alpha": 0.2} if op == "QLinearLeakyRelu" else {}
            run(f"{op} {kind.__name__}", op, inputs, ["y"], ["xs", "xz", "ys", "yz"], **ours, **extra)
        for name, shape, extra in (("", (3, 9), {}), (" along 1", (2, 5, 4), {"axis": 1}), (" old", (3, 9), {"opset": 12, "axis": 1})):
            inputs = given("x", shape) | {"ys": np.array(np.float32(1 / 256)), "yz": np.array(np.iinfo(kind).min, kind)}
            run(f"QLinearSoftmax {kind.__name__}{name}", "QLinearSoftmax", inputs, ["y"], ["xs", "xz", "ys", "yz"], **ours, named={"opset": 13} | extra)
        # Steps of which one is twice the other, and odd zero points: many averages lie just between two steps.
        halves = {"xs": np.array(np.float32(0.05)), "xz": np.array(3, kind), "ys": np.array(np.float32(0.1)), "yz": np.array(7, kind)}
        ties = given("x", (2, 3, 8, 7)) | halves
        for name, extra in (("", {"kernel_shape": [2, 2]}), (" padded", {"kernel_shape": [2, 3], "pads": [1, 0, 0, 2]}), (" same", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"})):
            run(f"QLinearAveragePool {kind.__name__} ties{name}", "QLinearAveragePool", ties, ["y"], ["xs", "xz", "ys", "yz"], **ours, **extra)
        for shape in ((2, 3, 8, 7), (2, 5, 2, 2), (3, 2, 4)):
            run(f"QLinearGlobalAveragePool {kind.__name__} ties {shape}", "QLinearGlobalAveragePool", given("x", shape) | halves, ["y"], ["xs", "xz", "ys", "yz"], **ours)
        inputs = given("x", (2, 3, 8, 7)) | to(0.01, 0.05)
        for name, extra in (("", {}), (" padded", {"pads": [1, 1, 1, 0]}), (" padding counts", {"pads": [1, 1, 1, 1], "count_include_pad": 1})):
            run(f"QLinearAveragePool {kind.__name__}{name}", "QLinearAveragePool", inputs, ["y"], ["xs", "xz", "ys", "yz"], **ours, kernel_shape=[3, 2], strides=[2, 1], **extra)
        run(f"QLinearGlobalAveragePool {kind.__name__}", "QLinearGlobalAveragePool", inputs, ["y"], ["xs", "xz", "ys", "yz"], **ours)
        inputs = {"c": random.random((4, 6)) < 0.5} | given("x", (4, 6)) | given("w", (1, 6)) | to(0.03, 0.08)
        run(f"QLinearWhere {kind.__name__}", "QLinearWhere", inputs, ["y"], ["xs", "xz", "ws", "wz", "ys", "yz"], **ours)
        inputs = to() | given("a", (2, 3, 4)) | given("b", (2, 5, 4)) | given("c", (2, 1, 4))
        constants = [key for key in inputs if key not in ("a", "b", "c")]
        run(f"QLinearConcat {kind.__name__}", "QLinearConcat", inputs, ["y"], constants, axis=1, **ours)
        inputs = given("a", (4, 9)) | {"b": bytes_of(random, kind, (9, 6)), "bs": number(0.01, 0.1), "bz": scalar()}
        bias = {"c": random.integers(-3000, 3000, 6).astype(np.int32)}
        constants = [key for key in inputs if key != "a"]
        for name, more in (("", to(3, 9)), (" to floats", {})):
            run(f"QGemm {kind.__name__}{name}", "QGemm", inputs | bias | more, ["y"], constants + list(bias | more), **ours)


def dynamic(random, run):
    """Operators that quantise floats as they come, or give floats."""
    ours = dict(domain="com.microsoft", tolerance=1e-5)
    x = random.standard_normal((5, 12)).astype(np.float32)
    for kind in (np.uint8, np.int8):
        b, zero = bytes_of(random, kind, (12, 7)), np.array(bytes_of(random, kind, (1,))[0])
        scale, bias = np.array(np.float32(0.03)), random.standard_normal(7).astype(np.float32)
        inputs = {"a": x, "b": b, "s": scale, "z": zero, "c": bias}
        run(f"DynamicQuantizeMatMul {kind.__name__}", "DynamicQuantizeMatMul", inputs, ["y"], ["b", "s", "z", "c"], **ours)
        a = bytes_of(random, np.uint8, (5, 12))
        inputs = {"a": a, "b": b, "as": scale, "bs": scale, "az": np.array(np.uint8(7)), "bz": zero, "c": bias}
        run(f"MatMulIntegerToFloat {kind.__name__}", "MatMulIntegerToFloat", inputs, ["y"], list(inputs)[1:], **ours)
    for kind in (np.uint8, np.int8):
        for direction in ("forward", "reverse", "bidirectional"):
            many, hidden = 1 + (direction == "bidirectional"), 6
            w, r = bytes_of(random, kind, (many, 12, 4 * hidden)), bytes_of(random, kind, (many, hidden, 4 * hidden))
            scales, zeros = np.full(many, 0.004, np.float32), np.full(many, 128 if kind == np.uint8 else 0, kind)
            inputs = {"x": random.standard_normal((7, 3, 12)).astype(np.float32), "w": w, "r": r}
            inputs |= {"b": random.standard_normal((many, 8 * hidden)).astype(np.float32), "lens": None}
            inputs |= {key: random.standard_normal((many, 3, hidden)).astype(np.float32) * 0.5 for key in ("h", "c")}
            inputs |= {"p": None, "ws": scales, "wz": zeros, "rs": scales, "rz": zeros}
            constants = ["w", "r", "b", "ws", "wz", "rs", "rz"]
            name = f"DynamicQuantizeLSTM {kind.__name__} {direction}"
            layer = dict(hidden_size=hidden, direction=direction, step=4e-3, **ours)
            run(name, "DynamicQuantizeLSTM", inputs, ["y", "yh", "yc"], constants, **layer)
            run(name + " clipped", "DynamicQuantizeLSTM", inputs, ["y", "yh", "yc"], constants, clip=0.3, **layer)
            run(name + " input_forget", "DynamicQuantizeLSTM", inputs, ["y", "yh", "yc"], constants, input_forget=1, **layer)
            peeping = inputs | {"p": random.standard_normal((many, 3 * hidden)).astype(np.float32)}
            run(name + " peepholes", "DynamicQuantizeLSTM", peeping, ["y", "yh", "yc"], constants + ["p"], **layer)
            bare = {key: None if key in ("h", "c") else value for key, value in peeping.items()}
            run(name + " peepholes from zero", "DynamicQuantizeLSTM", bare, ["y", "yh", "yc"], constants + ["p"], **layer)
            cut = inputs | {"lens": np.array([7, 2, 5], np.int32)}
            run(name + " lengths", "DynamicQuantizeLSTM", cut, ["y", "yh", "yc"], constants, **layer)
            run(name + " lengths, last alone", "DynamicQuantizeLSTM", cut, ["", "yh"], constants, **layer)


def fused(random, run):
    """com.microsoft's operators of floats."""
    floats = lambda *shape: random.standard_normal(shape).astype(np.float32)
    ours = dict(domain="com.microsoft", tolerance=2e-5)
    x, row = floats(2, 3, 8), floats(8)
    for op, inputs in (("Gelu", {}), ("BiasGelu", {"b": row}), ("FastGelu", {"b": row}), ("QuickGelu", {})):
        run(op, op, {"x": x} | inputs, ["y"], **ours)
    a, b, c = floats(3, 4), floats(5, 4), floats(5)
    run("FusedGemm", "FusedGemm", {"a": a, "b": b, "c": c}, ["y"], transB=1, activation="Relu", **ours)
    run("FusedGemm leaky", "FusedGemm", {"a": a, "b": b, "c": c}, ["y"], transB=1, activation="LeakyRelu", activation_alpha=0.3, **ours)
    image = {"x": floats(1, 2, 6, 6), "w": floats(4, 2, 3, 3), "b": floats(4)}
    run("FusedConv", "FusedConv", image, ["y"], activation="Relu", pads=[1, 1, 1, 1], **ours)
    run("FusedConv sum", "FusedConv", image | {"z": floats(1, 4, 4, 4)}, ["y"], activation="Tanh", **ours)
    for trans in range(4):
        left, right = ((4, 5), (5, 4))[trans % 2], ((5, 6), (6, 5))[trans // 2]
        run(f"FusedMatMul {trans}", "FusedMatMul", {"a": floats(2, *left), "b": floats(2, *right)}, ["y"], transA=trans % 2, transB=trans // 2, alpha=0.5, **ours)
    run("FusedMatMul batch", "FusedMatMul", {"a": floats(4, 2, 5), "b": floats(2, 5, 6)}, ["y"], transBatchA=1, **ours)
    run("FusedMatMul batch both", "FusedMatMul", {"a": floats(5, 2, 4), "b": floats(6, 2, 5)}, ["y"], transA=1, transBatchA=1, transB=1, transBatchB=1, **ours)
    run("SkipLayerNormalization", "SkipLayerNormalization", {"x": x, "s": floats(3, 8), "g": row, "h": row, "b": row}, ["y", "", "", "sum"], epsilon=1e-3, **ours)
    run("SkipSimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization", {"x": x, "s": x, "g": row}, ["y"], epsilon=1e-3, **ours)
    ids = {"i": random.integers(0, 5, (2, 3)).astype(np.int32), "s": random.integers(0, 2, (2, 3)).astype(np.int32)}
    tables = {"w": floats(5, 8), "p": floats(6, 8), "q": floats(2, 8), "g": row, "h": row}
    mask = {"m": np.array([[1, 1, 0], [1, 0, 0]], np.int32)}
    run("EmbedLayerNormalization", "EmbedLayerNormalization", ids | tables | mask, ["y", "n"], **ours)
    attend(random, run, floats, ours)
    rotate(run, floats, ours)


def rotate(run, floats, ours):
    tables = {"cos": floats(9, 2), "sin": floats(9, 2)}
    for name, shape, attributes in (("", (2, 3, 8), {}), (" heads", (2, 3, 8), {"num_heads": 2}), (" heads apart", (2, 2, 3, 4), {})):
        for kind, positions in (("first", np.array([4], np.int64)), ("each", np.array([[0, 1, 2], [5, 3, 8]], np.int64))):
            for turn in (0, 1):
                inputs = {"x": floats(*shape), "at": positions} | tables
                run(f"RotaryEmbedding{name} {kind} {turn}", "RotaryEmbedding", inputs, ["y"], interleaved=turn, **attributes, **ours)
    inputs = {"x": floats(2, 3, 12), "at": np.array([0], np.int64)} | tables
    run("RotaryEmbedding part", "RotaryEmbedding", inputs, ["y"], num_heads=2, rotary_embedding_dim=4, **ours)


def attend(random, run, floats, ours):
    masks = {
        "no mask": None, "counts": np.array([3, 1], np.int32), "ends and starts": np.array([3, 2, 1, 0], np.int32),
        "keys": np.array([[1, 1, 0], [1, 0, 0]], np.int32),
        "pairs": random.integers(0, 2, (2, 3, 3)).astype(np.int32) | np.eye(3, dtype=np.int32),
    }  # fmt: skip
    weights = {"x": floats(2, 3, 8), "w": floats(8, 24) * np.float32(0.3), "b": floats(24)}
    for name, mask in masks.items():
        for ahead in (0, 1):
            run(f"Attention {name} {ahead}", "Attention", weights | {"m": mask}, ["y"], num_heads=2, unidirectional=ahead, **ours)
    past = {"m": None, "past": floats(2, 2, 2, 4, 4)}
    run("Attention past", "Attention", weights | past, ["y", "present"], num_heads=2, unidirectional=1, **ours)
    run("Attention bias", "Attention", weights | {"m": None, "past": None, "a": floats(2, 2, 3, 3)}, ["y"], num_heads=2, scale=0.3, **ours)
    qkv = {"q": floats(2, 3, 8), "k": floats(2, 4, 8), "v": floats(2, 4, 8)}
    run("MultiHeadAttention", "MultiHeadAttention", qkv, ["y"], num_heads=2, **ours)
    run("MultiHeadAttention bias", "MultiHeadAttention", qkv | {"b": floats(24), "m": np.array([4, 2], np.int32)}, ["y"], num_heads=2, **ours)
    run("MultiHeadAttention keys", "MultiHeadAttention", qkv | {"b": None, "m": random.integers(0, 2, (2, 4)).astype(np.int32) | np.eye(2, 4, dtype=np.int32), "a": floats(2, 2, 3, 4)}, ["y"], num_heads=2, **ours)
    heads = {"q": floats(2, 3, 8), "k": floats(2, 2, 5, 4), "v": floats(2, 2, 5, 4)}
    run("MultiHeadAttention heads apart", "MultiHeadAttention", heads, ["y"], num_heads=2, **ours)
    past = {"b": None, "m": None, "a": None, "pk": floats(2, 2, 3, 4), "pv": floats(2, 2, 3, 4)}
    run("MultiHeadAttention past", "MultiHeadAttention", qkv | past, ["y", "k2", "v2"], num_heads=2, **ours)


def linear(random, run):
    x = random.standard_normal((20, 5)).astype(np.float32)
    x[3] = 0
    ml = dict(domain="ai.onnx.ml", tolerance=1e-5, shapes={"label": ["N"], "z": ["N", "M"]})
    for transform in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        for classes in (1, 3):
            labels = [4, 9] if classes == 1 else [7, 5, 3]
            numbers = dict(
                coefficients=random.standard_normal(5 * classes).tolist(),
                intercepts=random.standard_normal(classes).tolist(),
                post_transform=transform,
            )
            run(
                f"LinearClassifier {classes} {transform}",
                "LinearClassifier",
                {"x": x},
                ["label", "z"],
                classlabels_ints=labels,
                multi_class=1,
                **numbers,
                **ml,
            )
            run(
                f"LinearRegressor {classes} {transform}",
                "LinearRegressor",
                {"x": x},
                ["z"],
                targets=classes,
                **numbers,
                **ml,
            )
    for norm in ("MAX", "L1", "L2"):
        run(f"Normalizer {norm}", "Normalizer", {"x": x}, ["z"], norm=norm, **ml)
        run(f"Normalizer {norm} positive", "Normalizer", {"x": np.abs(x)}, ["z"], norm=norm, **ml)
    run(
        "Scaler",
        "Scaler",
        {"x": x},
        ["z"],
        offset=random.standard_normal(5).tolist(),
        scale=random.standard_normal(5).tolist(),
        **ml,
    )
    run("ArrayFeatureExtractor", "ArrayFeatureExtractor", {"x": x, "i": np.array([3, 0, 3], np.int64)}, ["z"], **ml)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "program",
        nargs="?",
        default=os.path.join(ROOT, "build/release/hayate"),
        help="the hayate program (default: build/release/hayate)",
    )
    parser.add_argument("--only", default="", help="a group: quantise, products, convolutions, steps, dynamic, fused, linear")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--verbose", action="store_true", help="print equal comparisons too")
    arguments = parser.parse_args()
    random, report = np.random.default_rng(arguments.seed), Report(arguments.verbose)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(arguments.program, folder)
        for group in (quantise, products, convolutions, steps, dynamic, fused, linear):
            if arguments.only not in group.__name__:
                continue
            group(
                random,
                lambda name, op, inputs, outputs, constants=(), **options: check(
                    report, engine, folder, name, op, inputs, outputs, constants, **options
                ),
            )
    equal = report.summary()
    print(f"{STEPS[0]} of {STEPS[1]} outputs of DynamicQuantizeLSTM hold values that were rounded to another step")
    print(f"{equal} outputs agree, {len(report.failed)} differ")
    return 1 if report.failed or equal == 0 or STEPS[0] > STEPS[1] * STEPS_SHARE_MAX else 0


if __name__ == "__main__":
    sys.exit(main())
