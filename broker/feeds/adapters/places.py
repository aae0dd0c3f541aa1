"""In which country a region is, where its publisher's names leave no doubt.

Only the name of a region decides; a region that is not here stays unplaced, and unknown meets no demand for a country.
"""

import re

_AWS = (
    "us-east-1 US us-east-2 US us-west-1 US us-west-2 US us-gov-east-1 US us-gov-west-1 US ca-central-1 CA ca-west-1 CA mx-central-1 MX "
    "sa-east-1 BR eu-west-1 IE eu-west-2 GB eu-west-3 FR eu-central-1 DE eu-central-2 CH eu-north-1 SE eu-south-1 IT eu-south-2 ES "
    "ap-south-1 IN ap-south-2 IN ap-southeast-1 SG ap-southeast-2 AU ap-southeast-3 ID ap-southeast-4 AU ap-southeast-5 MY "
    "ap-southeast-7 TH ap-east-1 HK ap-northeast-1 JP ap-northeast-2 KR ap-northeast-3 JP me-south-1 BH me-central-1 AE "
    "il-central-1 IL af-south-1 ZA cn-north-1 CN cn-northwest-1 CN"
)
_GCP = (
    "us-central1 US us-east1 US us-east4 US us-east5 US us-south1 US us-west1 US us-west2 US us-west3 US us-west4 US "
    "northamerica-northeast1 CA northamerica-northeast2 CA northamerica-south1 MX southamerica-east1 BR southamerica-west1 CL "
    "europe-west1 BE europe-west2 GB europe-west3 DE europe-west4 NL europe-west6 CH europe-west8 IT europe-west9 FR europe-west10 DE "
    "europe-west12 IT europe-north1 FI europe-north2 SE europe-central2 PL europe-southwest1 ES asia-east1 TW asia-east2 HK "
    "asia-northeast1 JP asia-northeast2 JP asia-northeast3 KR asia-south1 IN asia-south2 IN asia-southeast1 SG asia-southeast2 ID "
    "australia-southeast1 AU australia-southeast2 AU me-west1 IL me-central1 QA me-central2 SA africa-south1 ZA"
)
_AZURE = (
    "eastus US eastus2 US centralus US northcentralus US southcentralus US westcentralus US westus US westus2 US westus3 US "
    "canadacentral CA canadaeast CA mexicocentral MX brazilsouth BR northeurope IE westeurope NL uksouth GB ukwest GB francecentral FR "
    "germanywestcentral DE switzerlandnorth CH norwayeast NO swedencentral SE italynorth IT polandcentral PL spaincentral ES "
    "japaneast JP japanwest JP koreacentral KR southeastasia SG eastasia HK australiaeast AU australiasoutheast AU centralindia IN "
    "southindia IN westindia IN uaenorth AE qatarcentral QA israelcentral IL southafricanorth ZA"
)
REGIONS: dict[str, dict[str, str]] = {
    name: dict(zip(words.split()[::2], words.split()[1::2], strict=True))
    for name, words in (("aws", _AWS), ("gcp", _GCP), ("azure", _AZURE))
}
# `FR`, `EU-FR-1`, `SEA-SG-2`, `US-TX-3`, `CA-MTL-1`: a country by itself, or a continent and a country, or a country and a state.
BARE = re.compile(r"^[A-Z]{2}$")
CONTINENT = re.compile(r"^(?:AP|EU|EUR|OC|SEA)-([A-Z]{2})-[0-9]+$")
STATE = re.compile(r"^(US|CA)-[A-Z]{2,3}-[0-9]+$")


def country_of(provider: str | None, region: str | None) -> str | None:
    """ISO 3166-1 alpha-2 code of a provider's region; None where the name does not say."""
    if region is None or provider is None:
        return None
    if BARE.match(region):
        return region
    named = CONTINENT.match(region) or STATE.match(region)
    return named.group(1) if named else REGIONS.get(provider.lower(), {}).get(region)
