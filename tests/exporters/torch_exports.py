#!/usr/bin/env python3
"""Exports the architectures of torch_models.py with both exporters of torch and runs the files on every backend.

    python3 -m venv ENV && ENV/bin/pip install -r tests/exporters/torch_requirements.txt
    ENV/bin/python tests/exporters/torch_exports.py build/release/hayate [names] [--keep FOLDER] [--record FOLDER]

Each file is run at three batch sizes on reference, native and ONNX Runtime and compared with ONNX Runtime's and torch's
own answers; --record writes the small ones with their answers as test cases. Exit status: 0 when all agree, 1 when one
does not.
"""

import argparse
import contextlib
import copy
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch.utils import _pytree

from torch_models import MODELS

EXPORTERS = {"script": 17, "dynamo": None}  # and their opsets; None: the newest that torch writes
NEWEST = 25
ROWS = (1, 3, 17)
RELATIVE, ABSOLUTE = 1e-5, 1e-6  # and as much more as torch and ONNX Runtime differ between themselves
RECORD_MAX = 8000  # bytes of a file that is recorded


def settled(module, inputs):
    """In evaluation mode, its lazy parts made, its normalisations with statistics that are not 0 and 1."""
    module.eval()
    with torch.no_grad():
        module(*inputs)
        for part in module.modules():
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
                part.weight.normal_(1, 0.2)
                part.bias.normal_(0, 0.2)
    return module


def with_rows(inputs, rows):
    """The inputs made anew with that many rows."""
    made = []
    for tensor in inputs:
        shape = (rows, *tensor.shape[1:])
        made.append(torch.randn(shape) if tensor.is_floating_point() else torch.randint(0, 10, shape, dtype=tensor.dtype))
    return tuple(made)


@contextlib.contextmanager
def silence():
    """What the exporters print themselves."""
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        yield
        logging.disable(logging.NOTSET)


def export(module, inputs, exporter, path):
    names = [f"x{i}" for i in range(len(inputs))]
    with silence(), torch.no_grad():
        if exporter == "script":
            torch.onnx.export(module, inputs, path, dynamo=False, opset_version=EXPORTERS["script"], input_names=names,
                              dynamic_axes={name: {0: "batch"} for name in names})
        else:
            batch = torch.export.Dim("batch", min=1, max=4096)
            shapes = tuple({0: batch} for _ in inputs)
            torch.onnx.export(module, inputs, path, dynamo=True, opset_version=NEWEST, input_names=names, dynamic_shapes=shapes,
                              external_data=False, verbose=False)


