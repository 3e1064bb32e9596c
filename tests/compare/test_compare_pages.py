"""The report in a real browser: readable at both widths, and nothing asked of anybody."""

from __future__ import annotations

import html
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from compare_letters import melding, put_message, record_letters

from gateway.cli.compare import command

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_PAGES = ("index.html", "dekning.html", "overgang.html")

# Shows a page in a frame of a given width and writes what was laid out into the document.
_MEASURE = """<!doctype html><title>w</title><iframe id="f" style="width:{width}px;height:2000px"
src="{page}"></iframe><pre id="out"></pre><script>
document.getElementById("f").onload = (event) => {{
  const inner = event.target.contentDocument;
  document.getElementById("out").textContent = JSON.stringify({{
    scroll: inner.documentElement.scrollWidth, width: inner.documentElement.clientWidth,
    smallest: Math.min(...[...inner.querySelectorAll("td, th, p, li, code")]
      .map((it) => parseFloat(getComputedStyle(it).fontSize))),
    text: inner.body.innerText.slice(0, 400)}});
}};</script>"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of difference, three systems, evil texts, run twice."""
    folder = tmp_path_factory.mktemp("report")
    for dialect, count in (("p360", 4), ("ephorte", 3), ("websak", 2)):
        for side in ("old", "new"):
            record_letters(folder / side / dialect, count, dialect)
    (folder / "old" / "p360" / "00001.xml").write_text(
        put_message(
            melding(
                1, '<script>alert("x")</script><img src=http://evil.example/x>', "p360"
            ).replace("Storgata 1", "En svært lang adresse uten mellomrom " + "x" * 300),
            "6f1c0f6e-8c0d-4a7e-9d55-000000000001",
        ),
        encoding="utf-8",
    )
    (folder / "new" / "websak" / "00002.xml").unlink()
    arguments = ["run", "--left", str(folder / "old"), "--right", str(folder / "new"),
                 "--out", str(folder / "out")]  # fmt: skip
    for _ in range(2):
        assert CliRunner().invoke(command, arguments).exit_code == 1
    done = CliRunner().invoke(
        command,
        ["report", str(folder / "out"), "--out", str(folder / "pages"), "--format", "html"],
    )
    assert done.exit_code == 0, done.output
    return folder / "pages"


def test_pages_name_nothing_outside_themselves(report: Path) -> None:
    for name in _PAGES:
        text = (report / name).read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        assert "<script" not in text
        assert not re.search(r"<(img|link|iframe|object|embed)\b(?![^>]*href=\"data:,\")", text)
        links = re.findall(r'(?:href|src)="([^"]*)"', text)
        assert {it for it in links if not it.startswith("#")} <= {*_PAGES, "data:,"}


def test_the_letters_text_is_text(report: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text
    assert "http://evil.example" in html.unescape(text)


def test_what_the_reader_is_told(report: Path) -> None:
    index = (report / "index.html").read_text(encoding="utf-8")
    assert "tittel på journalposten" in index
    assert "&lt;wbr" not in index
    assert "ulikt innhold" in index
    assert "Siden forrige kjøring" in index
    assert "Ikke klar" in (report / "overgang.html").read_text(encoding="utf-8")
    assert "aldri er sett" in (report / "dekning.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(report: Path) -> Iterator[tuple[str, list[str]]]:
    """The report over loopback, with every path that was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(report))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(_CHROMIUM is None, reason="chromium is not here (Debian: apt install chromium)")
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", _PAGES)
def test_readable_in_a_browser(
    page: str, width: int, report: Path, site: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = site
    frame = f"frame-{width}-{page}"
    (report / frame).write_text(_MEASURE.format(width=width, page=page), encoding="utf-8")
    asked.clear()
    net_log = tmp_path / "net.json"
    done = subprocess.run(
        [
            str(_CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu",
            "--disable-background-networking", "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={net_log}",
            "--window-size=1400,2200", "--virtual-time-budget=3000", "--dump-dom",
            f"{address}/{frame}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None
    laid_out = json.loads(html.unescape(found[1]))
    assert laid_out["scroll"] <= laid_out["width"], "the page is wider than the screen"
    assert laid_out["smallest"] >= 11
    assert {path for path in asked if "favicon" not in path} == {f"/{frame}", f"/{page}"}
    # The browser's own errands go nowhere; what the page itself begins has it as initiator.
    log = net_log.read_text(encoding="utf-8").rstrip().rstrip(",")
    events = json.loads(log if log.endswith("}") else log + "]}")["events"]
    begun = [event.get("params", {}) for event in events]
    from_page = [it["url"] for it in begun if it.get("initiator") == address and "url" in it]
    assert from_page, "the log of the browser was not understood"
    assert {url.partition("?")[0] for url in from_page} <= {
        f"{address}/{page}", f"{address}/favicon.ico", "data:,"
    }  # fmt: skip
