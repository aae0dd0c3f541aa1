"""Named worlds on which clearings can be compared: the same name and seed is the same book, byte for byte.

A ladder of sizes first, each ten times the one before; then one severity at a time, at a size where it tells; then blocks.
"""

from typing import NamedTuple

from pricing.simulation.spec import WorldSpec

SEED = 1


class NamedWorld(NamedTuple):
    """One world of the suite: what it is called, what it is for, how it is made. `seed` is what published figures used."""

    name: str
    about: str
    spec: WorldSpec
    seed: int = SEED


def _world(name: str, about: str, **spec: object) -> NamedWorld:
    return NamedWorld(name, about, WorldSpec(**spec))  # type: ignore[arg-type]


SUITE: dict[str, NamedWorld] = {
    world.name: world
    for world in (
        _world("plain-100", "a hundred bids: small enough to read", bids=100, core_sites=10, edge_sites=10),
        _world("plain-1k", "a thousand bids", bids=1_000, core_sites=20, edge_sites=30),
        _world(
            "plain-2k",
            "two thousand bids: the largest whose whole programme a simplex solves in seconds",
            bids=2_000,
            core_sites=40,
            edge_sites=60,
        ),
        _world("plain-10k", "ten thousand bids on 550 sites", bids=10_000),
        _world("plain-100k", "a hundred thousand bids on 550 sites", bids=100_000),
        _world("instant-1k", "a thousand bids for one slot: what a scheduler solves every few minutes", bids=1_000, slots=1),
        _world("week-1k", "a thousand bids over 168 slots: few bids, long horizon", bids=1_000, core_sites=20, edge_sites=30, slots=168),
        _world("slack-10k", "a third as much wanted as there is", bids=10_000, tightness=0.3),
        _world("scarce-10k", "twice as much wanted as there is", bids=10_000, tightness=2.0),
        _world("open-10k", "no demand of sovereignty at all: every bid may run nearly everywhere", bids=10_000, open_share=1.0),
        _world("home-10k", "half of the bids stay in their own country", bids=10_000, home_share=0.5),
        _world("tiers-10k", "every bid names every tier it would take, best tiers mixed evenly", bids=10_000, tier_mix=(1, 1, 1)),
        _world("green-10k", "half of the bids would pay to emit less", bids=10_000, carbon_share=0.5),
        _world("loaded-10k", "half of the bids have data to move first", bids=10_000, data_share=0.5),
        _world(
            "ties-10k",
            "half of the bids repeat another; rates and limits are the seed's own few",
            bids=10_000,
            tied_share=0.5,
            rate_spread=0.0,
        ),
        _world("blocks-500", "five hundred bids, blocks all", bids=500, block_share=1.0),
        _world("blocks-10k", "ten thousand bids, a fifth of them blocks", bids=10_000, block_share=0.2),
        _world("blocks-100k", "a hundred thousand bids, a fifth of them blocks", bids=100_000, block_share=0.2),
    )
}
