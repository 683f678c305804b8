"""Runs a command beside servers of the three kinds of buckets, on loopback: `python3 servers.py COMMAND…`.

| variable | service | server |
|---|---|---|
| MLSM_TEST_S3 | S3 | moto, from PyPI |
| MLSM_TEST_GCS | Google Cloud Storage | gcs_server.py |
| MLSM_TEST_AZURE | Azure Blob Storage | Azurite, from npm |

Each variable gives the command an address, where a bucket `mlsm` is. Packages are installed once, into folders of their own.
Without one of them the command runs all the same, and the tests say what they skipped.
"""

import base64
import contextlib
import email.utils
import hashlib
import hmac
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

MOTO, AZURITE = "5.2.5", "3.35.0"
CACHE = pathlib.Path.home() / ".cache" / "mlsm"
# One request after another, so that a conditional put is one step, as the services promise.
MOTO_SERVES = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
application = DomainDispatcherApplication(create_backend_app)
run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=False)
"""
# The account that every Azurite has: https://github.com/Azure/Azurite#default-storage-account
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def main():
    command, environment = sys.argv[1:], dict(os.environ)
    with contextlib.ExitStack() as servers:
        for variable, start in (("MLSM_TEST_S3", s3), ("MLSM_TEST_GCS", gcs), ("MLSM_TEST_AZURE", azure)):
            try:
                environment[variable] = start(servers)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"warning: no server for {variable}: {error}", file=sys.stderr)
        return subprocess.run(command, env=environment).returncode


def s3(servers):
    folder = CACHE / f"s3-moto-{MOTO}"
    python = folder / "bin" / "python"
    if not (folder / "whole").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"moto[server]=={MOTO}"], check=True)
        (folder / "whole").touch()
    address = serve(servers, lambda port: [python, "-c", MOTO_SERVES, str(port)])
    make_bucket(f"{address}/mlsm", {})
    return address


def gcs(servers):
    program = pathlib.Path(__file__).with_name("gcs_server.py")
    return serve(servers, lambda port: [sys.executable, program, str(port)])


def azure(servers):
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise FileNotFoundError("Azurite wants node and npm")
    folder = CACHE / f"azure-azurite-{AZURITE}"
    if not (folder / "whole").exists():
        subprocess.run([npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", folder, f"azurite@{AZURITE}"], check=True)
        (folder / "whole").touch()
    program = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    options = ["--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    address = serve(servers, lambda port: [node, program, "--blobHost", "127.0.0.1", "--blobPort", str(port), *options])
    make_bucket(f"{address}/{ACCOUNT}/mlsm?restype=container", signed(f"/{ACCOUNT}/{ACCOUNT}/mlsm\nrestype:container"))
    return f"{address}/{ACCOUNT}"


def serve(servers, command):
    """Starts a server on a free port, and ends it with the others; returns its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    servers.callback(subprocess.Popen(command(port), **quiet).terminate)
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return f"http://127.0.0.1:{port}"
        time.sleep(0.1)
    raise TimeoutError("it does not answer")


def make_bucket(url, headers):
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers))


def signed(resource):
    """The headers of a request without a body, signed by the account's key (Azure's "Shared Key").

    `resource`: the canonical form of what is asked for.
    """
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    listed = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    text = "PUT" + "\n" * 12 + listed + resource
    key = hmac.new(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256).digest()
    return headers | {"Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(key).decode()}"}


if __name__ == "__main__":
    sys.exit(main())
