"""The environment, read once; what cannot be read is named."""

from pathlib import Path

import pytest

from broker.settings import Settings, read_settings
from contracts.terms.errors import BadInput


def test_an_empty_environment_gives_the_defaults():
    assert read_settings({}) == Settings()
    assert read_settings({"DATABASE_URL": "", "GRIDFARE_PORT": ""}) == Settings()
    assert read_settings({}).data_directory == Path(".gridfare/postgres")


def test_every_variable_is_read():
    stated = {
        "DATABASE_URL": "postgres://u@h/d",
        "GRIDFARE_DATA_DIRECTORY": "/var/lib/market",
        "GRIDFARE_HOST": "0.0.0.0",
        "GRIDFARE_PORT": "65535",
        "GRIDFARE_LOG_LEVEL": "DEBUG",
        "GRIDFARE_SELLER": "/etc/gridfare/seller.toml",
        "GRIDFARE_SEGMENTS": "s3://bucket/prefix",
        "HOME": "/root",
    }
    assert read_settings(stated) == Settings(
        database_url="postgres://u@h/d",
        data_directory=Path("/var/lib/market"),
        host="0.0.0.0",
        port=65_535,
        log_level="debug",
        seller_file=Path("/etc/gridfare/seller.toml"),
        segments="s3://bucket/prefix",
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://h/d"),
        ("DATABASE_URL", "postgresql"),
        ("GRIDFARE_PORT", "0"),
        ("GRIDFARE_PORT", "65536"),
        ("GRIDFARE_PORT", "80a"),
        ("GRIDFARE_PORT", "²"),
        ("GRIDFARE_PORT", "-1"),
        ("GRIDFARE_LOG_LEVEL", "loud"),
        ("GRIDFARE_SEGMENTS", "gs://bucket"),
        ("GRIDFARE_SEGMENTS", "s3://"),
    ],
)
def test_an_unreadable_variable_is_named(variable, value):
    with pytest.raises(BadInput, match=variable) as refusal:
        read_settings({variable: value})
    assert refusal.value.facts["variable"] == variable
    assert "would do" in str(refusal.value)


def test_a_password_is_never_shown():
    secret = read_settings({"DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert "hunter2" not in f"{secret!r} {secret}"
    with pytest.raises(BadInput) as refusal:
        read_settings({"DATABASE_URL": "mysql://u:hunter2@h/d"})
    assert "hunter2" not in f"{refusal.value} {refusal.value.facts}"
