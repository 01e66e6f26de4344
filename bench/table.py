"""Joins what hayate_peers wrote, one file for each model and number of threads, into one JSON and one Markdown table.

    python table.py RESULTS.json... --packages SITE-PACKAGES --json OUT.json --markdown OUT.md [--command TEXT]

Adds to every row `ratio_to_best_peer`: the p50 of the quickest peer that keeps at least as many bits as the row, with as
many threads at its disposal, over the row's own. Names every peer that was left out, with the reason.
"""

import argparse
import importlib.metadata
import json
import subprocess
from pathlib import Path

PACKAGES = ["onnxruntime", "openvino", "lightgbm", "xgboost-cpu", "tl2cgen", "treelite", "lleaves", "llvmlite", "torch"]
BITS = dict(fp32=32, bf16=16, int8=8)
OWN = "native"


def label(row):
    return row["backend"] + ("" if row["precision"] == "fp32" else " " + row["precision"])


def add_best_peer(rows):
    """To the rows of one model and one number of threads."""
    for row in rows:
        rivals = [each for each in rows if each["backend"] != OWN and each is not row and each["p50_us"] > 0
                  and BITS[each["precision"]] >= BITS[row["precision"]]]
        best = min(rivals, key=lambda each: each["p50_us"], default=None)
        row["best_peer"] = label(best) if best else ""
        row["ratio_to_best_peer"] = round(best["p50_us"] / row["p50_us"], 3) if best and row["p50_us"] > 0 else 0


def join(parts):
    """One report from those of each model and number of threads. Rows say in `pass_threads` which run they are of."""
    report = dict(machine=parts[0]["machine"], results=[], left_out=[])
    for part in parts:
        if part["machine"]["fingerprint"] != report["machine"]["fingerprint"]:
            raise SystemExit("table.py: the results are of different machines")
        add_best_peer(part["results"])
        threads = part["threads"]
        report["results"] += [dict(row, pass_threads=threads) for row in part["results"]]
        report["left_out"] += part["left_out"]
    return report


def versions(packages):
    found = {each.metadata["Name"].lower().replace("_", "-"): each.version
             for each in importlib.metadata.distributions(path=[str(packages)])}
    named = {name: found.get(name, "not installed") for name in PACKAGES}
    return named | {"onednn": debian_version("libdnnl-dev")}


def debian_version(package):
    asked = ["dpkg-query", "--showformat=${Version}", "--show", package]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout or "not installed"
    except (OSError, subprocess.CalledProcessError):
        return "not installed"


def microseconds(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def ratio(value):
    return "" if not value else f"{value:.2f}x"


def table(rows):
    lines = ["| model | engine | p50 us | p99 us | p99.9 us | calls | of onnxruntime | of the best peer | max error | bound us |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
    last = None
    for row in rows:
        model = "" if row["model"] == last else row["model"]
        last = row["model"]
        name = f"**{label(row)}**" if row["backend"] == OWN else label(row)
        best = ratio(row["ratio_to_best_peer"]) if row["backend"] == OWN else ""
        lines.append(f"| {model} | {name} | {microseconds(row['p50_us'])} | {microseconds(row['p99_us'])} | "
                     f"{microseconds(row['p999_us'])} | {row['count']:,} | {ratio(row['ratio_to_onnxruntime'])} | {best} | "
                     f"{row['max_abs_error']:.1e} | {microseconds(row['bound_us']) if row.get('bound_us') else ''} |")
    return lines


def left_out_lines(left_out):
    """One line for each reason and the models it holds for, with everyone left out there for it."""
    models, names = {}, {}
    for each in left_out:
        found = models.setdefault((label(each), each["reason"]), [])
        if each["model"] not in found:
            found.append(each["model"])
    for (name, reason), found in models.items():
        names.setdefault((reason, tuple(found)), []).append(name)
    return [f"- {', '.join(who)}: {reason}: {', '.join(found)}" for (reason, found), who in names.items()]


NOTES = """\
Every model has a process of its own, in which all engines take turns of 5 ms on inputs that slide over a pool of 256 KB
(trees: 4,096 rows); the first half millisecond of a turn does not count, nor does copying the inputs. Native and ONNX
Runtime run as in `hayate bench`; OpenVINO, LightGBM and XGBoost through their C interfaces with memory that is set once,
tl2cgen's and lleaves' code as the function it is; oneDNN as its primitives in a row, made once, with weights as they want
them; torch in a Python process that takes its turns with the others, so that its times hold Python's cost of a call. With
two threads native shares the steps that are large enough.

"Of onnxruntime" is its p50 over the row's; "of the best peer" the p50 of the quickest peer that keeps at least as many bits
over native's. The error is the largest difference from the reference on one call. Few calls make a p99.9 of little worth, and
a tail of milliseconds is somebody else on the core. The bound is the least that the core could take (`hayate machine --measure`).
"""


def markdown(report, command):
    machine = report["machine"]
    threads = sorted({row["pass_threads"] for row in report["results"]})
    lines = ["# Benchmarks", "", f"    {command}", "",
             f"made this page on {machine['model']}, {machine['cores']} cores, {', '.join(machine['isa'])}. Versions: "
             + ", ".join(f"{name} {version}" for name, version in report["versions"].items()) + ".", "", NOTES]
    for count in threads:
        rows = [row for row in report["results"] if row["pass_threads"] == count]
        batches = sorted({row["batch"] for row in rows})
        lines += [f"## {'One thread' if count == 1 else f'{count} threads'}, batch {', '.join(map(str, batches))}", ""]
        if count > 1:
            alone = sorted({label(row) for row in rows if row["threads"] == 1})
            lines += [f"One call runs on one thread all the same in {', '.join(alone)}.", ""]
        lines += table(rows) + [""]
    lines += ["## Left out", ""] + left_out_lines(report["left_out"])
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--command", default="bench/peers")
    args = parser.parse_args()
    report = join([json.loads(path.read_text()) for path in args.results])
    report["versions"], report["command"] = versions(args.packages), args.command
    args.json.write_text(json.dumps(report, indent=1) + "\n")
    args.markdown.write_text(markdown(report, args.command))


if __name__ == "__main__":
    main()
