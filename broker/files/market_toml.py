"""`market.toml`: the settings of one market, read exactly (decimals stay decimals) and checked key by key."""

import difflib
import re
import tomllib
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import msgspec

from broker.files.faults import Findings
from contracts.terms.orders import RULES_VERSION, MarketRules
from contracts.terms.time import iso, utc

FILE = "market.toml"
DECIMAL_PLACES = 6

Setting = str | int | Decimal | datetime


class SettingReader(Protocol):
    """Reads one setting; what it cannot read becomes a fault and a stand-in."""

    def __call__(self, name: str, value: Setting, *, findings: Findings) -> Setting:
        """The setting as the rules hold it."""
        ...


def read_rules(directory: Path) -> MarketRules:
    """The rules of the market in a directory. Raises BadInput naming every setting that cannot stand."""
    findings = Findings()
    settings = _settings(directory / FILE, findings)
    findings.stop_if_faulty()
    _check_names(settings, findings)
    read = {name: _READERS[name](name, value, findings=findings) for name, value in settings.items() if name in _READERS}
    findings.stop_if_faulty()
    try:
        return MarketRules(**read)  # type: ignore[arg-type]
    except ValueError as error:
        findings.fault(str(error), file=FILE, column=str(error).split(" ", 1)[0], would_do="a value within it")
        findings.stop_if_faulty()
        raise


def rules_text(rules: MarketRules) -> str:
    """The settings as TOML; an unbounded uplift fund is left out."""
    values = {name: getattr(rules, name) for name in rules.__struct_fields__}
    values["start"] = iso(rules.start)
    lines = (f"{name} = {_toml(value)}" for name, value in values.items() if value is not None)
    return "\n".join(lines) + "\n"


def _toml(value: Setting) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _settings(path: Path, findings: Findings) -> dict[str, Setting]:
    if not path.is_file():
        findings.fault("the market directory has no such file", file=FILE, would_do="a file with currency, start and slots")
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        findings.fault(f"the file is not TOML: {error}", file=FILE, would_do='lines such as currency = "EUR"')
        return {}


def _check_names(settings: dict[str, Setting], findings: Findings) -> None:
    for name in (name for name in settings if name not in _READERS):
        close = difflib.get_close_matches(name, _READERS, n=1)
        findings.fault("nobody knows this setting", file=FILE, column=name, found=name, would_do=close[0] if close else ", ".join(_READERS))
    for field in msgspec.structs.fields(MarketRules):
        if field.required and field.name not in settings:
            findings.fault("the setting is missing", file=FILE, column=field.name, would_do=_EXAMPLES[field.name])


def _decimal(name: str, value: Setting, *, findings: Findings) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        findings.fault("the setting is not a number", file=FILE, column=name, found=str(value), would_do="a decimal, e.g. 0.05")
        return Decimal(0)
    number = Decimal(value)
    if not number.is_finite() or number != round(number, DECIMAL_PLACES):
        findings.fault(
            "the setting has more than six decimals", file=FILE, column=name, found=str(value), would_do="at most six, e.g. 0.05"
        )
        return Decimal(0)
    return number


def _whole(name: str, value: Setting, *, findings: Findings) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        findings.fault("the setting is not a whole number", file=FILE, column=name, found=str(value), would_do="a whole number from 0")
        return 0
    return value


def _currency(name: str, value: Setting, *, findings: Findings) -> str:
    if not isinstance(value, str) or not re.fullmatch("[A-Z]{3}", value):
        findings.fault("the setting is no currency", file=FILE, column=name, found=str(value), would_do='an ISO 4217 code, e.g. "EUR"')
    return str(value)


def _rules(name: str, value: Setting, *, findings: Findings) -> str:
    if str(value) != RULES_VERSION:
        findings.fault("these rules are not known here", file=FILE, column=name, found=str(value), would_do=f'"{RULES_VERSION}"')
    return str(value)


def _start(name: str, value: Setting, *, findings: Findings) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        if moment.utcoffset() != timedelta(0):
            raise ValueError
        return utc(moment.isoformat())
    except ValueError:
        findings.fault("the setting is no time in UTC", file=FILE, column=name, found=str(value), would_do='"2026-03-02T00:00:00Z"')
        return datetime.fromisoformat("1970-01-01T00:00:00Z")


_READERS: dict[str, SettingReader] = {
    "currency": _currency,
    "start": _start,
    "slots": _whole,
    "slot_hours": _decimal,
    "headroom_standard": _decimal,
    "headroom_guaranteed": _decimal,
    "call_ceiling": _decimal,
    "fee_bps": _whole,
    "uplift_fund_micros": _whole,
    "rules": _rules,
}
_EXAMPLES = {"currency": '"EUR"', "start": '"2026-03-02T00:00:00Z"', "slots": "24"}
