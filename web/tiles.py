"""A map of tiles: each country one square about where it lies, so that a small country can be read as well as a large one."""

from collections.abc import Mapping, Sequence

# Rows from north to south, columns from west to east; two dots are sea.
_ROWS = """
CA .. .. IS .. NO SE FI .. RU .. ..
US .. .. IE GB DK EE LV LT .. .. ..
MX .. .. BE NL DE PL BY UA KZ MN ..
GT PR .. FR LU CZ SK MD GE UZ CN KR
CR PA PT ES CH AT HU RO AM PK NP JP
CO VE .. MA IT SI RS BG TR IN HK TW
EC BR SN DZ TN HR GR CY IL BD MO PH
PE UY GH NG LY EG JO KW SA AE TH VN
CL AR CI CM AO KE ET BH QA OM MY SG
.. PY .. NA ZA MZ MU .. LK ID AU NZ
""".strip().splitlines()
TILES: Mapping[str, tuple[int, int]] = {
    code: (column, row) for row, line in enumerate(_ROWS) for column, code in enumerate(line.split()) if code != ".."
}
COLUMNS = max(column for column, _ in TILES.values()) + 1
ROWS = len(_ROWS)


def places(countries: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Column and row of each country; those the map has no tile for stand below it, in order.

    >>> places(["NO", "XK", "AD"])
    {'NO': (5, 0), 'AD': (0, 10), 'XK': (1, 10)}
    """
    found = {country: TILES[country] for country in countries if country in TILES}
    others = sorted(set(countries) - set(TILES))
    return found | {country: (place % COLUMNS, ROWS + place // COLUMNS) for place, country in enumerate(others)}
