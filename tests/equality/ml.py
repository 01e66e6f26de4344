#!/usr/bin/env python3
"""Compares `hayate run` with ONNX Runtime on the operators of ai.onnx.ml other than trees, each made here at random.

Needs onnx, onnxruntime and numpy. Every model runs on the reference backend and on native with every instruction set of
this processor. Integers must be equal; floats within 1e-5 relative + 1e-6 absolute of ONNX Runtime, times --slack (both
sides round). Exit status: 0 when all agree, 1 when one differs, 2 when there was nothing to compare with.
"""

import argparse
import math
import os
import sys
import tempfile

import numpy as np

from tree_compare import Engine, Report, compare

try:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    print("needs onnx and onnxruntime")
    sys.exit(2)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KINDS = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.int64: TensorProto.INT64, np.int32: TensorProto.INT32}
TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")


class Case:
    """One node on given inputs; `shape` of the declared ones, the rows symbolic."""

    def __init__(self, name, op, inputs, outputs=1, fixed=(), still=False, **attributes):
        self.name, self.op, self.inputs, self.outputs, self.fixed = name, op, inputs, outputs, fixed
        self.still, self.attributes = still, attributes

    @property
    def probit(self):
        return self.attributes.get("post_transform") == "PROBIT"

    def output_kinds(self):
        if self.outputs == 2:
            return [TensorProto.INT64, TensorProto.FLOAT]
        if self.op in ("ArrayFeatureExtractor", "Imputer", "Binarizer"):
            return [KINDS[self.inputs[0].dtype.type]]
        if "values_tensor" in self.attributes:
            return [self.attributes["values_tensor"].data_type]
        return [TensorProto.INT64 if "values_int64s" in self.attributes else TensorProto.FLOAT]

    def save(self, path):
        names = [f"x{i}" for i in range(len(self.inputs))]
        node = helper.make_node(self.op, names, [f"y{i}" for i in range(self.outputs)], domain="ai.onnx.ml", **self.attributes)
        declared = [
            helper.make_tensor_value_info(n, KINDS[x.dtype.type], ["N", *x.shape[1:]] if i not in self.fixed else x.shape)
            for i, (n, x) in enumerate(zip(names, self.inputs))
        ]
        made = [helper.make_tensor_value_info(f"y{i}", kind, None) for i, kind in enumerate(self.output_kinds())]
        graph = helper.make_graph([node], "made", declared, made)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 4)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        onnx.save(model, path)
        return dict(zip(names, self.inputs))


def floats(random, *shape, scale=1.0):
    return (random.standard_normal(shape) * scale).astype(np.float32)


def listed(values):
    return [float(v) for v in np.asarray(values, dtype=np.float32).ravel()]


