"""What a provider writes for its agent, and the key that is made for it."""

from pathlib import Path

import pytest

from broker.agent.announcing import OfferTerms, changes
from broker.agent.cluster import Node
from broker.agent.grid import read_grid, signing_key
from broker.agent.ray_cluster import bundle_sizes
from contracts.feed.messages import Announce, Capacity, Withdraw
from contracts.terms.errors import BadInput

TEXT = """
broker = "https://market.example"
provider = "prv_x"
cluster = { kind = "ray", address = "10.0.0.5:6379" }
door = { url = "https://grid.example" }
[[offers]]
offer_id = "ofr_x"
accelerator = "H100"
rate_micros = 1_800_000
attributes = { site = "fr-1", country = "FR", hardware = "H100-SXM" }
"""


def test_a_grid_is_read_with_its_files_beside_it(tmp_path: Path):
    (tmp_path / "agent.toml").write_text(TEXT)
    grid = read_grid(tmp_path / "agent.toml")
    assert (grid.provider, grid.memory_file, grid.accelerator_of("ofr_x")) == ("prv_x", tmp_path / "agent.json", "H100")
    assert grid.accelerator_of("ofr_y") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("provider =", "providr ="), "unknown field `providr`"),
        (('kind = "ray"', 'kind = "slurm"'), "Invalid enum value 'slurm'"),
        (("1_800_000", '"cheap"'), "Expected `int`"),
        (("[[offers]]", "[offers"), "Expected"),
        (("https://grid", "ftp://grid"), "Expected `str` matching regex"),
    ],
)
def test_what_cannot_stand_is_said(tmp_path: Path, change: tuple[str, str], said: str):
    (tmp_path / "agent.toml").write_text(TEXT.replace(*change))
    with pytest.raises(BadInput) as refusal:
        read_grid(tmp_path / "agent.toml")
    assert said in str(refusal.value)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path):
    file = tmp_path / "feed.key"
    made = signing_key(file)
    assert signing_key(file).private_bytes_raw() == made.private_bytes_raw()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("nonsense")
    with pytest.raises(BadInput, match="no key"):
        signing_key(file)


def test_only_what_changed_is_announced():
    """Eight and four are twelve; one machine less is a capacity, another rate a new offer, none at all a withdrawal."""
    terms = OfferTerms(offer_id="ofr_x", accelerator="H100", rate_micros=5, attributes={"site": "s"})
    nodes = [
        Node(id="a", accelerator="H100", quantity=8),
        Node(id="b", accelerator="H100", quantity=4),
        Node(id="c", accelerator="L4", quantity=1),
    ]
    (first,) = changes([terms], nodes, said={}, version=7)
    assert isinstance(first, Announce)
    assert (first.quantity, first.version, first.attributes) == (12, 7, {"node_size": 8, "site": "s"})
    said = {"ofr_x": first}
    assert changes([terms], nodes, said=said, version=8) == []
    assert changes([terms], nodes[:1], said=said, version=8) == [Capacity(offer_id="ofr_x", version=8, quantity=8)]
    (dearer,) = changes([OfferTerms(offer_id="ofr_x", accelerator="H100", rate_micros=6, attributes={})], nodes, said=said, version=9)
    assert (dearer.rate_micros, dearer.version) == (6, 9)
    (gone,) = changes([terms], nodes[2:], said=said, version=8)
    assert isinstance(gone, Withdraw)


@pytest.mark.parametrize(
    ("quantity", "free", "sizes"),
    [(4, [8], (4,)), (12, [8, 8], (8, 4)), (12, [2, 6, 4], (6, 4, 2)), (12, [8, 0], (8, 4)), (20, [], (8, 8, 4)), (3, [2, 8, 0], (3,))],
)
def test_a_lease_takes_the_emptiest_machines_first(quantity: int, free: list[int], sizes: tuple[int, ...]):
    """Where there is not enough free, whole machines are waited for."""
    assert bundle_sizes(quantity, free, largest=8) == sizes
