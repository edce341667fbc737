"""Runs of scripts in processes that have the frameworks imported already: five seconds of each run less.

As a script it is the process that imports them and forks for each command; `WarmPython` starts it and hands commands
to it. A fork has the signal handlers of a new process, for this one sets none; what a script needs of a new one
beyond that, such as times and its own imports, is tested with one. The process that Lightning starts for
``trainer=ddp`` is a fork too, which gets the command, variables and folder from Lightning.
"""

import atexit
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
from types import SimpleNamespace

from tests.parsed_once import parse_config, parse_once

ROOT = Path(__file__).resolve().parents[1]
# W&B's classes first, as run.py has them: they take nine times as long beside the others.
FRAMEWORKS = (
    "wandb.apis.public", "faiss", "gensim.models.doc2vec", "pytorch_lightning", "fico.bench.indexes.comparison",
    "fico.datasets.shapes.shapes", "fico.evaluation.retrieval_metrics", "fico.experiment.runner",
    "fico.report.html.page", "fico.scoring.matrix",
)  # fmt: skip


class WarmPython:
    """Runs commands of Python as `subprocess.run` does, one after the other, or starts them as `subprocess.Popen`.

    Args:
        modules: Imported already.
    """

    def __init__(self, *modules) -> None:
        self._server, self._modules = None, modules or FRAMEWORKS

    def __call__(self, *command, env=None, cwd=ROOT):
        """Run ``python *command``, a script or ``-m`` and a module; returns exit code, standard output and error.

        In another folder than the project's, modules that its ``fico`` has beyond the project's are found too.
        """
        return self.start(*command, env=env, cwd=cwd).finish()

    def start(self, *command, env=None, cwd=ROOT):
        """The same command, which runs meanwhile."""
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, __file__, *self._modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        return Started(self.ask, [str(part) for part in command], dict(env or os.environ), str(cwd))

    def ask(self, **request):
        """The answer of the process that forks."""
        try:
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            return json.loads(self._server.stdout.readline())
        except BaseException:  # a test that ran out of time: the next one gets a new process
            self.close()
            raise

    def close(self):
        """End the process that forks."""
        if self._server is not None:
            self._server.kill()
            self._server.communicate()
            self._server = None


class Started:
    """A command that was started: its process, and what it prints."""

    def __init__(self, ask, argv, env, cwd):
        self._ask, self._argv, self._folder = ask, argv, TemporaryDirectory()
        self._files = [str(Path(self._folder.name) / name) for name in ("out", "err")]
        self._code = None
        self.pid = ask(argv=argv, env=env, files=self._files, cwd=cwd)

    def poll(self, flags=os.WNOHANG):
        """The exit code; None while it runs."""
        if self._code is None:
            self._code = self._ask(pid=self.pid, flags=flags)
        return self._code

    def finish(self):
        """Wait for its end."""
        with self._folder:
            code = self.poll(flags=0)
            return subprocess.CompletedProcess(self._argv, code, *(Path(file).read_text() for file in self._files))

    def send_signal(self, number):
        """As `subprocess.Popen` does: none to a process that has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _serve():
    """Fork for each command; in the child return it, at the end of the commands None."""
    for module in sys.argv[1:]:
        importlib.import_module(module)
    if "numba" in sys.modules:
        from numba.core.registry import cpu_target

        for context in (cpu_target.typing_context, cpu_target.target_context):
            context.refresh()  # imports what numba does for a first kernel
    if "hydra" in sys.modules:
        parse_once()
        parse_config()
    gc.freeze()  # the children's collector leaves alone what they share
    for line in sys.stdin:
        request = json.loads(line)
        if "argv" in request:
            answer = os.fork()
            if not answer:
                return request
        else:
            ended, status = os.waitpid(request["pid"], request["flags"])
            answer = os.waitstatus_to_exitcode(status) if ended else None
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    return None


def _run(argv, env, files, cwd):
    """What `python *argv` does in the folder."""
    import torch

    if "triton" in sys.modules:
        atexit.register(_mute)
    if "wandb" in sys.modules:
        from wandb.sdk.data_types._private import MEDIA_TMP

        Path(MEDIA_TMP.name).mkdir(exist_ok=True)  # the command before removed W&B's temporary folder at its end
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.stdin = open(0)  # noqa: SIM115
    if "trainer=ddp" in argv and (second := _second_process()):
        argv, env, cwd = second
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


def _mute():
    """Triton lists at the very end what it finds still in use, as all is that was frozen; no new process has that."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _second_process():
    """Fork the process that Lightning will start, before anything has run; there wait for its command and return it."""
    from pytorch_lightning.strategies.launchers import subprocess_script

    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(writer)
        with os.fdopen(reader) as file:
            command = file.read()
        return json.loads(command) if command else os._exit(0)  # the first one ended without it

    class Second(subprocess.Popen):
        """Starts a command by handing it to the fork."""

        def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, *_):
            with os.fdopen(writer, "w") as file:
                json.dump([args[1:], env, cwd], file)
            self.pid, self._child_created = child, True

    os.close(reader)
    subprocess_script.subprocess = SimpleNamespace(Popen=Second)
    return None


if __name__ == "__main__":
    if command := _serve():
        _run(**command)
