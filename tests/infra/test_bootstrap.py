"""Set-up refuses what it cannot trust, says what would help, and does nothing twice."""

from pathlib import Path

import pytest

from infra import bootstrap


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for everything set-up writes."""
    monkeypatch.setattr(bootstrap, "STATE", tmp_path)
    monkeypatch.setattr(bootstrap, "STAMPS", tmp_path / "setup.json")
    monkeypatch.setattr(bootstrap, "LOG", tmp_path / "setup.log")
    monkeypatch.setattr(bootstrap, "UV", tmp_path / "tools" / "uv")
    return tmp_path


def test_an_installer_that_was_altered_is_not_unpacked(state: Path, monkeypatch: pytest.MonkeyPatch):
    name = f"uv-{bootstrap.UV_VERSION}-py3-none-musllinux_1_1_x86_64.whl"
    answers = {
        "https://mirror.example/simple/uv/": f'<a href="../../packages/{name}#sha256=0">{name}</a>'.encode(),
        f"https://mirror.example/packages/{name}": b"not the wheel",
    }
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(bootstrap, "libc", lambda: "musl")
    monkeypatch.setattr(bootstrap, "download", answers.__getitem__)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mirror.example/simple")
    with pytest.raises(bootstrap.SetupFailed, match="altered or cut short"):
        bootstrap.install_uv()
    assert not bootstrap.UV.exists()


def test_an_index_without_the_installer_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mirror.example/simple/")
    monkeypatch.setattr(bootstrap, "download", lambda url: b"<a href='other.whl'>other</a>")
    with pytest.raises(bootstrap.SetupFailed, match=r"https://mirror\.example/simple/uv/ does not offer uv-"):
        bootstrap.install_uv()


@pytest.mark.parametrize(
    ("failure", "help_with"),
    [
        ("error: certificate verify failed", "ca-certificates"),
        ("Temporary failure in name resolution", "PIP_INDEX_URL"),
        ("OSError: No space left on device", "disk is full"),
        ("something else", "make clean setup"),
    ],
)
def test_a_failure_says_what_would_help(failure: str, help_with: str):
    assert help_with in bootstrap.advice(failure)


def test_a_command_that_fails_shows_the_end_of_what_it_said(state: Path):
    with pytest.raises(bootstrap.SetupFailed, match=r"no such thing(.|\n)*make clean setup"):
        bootstrap.run(["sh", "-c", "echo no such thing; exit 3"])
    assert bootstrap.LOG.read_text().startswith("$ sh -c")


def test_an_older_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.version_info", (3, 10, 4))
    with pytest.raises(bootstrap.SetupFailed, match=r"Python 3\.11 or newer is needed"):
        bootstrap.check_machine()


def test_commands_get_this_python_and_no_configuration_of_the_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("NODE_EXTRA_CA_CERTS", raising=False)
    monkeypatch.setenv("PIP_CERT", "/certificates.pem")
    environment = bootstrap.environment()
    assert environment["UV_NO_CONFIG"] == "1"
    assert environment["UV_PYTHON_DOWNLOADS"] == "never"
    assert environment["SSL_CERT_FILE"] == environment["NODE_EXTRA_CA_CERTS"] == "/certificates.pem"


def test_a_step_runs_again_only_when_its_inputs_change(state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    ran: list[str] = []
    monkeypatch.setattr(bootstrap, "install_uv", lambda: ran.append("uv"))
    monkeypatch.setattr(bootstrap, "install_packages", lambda: ran.append("packages"))
    monkeypatch.setattr(bootstrap, "run_in_venv", lambda *arguments: ran.append(arguments[1]))
    monkeypatch.setattr(bootstrap, "VENV", state)
    monkeypatch.setattr(bootstrap, "VENDOR", state)
    for made in ("tools/uv", "bin/python", "htmx.min.js", "vega.js"):
        (state / made).parent.mkdir(exist_ok=True)
        (state / made).touch()

    bootstrap.run_steps()
    assert ran == ["uv", "packages", "files", "charts", "warm"]
    assert "[5/5] database and first imports ... 0.0 s" in capsys.readouterr().out

    bootstrap.run_steps()
    assert len(ran) == 5
    assert capsys.readouterr().out == ""

    (state / "htmx.min.js").unlink()
    bootstrap.run_steps()
    assert ran[5:] == ["files"]
