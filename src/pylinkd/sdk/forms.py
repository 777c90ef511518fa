"""Forms of HTML in a request's body: ``multipart/form-data`` (RFC 7578) and ``application/x-www-form-urlencoded``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from ..protocol.errors import BadRequestError, LinkdError, PayloadTooLargeError
from .text import TextPolicy

MULTIPART = "multipart/form-data"
URL_ENCODED = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file in a form.

    Attributes:
        name: As the client calls it: no path of this machine, and not to be used as one. May be empty.
        content_type: As the client says, which may be wrong.
        data: The bytes.
    """

    name: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form, in the order in which they were sent; a name may be repeated.

    Attributes:
        fields: Names and texts.
        files: Names of fields, and their files.
    """

    fields: Sequence[tuple[str, str]] = ()
    files: Sequence[tuple[str, UploadedFile]] = ()

    def text(self, name: str) -> str | None:
        """The first text of this name; ``None``: there is none."""
        return next(iter(self.texts(name)), None)

    def texts(self, name: str) -> list[str]:
        """All texts of this name, such as those of checkboxes."""
        return [text for known, text in self.fields if known == name]

    def file(self, name: str) -> UploadedFile | None:
        """The first file of this name; ``None``: there is none."""
        return next((file for known, file in self.files if known == name), None)


def read_form(body: bytes, content_type: str, *, text: TextPolicy, max_parts: int, max_part_size: int) -> Form:
    """The form in a request's body.

    Args:
        body: Complete.
        content_type: The request's header.
        text: What names and texts have to be.
        max_parts: Most fields and files together.
        max_part_size: Most bytes of each.

    Raises:
        LinkdError: 415 if the content type is none of the two.
        BadRequestError: If the form is malformed, or text in it is not UTF-8.
        PayloadTooLargeError: If it has too many parts, or too large ones.
        ValidationError: If a text has characters that the policy refuses.
    """
    kind, options = parse_options_header(content_type)
    try:
        if kind == MULTIPART.encode():
            parts = _Parts(max_parts, max_part_size)
            parts.read(body, options.get(b"boundary", b""))
            form = Form(parts.fields, parts.files)
        elif kind == URL_ENCODED.encode():
            form = Form(_url_encoded(body, max_parts, max_part_size))
        else:
            raise LinkdError(
                f"The body has to be {MULTIPART} or {URL_ENCODED}.", code=415, type="UNSUPPORTED_MEDIA_TYPE"
            )
    except (FormParserError, UnicodeDecodeError) as cause:
        raise BadRequestError("The form is not well formed.") from cause
    return Form([next(iter(text.applied_to({name: value}).items())) for name, value in form.fields], form.files)


def _url_encoded(body: bytes, max_parts: int, max_part_size: int) -> list[tuple[str, str]]:
    if body and body.count(b"&") + 1 > max_parts:
        raise _too_many(max_parts)
    fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    if any(len(value.encode()) > max_part_size for _, value in fields):
        raise _too_large(max_part_size)
    return fields


class _Parts:
    """The parts of a multipart body."""

    def __init__(self, max_parts: int, max_part_size: int) -> None:
        self._max_parts = max_parts
        self._max_part_size = max_part_size
        self._complete = False
        self.fields: list[tuple[str, str]] = []
        self.files: list[tuple[str, UploadedFile]] = []

    def read(self, body: bytes, boundary: bytes) -> None:
        """Read the whole body.

        Raises:
            FormParserError: If it is malformed.
            UnicodeDecodeError: If a text is not UTF-8.
            PayloadTooLargeError: If it has too many parts, or too large ones.
        """
        if not boundary:
            raise FormParserError("The content type has no boundary.")
        # The body is in memory already: no part of it goes to a temporary file.
        config = {"MAX_MEMORY_FILE_SIZE": len(body), "UPLOAD_ERROR_ON_BAD_CTE": True}
        parser = FormParser(MULTIPART, self._field, self._file, self._ended, boundary=boundary, config=config)
        parser.write(body)
        parser.finalize()
        if not self._complete:
            raise FormParserError("The last boundary is missing.")

    def _ended(self) -> None:
        self._complete = True

    def _field(self, part: Field) -> None:
        value = part.value or b""
        self._check(len(value))
        self.fields.append(((part.field_name or b"").decode(), value.decode()))

    def _file(self, part: File) -> None:
        self._check(part.size)
        part.file_object.seek(0)
        kind = part.content_type or "application/octet-stream"
        file = UploadedFile((part.file_name or b"").decode(), kind, part.file_object.read())
        part.close()
        self.files.append(((part.field_name or b"").decode(), file))

    def _check(self, size: int) -> None:
        if len(self.fields) + len(self.files) >= self._max_parts:
            raise _too_many(self._max_parts)
        if size > self._max_part_size:
            raise _too_large(self._max_part_size)


def _too_many(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"A form has at most {limit} parts.", details={"parts": limit})


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"A part of a form has at most {limit} bytes.", details={"limit": limit})
