#!/usr/bin/env python3
"""Models that `hayate convert` wrote as ONNX, checked by onnx.checker and run by ONNX Runtime beside the original.

Needs onnx, onnxruntime, lightgbm, xgboost and numpy. The samples in models/, and LightGBM and XGBoost models trained here
over all objectives, boosters and kinds of split (as in trees.py). Of text trees the sums must have equal bits: ONNX
Runtime on the written file (one thread), hayate on the written file, and hayate on the original; after the objective's
transform, and for other models, floats pass within 1e-5 relative + 1e-6 absolute. Exit status: 0 when all agree, 1 when
one differs, 2 when there was nothing to compare with.
"""

import argparse
import glob
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np

import tree_lightgbm
import tree_xgboost
from tree_compare import awkward, difference
from trees import load_tables

try:
    import onnx
    import onnxruntime
except ImportError:
    print("needs onnx and onnxruntime")
    sys.exit(2)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def command(program, *words):
    done = subprocess.run([program, *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError((done.stderr or done.stdout).strip()[:300])


def answer(program, folder, path, feeds, *words):
    given, made = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
    np.savez(given, **feeds)
    command(program, "run", path, "--inputs", given, "--output", made, *words)
    with np.load(made) as arrays:
        return {key: arrays[key] for key in arrays.files}


def peer(path, feeds):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))


def near(got, wanted):
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return f"{got.dtype} {got.shape} instead of {wanted.dtype} {wanted.shape}"
    with np.errstate(invalid="ignore"):
        equal = (got == wanted) | (np.isnan(got) & np.isnan(wanted)) if wanted.dtype.kind == "f" else got == wanted
        ratio = np.where(equal, 0, np.abs(got.astype(np.float64) - wanted) / (1e-5 * np.abs(wanted) + 1e-6))
    return None if (ratio <= 1).all() else f"{int((~(ratio <= 1)).sum())} of {ratio.size} values, worst {np.nanmax(ratio):.3g} of the bound"


def faults(program, folder, path, feeds, raw, same):
    """What differs between a model and what is written of it."""
    words, written = (["--raw-score"] if raw else []), os.path.join(folder, "written.onnx")
    command(program, "convert", path, "--output", written, *words)
    onnx.checker.check_model(onnx.load(written), full_check=True)
    wanted = answer(program, folder, path, feeds, *words)
    for who, got in (("ONNX Runtime", peer(written, feeds)), ("hayate", answer(program, folder, written, feeds))):
        for name, value in wanted.items():
            if what := same(got[name], value):
                return f"{who} {name}: {what}"
    return None


def samples(random):
    for path in sorted(glob.glob(os.path.join(ROOT, "models/*.onnx"))):
        shape = [d.dim_value for d in onnx.load(path).graph.input[0].type.tensor_type.shape.dim]
        yield os.path.relpath(path, ROOT), path, {"input": random.standard_normal((16, *shape[1:])).astype(np.float32)}


def text_trees(folder, data, random, rows):
    import lightgbm
    import xgboost

    tables = load_tables(data, random)
    light = [(name, path) for _, name, path, _ in tree_lightgbm.trained(folder, tables)]
    for name, path in [*light, ("models/lightgbm_500x31.txt", os.path.join(ROOT, "models/lightgbm_500x31.txt"))]:
        with open(path, errors="replace") as file:
            x = awkward(random, rows, lightgbm.Booster(model_file=path).num_feature(), tree_lightgbm.thresholds_of(file.read()))
        yield name, path, {"input": x}
    extreme = [(name, path) for _, name, path, _ in tree_xgboost.trained(folder, tables) if path.endswith(".ubj")]
    for name, path in [*extreme, ("models/xgboost_200x6.ubj", os.path.join(ROOT, "models/xgboost_200x6.ubj"))]:
        booster = xgboost.Booster(model_file=path)
        with np.errstate(over="ignore"):
            x = awkward(random, rows, booster.num_features(), tree_xgboost.thresholds_of(booster), True).astype(np.float32)
        if "gblinear" in name:  # its sums are a product of matrices there, in another order
            x = random.standard_normal(x.shape).astype(np.float32)
        yield name, path, {"input": x}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build/release/hayate"))
    parser.add_argument("--data", default=os.environ.get("HAYATE_DATA", os.path.join(os.path.dirname(ROOT), "shared")))
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="only models whose name contains this")
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    warnings.filterwarnings("ignore")
    equal = failed = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        jobs = [(name, path, feeds, False, near) for name, path, feeds in samples(random)]
        if os.path.isdir(os.path.join(arguments.data, "data")):
            for name, path, feeds in text_trees(folder, arguments.data, random, arguments.rows):
                exact = near if "gblinear" in name else difference
                jobs += [(name + " raw", path, feeds, True, exact), (name, path, feeds, False, near)]
        else:
            print(f"no trees are trained: {arguments.data} holds no data")
        for name, path, feeds, raw, same in jobs:
            if arguments.only not in name:
                continue
            try:
                what = faults(arguments.program, folder, path, feeds, raw, same)
            except Exception as error:
                what = str(error)
            if what is not None and "linear_tree" in name and "cannot be said in ONNX" in what:
                refused += 1
                continue
            equal, failed = equal + (what is None), failed + (what is not None)
            if what is not None:
                print(f"DIFFERS  {name}: {what}", flush=True)
    print(f"{equal} written ONNX files equal their originals, {failed} differ; {refused} refused (linear_tree)")
    return 1 if failed else 2 if equal == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
