#!/usr/bin/env python3
"""Compares `hayate run` with ONNX Runtime on the models of $HAYATE_DATA.

The bound is 1e-5 relative + 1e-6 absolute. The reference sums in float64, ONNX Runtime in float32, whose own error on
long chains of sums passes that bound; so an output fails only past --slack times the bound, and how much of the bound
was used is printed for each.
Exit status: 0 when all agree, 1 when one differs, 2 when there was nothing to compare with.
"""

import argparse
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
random = np.random.default_rng(7)


def floats(*shape):
    return random.standard_normal(shape).astype(np.float32)


def samples():
    """The committed samples: each takes one float32 `input`, first dimension batch."""
    for path in sorted(glob.glob(os.path.join(ROOT, "models", "*.onnx"))):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        shape = [extent if isinstance(extent, int) else 7 for extent in session.get_inputs()[0].shape]
        yield path, {"input": floats(*shape)}, {}


def cases():
    """Model path (below models/ of the data, or absolute), feeds, inputs bound by --set."""
    yield from samples()
    for name in ("book_mlp", "book_gru", "book_lstm", "book_deeplob"):
        yield f"books/{name}.onnx", {"book": floats(3, 100, 40)}, {}
    yield "deeplob_btc.onnx", {"book": floats(2, 100, 40)}, {}
    yield "tlob_128.onnx", {"book": floats(2, 128, 40)}, {}
    yield "dtln/model_1.onnx", {"input_2": np.abs(floats(1, 1, 257)), "input_3": floats(1, 2, 128, 2)}, {}
    yield "dtln/model_2.onnx", {"input_4": floats(1, 1, 512), "input_5": floats(1, 2, 128, 2)}, {}
    for name in ("gtcrn", "gtcrn_simple"):
        feeds = {"mix": floats(1, 257, 1, 2), "conv_cache": floats(2, 1, 16, 16, 33)}
        yield f"gtcrn/{name}.onnx", feeds | {"tra_cache": floats(2, 3, 1, 1, 16), "inter_cache": floats(2, 1, 33, 16)}, {}
    yield "magika/fast_v2_1.onnx", {"bytes": random.integers(0, 256, (2, 1024)).astype(np.int32)}, {}
    yield "lgbm_classifier_tensor/model.onnx", {"input": floats(3, 13)}, {}
    yield "linear_classifier/model.onnx", {"input": floats(3, 12)}, {}
    yield "xgboost_regressor_tree/model.onnx", {"input": floats(3, 13)}, {}
    yield "qtdnn_10x5_101_i32_biases/model.onnx", {"input": floats(10, 10)}, {}
    yield "qlstm_3-2-3_T3_S1/model.onnx", {"input": floats(3, 3)}, {}
    for rate, chunk, context in ((16000, 512, 64), (8000, 256, 32)):
        feeds = {"input": floats(2, chunk + context), "state": floats(2, 2, 128)}
        yield "silero/silero_vad_v5_20240627.onnx", feeds, {"sr": rate}
        yield "silero/silero_vad_v4_20221027.onnx", {"input": floats(2, chunk), "h": floats(2, 2, 64), "c": floats(2, 2, 64)}, {"sr": rate}
    yield "silero/silero_vad_16k_op15.onnx", {"input": floats(2, 576), "state": floats(2, 2, 128)}, {"sr": 16000}


def run_hayate(program, folder, path, feeds, bound, backend):
    given, made = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
    np.savez(given, **feeds)
    sets = [word for name, value in bound.items() for word in ("--set", f"{name}={value}")]
    done = subprocess.run([program, "run", path, "--inputs", given, "--output", made, "--backend", backend] + sets, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[:300])
    with np.load(made) as arrays:
        return {key: arrays[key] for key in arrays.files}


def run_peer(path, feeds, bound):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    everything = feeds | {name: np.array(value, np.int64) for name, value in bound.items()}
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, everything)))


def compare(arguments, folder, name, path, feeds, bound, backend, wanted):
    """The number of outputs compared, and of those past the bound."""
    try:
        got = run_hayate(arguments.program, folder, path, feeds, bound, backend)
    except RuntimeError as error:
        print(f"REFUSED  {backend} {name} {error}")
        return 1, 1
    failed = 0
    for output, want in wanted.items():
        have = got[output]
        if have.shape != want.shape:
            failed += 1
            print(f"DIFFERS  {backend} {name} {output}: {have.shape} instead of {want.shape}")
            continue
        error = np.abs(have.astype(np.float64) - want.astype(np.float64))
        ratio = float((error / (1e-5 * np.abs(want.astype(np.float64)) + 1e-6)).max(initial=0))
        failed += ratio > arguments.slack
        print(f"{'equal  ' if ratio <= arguments.slack else 'DIFFERS'}  {backend} {name} {output}: max error "
              f"{error.max(initial=0):.2g}, {ratio:.2f} of the bound, std {want.astype(np.float64).std():.2g}")
    return len(wanted), failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", default=os.path.join(ROOT, "build/release/hayate"))
    parser.add_argument("--data", default=os.environ.get("HAYATE_DATA", os.path.join(os.path.dirname(ROOT), "shared")))
    parser.add_argument("--slack", type=float, default=20)
    arguments = parser.parse_args()
    compared = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, feeds, bound in cases():
            path = os.path.join(arguments.data, "models", name)
            if not os.path.exists(path):
                print(f"skipped  {name}: not there")
                continue
            wanted = run_peer(path, feeds, bound)
            for backend in ("reference", "native"):
                made, differ = compare(arguments, folder, name, path, feeds, bound, backend, wanted)
                compared, failed = compared + made, failed + differ
    print(f"{compared} outputs compared, {failed} differ")
    return 2 if compared == 0 else int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
