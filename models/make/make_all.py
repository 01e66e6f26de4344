"""Make every committed model again, one script after another, and write the table of models/README.md.

    python make_all.py [--out DIR] [--seed S] [--table-only]

The scripts are run in the order of FAMILIES, each in its own process; about six minutes on one core. With --out
another folder than models/ the README is left alone.
"""

import json
import subprocess
import sys
from pathlib import Path

import common

FAMILIES = ("mlp", "recurrent", "deeplob", "transformer", "tcn", "trees", "linear")
ORDER = ("mlp_small", "mlp_medium", "lstm_a", "gru", "deeplob", "transformer", "tcn", "tcn_long", "lightgbm_500x31",
         "xgboost_200x6", "random_forest", "logistic")
BEGIN, END = "<!-- table: make_all.py -->\n", "<!-- end of table -->\n"


def table(scores):
    """The Markdown table of scores.json."""
    lines = ["| model | files (bytes) | input | parameters | made by | score on held-out simulated data |",
             "|---|---|---|---|---|---|"]
    for name in ORDER:
        if name not in scores:  # not made yet
            continue
        entry = scores[name]
        files = ", ".join(f"{Path(file).suffix} {size:,}" for file, size in entry["files"].items())
        parameters = entry["parameters"]
        parameters = f"{parameters:,}" if isinstance(parameters, int) else parameters
        lines.append(f"| {name} | {files} | {entry['input']} | {parameters} | {entry['made_by']} | {entry['score']} |")
    return "\n".join(lines) + "\n"


def main():
    args = common.arguments(__doc__, **{"table-only": False})
    here = Path(__file__).resolve().parent
    if not args.table_only:
        for family in FAMILIES:
            common.say(f"== {family}")
            subprocess.run([sys.executable, here / f"{family}.py", "--out", args.out, "--seed", str(args.seed),
                            "--rows", str(args.rows)], check=True)
    if args.out.resolve() == common.MODELS:
        readme = common.MODELS / "README.md"
        text = readme.read_text()
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        scores = json.loads((common.MODELS / "scores.json").read_text())
        readme.write_text(before + BEGIN + table(scores) + END + after)


if __name__ == "__main__":
    main()
