"""The address that the archive calls: our gateway has it, or it is free."""

from __future__ import annotations

import httpx

from gateway.checks.connection import failed_step
from gateway.checks.finding import Check, Verdict, fail, ok
from gateway.settings import Listen
from gateway.soap.listener import local_url

_REMEDY = "Stop the other program, or choose another listen.port and tell the archive."


def endpoint_check(listen: Listen, timeout: float) -> Check:
    """Asks for the WSDL as an archive would."""
    url = local_url(listen.host, listen.port)
    place = f"port {listen.port} of {listen.host}"
    login = None
    if listen.username is not None and listen.password is not None:
        login = httpx.BasicAuth(listen.username, listen.password)

    def examine() -> Verdict:
        try:
            answer = httpx.get(f"{url}?wsdl", auth=login, timeout=timeout, trust_env=False)
        except httpx.TransportError as error:
            if failed_step(error) == "TCP":
                return ok(f"{place} is free: the gateway is not running")
            return fail(f"{place}: something answers, but not as a gateway", _REMEDY)
        if answer.status_code == 401:
            text = f"{place}: a gateway with another listen.username or password answers"
            return fail(text, "Start the gateway anew, or give the settings that it runs with.")
        if "PutMessage" not in answer.text:
            return fail(f"{place}: something answers, but not as a gateway", _REMEDY)
        return ok(f"{place}: a gateway answers")

    return Check("endpoint", examine, _REMEDY)
