"""Programs of their own for tests, each in a process: forked from one parent that has torch.

`start(script, …)` does what `python -c script …` would, without the seconds of the imports: a
`__main__`, arguments, environment, signals, and an end through the interpreter, atexit and all.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


class Program:
    """A running program; of `subprocess.Popen` it has what tests need."""

    def __init__(self, pid, stdout, stderr):
        self.pid, self.stdout = pid, stdout
        self.returncode = None
        self._stderr = stderr

    def send_signal(self, number):
        os.kill(self.pid, number)

    def communicate(self, timeout=120):
        """What it wrote to stdout and stderr; it is killed after `timeout` seconds."""
        limit = threading.Timer(timeout, self.send_signal, [signal.SIGKILL])
        limit.start()
        with self.stdout, self._stderr:
            out = self.stdout.read()
            self.returncode = _ask({"wait": self.pid})
            limit.cancel()
            self._stderr.seek(0)
            return out, self._stderr.read()


def start(script, *arguments, **environment):
    """The program `script` with `sys.argv[1:]` as given, which may import this folder's modules."""
    reading, writing = os.pipe()
    stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the program)
    request = {"script": script, "argv": ["-c", *map(str, arguments)], "environment": environment}
    pid = _ask(request, writing, stderr.fileno())
    os.close(writing)
    return Program(pid, os.fdopen(reading), stderr)


def finish(program, timeout=120):
    """Its exit code, and what it wrote to stdout and stderr."""
    out, err = program.communicate(timeout)
    return program.returncode, out, err


def _ask(request, *files):
    connection = _parent()
    socket.send_fds(connection, [json.dumps(request).encode()], files)
    return json.loads(connection.recv(1 << 16))


@cache
def _parent():
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen(
        [sys.executable, __file__, str(its.fileno())],
        pass_fds=[its.fileno()],
        stdin=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    its.close()
    return ours  # closed when the tests end, which ends the parent


def _serve(connection):
    """What the forked child is to run; the parent never comes back from here."""
    while True:
        message, files, *_ = socket.recv_fds(connection, 1 << 20, 2)
        if not message:
            os._exit(0)
        request = json.loads(message)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                connection.close()
                for place, file in enumerate(files, start=1):
                    os.dup2(file, place)
                    os.close(file)
                return request
            for file in files:
                os.close(file)
        connection.send(json.dumps(answer).encode())


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    import conftest  # noqa: F401 (torch, h5py, and all of the recorder)

    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    os.environ.update(asked["environment"])
    sys.argv = asked["argv"]
    exec(compile(asked["script"], "<string>", "exec"))
