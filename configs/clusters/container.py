"""Does the steps of a container file in a bare root of Debian, where there is neither a container engine nor a registry of images.

In place of the base image stands what `debootstrap` installs from Debian's archive, with the Python that the file asks for. Commands
run in namespaces of their own, but for the network. Wants Linux, root and `debootstrap`.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess

RELEASE, BASE = "trixie", "docker.io/library/python:3.13-slim"  # Debian 13 has Python 3.13
PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
PATH = "/opt/python/bin:/usr/bin:/bin"
# What a build is told of this machine's network.
NETWORK = re.compile(r"PIP_|SSL_CERT_FILE|REQUESTS_CA|https?_proxy|no_proxy", re.IGNORECASE)
# In a namespace of its own: mounts folders where they are here, for reading, then runs a command in the root.
INSIDE = """
root=$1 user=$2; shift 2
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do mkdir -p "$root$1"; mount --bind -o ro "$1" "$root$1"; shift; done; shift
exec unshare --pid --fork --kill-child --root="$root" --wd=/ --mount-proc --setuid="$user" --setgid="$user" "$@"
"""


class Container:
    """A root in which the steps of a container file were done."""

    def __init__(self, root, container_file, arguments):
        """Does the steps.

        root: the folder that becomes the root.
        container_file: what it copies lies beside it.
        arguments: build arguments by name.
        """
        from dockerfile_parse import DockerfileParser

        self.root, self.user, self.variables, self.entry = pathlib.Path(root), "0", {"PATH": PATH}, []
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, root]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for name in ("resolv.conf", "hosts", "ssl/certs/ca-certificates.crt"):
            shutil.copy(f"/etc/{name}", self.root / "etc" / name)
        # Debian's own pip installs nothing beside Debian's packages.
        self.run(["python3", "-m", "venv", "/opt/python"], check=True)
        build = {name: value for name, value in os.environ.items() if NETWORK.match(name)}
        with open(container_file, "rb") as file:
            steps = DockerfileParser(fileobj=file).structure
        for step in steps:
            value = step["value"]
            name, _, default = value.partition("=")
            match step["instruction"]:
                case "FROM" if value == BASE:
                    pass
                case "ARG":
                    build[name] = arguments.get(name, default)
                case "COPY":
                    pattern, target = value.split()
                    for source in pathlib.Path(container_file).parent.glob(pattern):
                        shutil.copy(source, self.root / target.lstrip("/"))
                case "RUN":
                    self.run(["/bin/sh", "-c", value], build, check=True, stdout=subprocess.DEVNULL)
                case "USER":
                    self.user = value
                case "ENV":
                    self.variables[name] = default
                case "ENTRYPOINT":
                    self.entry = json.loads(value)
                case "COMMENT":
                    pass
                case other:
                    raise ValueError(f"a step that is not known here: {other} {value}")

    def run(self, command, variables=None, mounts=(), **options):
        """Runs a command as the container's user.

        variables: added to the container's.
        mounts: folders of this machine, seen at the same place for reading.
        options: of `subprocess.run`.
        """
        script = ["unshare", "--mount", "/bin/sh", "-euc", INSIDE, "sh", self.root, self.user, *mounts, "--", *command]
        return subprocess.run(script, env=self.variables | (variables or {}), **options)
