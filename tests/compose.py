#!/usr/bin/env python3
"""Checks compose.yaml by what its format allows, and prints the options of a service as words of podman, a line each. Sees that
docs/container.md gives podman the same, and that the lines for Node-RED are the same in compose.yaml, on that page and in container.sh.

    compose.py compose.yaml keyward | node-red
"""

import pathlib
import re
import shlex
import sys

import yaml

SERVICE = {"build", "image", "restart", "environment", "ports", "volumes", "read_only", "cap_drop", "security_opt", "ulimits",
           "stop_grace_period", "healthcheck", "depends_on", "tmpfs"}
# What the lines for Node-RED are called in container.sh.
IN_PODMAN = {
    "docker compose exec keyward": 'pod exec "$name"',
    "docker compose cp keyward:/data/flows -": 'pod cp "$name:/data/flows" -',
    "docker compose exec -T node-red": 'pod exec -i "$flows"',
    "docker compose restart node-red": 'pod restart -t 10 "$flows"',
}
ROOT = pathlib.Path(__file__).parents[1]
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
    page = ROOT.joinpath("docs/container.md").read_text(encoding="utf-8")
    comment = re.findall(r"^#   (.+)$", pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"), re.M)
    check_podman_run(keyward, comment, page)
    check_lines(comment, page)
    options = hardened(keyward)
    if sys.argv[2] == "node-red":
        options = hardened(node_red) + [f"--tmpfs={path}" for path in node_red["tmpfs"]]
        options += [f"--env={name}={value}" for name, value in node_red["environment"].items()]
    print("\n".join(options))


def check_podman_run(service, comment, page) -> None:
    """`podman run` on the page has what compose.yaml asks for; restart and ulimits are left to whoever types it."""
    by_hand = shlex.split(page.split("\npodman run ", 1)[1].replace("\\\n", " ").split("\n", 1)[0])
    (names,) = [line.removeprefix("export ") for line in comment if line.startswith("export ")]
    wanted = ["-d", "--name", "keyward"]
    wanted += [word for port in service["ports"] for word in ("-p", port.removesuffix("/tcp"))]
    wanted += [word for volume in service["volumes"] for word in ("-v", volume)]
    wanted += ["-e", names]
    wanted += [word for option in hardened(service) for word in option.split("=", 1)]
    wanted += ["--stop-timeout", service["stop_grace_period"].removesuffix("s"), service["image"]]
    assert by_hand == wanted, f"docs/container.md: podman run {by_hand}, compose.yaml: {wanted}"


def check_lines(comment, page) -> None:
    """The lines of compose.yaml's head stand on the page in their order, and those for Node-RED run in container.sh."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.split("\n## By hand", 1)[0], re.M | re.S)
    typed = [line for line in "".join(blocks).splitlines() if line in comment]
    assert typed == comment, f"docs/container.md has {typed}, the head of compose.yaml {comment}"
    script = ROOT.joinpath("tests/container.sh").read_text(encoding="utf-8")
    for line in comment[2:]:
        for docker, podman in IN_PODMAN.items():
            line = line.replace(docker, podman)
        assert "docker" not in line and line in script, f"tests/container.sh does not run: {line}"


def hardened(service) -> list[str]:
    return [
        "--read-only",
        *(f"--cap-drop={capability.lower()}" for capability in service["cap_drop"]),
        *(f"--security-opt={option.removesuffix(':true')}" for option in service["security_opt"]),
    ]


main()
