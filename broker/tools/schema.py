#!/usr/bin/env python3
"""Writes broker/src/wire/schema/table.rs from the message definitions in a kafka-clients jar.

    python3 broker/tools/schema.py path/to/kafka-clients-X.Y.Z.jar

Only facts are taken (names, types, versions, tags), and only of the APIs that a broker's listener serves, in the
versions that our codec, `kafka-protocol`, declares: its source is asked through `cargo metadata`.
"""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

BROKER = Path(__file__).resolve().parent.parent
TABLE = BROKER / "src/wire/schema/table.rs"
KINDS = {
    "bool": "Bool", "int8": "Int8", "int16": "Int16", "uint16": "Uint16", "int32": "Int32", "uint32": "Uint32",
    "int64": "Int64", "float64": "Float64", "uuid": "Uuid", "string": "String", "bytes": "Bytes", "records": "Records",
}  # fmt: skip
EMBEDDED = ["ConsumerProtocolSubscription", "ConsumerProtocolAssignment"]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    jar = Path(sys.argv[1])
    definitions = read_definitions(jar)
    covered = codec_versions()

    apis = {}
    for definition in definitions.values():
        if definition["type"] in ("request", "response") and definition["name"] in covered:
            apis.setdefault(definition["apiKey"], {})[definition["type"]] = definition
    served = {key: pair for key, pair in sorted(apis.items()) if "broker" in pair["request"]["listeners"]}

    out = [
        "//! The messages of Kafka's protocol: fields, types and versions.",
        "//!",
        f"//! Written by `broker/tools/schema.py` from {jar.name}, within the versions that the codec covers.",
        "//! Run it again instead of editing this file.",
        "",
        "use super::definition::Kind::*;",
        "use super::definition::{ApiSchema, Message, api, field, message, struct_, structs};",
        "",
        "/// Every API that a broker's listener serves, by ascending key.",
        "pub(super) static APIS: &[ApiSchema] = &[",
    ]
    for key, pair in served.items():
        request, response = (snake(pair[side]["name"]).upper() for side in ("request", "response"))
        out.append(f"api({key}, {request}, {response}),")
    out += ["];", ""]

    for pair in served.values():
        # The codec lags by one version in some requests, but not in their responses.
        versions = overlap(covered[pair["request"]["name"]], covered[pair["response"]["name"]])
        out += message(pair["request"], versions) + message(pair["response"], versions)
    for name in ["RequestHeader", "ResponseHeader"] + EMBEDDED:
        out += message(definitions[name], span(definitions[name]["validVersions"]), visible="pub(crate) ")

    TABLE.write_text("\n".join(out) + "\n")
    subprocess.run(["rustfmt", "--edition", "2024", TABLE], check=True)
    print(f"{TABLE}: {len(served)} APIs", file=sys.stderr)


def read_definitions(jar):
    """Every definition in the jar by name. They are JSON with whole-line comments."""
    found = {}
    with zipfile.ZipFile(jar) as archive:
        for path in archive.namelist():
            if path.startswith("common/message/") and path.endswith(".json"):
                text = re.sub(r"^\s*//.*$", "", archive.read(path).decode(), flags=re.M)
                definition = json.loads(text)
                found[definition["name"]] = definition
    return found


def codec_versions():
    """The versions that each message type of the codec declares: {name: (first, last)}."""
    command = ["cargo", "metadata", "--format-version", "1", "--manifest-path", BROKER / "Cargo.toml"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    manifest = next(p["manifest_path"] for p in metadata["packages"] if p["name"] == "kafka-protocol")
    declared = re.compile(
        r"impl Message for (\w+) \{\s*const VERSIONS: VersionRange = VersionRange \{ min: (-?\d+), max: (-?\d+) \};"
    )
    versions = {}
    for source in (Path(manifest).parent / "src/messages").glob("*.rs"):
        for name, first, last in declared.findall(source.read_text()):
            versions.setdefault(name, (int(first), int(last)))
    return versions


def message(definition, versions, visible=""):
    name = definition["name"]
    flexible = overlap(span(definition["flexibleVersions"]), versions)
    commons = {struct["name"]: struct["fields"] for struct in definition.get("commonStructs", [])}
    return [
        f'{visible}const {snake(name).upper()}: Message = message("{name}", {versions[0]}, {versions[1]})',
        f".flexible_since({flexible[0]})" if flexible else "",
        ".fields(&[",
        *fields(definition["fields"], versions, commons),
        "]);",
        "",
    ]


def fields(definitions, within, commons):
    lines = []
    for definition in definitions:
        versions = overlap(span(definition["versions"]), within)
        if versions is None:
            continue
        name = snake(definition["name"])
        kind = definition["type"]
        element = kind.removeprefix("[]")
        inner = None
        if element not in KINDS:
            inner = definition.get("fields") or commons[element]
            head = f'{"struct_" if kind == element else "structs"}("{name}")'
        elif definition.get("flexibleVersions") == "none":
            assert kind == "string", f"{name} is not flexible, which only strings can be"
            head = f'field("{name}", ClassicString)'
        else:
            head = f'field("{name}", {KINDS[element] if kind == element else f"Array(&{KINDS[element]})"})'
        if versions[0] > within[0]:
            head += f".since({versions[0]})"
        if versions[1] < within[1]:
            head += f".until({versions[1]})"
        if nullable := overlap(span(definition.get("nullableVersions", "none")), versions):
            assert nullable[1] == versions[1], f"{name} stops being nullable"
            head += f".nullable_since({nullable[0]})" if nullable[0] > versions[0] else ".nullable()"
        if "tag" in definition:
            assert definition["taggedVersions"] == definition["versions"], f"{name} is tagged in some versions only"
            head += f".tag({definition['tag']})"
        if inner is not None:
            lines += [f"{head}.of(&[", *fields(inner, versions, commons), "]),"]
        else:
            lines.append(f"{head},")
    return lines


def span(text):
    """The versions "3", "3-5" or "3+" as (first, last); None for "none"."""
    if text == "none":
        return None
    if text.endswith("+"):
        return int(text[:-1]), 32767
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def overlap(a, b):
    if a is None or max(a[0], b[0]) > min(a[1], b[1]):
        return None
    return max(a[0], b[0]), min(a[1], b[1])


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


if __name__ == "__main__":
    main()
