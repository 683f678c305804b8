"""Holds files of lineage events against OpenLineage: `python3 check.py EVENTS... [--spec FOLDER]`.

1. Each event against the schema that it names, and each facet against the one that it names, as published at openlineage.io
   or, with --spec (or OPENLINEAGE_SPEC), in a folder: `website/static/spec` of OpenLineage's repository. Formats, too.
2. Each event and facet as an object of the official client's classes (PyPI: openlineage-python).
3. Each job of a run begins with one START and ends with exactly one COMPLETE, FAIL or ABORT.

Prints what was checked; exit code 1 when anything does not fit, or when the schemas cannot be had.
"""

import argparse
import collections
import functools
import json
import os
import pathlib
import sys
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "pipelines" / "peers"))
import environment  # noqa: E402

SPEC = "https://openlineage.io/spec/"
PACKAGES = ["openlineage-python==1.54.0", "jsonschema[format]==4.26.0"]
ENDS = {"COMPLETE", "FAIL", "ABORT"}
# Where the facets of each part of an event are, and the client's module of its base class.
PLACES = {"facets", "inputFacets", "outputFacets"}


class Schemas:
    """The published schemas, each read once."""

    def __init__(self, folder):
        import jsonschema
        import referencing
        from referencing.jsonschema import DRAFT202012

        self.folder = folder
        self.read = functools.cache(self._read)
        resource = lambda address: referencing.Resource(self.read(address), DRAFT202012)
        self.registry = referencing.Registry(retrieve=resource)
        self.formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
        self.validator = functools.cache(self._validator)
        self.used = collections.Counter()

    def _read(self, address):
        if not address.startswith(SPEC):
            raise LookupError(f"{address} is not published by OpenLineage")
        name = address.removeprefix(SPEC).split("#")[0]
        if self.folder:
            return json.loads((self.folder / name).read_text())
        with urllib.request.urlopen(SPEC + name, timeout=20) as answer:
            return json.load(answer)

    def _validator(self, address):
        import jsonschema

        return jsonschema.Draft202012Validator(
            {"$ref": address}, registry=self.registry, format_checker=self.formats
        )

    def misfits(self, document, address, where):
        self.used[address.split("#")[0].removeprefix(SPEC)] += 1
        return [f"{where}{error.json_path[1:]}: {error.message[:300]}" for error in self.validator(address).iter_errors(document)]


def facets(part, where):
    """Yields each facet of an event with its name and place."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in PLACES:
                yield from ((f"{where}.{key}.{name}", name, facet) for name, facet in value.items())
            else:
                yield from facets(value, f"{where}.{key}")
    elif isinstance(part, list):
        for place, item in enumerate(part):
            yield from facets(item, f"{where}[{place}]")


def against_schemas(event, schemas):
    """What of an event does not fit the published schemas."""
    wrong = schemas.misfits(event, event.get("schemaURL", ""), "event")
    for where, _, facet in facets(event, "event"):
        wrong += schemas.misfits(facet, facet.get("_schemaURL", ""), where)
    return wrong


def facet_classes():
    """The client's classes of facets, by the name of their schema."""
    import inspect

    from openlineage.client import facet_v2
    from openlineage.client.generated import base

    modules = [module for _, module in inspect.getmembers(facet_v2, inspect.ismodule)]
    found = {}
    for module in modules:
        for name, member in inspect.getmembers(module, inspect.isclass):
            if issubclass(member, base.BaseFacet):
                found[name] = member
    return found


def built(cls, value):
    """Makes an object of a class of the client, with objects in its fields; a field that it does not have is an error."""
    import typing

    import attr

    hints = typing.get_type_hints(cls, vars(sys.modules[cls.__module__]), vars(typing))
    known = {field.name.lstrip("_"): field for field in attr.fields(cls)}
    made = {}
    for key, inner in value.items():
        if key in ("_producer", "_schemaURL"):
            continue
        if key not in known:
            raise TypeError(f"{cls.__name__} has no field {key}")
        made[key] = inside(hints.get(key), inner)
    return cls(**made)


def inside(hint, value):
    import typing

    import attr

    arguments = [a for a in typing.get_args(hint) if a is not type(None)]
    mapping = next((h for h in [hint, *arguments] if typing.get_origin(h) is dict), None)
    if isinstance(value, dict) and mapping:
        return {key: inside(typing.get_args(mapping)[1], inner) for key, inner in value.items()}
    if isinstance(value, list) and arguments:
        inner = typing.get_args(arguments[0]) or arguments
        return [inside(inner[0], item) for item in value]
    classes = [c for c in [hint, *arguments] if isinstance(c, type) and attr.has(c)]
    if isinstance(value, dict) and classes:
        return built(classes[0], value)
    return value


def against_client(event, classes):
    """What of an event the official client's classes refuse."""
    from openlineage.client import event_v2

    wrong = []
    try:
        run, job = event["run"], event["job"]
        event_v2.RunEvent(
            eventTime=event["eventTime"],
            producer=event["producer"],
            eventType=event_v2.RunState[event["eventType"]],
            run=event_v2.Run(runId=run["runId"]),
            job=event_v2.Job(namespace=job["namespace"], name=job["name"]),
            inputs=[event_v2.InputDataset(namespace=i["namespace"], name=i["name"]) for i in event["inputs"]],
            outputs=[event_v2.OutputDataset(namespace=o["namespace"], name=o["name"]) for o in event["outputs"]],
        )
    except Exception as refused:
        wrong.append(f"event: {refused!r}")
    for where, name, facet in facets(event, "event"):
        schema = facet["_schemaURL"].rsplit("/", 1)[-1]
        if schema == "RunFacet":
            continue  # of mlsm's own, beside the standard's
        try:
            built(classes[schema], facet)
        except Exception as refused:
            wrong.append(f"{where} ({name}): {refused!r}")
    return wrong


def sequences(events):
    """What is wrong with the order of events of each run of a job."""
    runs = collections.defaultdict(list)
    for event in events:
        runs[event["run"]["runId"], event["job"]["name"]].append(event["eventType"])
    wrong = []
    for (run, job), words in runs.items():
        if words[0] != "START" or words.count("START") != 1 or words[-1] not in ENDS or sum(w in ENDS for w in words) != 1:
            wrong.append(f"{job} ({run}): {' '.join(words)}")
    return wrong, len(runs)


def main():
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("events", nargs="+", type=pathlib.Path)
    words.add_argument("--spec", type=pathlib.Path, default=os.environ.get("OPENLINEAGE_SPEC"))
    words = words.parse_args()
    environment.inside("lineage", PACKAGES)
    schemas, classes = Schemas(words.spec and pathlib.Path(words.spec)), facet_classes()
    wrong, events = [], []
    for file in words.events:
        events += [json.loads(line) for line in file.read_text().splitlines()]
    try:
        for number, event in enumerate(events, 1):
            found = against_schemas(event, schemas) + against_client(event, classes)
            wrong += [f"event {number} ({event.get('eventType')} of {event.get('job', {}).get('name')}): {f}" for f in found]
    except (urllib.error.URLError, OSError) as error:
        sys.exit(f"error: cannot read the schemas\n  why: {error}\n  fix: give --spec, a folder of OpenLineage's website/static/spec")
    order, runs = sequences(events)
    wrong += order
    count = sum(schemas.used.values())
    source = words.spec or SPEC
    print(f"{len(events)} events of {runs} runs, {count - len(events)} facets, {len(schemas.used)} schemas of {source}, {PACKAGES[0]}")
    print("\n".join(wrong[:40]))
    sys.exit(1 if wrong or not events else 0)


if __name__ == "__main__":
    main()
