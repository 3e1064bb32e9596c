"""10 000 recorded messages in one comparison: rate, and memory at 1 000 and at 10 000.

    python benchmarks/compare.py [--letters 10000]

Each letter is about 20 kB with one document; one in fifty differs. The rate is beside
that of only parsing the same files with lxml, which is the least that any comparison does.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.sax.saxutils import escape

from lxml import etree

_MELDING = """<Melding xmlns="http://www.arkivverket.no/Noark4-1-WS-WD/types"><journpost xmlns="">
<jpId>{number}</jpId><jpJaar>2026</jpJaar><jpSeknr>{number}</jpSeknr><jpJdato>2026-11-02</jpJdato>
<jpNdoktype>U</jpNdoktype><jpStatus>J</jpStatus><jpInnhold>{title}</jpInnhold>
<avsmot><amIhtype>0</amIhtype><amNavn>Fjellbygda</amNavn></avsmot>
<avsmot><amIhtype>1</amIhtype><amNavn>Havsund</amNavn></avsmot>
<dokument><dlRnr>1</dlRnr><dlType>H</dlType><dbTittel>Brev</dbTittel><veVariant>P</veVariant>
<fil><base64>{content}</base64></fil><veFilnavn>brev.pdf</veFilnavn>
<veMimeType>application/pdf</veMimeType></dokument></journpost>
<noarksak xmlns=""><saId>1</saId><saDato>2026-10-01</saDato><saTittel>Sak</saTittel></noarksak>
</Melding>"""
_SOAP = """<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<PutMessageRequest xmlns="http://www.arkivverket.no/Noark/Exchange/types">
<envelope conversationId="letter-{number}" xmlns=""><sender><orgnr>991825827</orgnr></sender>
<receiver><orgnr>974760673</orgnr></receiver></envelope><payload xmlns="">{payload}</payload>
</PutMessageRequest></s:Body></s:Envelope>"""
_CONTENT = base64.b64encode(os.urandom(12_000)).decode()


def _write(folder: Path, number: int, title: str) -> None:
    payload = escape(_MELDING.format(number=number, title=title, content=_CONTENT))
    folder.mkdir(parents=True, exist_ok=True)
    text = _SOAP.format(number=number, payload=payload)
    (folder / f"{number:06}.xml").write_text(text, encoding="utf-8")


# Peak memory is asked of the system by the process itself; Windows has no such call.
_RUN = """
import resource, sys
from gateway.cli import main
try:
    main(sys.argv[1:], standalone_mode=False)
except SystemExit:
    pass
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _measure(folder: Path, letters: int) -> tuple[float, float, int]:
    for number in range(1, letters + 1):
        _write(folder / "left", number, f"Brev {number}")
        wrong = " endret" if number % 50 == 0 else ""
        _write(folder / "right", number, f"Brev {number}{wrong}")
    began = time.perf_counter()
    for path in (folder / "left").iterdir():
        inner = etree.parse(path).findtext(".//{*}payload") or ""
        etree.fromstring(inner.encode())
    limit = 2 * (time.perf_counter() - began)
    out = folder / "out"
    done = subprocess.run(
        [
            sys.executable, "-c", _RUN, "compare", "run",
            "--left", str(folder / "left"), "--right", str(folder / "right"), "--out", str(out),
        ],
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    peak = int(done.stdout.rpartition("PEAK")[2])
    facts = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    counts = facts["summary"]["statuses"]
    assert counts == {"equal": letters - letters // 50, "different": letters // 50}, counts
    return facts["seconds"], limit, peak


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--letters", type=int, default=10_000)
    letters = arguments.parse_args().letters
    for count in (letters // 10, letters):
        with tempfile.TemporaryDirectory() as folder:
            seconds, limit, peak = _measure(Path(folder), count)
        print(
            f"{count} pairs: {seconds:.1f} s, {count / seconds:.0f} pairs/s; only parsing "
            f"{limit:.1f} s (ratio {limit / seconds:.2f}); peak memory {peak / 1024:.0f} MiB"
        )


if __name__ == "__main__":
    main()
