"""What is read from the environment; how the command shows a bad value is in test_cli.py."""

import ipaddress

import pytest

from roost.settings import Settings, SettingsError


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
