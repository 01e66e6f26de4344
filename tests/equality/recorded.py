#!/usr/bin/env python3
"""Compares `hayate run` with outputs that the models' makers recorded beside them in $HAYATE_DATA (SOURCES.md there says
who they are): arrays in io.npz, leaves that LightGBM reached, and how well models over order books classify.

Arrays and leaves are compared on the reference and on native with every instruction set; classifications, which need
thousands of windows, on native. Records of trees' predictions are compared by trees.py, of sounds by streams.py.
Exit status: 0 when all agree, 1 when one differs, 2 when there was nothing to compare with.
"""

import argparse
import json
import os
import sys
import tempfile

import numpy as np

from tree_compare import Engine, Report, difference

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def within(got, wanted):
    """None where every value is within 1e-5 relative + 1e-6 absolute of the record."""
    if got.shape != wanted.shape:
        return f"{got.shape} instead of {wanted.shape}"
    error = np.abs(got.astype(np.float64) - wanted) / (1e-5 * np.abs(wanted.astype(np.float64)) + 1e-6)
    return None if error.max() <= 1 else f"{error.max():.3g} of the bound"


# The folder, the output, what of the record the model gives, how they compare (quantised ones bit by bit).
ARRAYS = [
    ("lgbm_classifier_tensor", "probabilities", lambda record: record, within),
    ("xgboost_regressor_tree", "variable", lambda record: record.reshape(1, 1), within),  # recorded without its column
    ("qlstm_3-2-3_T3_S1", "output", lambda record: record, difference),
    ("qtdnn_10x5_101_i32_biases", "output", lambda record: record[1:9], difference),  # recorded with padding around
]


def compare(report, engine, group, name, model, feeds, problem_of, ways):
    for way in ways:
        try:
            problem = problem_of(engine.run(model, feeds, way))
        except (RuntimeError, KeyError) as error:
            problem = str(error)
        report.add(group, f"{name} [{' '.join(way).strip()}]", problem)


def check_arrays(report, engine, models):
    for name, output, part, same in ARRAYS:
        with np.load(os.path.join(models, name, "io.npz")) as record:
            feeds, wanted = {"input": record["input"]}, part(record[output])
        path = os.path.join(models, name, "model.onnx")
        compare(report, engine, "arrays", name, path, feeds, lambda made: same(made[output], wanted), engine.ways)


def leaf_values(path):
    """Of each tree of a LightGBM text."""
    with open(path) as file:
        lines = [line[len("leaf_value=") :].split() for line in file if line.startswith("leaf_value=")]
    return [np.array(line, dtype=np.float64) for line in lines]


def check_leaves(report, engine, models):
    """The sum before the objective's transform is that of the values of the recorded leaves, in order."""
    path = os.path.join(models, "gbt/leaves/lg_breast_cancer.txt")
    leaves = np.loadtxt(path.replace(".txt", "_data_pred_leaves.txt"), dtype=int)
    wanted = np.zeros(len(leaves))
    for values, at in zip(leaf_values(path), leaves.T, strict=True):
        wanted += values[at]
    given = engine.save({"input": np.loadtxt(path.replace(".txt", "_data.txt"))})
    for way in engine.ways:
        got = engine.run(path, given, way, raw=True)["output"]
        report.add("leaves", f"lg_breast_cancer [{' '.join(way).strip()}]", difference(got, wanted))


def macro_f1(guess, label):
    scores = []
    for kind in range(3):
        hits = np.sum((guess == kind) & (label == kind))
        scores.append(2 * hits / (np.sum(guess == kind) + np.sum(label == kind)))
    return float(np.mean(scores))


def check_books(report, engine, models, books):
    """Accuracy and macro F1 over the test windows are those recorded, to the last classification."""
    with open(os.path.join(models, "books/book_results.json")) as file:
        record = json.load(file)
    with np.load(books) as arrays:
        rows, ends, label = arrays["features"], arrays["test"], arrays["label"][arrays["test"]]
    label = label - label.min()
    feeds = {"book": np.stack([rows[end - 99 : end + 1] for end in ends])}
    change = np.concatenate([rows[ends], rows[ends] - rows[ends - 10], rows[ends] - rows[ends - 50]], 1)

    def problem(wanted, made):
        guess = next(iter(made.values())).argmax(1)
        got = {"test_macro_f1": macro_f1(guess, label), "test_accuracy": float(np.mean(guess == label))}
        off = {key: got[key] - value for key, value in wanted.items() if abs(got[key] - value) > 1e-12}
        return f"off the record by {off}" if off else None

    for name, wanted in record.items():
        trees = name == "book_lightgbm"
        path = os.path.join(models, "books", name + (".txt" if trees else ".onnx"))
        inputs = {"input": change.astype(np.float64)} if trees else feeds
        compare(report, engine, "books", name, path, inputs, lambda made: problem(wanted, made), [("native", "")])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build/release/hayate"))
    parser.add_argument("--data", default=os.environ.get("HAYATE_DATA", os.path.join(os.path.dirname(ROOT), "shared")))
    parser.add_argument("--verbose", action="store_true", help="a line for each comparison")
    arguments = parser.parse_args()
    models = os.path.join(arguments.data, "models")
    if not os.path.isdir(models):
        print("nothing to compare with: no models")
        return 2
    report = Report(arguments.verbose)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(arguments.program, folder)
        check_arrays(report, engine, models)
        check_leaves(report, engine, models)
        check_books(report, engine, models, os.path.join(arguments.data, "data/order_books/book_features.npz"))
    equal = report.summary()
    print(f"{equal + len(report.failed)} comparisons with recorded outputs, {len(report.failed)} differ")
    return int(bool(report.failed))


if __name__ == "__main__":
    sys.exit(main())
