"""The schema and the example say what the settings are, completely."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fabnode.config.schema import schema
from fabnode.releases import compatibility
from fabnode.releases.version import Release
from tests.support import write_cluster

EXAMPLE = Path("config/example.yml")


def properties(made: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the properties of a definition, or of the mapping among its alternatives."""
    definition: dict[str, Any] = made["$defs"][name]
    definition = next((d for d in definition.get("anyOf", ()) if "properties" in d), definition)
    return dict(definition["properties"])


def test_the_schema_is_json_and_describes_every_key() -> None:
    made = schema()
    assert json.loads(json.dumps(made)) == made
    missing = [
        f"{name}.{key}"
        for name, definition in made["$defs"].items()
        for key, value in definition.get("properties", {}).items()
        if "description" not in value and "$ref" not in value
    ]
    assert missing == []


def test_the_schema_has_the_shape_of_the_file() -> None:
    made = schema()
    assert set(made["required"]) == {"cluster", "nodes"}
    assert made["additionalProperties"] is False
    kinds = [one["$ref"] for one in made["properties"]["nodes"]["items"]["anyOf"]]
    assert kinds == ["#/$defs/NodeEntry", "#/$defs/NodeList"]
    assert made["$defs"]["NodeList"]["required"] == ["from"]
    node = properties(made, "NodeEntry")
    assert node["kubelet"]["$ref"] == "#/$defs/KubeletSettingsOverrides"
    assert made["$defs"]["ClusterSettings"]["properties"]["version"]["type"] == "string"


def test_overrides_have_the_keys_of_their_section_and_need_none() -> None:
    made = schema()
    for section in ("SshSettings", "RuntimeSettings", "KubeletSettings", "KubeProxySettings"):
        assert properties(made, f"{section}Overrides").keys() == properties(made, section).keys()
        assert "required" not in made["$defs"][f"{section}Overrides"]
        for key, value in properties(made, f"{section}Overrides").items():
            assert "default" not in value, f"{section}.{key}: the default is the section's"


def test_defaults_in_the_schema_are_what_a_file_would_set() -> None:
    calico = properties(schema(), "CalicoSettings")
    assert calico["version"]["default"] == "3.28.5"
    assert calico["manifest"]["default"] == "artifacts/calico.yaml"


def test_the_example_is_valid_once_its_files_are_there(tmp_path: Path) -> None:
    from fabnode.config.loader import load

    text = EXAMPLE.read_text()
    (tmp_path / "pki").mkdir()
    path = write_cluster(tmp_path, text)
    (tmp_path / "ca.pem").rename(tmp_path / "pki" / "ca.pem")
    config = load(path)
    assert [node.name for node in config.nodes] == ["node-1", "node-2", "node-3"]


def test_the_example_shows_every_key_and_its_default() -> None:
    """Keys that are commented out count: they show what could be set."""
    made, text = schema(), EXAMPLE.read_text()
    for name, reference in made["properties"].items():
        if "$ref" not in reference:
            continue
        start = text.index(f"\n{name}:")
        end = next((m.start() for m in re.compile(r"^\w+:", re.M).finditer(text, start + 2)), None)
        part = text[start:end]
        for key, value in properties(made, reference["$ref"].rpartition("/")[2]).items():
            found = re.search(rf"^\s+(#\s)?{key}:[ ]*([^#\n]*)", part, re.M)
            assert found, f"{name}.{key} is not in the example"
            if found[1] is None and value.get("default") is not None and key not in SHOWN_OTHERWISE:
                assert yaml.safe_load(found[2] or "null") == value["default"], f"{name}.{key}"


SHOWN_OTHERWISE = {"version"}
"""Keys the example sets to something else than their default: Calico fits its Kubernetes."""


def readme() -> dict[str, Any]:
    text = Path("README.md").read_text()
    (block,) = (part for part in re.findall(r"```yaml\n(.*?)```", text, re.S) if "cluster:" in part)
    found: dict[str, Any] = yaml.safe_load(block)
    return found


@pytest.mark.parametrize("source", ["README.md", "config/example.yml"])
def test_versions_of_the_examples_were_tested_together_by_their_makers(source: str) -> None:
    document = readme() if source == "README.md" else yaml.safe_load(EXAMPLE.read_text())
    calico, minor = document["calico"], Release.parse(document["cluster"]["version"]).minor
    assert not calico.get("allow_untested")
    assert compatibility.calico(Release.parse(calico["version"]), minor) is None
