"""Attacks from the network and from a host's own people: nothing gets in, and nothing falls over."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support import stranger
from tests.support.doors import DOORS, LOCKED, MONITOR, OPEN, PUSH, STRANGER, WRITE, port
from tests.support.exporter import certificate
from tests.support.fleet import Round
from tests.support.machine import eventually
from tests.support.story import Turn, bash

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.doors import Scene
    from tests.support.story import Script


def test_nothing_listens_but_what_is_known(scene: Scene, standing: dict[str, str]) -> None:
    assert set(standing) == set(DOORS)
    assert {host: scene.listening(host) for host in DOORS} == {
        host: set(doors) for host, doors in DOORS.items()
    }


@pytest.mark.parametrize(("host", "door"), LOCKED)
def test_nobody_comes_in_without_that_services_own_password(
    scene: Scene, host: str, door: str, tmp_path: Path
) -> None:
    user = DOORS[host][door]
    right = scene.passwords[user]
    strangers = [
        {},
        *(scene.known(user, word) for word in ("", "wrong", f"{right}x")),
        *(scene.known(name, right) for name in ("", "root")),
        {"Authorization": f"Bearer {right}"},
        {"Authorization": "Basic !"},
    ]
    # Hosts write to Prometheus as somebody of their own.
    strangers += [scene.known(name) for name in scene.passwords if name not in (user, "agent")]
    asks = [scene.ask(host, door, "/metrics", headers=headers) for headers in strangers]
    asks.append(scene.ask(host, door, "/metrics", certificate=str(certificate(tmp_path))))
    assert {status for status, _ in scene.answers(host, door, asks)} == {401}
    assert stranger.answer(scene.ask(host, door, "/metrics", headers=scene.known(user)))[0] == 200


# Reads, and what would change something, of any of the services.
WAYS = (
    *(("GET", path) for path in ("/", "/metrics", "//metrics", "/api/v1/query?query=up", "/api/v1/export")),
    *(("GET", path) for path in ("/federate?match[]=up", "/api/v1/status/config", "/api/v2/status")),
    *(("GET", path) for path in ("/debug/pprof/heap", "/-/ready", "/vmui/", "/flags", "/static/")),
    *(("POST", path) for path in ("/-/quit", "/-/reload", "/api/v1/write", "/api/v2/silences", "/write")),
    *(("POST", path) for path in ("/api/v1/admin/tsdb/snapshot", "/api/v1/import/prometheus", "/v1/metrics")),
    *((verb, f"/metrics/job/claude_code/instance/{PUSH}") for verb in ("PUT", "POST", "DELETE")),
    ("OPTIONS", "/metrics"),
    ("CONNECT", "127.0.0.1:9095"),
)


READY = "\r\n\r\nVictoriaMetrics is Ready.\n"


@pytest.mark.parametrize(("host", "door"), LOCKED)
def test_there_is_no_way_around_the_password(scene: Scene, host: str, door: str) -> None:
    asks = [scene.ask(host, door, path, method=method) for method, path in WAYS]
    found = dict(zip(WAYS, scene.answers(host, door, asks), strict=True))
    let_in = {way: text for way, (status, text) in found.items() if status not in (400, 401, 405)}
    # That it is ready is all that VictoriaMetrics tells everybody.
    ready = let_in.pop(("GET", "/-/ready"), READY)
    assert let_in == {}
    assert ready.endswith(READY)


@pytest.mark.parametrize(("host", "door"), LOCKED)
def test_only_tls_of_today_is_spoken(scene: Scene, host: str, door: str) -> None:
    said = {
        version: stranger.answer(scene.ask(host, door, "/metrics", version=version))
        for version in stranger.VERSIONS
    }
    assert [said[version][0] for version in ("1.2", "1.3")] == [401, 401]
    refused = (0, "TLSV1_ALERT_PROTOCOL_VERSION")
    assert [said[version] for version in ("1.0", "1.1")] == [refused, refused]


@pytest.mark.parametrize("door", DOORS[MONITOR])
def test_without_tls_nothing_is_said(scene: Scene, door: str) -> None:
    plain = scene.ask(MONITOR, door, "/metrics", tls=False, headers=scene.known(DOORS[MONITOR][door]))
    status, text = stranger.answer(plain)
    assert (status, text) == (0, "") or (status == 400 and "HTTP request to an HTTPS server" in text)


@pytest.mark.parametrize(("host", "door"), OPEN)
def test_what_asks_for_no_password_is_not_reached_from_elsewhere(scene: Scene, host: str, door: str) -> None:
    from_here = replace(scene.ask(host, door), address=scene.host(host).address())
    assert stranger.answer(from_here) == (0, "ConnectionRefusedError")


def test_a_person_on_the_host_cannot_stop_steer_or_feed_the_agent(scene: Scene) -> None:
    (door,) = [door for door in DOORS[WRITE] if port(door) == 9095]
    ways = [(method, path) for method, path in WAYS if method == "POST"]
    asks = [scene.ask(WRITE, door, path, method=method) for method, path in ways]
    for way, (status, _) in zip(ways, scene.answers(WRITE, door, asks), strict=True):
        assert status in (403, 404, 405, 422), way


PATHS = (
    *("/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd"),
    *("/v1/metrics/../../../../etc/passwd", "/v1/logs%00/etc/passwd", "/v1/../metrics/..;/etc/passwd"),
    *("/metrics/../../etc/passwd", "/static/../../../../../etc/passwd", "/consoles/../../../../etc/passwd"),
    *("/assets/..%5c..%5cetc/passwd", "/api/v1/../../../../etc/passwd", "//etc/passwd", "file:///etc/passwd"),
    *("/metrics/job/..%2f..%2f..%2fetc/instance/x", f"/{'../' * 2000}etc/passwd"),
)


@pytest.mark.parametrize(("host", "door"), [*LOCKED, *OPEN])
def test_no_path_leads_to_a_file(scene: Scene, host: str, door: str) -> None:
    user = DOORS[host][door]
    headers = {**(scene.known(user) if user else {}), "Content-Type": "application/json"}
    asks = [scene.ask(host, door, path, headers=headers) for path in PATHS]
    asks += [replace(ask, method="POST") for ask in asks]
    for ask, (status, text) in zip(asks, scene.answers(host, door, asks), strict=True):
        assert status < 500, ask.path[:80]
        assert not re.search(r"root:[x*]:|PRIVATE KEY", text), ask.path[:80]
        assert not any(password in text for password in scene.passwords.values()), ask.path[:80]


LONG = 2 * 1024 * 1024
FLOOD = 64 * 1024 * 1024
# Far less than a bomb that was unpacked.
MOST_GROWTH = 2 * FLOOD


def bomb() -> str:
    """Return in base64 what unpacks to half a gigabyte."""
    packer = zlib.compressobj(wbits=31)
    packed = [packer.compress(bytes(1024 * 1024)) for _ in range(512)]
    return base64.b64encode(b"".join([*packed, packer.flush()])).decode()


def test_what_is_without_measure_is_refused_and_fills_no_memory(scene: Scene) -> None:
    before, bombs = scene.peaks(), bomb()
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    for host, door in (*LOCKED, *OPEN):
        path = "/v1/metrics" if port(door) == 4318 else "/metrics/job/x"
        base = scene.ask(host, door, path, method="POST", headers=packed)
        asks = [
            replace(base, fill=LONG, into="X-Long"),
            replace(base, fill=LONG, into="Authorization"),
            replace(base, path=f"/{'x' * LONG}"),
            replace(base, fill=FLOOD),
            replace(base, body=bombs),
        ]
        for ask, (status, _) in zip(asks, scene.answers(host, door, asks), strict=True):
            assert status in (0, 400, 401, 404, 405, 413, 414, 431), (
                host,
                door,
                ask.into,
                ask.path[:80],
                status,
            )
    grown = {name: bytes_ - before[name] for name, bytes_ in scene.peaks().items()}
    assert {name: growth for name, growth in grown.items() if growth > MOST_GROWTH} == {}


# Connections to a door: on loopback three times as many as there are workers, and none too many to wait.
HELD, HELD_NEAR = 100, 48
# From each place: the share of the exporter's workers that one peer may have.
FEWEST = 4
SIEGE = 120
WORK: Script = (Turn((bash("true"),)), Turn((bash("rm -rf ~", outcome="blocked", reason="rm_rf"),)), Turn())


def held(scene: Scene, host: str, door: str) -> int:
    """Return how many connections to a door are open."""
    seen = scene.host(host).run("ss", "-Htn", "state", "established", f"( sport = :{port(door)} )")
    return len(seen.splitlines())


@pytest.fixture(scope="module")
def siege(scene: Scene) -> Iterator[None]:
    """Hold connections to every door, from the network and from each host's own loopback."""
    far = [(scene.host(host).address(), port(door), HELD) for host, door in LOCKED]
    run = [sys.executable, stranger.__file__, "hold", str(SIEGE)]
    network = subprocess.Popen(run, stdin=subprocess.PIPE, text=True)
    assert network.stdin
    with network.stdin as stdin:
        stdin.write(json.dumps(far))
    inside = []
    for host in scene.fleet.developers:
        near = json.dumps([("127.0.0.1", port(door), HELD_NEAR) for name, door in OPEN if name == host])
        hold = ["sh", "-c", f"echo $$ >/tmp/holding; exec python3 {STRANGER} hold {SIEGE}"]
        inside.append(scene.host(host).start(hold, user="bob", stdin=near, seconds=SIEGE))
    for host, door in (*LOCKED, *OPEN):
        found = eventually(
            lambda host=host, door=door: held(scene, host, door),  # type: ignore[misc]
            accept=lambda seen: seen >= FEWEST,
            seconds=30,
        )
        assert found >= FEWEST, (host, door)
    yield
    network.kill()
    network.wait()
    for host in scene.fleet.developers:
        scene.host(host).run("sh", "-c", "kill $(cat /tmp/holding); rm /tmp/holding")
    for session in inside:
        session.output(check=False)


def test_while_somebody_holds_connections_to_every_door_the_sessions_of_others_are_exact(
    scene: Scene, siege: None
) -> None:
    assert siege is None
    played = Round.of(scene.fleet, "siege")
    for host in scene.fleet.developers:
        played.start("alice", host, WORK)
        played.start("alice", host, WORK)
    played.finish()
    played.assert_exact()
    still = {(host, door): held(scene, host, door) >= FEWEST for host, door in (*LOCKED, *OPEN)}
    assert all(still.values()), still


def test_afterwards_every_daemon_is_the_one_it_was(scene: Scene, standing: dict[str, str]) -> None:
    assert scene.standing() == standing
