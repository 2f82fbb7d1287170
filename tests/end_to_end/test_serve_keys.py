"""Who has no key gets nothing but health."""

import shutil
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exports import shared_export
from tests.served import Server, picture, serving, write_profile

HEALTH = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text("first\n\n  zweiter Schlüssel \n")
    return path


@pytest.fixture(scope="module")
def server(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    export = Path(shutil.copytree(shared_export(tmp_path_factory), keys.parent / "export"))
    profile = write_profile(export, keys.parent / "profile.json")
    with serving(export, "--api_key_file", keys, profile=profile) as running:
        yield running


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


RIGHT = {
    "bearer": {"Authorization": "Bearer first"},
    "small letters": {"authorization": "bearer first"},
    "header": {"X-API-Key": "first"},
    "basic": basic("", "first"),
    "basic, some user": basic("me", "first"),
    "the second": basic("me", "zweiter Schlüssel"),
    "one of two": {"Authorization": "Bearer wrong", "X-API-Key": "first"},
}
WRONG = {
    "none": {},
    "another": {"X-API-Key": "First"},
    "the beginning": {"X-API-Key": "firs"},
    "more": {"X-API-Key": "first1"},
    "empty": {"X-API-Key": ""},
    "empty bearer": {"Authorization": "Bearer"},
    "no scheme": {"Authorization": "first"},
    "another scheme": {"Authorization": "Digest first"},
    "as the user": basic("first", ""),
    "no base64": {"Authorization": "Basic first"},
    "half base64": {"Authorization": "Basic Zmlyc"},
    "two lines of the file": {"X-API-Key": "first  zweiter"},
}


@pytest.mark.parametrize("how", RIGHT)
def test_who_has_a_key_is_answered(server: Server, how: str) -> None:
    assert server.client.get("/nets", headers=RIGHT[how]).status_code == 200


@pytest.mark.parametrize("how", WRONG)
def test_who_has_none_is_asked_for_it(server: Server, how: str) -> None:
    response = server.client.get("/nets", headers=WRONG[how])
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Basic ")
    assert "a key is needed" in response.json()["error"]


def test_without_a_key_there_is_nothing_but_health(server: Server) -> None:
    paths = [*server.client.get("/openapi.json", headers=RIGHT["bearer"]).json()["paths"], "/", "/page.js", "/nothing",
             "/healthz/", "//healthz", "/v2/health", "/HEALTHZ"]  # fmt: skip
    for path in paths:
        for method in ("GET", "POST", "HEAD", "OPTIONS", "TRACE"):
            response = server.client.request(method, path.format(model="export", version="1"), content=picture())
            assert response.status_code == 401 or path in HEALTH, (method, path)
    for path in HEALTH:
        response = server.client.get(path)
        assert (response.status_code, len(response.json())) == (200, 1)


def test_keys_are_read_again_with_the_export(server: Server, keys: Path) -> None:
    new = {"X-API-Key": "third"}
    before = keys.read_text()
    keys.write_text("third\n")
    assert server.client.get("/nets", headers=RIGHT["bearer"]).status_code == 200
    assert server.client.post("/reload", headers=RIGHT["bearer"]).status_code == 200
    assert server.client.get("/nets", headers=RIGHT["bearer"]).status_code == 401
    keys.write_text("\n")  # a mistake locks nobody out, and lets nobody in
    refused = server.client.post("/reload", headers=new)
    assert (refused.status_code, "has no key" in refused.json()["error"]) == (409, True)
    assert server.client.get("/nets", headers=new).status_code == 200
    keys.write_text(before)
    assert server.client.post("/reload", headers=new).status_code == 200


def test_one_key_may_be_on_the_command_line(server: Server, keys: Path) -> None:
    export, profile = keys.parent / "export", keys.parent / "profile.json"
    with serving(export, "--api-key", "only", profile=profile) as other:
        assert other.client.get("/nets").status_code == 401
        assert other.client.get("/nets", headers={"X-API-Key": "only"}).status_code == 200
