"""Requests to start from and answers to expect, shown in the API's description; a test sends each request."""

EXAMPLES = {
    "SubmitBid": {
        "night_batch": {
            "summary": "Eight H100s for 24 accelerator-hours, interruptible, tonight",
            "value": {
                "width": 8,
                "hours": 24.0,
                "window_start": "2027-01-01T20:00:00Z",
                "window_end": "2027-01-02T06:00:00Z",
                "hardware": {"H100-SXM": 1.0},
                "limit_spot_micros": 2_400_000,
            },
        },
        "stays_in_france": {
            "summary": "Health data that may not leave France, on either of two classes",
            "value": {
                "width": 4,
                "hours": 32.0,
                "window_start": "2027-01-01T08:00:00Z",
                "window_end": "2027-01-01T20:00:00Z",
                "hardware": {"H100-SXM": 1.0, "A100-80": 0.315},
                "limit_standard_micros": 4_500_000,
                "countries": ["FR"],
                "operator_countries": ["FR"],
                "certifications": ["HDS"],
            },
        },
    },
    "ReportUsage": {
        "one_hour": {
            "summary": "Four accelerators delivered for an hour",
            "value": [
                {
                    "usage_id": "use_2027-01-01T08_node7",
                    "lease_id": "lse_6nqk3v2c7hzq5w4y7x2m3p5r4t",
                    "start": "2027-01-01T08:00:00Z",
                    "end": "2027-01-01T09:00:00Z",
                    "accelerator_seconds": 14_400,
                }
            ],
        },
    },
    "ResellLease": {
        "four_of_them": {
            "summary": "Four of the accelerators, what is left of the month, at 1.80 or more",
            "value": {"rate_micros": 1_800_000, "accelerators": 4, "end": "2027-02-01T00:00:00Z"},
        },
        "all": {"summary": "All that has not begun, at 1.50 or more", "value": {"rate_micros": 1_500_000}},
    },
    "TellProgress": {
        "open": {
            "summary": "The lease has begun, and its holder goes in here",
            "value": {"state": "active", "endpoint": "https://grid.example/leases/lse_6nqk3v2c7hzq5w4y7x2m3p5r4t", "protocol": "jobs"},
        },
        "over": {"summary": "Delivered to its end", "value": {"state": "completed"}},
    },
}
ANSWERS = {
    "GetLeaseAccess": {
        "jobs": {
            "summary": "Send commands there with the token, until eight",
            "value": {
                "lease_id": "lse_6nqk3v2c7hzq5w4y7x2m3p5r4t",
                "protocol": "jobs",
                "endpoint": "https://grid.example/leases/lse_6nqk3v2c7hzq5w4y7x2m3p5r4t",
                "token": "gfa_k5vd2x3mqp7zr4tn6wbyc8hjfsae2l9u",
                "valid_until": "2027-01-01T08:00:00Z",
            },
        },
    },
}
