"""Compares 100,000 rows of every model of the fixtures with the library that trained it.

Build the example first, then give its path: `python tests/parity.py target/debug/examples/score`. It prints the
largest absolute difference of outputs and of margins for each model and file, and of contributions over 300 rows; a
difference of numbers above 1 is given in units of that number. Further arguments choose models by how they begin.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent / "fixtures"))
import make  # noqa: E402


def ask(program, folder, what, shape):
    out = folder / "out"
    subprocess.run([program, folder / "model", folder / "rows", out, *what], check=True)
    return np.fromfile(out).reshape(shape)


def main(program, *chosen):
    for name, files, rows, answers in make.cases():
        if name in make.REFUSED or not name.startswith(chosen or ("",)):
            continue
        for kind, content in files.items():
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                (folder / "model").write_bytes(content)
                found = {}
                for count, explain in ((100_000, False), (300, True)):
                    sent, columns = rows(count)
                    np.concatenate([np.asarray(column, dtype=np.float64) for column in columns]).tofile(folder / "rows")
                    expected = answers(sent, explain)
                    wanted = {"outputs": [], "margins": ["margins"]}
                    if explain:
                        wanted = {"contributions": ["explain"]} if "contributions" in expected else {}
                    for key, what in wanted.items():
                        got = ask(program, folder, what, expected[key].shape)
                        found[key] = (np.abs(got - expected[key]) / np.maximum(1, np.abs(expected[key]))).max()
                print(f"{name + '.' + kind:34}", *(f"{key} {value:.2e}" for key, value in found.items()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
