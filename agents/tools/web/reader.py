"""Reads a web page: its address on the first line, then its HTML. Run by ``agents.apart``."""

from __future__ import annotations


def read(data: bytes) -> dict[str, object]:
    """``text``: the title and main text as Markdown; all of its text where no main part is found."""
    import trafilatura

    url, _, html = data.decode(errors="replace").partition("\n")
    title = getattr(trafilatura.extract_metadata(html, default_url=url), "title", None)
    text = trafilatura.extract(
        html, url=url, output_format="markdown", include_links=True, include_tables=True, favor_recall=True
    )
    text = str(text or trafilatura.html2txt(html) or "(The page has no text.)")
    return {"text": f"# {title}\n\n{text}" if title and not text.startswith("# ") else text}
