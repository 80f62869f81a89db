#!/usr/bin/env python3
"""Checks compose.yaml by what its format allows, prints the options of a service as words of podman, a line each, and sees that
docs/container.md gives podman the same.

    compose.py compose.yaml keyward | node-red
"""

import pathlib
import sys

import yaml

SERVICE = {"build", "image", "restart", "environment", "ports", "volumes", "read_only", "cap_drop", "security_opt", "ulimits",
           "stop_grace_period", "healthcheck", "depends_on", "tmpfs"}
HEALTH = {"test", "interval", "timeout", "retries", "start_period", "start_interval"}


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        compose = yaml.safe_load(file)
    assert set(compose) == {"services", "volumes"}, set(compose)
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE, (name, set(service) - SERVICE)
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service.get("healthcheck", {})) <= HEALTH, name
        for volume in service["volumes"]:
            assert volume.split(":")[0] in compose["volumes"], volume
    keyward, node_red = compose["services"]["keyward"], compose["services"]["node-red"]
    assert keyward["volumes"] == ["keyward:/data"], "one volume"
    assert keyward["healthcheck"]["test"] == ["CMD", "/keyward", "healthcheck"]
    assert "${KEYWARD_NAMES:?" in keyward["environment"]["KEYWARD_NAMES"], "names are asked for"
    assert node_red["depends_on"] == {"keyward": {"condition": "service_healthy"}}
    assert all(port.startswith("127.0.0.1:") for port in node_red["ports"]), "the editor has no login"
    assert node_red["volumes"] == ["node-red:/data"], "the paths of a bundle hold in both volumes"
    assert node_red["environment"] == {"FLOWS": "/data/flows/flow.json"}
    options = hardened(keyward)
    page = pathlib.Path(__file__).parents[1].joinpath("docs/container.md").read_text(encoding="utf-8")
    by_hand = page.split("\npodman run ", 1)[1].replace("\\\n", " ").split("\n", 1)[0] + " "
    grace = f"--stop-timeout={keyward['stop_grace_period'].removesuffix('s')}"
    for option in [*options, grace]:
        assert f" {option.replace('=', ' ')} " in " ".join(by_hand.split()) + " ", f"docs/container.md: podman run without {option}"
    if sys.argv[2] == "node-red":
        options = hardened(node_red) + [f"--tmpfs={path}" for path in node_red["tmpfs"]]
        options += [f"--env={name}={value}" for name, value in node_red["environment"].items()]
    print("\n".join(options))


def hardened(service) -> list[str]:
    return [
        "--read-only",
        *(f"--cap-drop={capability.lower()}" for capability in service["cap_drop"]),
        *(f"--security-opt={option.removesuffix(':true')}" for option in service["security_opt"]),
    ]


main()
