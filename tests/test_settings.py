"""What is read from the environment; how the command shows a bad value is in test_cli.py."""

import ipaddress
from dataclasses import fields

import pytest

from roost.settings import REALTIME_LIMITS, Settings, SettingsError


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("", []),
        (" , ", []),
        ("127.0.0.1", ["127.0.0.1/32"]),
        ("10.0.0.0/8, fd00::/8,::1", ["10.0.0.0/8", "fd00::/8", "::1/128"]),
    ],
)
def test_trusted_proxies(value: str, networks: list[str]) -> None:
    settings = Settings.from_environment({"ROOST_TRUSTED_PROXIES": value})

    assert settings.trusted_proxies == tuple(map(ipaddress.ip_network, networks))


@pytest.mark.parametrize(
    ("value", "bad"),
    [
        ("proxy.example.com", "proxy.example.com"),
        ("10.0.0.1, 10.0.0.1/8", "10.0.0.1/8"),
        ("10.0.0.1:80,::1", "10.0.0.1:80"),
    ],
)
def test_trusted_proxies_that_are_none(value: str, bad: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"ROOST_TRUSTED_PROXIES": value})

    (line,) = str(raised.value).splitlines()
    assert line == (
        f"ROOST_TRUSTED_PROXIES has {bad!r}: set it to addresses or networks separated by commas,"
        " such as 127.0.0.1,10.0.0.0/8"
    )


def test_limits_of_the_relay() -> None:
    names = {
        *REALTIME_LIMITS,
        "realtime_frame_bytes",
        "realtime_unsent_bytes",
        "realtime_compress_from_bytes",
        "realtime_drain_ms",
    }
    # Nothing that is there can't be set.
    assert names == {field.name for field in fields(Settings) if field.name.startswith("realtime_")}
    given = {f"ROOST_{name.upper()}": str(70_000 + n) for n, name in enumerate(sorted(names))}
    given["ROOST_REALTIME_DRAIN_MS"] = "1234"
    settings = Settings.from_environment(given)
    for name in names:
        assert str(getattr(settings, name)) == given[f"ROOST_{name.upper()}"]
    off = Settings.from_environment({f"ROOST_{name.upper()}": "0" for name in REALTIME_LIMITS})
    assert {getattr(off, name) for name in REALTIME_LIMITS} == {0}


@pytest.mark.parametrize(
    ("variable", "value", "cure"),
    [
        ("ROOST_REALTIME_USER_SOCKETS", "-1", "a whole number from 0 to 1000000000"),
        ("ROOST_REALTIME_FRAME_BYTES", "0", "a whole number from 1024 to 16777216"),
        # The server ends within five seconds.
        ("ROOST_REALTIME_DRAIN_MS", "2501", "a whole number from 0 to 2500"),
        ("ROOST_METRICS", "on", "one of off, loopback"),
        ("ROOST_METRICS_TOKEN", "short", "at least 16 characters"),
    ],
)
def test_what_can_not_be_set(variable: str, value: str, cure: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({variable: value})

    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{variable} is ")
    assert line.endswith(f": set it to {cure}")


def test_the_metrics() -> None:
    assert Settings.from_environment({}).metrics == "off"
    settings = Settings.from_environment(
        {"ROOST_METRICS": " Loopback ", "ROOST_METRICS_TOKEN": " 0123456789abcdef\n"}
    )
    assert settings.metrics == "loopback"
    assert settings.metrics_token == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(settings)
