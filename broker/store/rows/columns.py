"""The few column shapes every table is made of."""

from typing import Any

from sqlalchemy import BigInteger, DateTime, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field


def key() -> Any:
    """A text primary key column, or one part of it."""
    return Field(primary_key=True, sa_type=Text)


def micros(*, nullable: bool = False) -> Any:
    """An amount or rate in micro-units: BIGINT."""
    return Field(sa_type=BigInteger, nullable=nullable, default=None if nullable else ...)


def moment(*, index: bool = False) -> Any:
    """A UTC time: TIMESTAMPTZ, never null."""
    return Field(sa_type=DateTime(timezone=True), nullable=False, index=index)


def moment_key() -> Any:
    """A UTC time that is part of the primary key."""
    return Field(sa_type=DateTime(timezone=True), primary_key=True)


def moment_or_none(*, index: bool = False) -> Any:
    """A UTC time that may not have come yet."""
    return Field(sa_type=DateTime(timezone=True), nullable=True, default=None, index=index)


def document() -> Any:
    """A JSON document, read and written whole."""
    return Field(sa_type=JSONB, nullable=False)


def texts() -> Any:
    """A list of text."""
    return Field(sa_type=ARRAY(Text), nullable=False)
