"""Where eFormidling and Altinn 3 are (altinn-transport 1.1; registry-and-statuses 1.1)."""

from __future__ import annotations

ADDRESSES = {
    "production": {
        "token_url": "https://maskinporten.no/token",
        "token_audience": "https://maskinporten.no/",
        "exchange_url": "https://platform.altinn.no/authentication/api/v1/exchange/maskinporten",
        "broker_url": "https://platform.altinn.no/broker/api/v1",
        "registry_url": "https://eformidling.no/adressetjeneste",
    },
    "test": {
        "token_url": "https://test.maskinporten.no/token",
        "token_audience": "https://test.maskinporten.no/",
        "exchange_url": (
            "https://platform.tt02.altinn.no/authentication/api/v1/exchange/maskinporten"
        ),
        "broker_url": "https://platform.tt02.altinn.no/broker/api/v1",
        "registry_url": "https://test.eformidling.no/adressetjeneste",
    },
}
"""The addresses of each environment, by the name of their setting in ``[network]``."""
