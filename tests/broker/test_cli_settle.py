"""`gridfare settle` and `gridfare export` as a person meets them: files, sentences, exit codes."""

import hashlib
import json
import shutil
import sys

import polars as pl
import pytest

from broker import cli
from contracts.ledger_tables import STATEMENT_TABLES
from tests.contracts.golden import GOLDEN, NAMES, golden_rows


@pytest.fixture
def gridfare(monkeypatch, capsys):
    """Runs the program; gives exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gridfare", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "120")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def month(tmp_path):
    """A copy of the golden month of all plans, to be spoiled."""
    shutil.copytree(GOLDEN / "plans" / "month", tmp_path / "month")
    return tmp_path / "month"


def rewrite(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_directory_in_a_close_out(gridfare, tmp_path, name):
    code, out, err = gridfare("settle", GOLDEN / name / "month", "--out", tmp_path / "closed")
    assert (code, err) == (0, "")
    assert "lines add up to subtotals, micros" in out
    for table in STATEMENT_TABLES:
        written = pl.read_csv(tmp_path / "closed" / f"{table.name}.csv", infer_schema=False)
        assert written.columns == list(table.schema)
        assert set(written.iter_rows()) == golden_rows(name, table.name)


def test_the_record_names_every_file_it_read(gridfare, month, tmp_path):
    gridfare("settle", month, "--out", tmp_path / "closed")
    record = json.loads((tmp_path / "closed" / "close.json").read_text())
    assert record["inputs"] == {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in month.iterdir()}
    assert record["as_of"] == 2
    assert all(line["difference"] == 0 for line in record["reconciliations"])
    for table in set(record["inputs"]) - {"usage"}:
        assert (tmp_path / "closed" / f"{table}.csv").read_bytes() == (month / f"{table}.csv").read_bytes()


def test_twice_the_same_bytes_also_from_parquet(gridfare, month, tmp_path):
    gridfare("settle", month, "--out", tmp_path / "one")
    usage = pl.read_csv(month / "usage.csv", try_parse_dates=True).sample(fraction=1.0, shuffle=True, seed=1)
    usage.write_parquet(month / "usage.parquet")
    (month / "usage.csv").unlink()
    gridfare("settle", month, "--out", tmp_path / "two")
    for table in STATEMENT_TABLES:
        name = f"{table.name}.csv"
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_closes_are_chained_and_earlier_periods_stand(gridfare, month, tmp_path):
    assert gridfare("settle", month, "--out", tmp_path / "one", "--as-of", 1)[0] == 0
    code, out, _ = gridfare("settle", month, "--out", tmp_path / "two", "--previous", tmp_path / "one")
    assert code == 0
    assert "earlier periods are unchanged" in out
    first, second = (json.loads((tmp_path / name / "close.json").read_text()) for name in ("one", "two"))
    assert second["previous"] == first["hash"]


def test_a_changed_past_is_settled_marked_and_refused(gridfare, month, tmp_path):
    gridfare("settle", month, "--out", tmp_path / "one", "--as-of", 1)
    rewrite(month / "accounts.csv", "cleared,Clear Skies,as-cleared,2000,1000", "cleared,Clear Skies,as-cleared,2000,1001")
    code, _, err = gridfare("settle", month, "--out", tmp_path / "two", "--previous", tmp_path / "one")
    assert code == 3
    assert "must not be applied" in err
    lines = json.loads((tmp_path / "two" / "close.json").read_text())["reconciliations"]
    assert [line["name"] for line in lines if line["difference"]] == ["earlier periods are unchanged, rows"]


def test_a_forged_earlier_close_is_found(gridfare, month, tmp_path):
    gridfare("settle", month, "--out", tmp_path / "one", "--as-of", 1)
    rewrite(tmp_path / "one" / "payouts.csv", "583700000,0,583700000", "583700001,0,583700001")
    code, _, _ = gridfare("settle", month, "--out", tmp_path / "two", "--previous", tmp_path / "one")
    assert code == 3


def test_the_earlier_close_must_be_earlier(gridfare, month, tmp_path):
    gridfare("settle", month, "--out", tmp_path / "one")
    code, _, err = gridfare("settle", month, "--out", tmp_path / "two", "--previous", tmp_path / "one")
    assert code == 2
    assert "not before period 2" in err


BAD = [
    ("usage.csv", "lease-cleared,2026", "lease-nobody,2026", "row 1, column lease_id"),
    ("usage.csv", ",500,", ",-500,", "row 1, column accelerator_seconds"),
    ("usage.csv", ",500,", ",5e2,", "row 1, column accelerator_seconds"),
    ("usage.csv", "2026-01-05T00:08:20Z,500", "2026-01-04T00:00:00Z,500", "row 1, column end"),
    ("usage.csv", "preempted", "lost", "row 5, column status"),
    ("usage.csv", "2026-01-05T00:00:00Z", "2025-12-31T23:59:59Z", "row 1, column start"),
    ("usage.csv", "2026-01-05T00:00:00Z", "2026-01-05 00:00", "row 1, column start"),
    ("plans.csv", "flat_rate", "flat", "row 4, column kind"),
    ("plans.csv", "volume", "most", "row 3, column tiering"),
    ("plans.csv", "charge", "forgive", "row 4, column overage"),
    ("plan_tiers.csv", "stepped,86400000", "stepped,86400001", "column lo_units"),
    ("leases.csv", "lease-flat,flat", "lease-cleared,flat", "column lease_id"),
    ("leases.csv", "REF-1000", "REF-2000", "row 1, column hardware"),
    ("accounts.csv", "all-in", "none-such", "column plan_id"),
    ("periods.csv", "2026-03-03T00:00:00Z", "2026-02-28T00:00:00Z", "row 2, column closes_at"),
    ("hardware.csv", "1000\n", "0\n", "row 1, column tflops"),
    ("accounts.csv", "tax_bps", "tax", "column tax_bps"),
]


@pytest.mark.parametrize(("file", "old", "new", "place"), BAD, ids=[f"{file} {new}".strip() for file, _, new, _ in BAD])
def test_bad_input_is_one_sentence_with_its_place(gridfare, month, tmp_path, file, old, new, place):
    rewrite(month / file, old, new)
    code, _, err = gridfare("settle", month, "--out", tmp_path / "closed")
    assert code == 2
    assert f"file {file}" in err
    assert place in err
    assert "would do" in err
    assert "Traceback" not in err
    assert not (tmp_path / "closed").exists()


def test_all_faults_are_told_at_once(gridfare, month, tmp_path):
    rewrite(month / "usage.csv", "lease-flat", "lease-nobody")
    rewrite(month / "leases.csv", "REF-1000", "REF-2000")
    _, _, err = gridfare("settle", month, "--out", tmp_path / "closed")
    assert "2 faults" in err


def test_missing_files_and_directories_are_named(gridfare, month, tmp_path):
    (month / "periods.csv").unlink()
    assert "file periods.csv" in gridfare("settle", month, "--out", tmp_path / "closed")[2]
    assert "no such directory" in gridfare("settle", tmp_path / "nowhere", "--out", tmp_path / "closed")[2]
    assert "no close record" in gridfare("export", month, "--format", "focus", "--to", tmp_path / "x")[2]


def test_a_close_does_not_overwrite_its_own_sources(gridfare, month):
    code, _, err = gridfare("settle", month, "--out", month)
    assert code == 2
    assert "another directory" in err


def test_a_period_that_is_not_there(gridfare, month, tmp_path):
    assert gridfare("settle", month, "--out", tmp_path / "closed", "--as-of", 3)[0] == 2


def test_an_unknown_column_is_left_out_aloud(gridfare, month, tmp_path):
    rewrite(month / "hardware.csv", "tflops\nREF-1000,1000", "tflops,colour\nREF-1000,1000,grey")
    code, _, err = gridfare("settle", month, "--out", tmp_path / "closed")
    assert code == 0
    assert "colour" in err


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("focus", ["focus.csv", "focus.parquet"]),
        ("beancount", ["journal.beancount"]),
        ("hledger", ["journal.hledger"]),
        ("statements", ["invoices.txt", "payouts.txt"]),
        ("pain001", ["pain001-000001-EUR.xml", "pain001-000002-EUR.xml"]),
    ],
)
def test_an_export_needs_nothing_but_the_close(gridfare, month, tmp_path, name, files):
    (month / "seller.toml").write_text('name = "Compute Exchange of Utopia"\n')
    gridfare("settle", month, "--out", tmp_path / "closed")
    shutil.rmtree(month)
    for target in ("one", "two"):
        assert gridfare("export", tmp_path / "closed", "--format", name, "--to", tmp_path / target)[0] == 0
    printed = sorted(path.name for path in (tmp_path / "one").glob("*.pdf"))
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted([*files, *printed])
    assert bool(printed) == (name == "statements")
    files = [*files, *printed]
    assert [(tmp_path / "one" / file).read_bytes() for file in files] == [(tmp_path / "two" / file).read_bytes() for file in files]
    assert b"Utopia" in (tmp_path / "one" / files[0]).read_bytes()


def test_e_invoices_say_which_fields_they_miss_and_are_written_with_them(gridfare, month, tmp_path):
    gridfare("settle", month, "--out", tmp_path / "closed")
    code, _, err = gridfare("export", tmp_path / "closed", "--format", "ubl", "--to", tmp_path / "x")
    assert code == 2
    assert "seller.toml: address, country, vat_id" in err
    assert "account_id cleared: legal_name, address, country" in err
    assert not (tmp_path / "x").exists()
    (month / "seller.toml").write_text('name = "Market"\naddress = "1 Place"\ncountry = "DE"\nvat_id = "DE123456789"\n')
    accounts = pl.read_csv(month / "accounts.csv")["account_id"]
    rows = "".join(f"{account},{account} Ltd,2 Rue,FR,\n" for account in accounts)
    (month / "parties.csv").write_text(f"account_id,legal_name,address,country,vat_id\n{rows}")
    gridfare("settle", month, "--out", tmp_path / "closed")
    assert gridfare("export", tmp_path / "closed", "--format", "ubl", "--to", tmp_path / "x")[0] == 0
    assert b"committed Ltd" in (tmp_path / "x" / "ubl-000002-committed.xml").read_bytes()


def test_a_close_that_does_not_add_up_is_not_exported(gridfare, month, tmp_path):
    gridfare("settle", month, "--out", tmp_path / "closed")
    rewrite(tmp_path / "closed" / "close.json", '"difference": 0', '"difference": 7')
    code, _, err = gridfare("export", tmp_path / "closed", "--format", "pain001", "--to", tmp_path / "x")
    assert code == 3
    assert "entries sum to zero, micros (by 7)" in err
    assert not (tmp_path / "x").exists()


def test_a_table_changed_after_the_close_is_not_exported(gridfare, month, tmp_path):
    gridfare("settle", month, "--out", tmp_path / "closed")
    rewrite(tmp_path / "closed" / "payouts.csv", "583700000,0,583700000", "983700000,0,983700000")
    code, _, err = gridfare("export", tmp_path / "closed", "--format", "pain001", "--to", tmp_path / "x")
    assert code == 3
    assert "payouts is not the table its close record has the hash of" in err


def test_nothing_to_export_is_said(gridfare, month, tmp_path):
    (month / "usage.csv").write_text((month / "usage.csv").read_text().splitlines()[0] + "\n")
    gridfare("settle", month, "--out", tmp_path / "closed")
    code, out, _ = gridfare("export", tmp_path / "closed", "--format", "pain001", "--to", tmp_path / "x")
    assert code == 0
    assert "Nothing to write" in out


@pytest.mark.parametrize("command", ["settle", "export"])
def test_help_has_an_example(gridfare, command):
    code, out, _ = gridfare(command, "--help")
    assert code == 0
    assert f"Example: gridfare {command}" in out
