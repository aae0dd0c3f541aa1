"""What other people call an accelerator, and the hardware class it trades as here.

Where a name leaves the board open (`H100 (80 GB)` may be SXM or PCIe) the lesser board is taken: a buyer who gets
more than was promised is not harmed. What has no dense FP16 figure worth trading has no class and no entry.
"""

NAMES = {
    "A10": "A10",
    "A100": "A100-40",
    "A100-40GB": "A100-40",
    "A100-80GB": "A100-80",
    "A100-80GB-SXM": "A100-80",
    "A10G": "A10G",
    "A40": "A40",
    "A4000": "A4000",
    "A5000": "A5000",
    "A6000": "A6000",
    "B200": "B200",
    "B300": "B300",
    "GH200": "GH200",
    "Gaudi2": "GAUDI2",
    "Gaudi3": "GAUDI3",
    "H100": "H100-PCIE",
    "H200": "H200",
    "Inferentia2": "INFERENTIA2",
    "L4": "L4",
    "L40S": "L40S",
    "MI250": "MI250",
    "MI300X": "MI300X",
    "H200-SXM": "H200",
    "MI325X": "MI325X",
    "RTX-PRO-6000": "RTX-PRO-6000",
    "RTXPRO6000": "RTX-PRO-6000",
    "T4": "T4",
    "Trainium2": "TRAINIUM2",
    "V100": "V100-16",
    "V100-32GB": "V100-32",
}
RAW_NAMES = {"H100 HGX (80GB)": "H100-SXM"}
INSTANCE_FAMILIES = {"p5": "H100-SXM"}


def hardware_class(name: str | None, raw: str | None, *, instance_type: str | None) -> str | None:
    """What one accelerator trades as: by its maker's wording, by the instance it sits in, else by its name.

    A name nobody translated comes back as it is, in case the catalogue has a class of that name.
    """
    family = (instance_type or "").split(".")[0]
    if raw in RAW_NAMES:
        return RAW_NAMES[raw]
    if name == "H100" and family in INSTANCE_FAMILIES:
        return INSTANCE_FAMILIES[family]
    return None if name is None else NAMES.get(name, name)
