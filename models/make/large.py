"""The larger models that a benchmark asks for; too big to commit.

lstm_b   input [batch, 100, 250] -> 3 LSTM layers of 200   -> output [batch, 1]     4 MB, LSTM_B-shaped
lstm_c   input [batch, 100, 500] -> 4 LSTM layers of 1000  -> output [batch, 1]   120 MB, LSTM_C-shaped
lstm_a_step, lstm_b_step   one row and the state of every layer -> the answer and the new state; the same layers, one step
gbt_a    input [batch, 60]   -> 250 trees of 11 leaves     -> output [batch, 1]   0.3 MB, GBT_A-shaped; .txt and .onnx
gbt_b    input [batch, 125]  -> 1,000 trees of 93 leaves   -> output [batch, 1]    16 MB, GBT_B-shaped; .txt and .onnx
gbt_c    input [batch, 1000] -> 4,000 trees of 373 leaves  -> output [batch, 1]   250 MB, GBT_C-shaped; .txt and .onnx

The shapes are those of public model cards; nothing of anybody's weights or features is used. The LSTMs are not trained:
their weights are random and seeded, uniform within 1.7 / sqrt(hidden), wide enough that the answer moves with the input.
The trees are LightGBM regressions of a made-up function of normal noise, trained just far enough to have their shape.
What they answer means nothing; what they cost is the point. One LSTM takes seconds, gbt_a too, gbt_b a minute, gbt_c many minutes.

    python large.py --out DIR [--only lstm_b gbt_b] [--seed S]
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import book
import common

LSTMS = dict(lstm_b=(3, 200, 100, 250), lstm_c=(4, 1000, 100, 500))  # layers, hidden, window, features
STEPS = dict(lstm_a_step=(2, 100, 100), lstm_b_step=(3, 200, 250))  # layers, hidden, features
TREES = dict(gbt_a=(250, 11, 60, 20_000), gbt_b=(1_000, 93, 125, 40_000),
             gbt_c=(4_000, 373, 1_000, 20_000))  # trees, leaves, features, rows


class Lstm(nn.Module):
    def __init__(self, layers, hidden, features):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Step(Lstm):
    def forward(self, x, h, c):
        y, (h, c) = self.lstm(x, (h, c))
        return self.head(y[:, -1]), h, c


def seeded(kind, seed, layers, hidden, features):
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    model = kind(layers, hidden, features).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            nn.init.uniform_(parameter, -1.7 / hidden**0.5, 1.7 / hidden**0.5)
    return model


def check(path, x, expected, tolerance):
    answers = common.run_onnx(path, x)
    error = np.abs(answers - expected.reshape(answers.shape)).max()
    assert error <= tolerance, f"{path}: differs from its source by {error}"
    assert answers.std() >= 1e-2, f"{path}: the output moves only by {answers.std()}"
    common.say(f"{path.name}: {path.stat().st_size:,} bytes, max error {error:.2g}, output std {answers.std():.3f}")


def make_lstm(name, args):
    layers, hidden, window, features = LSTMS[name]
    model = seeded(Lstm, args.seed, layers, hidden, features)
    x = np.random.default_rng(args.seed).standard_normal((8, window, features)).astype(np.float32)
    path = args.out / f"{name}.onnx"
    common.export_torch(model, x[:2], path, dynamo=False)
    with torch.no_grad():
        check(path, x, model(torch.from_numpy(x)).numpy(), 1e-4)


def make_step(name, args):
    layers, hidden, features = STEPS[name]
    model = seeded(Step, args.seed, layers, hidden, features)
    normal = np.random.default_rng(args.seed).standard_normal
    given = dict(input=normal((1, 1, features)), h=np.tanh(normal((layers, 1, hidden))), c=normal((layers, 1, hidden)))
    given = {key: array.astype(np.float32) for key, array in given.items()}
    path = args.out / f"{name}.onnx"
    tensors = tuple(torch.from_numpy(array) for array in given.values())
    torch.onnx.export(model, tensors, path, dynamo=False, input_names=[*given], output_names=["output", "new_h", "new_c"],
                      opset_version=17)
    common.settle(path)
    with torch.no_grad():
        wanted = [tensor.numpy() for tensor in model(*tensors)]
    answers = common.session(path).run(None, given)
    error = max(np.abs(a - b).max() for a, b in zip(answers, wanted))
    assert error <= 1e-5, f"{path}: differs from its source by {error}"
    common.say(f"{path.name}: {path.stat().st_size:,} bytes, max error {error:.2g}")


def make_trees(name, args):
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    import trees

    count, leaves, features, rows = TREES[name]
    rng = np.random.default_rng(args.seed)
    x = rng.standard_normal((rows, features), dtype=np.float32)
    y = np.tanh(x @ rng.standard_normal((features, 30)) / features**0.5 * 2) @ rng.standard_normal(30)
    options = dict(objective="regression", num_leaves=leaves, learning_rate=0.05, min_data_in_leaf=10, max_bin=63,
                   feature_fraction=min(1.0, 40 / features), min_gain_to_split=0.0, seed=args.seed, num_threads=1,
                   deterministic=True, force_col_wise=True, verbose=-1)
    model = lightgbm.train(options, lightgbm.Dataset(x, y), count)
    text = args.out / f"{name}.txt"
    model.save_model(text)
    common.say(f"{text.name}: {text.stat().st_size:,} bytes")
    path = args.out / f"{name}.onnx"
    trees.save_onnx(convert_lightgbm(model, name, [("input", FloatTensorType([None, features]))], target_opset=15,
                                     zipmap=False), path, ["output"])
    check(path, x[:256], model.predict(x[:256], num_threads=1), 1e-3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--only", nargs="+", choices=[*LSTMS, *STEPS, *TREES], default=[*LSTMS, *STEPS, *TREES])
    parser.add_argument("--seed", type=int, default=book.SEED)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.only:
        start = time.perf_counter()
        (make_lstm if name in LSTMS else make_step if name in STEPS else make_trees)(name, args)
        common.say(f"  {name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