def hayate(program, path, feeds, backend, folder):
    given, made = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
    np.savez(given, **feeds)
    done = subprocess.run([program, "run", path, "--inputs", given, "--output", made, "--backend", backend], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{backend}: {done.stderr.strip()[:400]}")
    with np.load(made) as arrays:
        return {name: arrays[name] for name in arrays.files}


def outside(got, wanted, slack):
    """How many elements are further off than the bound and the slack."""
    if got.shape != wanted.shape or got.dtype != wanted.dtype:
        return f"is {got.dtype}{list(got.shape)} instead of {wanted.dtype}{list(wanted.shape)}"
    with np.errstate(invalid="ignore"):
        error = np.abs(got.astype(np.float64) - wanted)
        good = (error <= RELATIVE * np.abs(wanted) + ABSOLUTE + slack) | (np.isnan(got) & np.isnan(wanted)) | (got == wanted)
    return "" if good.all() else f"{(~good).sum()} of {good.size} elements differ, by at most {np.nanmax(error):.3g}"


def check(program, module, inputs, path, folder):
    """Faults at each number of rows; the feeds and answers of the middle one."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    faults, recorded = [], None
    for rows in ROWS:
        torch.manual_seed(rows)
        tensors = with_rows(inputs, rows)
        feeds = {node.name: tensor.numpy() for node, tensor in zip(session.get_inputs(), tensors)}
        with torch.no_grad():
            own = [value.numpy() for value in _pytree.tree_leaves(module(*tensors))]
        peer = dict(zip(outputs, session.run(None, feeds)))
        if rows == ROWS[1]:
            recorded = (feeds, peer)
        for backend in ("reference", "native"):
            try:
                got = hayate(program, path, feeds, backend, folder)
            except RuntimeError as error:
                faults.append(f"{rows} rows: {error}")
                continue
            for name, torchs in zip(outputs, own):
                slack = 2 * np.abs(peer[name].astype(np.float64) - torchs).max(initial=0)
                if fault := outside(got[name], peer[name], slack):
                    faults.append(f"{rows} rows, {backend}, '{name}': {fault}")
    return faults, recorded


def verdict(program, path):
    said = subprocess.run([program, "info", path, "--json"], capture_output=True, text=True)
    if said.returncode != 0:
        return said.stderr.strip()[:300], 0, ""
    native = json.loads(said.stdout)["backends"]["native"]
    fixed = native["said"].partition("fixed batch: ")[2]
    return "" if native["runs"] else native["said"], native["plain_steps"], fixed


def bare(path):
    """The model without what only people and debuggers read."""
    model = onnx.load(path)
    model.ClearField("metadata_props"), model.graph.ClearField("metadata_props"), model.graph.ClearField("value_info")
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.ClearField("metadata_props"), part.ClearField("doc_string")
    return model.SerializeToString()


def record(folder, name, model, feeds, answers):
    case = os.path.join(folder, name, "test_data_set_0")
    os.makedirs(case, exist_ok=True)
    with open(os.path.join(folder, name, "model.onnx"), "wb") as file:
        file.write(model)
    for kind, arrays in (("input", feeds), ("output", answers)):
        for i, (key, array) in enumerate(arrays.items()):
            with open(os.path.join(case, f"{kind}_{i}.pb"), "wb") as file:
                file.write(numpy_helper.from_array(array, key).SerializeToString())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--exporter", choices=sorted(EXPORTERS), action="append")
    parser.add_argument("--keep", help="folder for the exported files")
    parser.add_argument("--record", help="folder for the small files as test cases")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)  # its fused kernels have no ONNX form
    keep = arguments.keep or tempfile.mkdtemp()
    os.makedirs(keep, exist_ok=True)
    failed, fixed, plain, count, recorded = [], [], [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.names or MODELS:
            torch.manual_seed(7)
            module, inputs = MODELS[name]()
            module = settled(module, inputs)
            for exporter in arguments.exporter or EXPORTERS:
                count += 1
                label, path = f"{name}_{exporter}", os.path.join(keep, f"{name}_{exporter}.onnx")
                try:
                    export(copy.deepcopy(module), inputs, exporter, path)
                except Exception as error:
                    failed.append(label)
                    print(f"{label}: torch does not export it: {str(error).strip().splitlines()[0][:200]}", flush=True)
                    continue
                faults, answers = check(arguments.program, module, inputs, path, folder)
                refusal, plain_steps, reason = verdict(arguments.program, path)
                if refusal:
                    faults.append(refusal)
                if faults:
                    failed.append(label)
                if plain_steps:
                    plain.append(label)
                if reason:
                    fixed.append(label)
                notes = [f"{plain_steps} plain"] if plain_steps else []
                notes += [f"fixed batch: {reason}"] if reason else []
                print(f"{label}: {'; '.join(faults or ['equal'])}{' (' + ', '.join(notes) + ')' if notes else ''}", flush=True)
                if arguments.record and not faults and len(model := bare(path)) <= RECORD_MAX:
                    record(arguments.record, label, model, *answers)
                    recorded += 1
    print(f"{count - len(failed)} of {count} exported files agree with ONNX Runtime and torch; {len(fixed)} have a fixed batch, {len(plain)} plain steps; {recorded} recorded")
    if failed:
        print("failed: " + " ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
