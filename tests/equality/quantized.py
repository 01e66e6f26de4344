#!/usr/bin/env python3
"""Compares `hayate run` with ONNX Runtime (one thread) on made models of single operators: quantisation and integer
operators bit by bit, the linear models of ai.onnx.ml within 1e-5 relative + 1e-6 absolute.

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
    np.dtype(np.int8): TensorProto.INT8,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.int16): TensorProto.INT16,
    np.dtype(np.uint16): TensorProto.UINT16,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int64): TensorProto.INT64,
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
    **attributes,
):
    """One node; `inputs` are name -> array (None: left out), those named in `constants` become initializers."""
    given = [key if value is not None else "" for key, value in inputs.items()]
    fed = {key: value for key, value in inputs.items() if value is not None and key not in constants}
    graph = helper.make_graph(
        [helper.make_node(op, given, outputs, domain=domain, **attributes)],
        "made",
        [helper.make_tensor_value_info(key, TYPES[value.dtype], value.shape) for key, value in fed.items()],
        [made(output, shapes) for output in outputs],
        [numpy_helper.from_array(inputs[key], key) for key in constants],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    )
    model.ir_version = 9
    model = onnx.shape_inference.infer_shapes(model) if shapes is None else model
    path = os.path.join(folder, "operator.onnx")
    save(model, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    wanted = dict(
        zip(outputs, onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(outputs, fed))
    )
    for way in engine.ways:
        title = f"{name} [{' '.join(way).strip()}]"
        try:
            got = engine.run(path, fed, way)
        except RuntimeError as error:
            report.add(name, title, str(error))
            continue
        for key, value in wanted.items():
            report.add(name, f"{title} {key}", problem(got[key], value, tolerance))


def problem(got, wanted, tolerance):
    """None where `got` is within the tolerance; where there is none, or for integers, where the bits agree."""
    if tolerance is None or wanted.dtype.kind != "f":
        return difference(got, wanted)
    off = np.abs(got - wanted) > tolerance * np.abs(wanted) + 1e-6
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
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--verbose", action="store_true", help="print equal comparisons too")
    arguments = parser.parse_args()
    random, report = np.random.default_rng(arguments.seed), Report(arguments.verbose)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(arguments.program, folder)
        for group in (quantise, products, convolutions, linear):
            group(
                random,
                lambda name, op, inputs, outputs, **options: check(
                    report, engine, folder, name, op, inputs, outputs, **options
                ),
            )
    equal = report.summary()
    print(f"{equal} outputs agree, {len(report.failed)} differ")
    return 1 if report.failed or equal == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
