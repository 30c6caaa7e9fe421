"""Names as a part of a URL's path. They are anything that can be printed, slashes and dots included."""

from __future__ import annotations


class NameConverter:
    """A path converter (`<name:…>`) for text that others chose.

    A slash is written ~1 and a tilde ~0 (as JSON pointers do, RFC 6901 section 3), and a name that begins with a dot
    gets ~. in front: browsers would otherwise take `..` for a step up. A plain percent-encoded name is understood too.
    """

    regex = r"(?s:.+)"

    def to_python(self, text: str) -> str:
        """Return the name that a path says. Raises ValueError, and so 404, for what the log cannot hold."""
        if "\x00" in text:
            raise ValueError("a name holds no zero bytes")
        return text.removeprefix("~.").replace("~1", "/").replace("~0", "~")

    def to_url(self, name: str) -> str:
        """Return the name for a path; Django percent-encodes the rest."""
        text = name.replace("~", "~0").replace("/", "~1")
        return f"~.{text}" if text.startswith(".") else text


class SegmentConverter(NameConverter):
    """The same for a name in the middle of a path, which ends at a slash."""

    regex = r"[^/]+"
