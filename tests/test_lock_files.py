"""What set-up downloads is pinned, comes from the public registries, and names no machine."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON_HOSTS = {"pypi.org", "files.pythonhosted.org"}
NODE_HOSTS = {"registry.npmjs.org"}
MACHINE_PATHS = [re.escape(f"{ROOT}/"), r"/root/[.\w]", r"/Users/\w", r"/home/\w", r"/work/\w"]


def _hosts(text: str) -> set[str]:
    return set(re.findall(r"\w+://([^/\"\s]+)", text))


def _tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: nothing says which files are the project's")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _machine_paths(text: str) -> list[str]:
    return re.findall(rf"(?<![\w.])(?:{'|'.join(MACHINE_PATHS)})[^\s\"'`]*", text)


def test_python_packages_come_from_pypi():
    text = (ROOT / "uv.lock").read_text()
    assert _hosts(text) == PYTHON_HOSTS
    sources = {json.dumps(package["source"]) for package in tomllib.loads(text)["package"] if package["name"] != "gridfare"}
    assert sources == {'{"registry": "https://pypi.org/simple"}'}


def test_portal_packages_come_from_npm_and_are_pinned_by_hash():
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text())["packages"]
    installed = {name: entry for name, entry in packages.items() if name}
    assert installed
    for name, entry in installed.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert _hosts(entry.get("resolved", "")) <= NODE_HOSTS, name
        assert not entry.get("hasInstallScript"), f"{name} runs a script at install; set-up does not run it, so it may not work"


def test_the_lock_answers_to_the_project_file():
    """A dependency added to one and not to the other is found here, not at a stranger's first set-up."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (locked,) = (p for p in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if p["name"] == "gridfare")
    extras = [wish for wishes in project["project"]["optional-dependencies"].values() for wish in wishes]
    wanted = [*project["project"]["dependencies"], *extras, *project["dependency-groups"]["dev"]]
    recorded = [*locked["metadata"]["requires-dist"], *locked["metadata"]["requires-dev"]["dev"]]
    assert sorted(map(_requirement, wanted)) == sorted((entry["name"], entry.get("specifier", "")) for entry in recorded)


def _requirement(text: str) -> tuple[str, str]:
    name, _extras, specifier = re.split(r"(\[[^]]*])?(?![\w.-])", text, maxsplit=1)
    return name.lower(), specifier.strip()


def test_set_up_builds_with_the_uv_it_fetches():
    """With another version the build back end is fetched apart: slower, and one more thing to fail."""
    bootstrap = (ROOT / "infra" / "bootstrap.py").read_text()
    (minor,) = re.findall(r'UV_VERSION = "(\d+\.\d+)\.\d+"', bootstrap)
    (requirement,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert requirement.startswith(f"uv_build>={minor}.")


def test_no_file_names_the_machine_it_was_written_on():
    found = {}
    for path in _tracked():
        text = path.read_bytes().decode("utf-8", "ignore")
        if path != Path(__file__) and (places := _machine_paths(text)):
            found[path.relative_to(ROOT).as_posix()] = places[:3]
    assert not found


@pytest.mark.parametrize("text", [f"see {ROOT}/README.md", "/root/.cache/uv", "open('/home/ann/x')"])
def test_a_machine_path_is_found(text: str):
    assert _machine_paths(text)


def test_a_stray_host_is_found():
    assert _hosts('url = "https://mirror.example/simple/uv"') - PYTHON_HOSTS == {"mirror.example"}
