"""Runs a command beside an S3 server on loopback: `python3 s3_server.py COMMAND…`.

The server is moto, installed once into an environment of its own; MLSM_TEST_S3 gives its address to the command. It serves
one request after another, so that a conditional put is one step, as the services promise. Without moto the command runs
all the same, and the tests say what they skipped.
"""

import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

VERSION = "5.2.5"
ENVIRONMENT = pathlib.Path.home() / ".cache" / "mlsm" / f"s3-moto-{VERSION}"
SERVE = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
application = DomainDispatcherApplication(create_backend_app)
run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=False)
"""


def installed():
    """The interpreter of the environment, which is made when it is not there; None when it cannot be."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "whole").exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
            install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"moto[server]=={VERSION}"]
            subprocess.run(install, check=True)
            (ENVIRONMENT / "whole").touch()
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"warning: no S3 server for the tests: {error}", file=sys.stderr)
            return None
    return python


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_bucket(address):
    """Makes the bucket `mlsm` as soon as the server answers; tells whether it did."""
    for _ in range(300):
        try:
            urllib.request.urlopen(urllib.request.Request(f"{address}/mlsm", method="PUT"))
            return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def main():
    command, environment = sys.argv[1:], dict(os.environ)
    python = installed()
    if python is None:
        return subprocess.run(command, env=environment).returncode
    address = f"http://127.0.0.1:{free_port()}"
    serve = [python, "-c", SERVE, address.rsplit(":", 1)[1]]
    server = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if make_bucket(address):
            environment["MLSM_TEST_S3"] = address
        else:
            print("warning: the S3 server for the tests does not answer", file=sys.stderr)
        return subprocess.run(command, env=environment).returncode
    finally:
        server.terminate()


if __name__ == "__main__":
    sys.exit(main())
