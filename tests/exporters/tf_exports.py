#!/usr/bin/env python3
"""Exports the architectures of tf_models.py with tf2onnx and runs the files on reference, native and ONNX Runtime.

    python3 -m venv ENV && ENV/bin/pip install -r tests/exporters/tf_requirements.txt
    ENV/bin/python tests/exporters/tf_exports.py build/release/hayate [names] [--keep FOLDER] [--record FOLDER]

Answers are compared at three batch sizes with ONNX Runtime's, within 1e-5 relative + 1e-6 absolute and twice what
TensorFlow and ONNX Runtime differ between themselves. --record writes the small ones with their answers as test cases.
--legacy makes the models with Keras 2 (tf-keras), whose recurrent layers tf2onnx turns into one node each; those of
Keras 3 become loops. Exit status: 0 when all agree, 1 when one does not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "--legacy" in sys.argv:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

OPSET = 18  # the newest that tf2onnx writes
ROWS = (1, 3, 17)
RELATIVE, ABSOLUTE = 1e-5, 1e-6
RECORD_MAX = 20000  # bytes of a file that is recorded


def export(model, path):
    """The file; its inputs' names in the order of the model's."""
    import tensorflow as tf
    import tf2onnx

    specs = [tf.TensorSpec((None, *each.shape[1:]), each.dtype, name=each.name.split(":")[0]) for each in model.inputs]
    function = tf.function(lambda *inputs: model(inputs[0] if len(inputs) == 1 else list(inputs), training=False), input_signature=specs)
    tf2onnx.convert.from_function(function, input_signature=specs, opset=OPSET, output_path=path)
    return [spec.name for spec in specs]


def settle(model):
    """Normalisations with statistics and biases that are not 0 and 1."""
    random = np.random.default_rng(4)
    for weight in model.weights:
        value = weight.numpy()
        if value.ndim == 1:
            weight.assign(value + 0.2 * random.standard_normal(value.shape) * (1 if value.any() else 0.5))


def feeds_of(model, names, rows):
    random, feeds = np.random.default_rng(rows), {}
    for name, each in zip(names, model.inputs):
        shape = (rows, *each.shape[1:])
        whole = "int" in str(each.dtype)
        feeds[name] = random.integers(0, 10, shape).astype(np.int32) if whole else random.standard_normal(shape).astype(np.float32)
    return feeds


def hayate(program, path, feeds, backend, folder):
    given, made = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
    np.savez(given, **feeds)
    done = subprocess.run([program, "run", path, "--inputs", given, "--output", made, "--backend", backend], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{backend}: {done.stderr.strip()[:400]}")
    with np.load(made) as arrays:
        return {name: arrays[name] for name in arrays.files}


def outside(got, wanted, slack):
    """What is further off than the bound and the slack; empty: nothing."""
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return f"is {got.dtype}{list(got.shape)} instead of {wanted.dtype}{list(wanted.shape)}"
    error = np.abs(got.astype(np.float64) - wanted)
    good = error <= RELATIVE * np.abs(wanted) + ABSOLUTE + slack
    return "" if good.all() else f"{(~good).sum()} of {good.size} elements differ, by at most {np.nanmax(error):.3g}"


def check(program, model, names, path, folder):
    """Faults at each number of rows; feeds and answers of the middle one."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    faults, recorded = [], None
    for rows in ROWS:
        feeds = feeds_of(model, names, rows)
        own = model([feeds[name] for name in names] if len(names) > 1 else feeds[names[0]], training=False)
        own = [np.asarray(each) for each in (own if isinstance(own, (list, tuple)) else [own])]
        peer = dict(zip(outputs, session.run(None, feeds)))
        if rows == ROWS[1]:
            recorded = feeds, peer
        if rows == ROWS[-1] and max(float(np.std(each)) for each in own) < 1e-3:
            faults.append(f"{rows} rows: the inputs do not move the outputs")
        for backend in ("reference", "native"):
            try:
                got = hayate(program, path, feeds, backend, folder)
            except RuntimeError as error:
                faults.append(f"{rows} rows: {error}")
                continue
            for name, theirs in zip(outputs, own):
                slack = 2 * np.abs(peer[name].astype(np.float64) - theirs).max(initial=0)
                if slack > 1e-3:
                    faults.append(f"ONNX Runtime and TensorFlow differ by {slack / 2:.3g}")
                if fault := outside(got[name], peer[name], slack):
                    faults.append(f"{rows} rows, {backend}, '{name}': {fault}")
    return faults, recorded


def plain_steps(program, path):
    said = subprocess.run([program, "info", path, "--json"], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)["backends"]["native"]["plain_steps"]


def record(folder, name, path, feeds, answers):
    case = os.path.join(folder, name, "test_data_set_0")
    os.makedirs(case, exist_ok=True)
    model = onnx.load(path)
    model.graph.ClearField("value_info")
    for part in model.graph.node:
        part.ClearField("doc_string")
    onnx.save(model, os.path.join(folder, name, "model.onnx"))
    for kind, arrays in (("input", [feeds[port.name] for port in model.graph.input]), ("output", [answers[port.name] for port in model.graph.output])):
        for i, array in enumerate(arrays):
            with open(os.path.join(case, f"{kind}_{i}.pb"), "wb") as file:
                file.write(numpy_helper.from_array(array).SerializeToString())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--legacy", action="store_true", help="models of Keras 2")
    parser.add_argument("--keep", help="folder for the exported files")
    parser.add_argument("--record", help="folder for the small files as test cases")
    arguments = parser.parse_args()
    import tensorflow as tf

    if arguments.legacy:
        sys.modules["keras"], sys.modules["keras.layers"] = tf.keras, tf.keras.layers
    from tf_models import MODELS

    keep = arguments.keep or tempfile.mkdtemp()
    os.makedirs(keep, exist_ok=True)
    failed, count, recorded = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.names or MODELS:
            tf.keras.utils.set_random_seed(7)
            model = MODELS[name]()
            settle(model)
            label = name + ("_keras2" if arguments.legacy else "")
            path = os.path.join(keep, label + ".onnx")
            count += 1
            try:
                names = export(model, path)
                faults, answers = check(arguments.program, model, names, path, folder)
            except Exception as error:
                faults = [f"not exported: {str(error).strip().splitlines()[0][:300]}"]
            if faults:
                failed.append(label)
            plain = 0 if faults else plain_steps(arguments.program, path)
            size = os.path.getsize(path) if os.path.exists(path) else 0
            print(f"{label}: {'; '.join(faults or ['equal'])} ({size} bytes{f', {plain} plain' if plain else ''})", flush=True)
            if arguments.record and not faults and size <= RECORD_MAX:
                record(arguments.record, label, path, *answers)
                recorded += 1
    print(f"{count - len(failed)} of {count} exported files agree with ONNX Runtime and TensorFlow; {recorded} recorded")
    if failed:
        print("failed: " + " ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
