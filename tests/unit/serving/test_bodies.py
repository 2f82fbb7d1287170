"""What a request brings is counted while it comes, and nobody waits for a client for ever."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving import bodies
from ddnn_runtime.serving.answer import QueueFullError
from ddnn_runtime.serving.bodies import Question, Room, read_question
from ddnn_runtime.serving.refusals import Refusal

MOST = 2000


def request(pieces: Iterable[bytes | None], **headers: str) -> Request:
    """A request whose body comes in pieces; None is a client that says no more, and the end one that hangs up."""
    coming = iter(pieces)

    async def receive() -> dict[str, Any]:
        piece = next(coming, b"gone")
        if piece is None:
            await asyncio.Event().wait()
        if piece == b"gone":
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": piece != b""}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def read(asked: Request, room: Room | None = None, most_images: int = 3) -> Question:
    async def main() -> Question:
        with (room or Room(10 * MOST)).share() as take:
            return await read_question(asked, MOST, most_images, take)

    return asyncio.run(main())


def form(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, dict[str, str]]:
    """A form's body and header; a part is its name, its file's name and its content."""
    lines = []
    for name, filename, content in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        lines.append(b'--xyz\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (name.encode(), file.encode()))
        lines.append(content + b"\r\n")
    return b"".join([*lines, b"--xyz--\r\n"]), {"content_type": "multipart/form-data; boundary=xyz"}


def test_a_body_is_an_image_however_it_comes() -> None:
    for pieces in ([b"abcdef", b""], [b"abc", b"def", b""], [bytes([byte]) for byte in b"abcdef"] + [b""]):
        assert read(request(pieces)) == Question([(b"abcdef", "the image")], {})
        assert read(request(pieces, content_length="6", content_type="text/plain")).images[0][0] == b"abcdef"


def test_a_form_has_files_and_fields() -> None:
    body, header = form(("image", "a.png", b"1"), ("top", None, b"3"), ("other", "", b"\r\n2\xff"))
    found = read(request([body[:50], body[50:60], body[60:], b""], **header))
    assert found == Question([(b"1", "image 1 (a.png)"), (b"\r\n2\xff", "image 2")], {"top": "3"})


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        (request([], content_length="2001"), 413, "at most 2,000 bytes"),
        (request([bytes(1200), bytes(1200)]), 413, "at most 2,000 bytes"),
        (request([bytes(1200), bytes(1200)], content_length="1200"), 413, "at most 2,000 bytes"),
        (request([form(*[("a", "a", b"")] * 4)[0], b""], **form()[1]), 413, "at most 3 images"),
        (request([b""]), 400, "there is no image"),
        (request([form(("a", None, b""))[0], b""], **form()[1]), 400, "the form has no image"),
        (request([b"--xyz\r\nhello", b""], **form()[1]), 400, "the form"),
        (request([form(*[("a", None, b"")] * 21)[0], b""], **form()[1]), 400, "Too many fields"),
        (request([b"x", b""], content_type="multipart/form-data"), 400, "boundary"),
    ],
)
def test_what_is_too_much_or_no_form_is_refused(asked: Request, code: int, message: str) -> None:
    with pytest.raises(DDNNError, match=message) as refused:
        read(asked)
    assert getattr(refused.value, "code", 400) == code


def test_a_client_that_says_no_more_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.01)
    with pytest.raises(Refusal, match="nothing came for") as refused:
        read(request([b"abc", None]))
    assert refused.value.code == 408


def test_a_client_that_hangs_up_is_no_error_of_ours() -> None:
    with pytest.raises(ClientDisconnect):
        read(request([b"abc"]))


def test_memory_is_shared_by_all_and_given_back() -> None:
    room = Room(100)
    with room.share() as take, room.share() as other:
        take(60)
        with pytest.raises(QueueFullError) as refused:
            other(41)
        assert refused.value.retry_after >= 1
        other(40)
    for asked in (request([bytes(101), b""]), request([], content_length="101"), request([bytes(60), bytes(60), b""])):
        with pytest.raises(QueueFullError):
            read(asked, room)
    assert len(read(request([bytes(100), b""]), room).images[0][0]) == 100  # all of it is free again