def svm_cases(random):
    rows, features = 40, 5
    x = floats(random, rows, features)
    params = {"LINEAR": (0, 0, 0), "POLY": (0.3, 0.5, 3), "RBF": (0.2, 0, 0), "SIGMOID": (0.1, -0.2, 0)}
    for kernel, of in params.items():
        for one_class in (0, 1):
            yield Case(f"SVMRegressor {kernel} one_class={one_class}", "SVMRegressor", [x], kernel_type=kernel, kernel_params=listed(of),
                       n_supports=12, support_vectors=listed(floats(random, 12, features)), one_class=one_class, still=one_class == 1,
                       coefficients=listed(floats(random, 12)), rho=listed([0.1]))  # fmt: skip
        for degree in (2, 4) if kernel == "POLY" else ():
            yield Case(f"SVMRegressor POLY {degree}", "SVMRegressor", [x], kernel_type=kernel, kernel_params=[0.3, 0.5, float(degree)],
                       n_supports=12, support_vectors=listed(floats(random, 12, features)),
                       coefficients=listed(floats(random, 12)), rho=listed([0.1]))  # fmt: skip
        for classes in (2, 3, 5):
            for transform in TRANSFORMS:
                for probabilities in (False, True):
                    if transform == "PROBIT" and (classes == 2 or probabilities):
                        continue  # the second score is undefined in ONNX Runtime; a probability next to 1 is infinite or not
                    per_class = [int(n) for n in random.integers(1, 5, classes)]
                    vectors, pairs = sum(per_class), classes * (classes - 1) // 2
                    more = dict(prob_a=listed(-np.abs(floats(random, pairs))), prob_b=listed(floats(random, pairs, scale=0.1)))
                    yield Case(f"SVMClassifier {kernel} {classes} {transform}{' probabilities' if probabilities else ''}", "SVMClassifier", [x],
                               2, kernel_type=kernel, kernel_params=listed(of), vectors_per_class=per_class, rho=listed(floats(random, pairs)),
                               support_vectors=listed(floats(random, vectors, features)), classlabels_ints=[3 * k + 1 for k in range(classes)],
                               coefficients=listed(floats(random, classes - 1, vectors)), post_transform=transform, still=classes == 2,
                               **(more if probabilities else {}))  # fmt: skip
    yield Case("SVMRegressor linear", "SVMRegressor", [x], coefficients=listed(floats(random, features)), kernel_params=[0.0, 0.0, 0.0], rho=[0.25], n_supports=0)
    for classes in (1, 2, 4):
        for transform in TRANSFORMS:
            for positive in (False, True):
                w = floats(random, classes, features)
                yield Case(f"SVMClassifier linear {classes} {transform} {'positive' if positive else 'mixed'}", "SVMClassifier", [x], 2,
                           coefficients=listed(np.abs(w) if positive else w), rho=[0.1], kernel_params=[0.0, 0.0, 0.0], post_transform=transform,
                           classlabels_ints=[3 * k + 1 for k in range(classes)], still=True)  # fmt: skip
    for kind in (np.float64, np.int64, np.int32):
        yield Case(f"SVMClassifier {kind.__name__}", "SVMClassifier", [(x * 3).astype(kind)], 2, kernel_type="RBF", kernel_params=[0.1, 0.0, 0.0],
                   vectors_per_class=[4, 4, 4], rho=listed(floats(random, 3)), support_vectors=listed(floats(random, 12, features)),
                   classlabels_ints=[0, 1, 2], coefficients=listed(floats(random, 2, 12)))  # fmt: skip


def linear_cases(random):
    x = floats(random, 40, 5)
    for outputs in (1, 3):
        for transform in TRANSFORMS:
            yield Case(f"LinearRegressor {outputs} {transform}", "LinearRegressor", [x], coefficients=listed(floats(random, outputs, 5)),
                       intercepts=listed(floats(random, outputs)), targets=outputs, post_transform=transform)  # fmt: skip
    for kind in KINDS:
        for classes, scores in ((2, 1), (2, 2), (4, 4)):
            for transform in TRANSFORMS:
                if scores == 1 and transform == "PROBIT":
                    continue  # ONNX Runtime leaves the second score undefined
                yield Case(f"LinearClassifier {kind.__name__} {classes}/{scores} {transform}", "LinearClassifier", [(x * 2).astype(kind)], 2,
                           coefficients=listed(floats(random, scores, 5, scale=0.3)), intercepts=listed(floats(random, scores)),
                           classlabels_ints=[2 * k + 5 for k in range(classes)], post_transform=transform, multi_class=int(classes > 2))  # fmt: skip


def scaling_cases(random):
    for kind in KINDS:
        x = (floats(random, 40, 5) * 4).astype(kind)
        x[3] = 0
        for norm in ("MAX", "L1", "L2"):
            yield Case(f"Normalizer {norm} {kind.__name__}", "Normalizer", [x], norm=norm)
        yield Case(f"Scaler {kind.__name__}", "Scaler", [x], offset=listed(floats(random, 5)), scale=listed(floats(random, 5)))
        yield Case(f"Scaler {kind.__name__} one", "Scaler", [x], offset=[0.5], scale=[2.0])
    x = floats(random, 40, 5)
    x[random.random(x.shape) < 0.3] = np.nan
    for count in (1, 5):
        yield Case(f"Imputer NaN {count}", "Imputer", [x], imputed_value_floats=listed(floats(random, count)), replaced_value_float=float("nan"))
        yield Case(f"Imputer 0 {count}", "Imputer", [np.round(x)], imputed_value_floats=listed(floats(random, count)), replaced_value_float=0.0)
        yield Case(f"Imputer int64 {count}", "Imputer", [random.integers(-2, 3, (40, 5))], imputed_value_int64s=[int(v) for v in random.integers(9, 20, count)],
                   replaced_value_int64=-1)  # fmt: skip
    yield Case("Binarizer", "Binarizer", [floats(random, 40, 5)], threshold=0.25)


