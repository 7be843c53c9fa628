"""MIME types: by name, file name or first bytes, and in Gemini's spelling. Pure.

Source: https://ai.google.dev/gemini-api/docs/image-understanding, /audio, /video-understanding,
/document-processing (read 2026-11). The standard library's table is not used: it reads files.
"""

from typing import Final

_SPELLINGS: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-aac": "audio/aac",
    "audio/x-flac": "audio/flac",
    "audio/x-aiff": "audio/aiff",
    "video/quicktime": "video/mov",
    "video/x-msvideo": "video/avi",
    "video/x-ms-wmv": "video/wmv",
    "video/x-flv": "video/flv",
    "application/x-pdf": "application/pdf",
}

_EXTENSIONS: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "opus": "audio/opus",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mov": "video/mov",
    "mpeg": "video/mpeg",
    "mpg": "video/mpg",
    "avi": "video/avi",
    "wmv": "video/wmv",
    "flv": "video/flv",
    "webm": "video/webm",
    "3gp": "video/3gpp",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "html": "text/html",
    "htm": "text/html",
    "css": "text/css",
    "xml": "text/xml",
    "rtf": "text/rtf",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "toml": "application/toml",
    "js": "text/javascript",
    "ts": "application/typescript",
    "py": "text/x-python",
    "sh": "application/x-sh",
    "sql": "application/sql",
    "log": "text/plain",
}

_TEXTS: Final = frozenset((
    "application/json", "application/jsonl", "application/x-ndjson", "application/xml",
    "application/yaml", "application/x-yaml", "application/toml", "application/javascript",
    "application/x-javascript", "application/typescript", "application/sql", "application/x-sh",
    "application/x-python", "image/svg+xml",
))  # fmt: skip

_VAGUE: Final = frozenset(
    ("", "application/octet-stream", "binary/octet-stream", "application/x-binary", "image/*",
     "audio/*", "video/*", "*/*")
)  # fmt: skip

_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
    (b"FLV\x01", "video/flv"),
    (b"BM", "image/bmp"),
)
_RIFF: Final = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/avi"}
_BRANDS: Final = (
    (b"heic", "image/heic"), (b"heix", "image/heic"), (b"mif1", "image/heif"),
    (b"msf1", "image/heif"), (b"avif", "image/avif"), (b"qt  ", "video/mov"),
    (b"M4A ", "audio/mp4"), (b"3gp", "video/3gpp"),
)  # fmt: skip

SNIFF_BYTES: Final = 16
"""How many first bytes ``sniff`` needs."""


def normalise(mime: str) -> str:
    """Return a MIME type without parameters, in Gemini's spelling; ``""`` if it is vague."""
    plain = mime.partition(";")[0].strip().lower()
    return "" if plain in _VAGUE else _SPELLINGS.get(plain, plain)


def from_name(name: str) -> str:
    """Return the MIME type for the extension of a file name or URL path, ``""`` if unknown."""
    path = name.partition("?")[0].partition("#")[0]
    return _EXTENSIONS.get(path.rpartition(".")[2].lower(), "") if "." in path else ""


def sniff(data: bytes) -> str:
    """Return the MIME type by the first bytes of *data*, ``""`` if unknown."""
    for magic, mime in _SIGNATURES:
        if data.startswith(magic):
            return mime
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12], "")
    if data[:4] == b"FORM" and data[8:11] == b"AIF":
        return "audio/aiff"
    if data[4:8] == b"ftyp":
        return next((m for brand, m in _BRANDS if data[8:12].startswith(brand)), "video/mp4")
    return ""


def is_text(mime: str) -> bool:
    """Return whether data of this type can be passed to a model as text."""
    return mime.startswith("text/") or mime in _TEXTS or mime.endswith(("+json", "+xml"))
