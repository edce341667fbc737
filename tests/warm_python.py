"""Runs of scripts in processes that have the frameworks imported already: five seconds of each run less.

As a script it is the process that imports them and forks for each command; `WarmPython` starts it and hands commands
to it. What a script needs of a new process, such as signals, times and its own imports, is tested with one.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
FRAMEWORKS = ("pytorch_lightning", "wandb", "fico.experiment.runner", "fico.report.html.page")


class WarmPython:
    """Runs commands of Python as `subprocess.run` does, one after the other.

    Args:
        modules: Imported already.
    """

    def __init__(self, *modules) -> None:
        self._server, self._modules = None, modules or FRAMEWORKS

    def __call__(self, *command, env=None, cwd=ROOT):
        """Run ``python *command``, a script or ``-m`` and a module; returns exit code, standard output and error.

        In another folder than the project's, modules that its ``fico`` has beyond the project's are found too.
        """
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, __file__, *self._modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        argv = [str(part) for part in command]
        with TemporaryDirectory() as folder:
            files = [str(Path(folder) / name) for name in ("out", "err")]
            try:
                request = {"argv": argv, "env": dict(env or os.environ), "files": files, "cwd": str(cwd)}
                self._server.stdin.write(json.dumps(request) + "\n")
                self._server.stdin.flush()
                code = int(self._server.stdout.readline())
            except BaseException:  # a test that ran out of time: the next one gets a new process
                self.close()
                raise
            return subprocess.CompletedProcess(argv, code, *(Path(file).read_text() for file in files))

    def close(self):
        """End the process that forks."""
        if self._server is not None:
            self._server.kill()
            self._server.communicate()
            self._server = None


def _serve():
    """Fork for each command; in the child return it, at the end of the commands None."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()  # the children's collector leaves alone what they share
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return json.loads(line)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return None


def _run(argv, env, files, cwd):
    """What `python *argv` does in the folder."""
    import torch

    if "wandb" in sys.modules:
        from wandb.sdk.data_types._private import MEDIA_TMP

        Path(MEDIA_TMP.name).mkdir(exist_ok=True)  # the command before removed W&B's temporary folder at its end
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.stdin = open(0)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    if threads := env.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "fico" and hasattr(module, "__path__"):
            module.__path__.append(str(Path(cwd, *name.split("."))))
    is_module = argv[0] == "-m"
    sys.orig_argv = [sys.executable, *argv]
    sys.argv = argv[is_module:]
    sys.path[0] = cwd if is_module else str(Path(argv[0]).resolve().parent)
    sys.path[1:1] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    sys.modules.pop("sitecustomize", None)
    with contextlib.suppress(ImportError):
        import sitecustomize  # noqa: F401  (a new process would, from its PYTHONPATH)
    if is_module:
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    if command := _serve():
        _run(**command)
