"""What every answer tells the browser: whose scripts may run, who may frame it, and that nothing is guessed.

Gradio's pages need scripts within the page (their settings) and `Function` (its events' own scripts). Attributes such
as `onerror` are never run, so that a text that got into the page as HTML runs nothing.
"""

from __future__ import annotations

PAGE = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "script-src-attr 'none'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
# A file or a record that someone opens in a tab of its own: it shows itself, and runs and asks for nothing.
RECORD = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'"
ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
OURS = {b"content-security-policy", *(name for name, _ in ALWAYS)}
CROSS_ORIGIN = b"access-control-"  # no other site is let in, so none is told that it were


def with_ours(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """An answer's headers with ours in the place of those of the same names."""
    kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
    page = kind.startswith((b"text/html", b"text/javascript", b"application/javascript"))
    kept = [h for h in headers if h[0].lower() not in OURS and not h[0].lower().startswith(CROSS_ORIGIN)]
    return [*kept, *ALWAYS, (b"content-security-policy", (PAGE if page else RECORD).encode())]
