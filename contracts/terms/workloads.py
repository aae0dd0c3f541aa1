"""What a kind of work needs, by rule of thumb: memory from bytes a parameter, hours from operations a parameter and token.

Round figures to begin with, to be changed by hand; each is somebody's published one:

    18 bytes   training in mixed precision with AdamW: 6 for weights, 4 for gradients, 8 for the optimizer
               (Hugging Face, "Model training anatomy"; ZeRO, arXiv 1910.02054, counts 16 before anything is kept apart)
    2.6 bytes  adapters: 2 for the frozen weights, the rest for the adapters and for what a small batch keeps
               (LLaMA-Factory's table of hardware: 16 GB for 7 billion, 32 for 13, 160 for 70)
    2.4 bytes  inference: 2 for the weights, a fifth on top for what requests keep (EleutherAI, "Transformer Math 101")
    6, 4, 2    operations a parameter and token: forward 2, backward 4; adapters leave out the gradient of the weights
               (Kaplan and others, arXiv 2001.08361)
    20 tokens  a parameter, when a model is trained from nothing (Hoffmann and others, arXiv 2203.15556)
    40 %       of the peak is what training reaches (Llama 3, arXiv 2407.21783, 38 to 43 %);
    20 %       generating in large batches (Pope and others, arXiv 2211.05102, 14 to 33 %)
"""

from typing import Literal

import msgspec

REFERENCE_TFLOPS = 989
GB_EACH_MAX = 80
HOURS_MAX = 168
MILLIONS_MAX = 1_000_000

WorkloadName = Literal["adapters", "tuning", "serving", "batch", "training", "simulation"]


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of work.

    tenths_of_bytes    memory a parameter, tenths of a byte; 0 where it does not go by parameters
    operations         floating point operations a parameter and token; 0 where hours do not go by tokens
    tokens_millions    tokens it goes through, or
    tokens_each        tokens a parameter
    peak_percent       share of an accelerator's peak that such work reaches
    memory_gb, hours   what it needs where neither parameters nor tokens say
    tier               what it can take: spot, where it may be called back and goes on from what it kept
    """

    tenths_of_bytes: int = 0
    operations: int = 0
    tokens_millions: int = 0
    tokens_each: int = 0
    peak_percent: int = 0
    memory_gb: int = 0
    hours: int = 0
    tier: Literal["standard", "spot"] = "spot"


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What it comes to.

    memory_gb        in all, GB, rounded up
    memory_each_gb   on each accelerator, of the `holders` that hold it once between them: a power of two, for nodes come in such
    accelerators     as many as hold it, or copies of it side by side until the work is done within a week
    hours            on each, if they were the reference class
    tokens_millions  tokens it goes through; 0 where hours do not go by tokens
    """

    memory_gb: int
    memory_each_gb: int
    holders: int
    accelerators: int
    hours: int
    tokens_millions: int


WORKLOADS: dict[WorkloadName, Workload] = {
    "adapters": Workload(tenths_of_bytes=26, operations=4, tokens_millions=100, peak_percent=40),
    "tuning": Workload(tenths_of_bytes=180, operations=6, tokens_millions=100, peak_percent=40),
    "serving": Workload(tenths_of_bytes=24, hours=24, tier="standard"),
    "batch": Workload(tenths_of_bytes=24, operations=2, tokens_millions=1000, peak_percent=20),
    "training": Workload(tenths_of_bytes=180, operations=6, tokens_each=20, peak_percent=40),
    "simulation": Workload(memory_gb=24, hours=8),
}


def needs(work: Workload, millions: int) -> Needs:
    """What work on a model of so many million parameters needs. Raises ValueError for a model nobody has: 1 to MILLIONS_MAX.

    >>> needs(WORKLOADS["tuning"], 13_000)
    Needs(memory_gb=234, memory_each_gb=59, holders=4, accelerators=4, hours=2, tokens_millions=100)
    """
    if not 1 <= millions <= MILLIONS_MAX:
        raise ValueError(f"a model has 1 to {MILLIONS_MAX:,} million parameters, was {millions:,}")
    memory = work.memory_gb or -(-millions * work.tenths_of_bytes // 10_000)
    tokens = work.tokens_millions or millions * work.tokens_each
    # 10^12 operations of so many million parameters by million tokens, over what a reference hour does at this share of its peak.
    done, an_hour = 100 * millions * tokens * work.operations, REFERENCE_TFLOPS * work.peak_percent * 3600
    total = -(-done // an_hour) if done else work.hours
    holders = 1
    while holders * GB_EACH_MAX < memory:
        holders *= 2
    accelerators = holders
    while done and accelerators * HOURS_MAX < total:
        accelerators *= 2
    return Needs(
        memory_gb=memory,
        memory_each_gb=-(-memory // holders),
        holders=holders,
        accelerators=accelerators,
        hours=-(-total // accelerators) if done else total,
        tokens_millions=tokens,
    )
