"""A web page for tests: its elements, its text, what it links to and what it loads."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """The elements of a page, each a tag and its attributes, and the text outside of style and figures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag in {"svg", "style"}:
            self._inside.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def anchors(self) -> set[str]:
        return {given[key] for _, given in self.elements for key in ("id", "name") if key in given}

    @property
    def links(self) -> list[str]:
        return [given["href"] for given in self.all("a") if "href" in given]

    @property
    def loads(self) -> list[str]:
        """What the browser fetches with the page."""
        styles = [given["href"] for given in self.all("link") if given.get("rel") not in ("canonical", "next", "prev")]
        return styles + [given["src"] for _, given in self.elements if "src" in given]

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of that tag."""
        return [attributes for name, attributes in self.elements if name == tag]