def column_cases(random):
    x = floats(random, 40, 6)
    for kind in KINDS:
        yield Case(f"ArrayFeatureExtractor {kind.__name__}", "ArrayFeatureExtractor", [(x * 5).astype(kind), np.array([[4, 0, 0, 5]])], fixed=(1,))
        inputs = [(floats(random, 40, n) * 5).astype(kind) for n in (1, 3, 2)]
        yield Case(f"FeatureVectorizer {kind.__name__}", "FeatureVectorizer", inputs, inputdimensions=[1, 3, 2])


def label_cases(random):
    ints, reals = random.integers(0, 6, (40, 2)), np.round(floats(random, 40, 2))
    reals[random.random(reals.shape) < 0.2] = np.nan
    yield Case("LabelEncoder int64 to float", "LabelEncoder", [ints], keys_int64s=[0, 1, 3, 3], values_floats=[0.5, 1.5, 2.5, 9.0])
    yield Case("LabelEncoder int64 to int64", "LabelEncoder", [ints], keys_int64s=[0, 1, 3], values_int64s=[7, 8, 9], default_int64=-4)
    yield Case("LabelEncoder float to int64", "LabelEncoder", [reals], keys_floats=[0.0, 1.0, -1.0, float("nan")], values_int64s=[7, 8, 9, 10])
    yield Case("LabelEncoder float to float", "LabelEncoder", [reals], keys_floats=[0.0, 1.0, -1.0], values_floats=[0.5, 1.5, 2.5], default_float=3.5)
    for key, value in ((np.int64, np.float32), (np.float32, np.int64), (np.float64, np.float64), (np.int64, np.int64)):
        x = (ints if key is np.int64 else reals).astype(key)
        yield Case(f"LabelEncoder tensors {key.__name__} to {value.__name__}", "LabelEncoder", [x],
                   keys_tensor=numpy_helper.from_array(np.array([0, 1, 3], key)), values_tensor=numpy_helper.from_array(np.array([5, 6, 7], value)),
                   default_tensor=numpy_helper.from_array(np.array([-3], value)))  # fmt: skip
    for kind in (np.int64, np.float32, np.float64):
        yield Case(f"OneHotEncoder {kind.__name__}", "OneHotEncoder", [(ints + 0.4).astype(kind)], cats_int64s=[0, 2, 5], zeros=1)


def peer(path, feeds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds)))


def near(slack, probit):
    """`probit`: outputs are compared as the probabilities they stand for, since PROBIT goes to infinity next to 0 and 1 (where
    the formula also cancels: the caller allows for that)."""
    probability = np.vectorize(lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2))), otypes=[np.float32])

    def difference(got, wanted):
        wanted = np.asarray(wanted)
        if got.shape != wanted.shape or got.dtype != wanted.dtype:
            return f"{got.dtype} {got.shape} instead of {wanted.dtype} {wanted.shape}"
        if wanted.dtype.kind != "f":
            return None if np.array_equal(got, wanted) else f"{int((got != wanted).sum())} of {got.size} integers differ"
        got, wanted = (probability(got), probability(wanted)) if probit else (got, wanted)
        both = (np.isnan(got) & np.isnan(wanted)) | (got == wanted)
        with np.errstate(invalid="ignore"):
            ratio = np.where(both, 0, np.abs(got - wanted) / (1e-5 * np.abs(wanted) + 1e-6))
        return None if (ratio <= slack).all() else f"{int((~(ratio <= slack)).sum())} of {ratio.size} values, worst {np.nanmax(ratio):.3g} of the bound"

    return difference


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build/release/hayate"))
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--slack", type=float, default=4)
    parser.add_argument("--only", default="", help="compare only cases whose name contains this")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    random, report = np.random.default_rng(arguments.seed), Report(arguments.verbose)
    unfit = []
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(arguments.program, folder)
        for make in (svm_cases, linear_cases, scaling_cases, column_cases, label_cases):
            for case in make(random):
                if arguments.only not in case.name:
                    continue
                path = os.path.join(folder, "made.onnx")
                feeds = case.save(path)
                try:
                    wanted = peer(path, feeds)
                except Exception as error:  # ONNX Runtime has no kernel for this type
                    unfit.append(f"{case.name} ({str(error).splitlines()[0][:160]})")
                    continue
                compare(report, engine, case.op, case.name, path, feeds, wanted, same=near(arguments.slack * (20 if case.probit else 1), case.probit), still=case.still)
    equal = report.summary()
    for line in unfit:
        print("not run by ONNX Runtime:", line)
    print(f"{equal} comparisons of ai.onnx.ml operators agree with ONNX Runtime, {len(report.failed)} differ")
    return 1 if report.failed else 2 if equal == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
