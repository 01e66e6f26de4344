"""Compiles a tree model with the peers that make code of it: tl2cgen (C, by gcc) and lleaves (LLVM, LightGBM only).

    python compile_trees.py MODEL --out DIR

writes DIR/NAME.tl2cgen.so and DIR/NAME.lleaves.so, and beside each one that could not be made NAME.PEER.txt with the
reason. What is there and newer than the model is kept. Large models take minutes.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

ENTRY = "forest_root"  # lleaves' function
INLINED_LEAVES = 50_000  # most that it is let inline


def by_tl2cgen(model, out):
    import tl2cgen
    import treelite

    if model.suffix == ".txt":
        trees = treelite.frontend.load_lightgbm_model(model)
    else:
        trees = treelite.frontend.load_xgboost_model(model, format_choice="ubjson" if model.suffix == ".ubj" else "json")
    # Split only what gcc would chew on for very long as one file: a split model runs no slower, its parts are calls.
    parts = max(1, trees.num_tree // 100)
    tl2cgen.export_lib(trees, toolchain="gcc", libpath=out, params={"parallel_comp": parts} if parts > 5 else {},
                       nthread=os.cpu_count())


def by_lleaves(model, out):
    import lightgbm
    import lleaves

    if model.suffix != ".txt":
        raise ValueError("lleaves reads LightGBM models only")
    with tempfile.TemporaryDirectory() as folder:
        whole, code = Path(folder, "model.txt"), Path(folder, "model.o")
        booster = lightgbm.Booster(model_file=model)
        booster.save_model(whole)  # with the lines that lleaves asks for and our samples lack
        trees = lleaves.Model(model_file=str(whole))
        # Short jumps, which its documentation calls faster, and its default blocks of trees. One block of all, advised for
        # single rows, with functions inlined does not compile in minutes, nor does a large forest with any inlined.
        leaves = sum(tree["num_leaves"] for tree in booster.dump_model()["tree_info"])
        trees.compile(cache=str(code), fcodemodel="small", finline=leaves <= INLINED_LEAVES, froot_func_name=ENTRY)
        subprocess.run(["cc", "-shared", "-o", str(out), str(code), "-lm"], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for peer, compile_model in (("tl2cgen", by_tl2cgen), ("lleaves", by_lleaves)):
        library, reason = (args.out / f"{args.model.stem}.{peer}.{suffix}" for suffix in ("so", "txt"))
        if library.exists() and library.stat().st_mtime > args.model.stat().st_mtime:
            continue
        for stale in (library, reason):
            stale.unlink(missing_ok=True)
        try:
            compile_model(args.model, library)
        except Exception as error:  # whatever a peer does: it is left out, with its own words
            library.unlink(missing_ok=True)
            reason.write_text(f"{type(error).__name__}: {error}".splitlines()[0] + "\n")


if __name__ == "__main__":
    main()
