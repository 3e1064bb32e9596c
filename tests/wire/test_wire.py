"""Every case of ``cases/*.toml`` against an endpoint; see README.md."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest
from lxml import etree
from wire_cases import SOAP, Target, build, load_cases, words

CASES = load_cases()
CLIENT = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))


def post(target: Target, case: dict[str, Any], meaning: dict[str, str], payload: Any) -> Any:
    request = build(case, meaning, payload)
    url = target.url + request.path_suffix
    return CLIENT.post(url, content=request.body, headers=request.headers)


def parsed(response: httpx.Response) -> tuple[etree._Element, str]:
    root = etree.fromstring(response.content)
    namespace = etree.QName(root).namespace
    assert namespace in SOAP.values()
    return root, str(namespace)


def files(target: Target) -> set[Path]:
    if target.blobs is None:
        return set()
    return {path for path in target.blobs.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", CASES, ids=[f"{one['file']}: {one['rule']}" for one in CASES])
def test_case(target: Target, case: dict[str, Any]) -> None:
    if case.get("needs") == "stub" and target.blobs is None:
        pytest.skip("needs an address registry whose answers are ours")
    meaning = words(target)
    if "before" in case:
        root, _ = parsed(post(target, case, meaning, case["before"]))
        assert root.find(".//result").get("type") == "OK"  # type: ignore[union-attr]
    before = files(target)
    response = post(target, case, meaning, None)
    expect = case["expect"]
    assert response.status_code == expect.get("status", 500 if "fault" in expect else 200), (
        response.text
    )
    if "fault" in expect:
        check_fault(response, expect)
    if "can_receive" in expect:
        root, _ = parsed(response)
        assert root.findtext(".//result") == str(expect["can_receive"]).lower()
    if "result" in expect:
        check_result(response, expect, meaning)
    if expect.get("result") != "OK":
        assert files(target) == before, "something is stored half"


def check_fault(response: httpx.Response, expect: dict[str, Any]) -> None:
    root, namespace = parsed(response)
    fault = root.find(f".//{{{namespace}}}Fault")
    assert fault is not None, response.text
    if namespace == SOAP["1.1"]:
        code, text = fault.findtext("faultcode") or "", fault.findtext("faultstring") or ""
    else:
        code = fault.findtext(f".//{{{namespace}}}Value") or ""
        text = fault.findtext(f".//{{{namespace}}}Text") or ""
    assert code.rpartition(":")[2] == expect["fault"]
    assert text.startswith(expect.get("text", ""))
    assert expect.get("contains", "") in text


def check_result(response: httpx.Response, expect: dict[str, Any], meaning: dict[str, str]) -> None:
    root, _ = parsed(response)
    result = root.find(".//result")
    assert result is not None
    messages = [[one.get("code"), one.findtext("text")] for one in result.findall("message")]
    assert result.get("type") == expect["result"], messages
    if expect["result"] == "OK":
        assert messages == []
    if "messages" in expect:
        wanted = [
            [code, Template(text).safe_substitute(meaning)] for code, text in expect["messages"]
        ]
        assert messages == wanted
    if "code" in expect:
        assert messages[0][0] == expect["code"]
    if "contains" in expect:
        assert any(expect["contains"] in (text or "") for _, text in messages), messages


def test_every_rule_has_one_case() -> None:
    rules = [case["rule"] for case in CASES]
    assert len(rules) == len(set(rules))
