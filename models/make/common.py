"""What the scripts of this folder share: arguments, training, export, and the check of every file they write.

A file is written only after ONNX Runtime has run it at batch 1, 7 and 256 on held-out rows, its answers agree with the
library that trained the model, and they move with the inputs. The scores go to models/scores.json.
"""

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import onnx
import onnxruntime

import book

MODELS = Path(__file__).resolve().parent.parent
CHECK_ROWS = 256
STD_MIN = 0.05  # a model whose outputs move less than this over held-out rows proves nothing


def arguments(doc, **defaults):
    """The options every script has, and one for each of `defaults` (a flag where the default is False)."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=MODELS, help="folder for the files (default: models/)")
    parser.add_argument("--seed", type=int, default=book.SEED, help=f"default {book.SEED}")
    parser.add_argument("--rows", type=int, default=book.ROWS, help=f"rows of book to simulate, default {book.ROWS}")
    for name, value in defaults.items():
        if value is False:
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name}", type=type(value), default=value, help=f"default {value}")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    return args


def dataset(args):
    start = time.perf_counter()
    data = book.Dataset(args.rows)  # one market for all models; --seed is the model's own
    shares = np.bincount(data.label[data.test], minlength=3) / len(data.test)
    say(f"simulated {args.rows} rows in {time.perf_counter() - start:.1f} s; "
        f"largest class of the test rows {shares.max():.1%}")
    return data


def say(text):
    print(text, file=sys.stderr, flush=True)


# Training ------------------------------------------------------------------------------------------------------------

def train(model, data, window, columns, epochs, seed, target=None, rate=2e-3, stride=1, batch=256):
    """Adam with a cosine schedule on windows of the training rows; returns the score on the test rows.

    `target` None: classes (cross entropy; the model gives logits); else an array [rows, K] (mean squared error).
    `stride` trains on every stride-th row, another phase in each epoch. `window` 0: the newest row only, no time axis.
    """
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = np.random.default_rng(seed)
    steps = epochs * (len(data.train) // stride // batch + 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    lossof = torch.nn.CrossEntropyLoss() if target is None else torch.nn.MSELoss()
    for epoch in range(epochs):
        model.train()
        start, total, count = time.perf_counter(), 0.0, 0
        rows = generator.permutation(data.train[epoch % stride :: stride])
        for first in range(0, len(rows), batch):
            chosen = rows[first : first + batch]
            x = torch.from_numpy(inputs(data, chosen, window, columns))
            y = torch.from_numpy((data.label if target is None else target)[chosen])
            loss = lossof(model(x), y)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total, count = total + loss.item() * len(chosen), count + len(chosen)
        value = score(model, data, data.validation[::4], window, columns, target)
        say(f"  epoch {epoch + 1}/{epochs} loss {total / count:.4f} validation {value:.4f} "
            f"({time.perf_counter() - start:.1f} s)")
    return score(model, data, data.test, window, columns, target)


def inputs(data, rows, window, columns):
    return data.window(rows, window, columns) if window else data.x[rows, :columns]


def score(model, data, rows, window, columns, target=None):
    """Accuracy of the classes, or the mean correlation of the columns with `target`."""
    answers = predict(model, data, rows, window, columns)
    if target is None:
        return float(np.mean(answers.argmax(1) == data.label[rows]))
    return float(np.mean([np.corrcoef(answers[:, k], target[rows, k])[0, 1] for k in range(answers.shape[1])]))


def predict(model, data, rows, window, columns, batch=512):
    import torch

    model.eval()
    with torch.no_grad():
        parts = [model(torch.from_numpy(inputs(data, rows[i : i + batch], window, columns)))
                 for i in range(0, len(rows), batch)]
    return torch.cat(parts).numpy()


# Export --------------------------------------------------------------------------------------------------------------

def export_torch(model, example, path, dynamo):
    """One self-contained file: input `input`, output `output`, first dimension `batch`.

    dynamo=True is PyTorch's present exporter (opset 20), False the TorchScript one that most files in the wild come
    from (opset 17).
    """
    import logging

    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    model.eval()
    example = torch.from_numpy(example)
    if dynamo:
        torch.onnx.export(model, (example,), path, dynamo=True, input_names=["input"], output_names=["output"],
                          dynamic_shapes=({0: torch.export.Dim("batch")},), external_data=False, verbose=False)
    else:
        torch.onnx.export(model, (example,), path, dynamo=False, input_names=["input"], output_names=["output"],
                          dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}}, opset_version=17)
    settle(path)


def settle(path):
    """The exported file checked and stripped."""
    file = onnx.load(path)
    strip(file)
    onnx.checker.check_model(file, full_check=True)
    onnx.save(file, path)


def strip(file):
    """Drop what names the exporting machine (stack traces with paths) and nothing of the graph."""
    del file.metadata_props[:]
    file.doc_string = ""
    graph = file.graph
    del graph.metadata_props[:]
    graph.doc_string = ""
    for part in [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]:
        del part.metadata_props[:]
        part.doc_string = ""


# Check and record ----------------------------------------------------------------------------------------------------

def run_onnx(path, x):
    """The output named `output` from ONNX Runtime at one thread."""
    return session(path).run(["output"], {"input": x})[0]


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def finish(path, x, expected, note, parameters, tolerance=2e-5, siblings=()):
    """Check the file at `path` on rows x against `expected`, then record it in scores.json beside it.

    `note` holds the columns of the table in README.md: input, made_by, score.
    """
    x, expected = x[:CHECK_ROWS], np.asarray(expected[:CHECK_ROWS])
    answers = run_onnx(path, x)
    expected = expected.reshape(answers.shape)
    for batch in (1, 7):
        apart = np.abs(run_onnx(path, x[:batch]) - answers[:batch]).max()
        assert apart <= tolerance, f"{path}: batch {batch} differs by {apart}"
    error = float(np.abs(answers - expected).max())
    spread = float(answers.std(0).min())
    assert error <= tolerance, f"{path}: differs from its source by {error}"
    assert spread >= STD_MIN, f"{path}: an output moves only by {spread}"
    file = onnx.load(path)
    operators = sorted({node.op_type for node in file.graph.node})
    opsets = {entry.domain or "ai.onnx": entry.version for entry in file.opset_import}
    scores = path.parent / "scores.json"
    table = json.loads(scores.read_text()) if scores.exists() else {}
    table[path.stem] = dict(note, files={p.name: p.stat().st_size for p in (path, *siblings)},
                            parameters=parameters, opset=opsets, operators=operators,
                            output_std_min=round(spread, 4), max_abs_error=float(f"{error:.2g}"))
    scores.write_text(json.dumps(dict(sorted(table.items())), indent=1) + "\n")
    say(f"{path.name}: {path.stat().st_size:,} bytes, {note['score']}, max error {error:.2g}, "
        f"output std {spread:.3f}, opset {opsets}, {' '.join(operators)}")


def finish_torch(name, model, data, args, window, columns, dynamo, note):
    """Export a trained network, check it and record it."""
    path = args.out / f"{name}.onnx"
    x = inputs(data, data.test[:: len(data.test) // CHECK_ROWS][:CHECK_ROWS], window, columns)
    export_torch(model, x[:2], path, dynamo)
    import torch

    with torch.no_grad():
        expected = model(torch.from_numpy(x)).numpy()
    exporter = "torch.onnx.export, " + ("dynamo" if dynamo else "TorchScript")
    note = dict(note, made_by=f"PyTorch {torch.__version__.split('+')[0]} ({exporter})")
    finish(path, x, expected, note, sum(p.numel() for p in model.parameters()))
