#!/usr/bin/env python3
"""Compares `hayate run` bit by bit with LightGBM, XGBoost and ONNX Runtime (one thread) on tree models.

Needs lightgbm, xgboost, onnxruntime, onnx and numpy. Models and data are read from $HAYATE_DATA (default: the folder
`shared` beside the checkout); further models are trained here, seeded, over the objectives of both libraries, with
missing values and categorical features. Every model runs on the reference backend and on native with every
instruction set of this processor. Exit status: 0 when every prediction has equal bits, 1 when one differs, 2 when there
was nothing to compare with.
"""

import argparse
import glob
import os
import sys
import tempfile
import warnings

import numpy as np

import tree_lightgbm
import tree_onnx
import tree_xgboost
from tree_compare import Engine, Report

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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
        yield path, tree_lightgbm.check
    for path in sorted(glob.glob(os.path.join(folder, "models/gbt/leaves/*"))):
        with open(path, "rb") as file:
            head = file.read(64)
        if head.startswith(b"tree\n"):
            yield path, tree_lightgbm.check
        elif path.endswith(".model") and not head.startswith(b"ccopy_reg"):
            yield path, tree_xgboost.check
    for name in (
        "xgboost_regressor_tree/model.onnx",
        "onnx2c_cases/simple_networks/treeensembleclassifier.onnx",
        "onnxruntime_testdata/testdata/tree_ensemble_as_tensor.onnx",
    ):
        yield os.path.join(folder, "models", name), tree_onnx.check


def sample_models(folder):
    for path in sorted(glob.glob(os.path.join(folder, "**/*"), recursive=True)):
        if path.endswith((".json", ".ubj", ".txt")) and os.path.isfile(path):
            with open(path, "rb") as file:
                head = file.read(4096)
            if head.startswith(b"tree\n"):
                yield path, tree_lightgbm.check
            elif head.startswith(b"{") and b"learner" in head:
                yield path, tree_xgboost.check
        elif path.endswith(".onnx"):
            import onnx

            model = onnx.load(path)
            if any(node.op_type.startswith("TreeEnsemble") for node in model.graph.node):
                yield path, tree_onnx.check


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
    warnings.filterwarnings("ignore", category=UserWarning)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(arguments.program, folder)

        def check(name, path, how, *more):
            if arguments.only in name:
                how(report, engine, path, name, random, arguments.rows, *more)

        for path, how in list(given_models(arguments.data)):
            check(os.path.relpath(path, arguments.data), path, how)
        for path, how in list(sample_models(os.path.join(ROOT, "models"))):
            check(os.path.relpath(path, ROOT), path, how)
        if not arguments.only:
            tree_lightgbm.check_recorded(report, engine, arguments.data)
        tables = load_tables(arguments.data, random)
        for group, name, path, still in tree_lightgbm.trained(folder, tables):
            check(name, path, tree_lightgbm.check, group, still)
        for group, name, path, still in tree_xgboost.trained(folder, tables):
            check(name, path, tree_xgboost.check, group, still)
        for group, name, path in tree_onnx.made(folder, random):
            check(name, path, tree_onnx.check, group)
        ways = ", ".join(" ".join(way).strip() for way in engine.ways)
    equal = report.summary()
    print(
        f"{equal} comparisons equal bit by bit ({ways}), {len(report.failed)} differ; not loadable by their own library: {', '.join(report.refused) or 'none'}"
    )
    return 1 if report.failed or equal == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
