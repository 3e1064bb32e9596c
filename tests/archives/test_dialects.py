"""Vendor data: what is shipped, and that a wrong file is refused with its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.archives.dialects import dialect_names, load_dialect
from gateway.archives.settings import ArchiveSettings
from gateway.errors import ConfigurationError

IEDUIMPORT = "http://www.arkivverket.no/Noark/Exchange/IEDUImport/PutMessage"


def test_three_vendors_with_the_values_that_work_in_the_field() -> None:
    assert dialect_names() == ["ephorte", "p360", "websak"]
    p360, ephorte, websak = (load_dialect(name) for name in ("P360", "ephorte", "websak"))
    assert (p360.soap_action, ephorte.soap_action, websak.soap_action) == (
        IEDUIMPORT,
        "",
        IEDUIMPORT,
    )
    assert (p360.appreceipt_parties, ephorte.appreceipt_parties, websak.appreceipt_parties) == (
        "original",
        "reply",
        "reply",
    )
    assert p360.absent_result == "delivered"
    assert ephorte.absent_result == websak.absent_result == "unclear"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("reply", "both"), "appreceipt_parties"),
        (('title = "ePhorte"', ""), "title"),
        (("absent_result", "absent_reslut"), "absent_reslut"),
        (('soap_action = ""', 'soap_action = "a b"'), "soap_action"),
        (('soap_action = ""', "soap_action = 1"), "soap_action"),
        (('soap_action = ""', "soap_action = "), "own.toml"),
    ],
)
def test_wrong_dialect_file_is_refused_by_name(
    tmp_path: Path, change: tuple[str, str], named: str
) -> None:
    from gateway.resources import data_folder

    text = (data_folder("mappings") / "dialects" / "ephorte.toml").read_text("utf-8")
    assert change[0] in text
    (tmp_path / "own.toml").write_text(text.replace(*change), "utf-8")
    with pytest.raises(ConfigurationError, match=named):
        load_dialect("own", tmp_path)


def test_unknown_dialect_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="ephorte, p360, websak"):
        load_dialect("../p360")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": "archive.example"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"auth": "kerberos"}, "auth"),
        ({"auth": "basic", "username": "u"}, "password"),
        ({"username": "u", "password": "p"}, "auth"),
        ({"timeout": 0.0}, "time-out"),
        ({"ca_file": Path("/does/not/exist.pem")}, "ca_file"),
        ({"proxy": "proxy:8080"}, "proxy"),
        ({"soap_action": "a\r\nX: b"}, "soap_action"),
    ],
)
def test_setting_that_cannot_be_right_is_named(change: dict[str, object], named: str) -> None:
    values: dict[str, object] = {
        "name": "arkiv",
        "dialect": "p360",
        "url": "http://127.0.0.1/",
        **change,
    }
    with pytest.raises(ConfigurationError, match=named):
        ArchiveSettings(**values).check()  # type: ignore[arg-type]


def test_password_is_not_shown() -> None:
    settings = ArchiveSettings("arkiv", "p360", "http://h/", "basic", "u", "hemmelig")
    assert "hemmelig" not in repr(settings)
