"""SVG as text: elements are made by ElementTree, which escapes everything that is written on a picture."""

from pathlib import Path
from xml.etree import ElementTree

TEMPLATES = Path(__file__).parent / "templates"


def canvas(width: float, height: float, title: str) -> ElementTree.Element:
    """Make an empty picture; the title is for those who do not see it."""
    box = f"0 0 {number(width)} {number(height)}"
    return ElementTree.Element("svg", {"viewBox": box, "class": "chart", "role": "img", "aria-label": title})


def add(
    parent: ElementTree.Element, tag: str, content: str | None = None, /, **attributes: object
) -> ElementTree.Element:
    """Add an element; `class_` is the attribute class, `fill_opacity` is fill-opacity."""
    named = {name.rstrip("_").replace("_", "-"): number(value) for name, value in attributes.items()}
    child = ElementTree.SubElement(parent, tag, named)
    child.text = content
    return child


def titled(element: ElementTree.Element, title: str) -> None:
    """Give an element a text that is shown while the pointer rests on it."""
    content, element.text = element.text, None
    add(element, "title", title).tail = content


def number(value: object) -> str:
    """Write an attribute's value; four digits of a float place it to a tenth of a pixel."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def to_text(svg: ElementTree.Element) -> str:
    """Write a picture as part of a page, whose style sheet colours it."""
    return ElementTree.tostring(svg, encoding="unicode", short_empty_elements=True)


def to_file(svg: ElementTree.Element) -> str:
    """Write a picture as a file of its own, with the page's colours in it: light or dark as the reader's screen."""
    _, _, width, height = svg.get("viewBox", "").split()
    alone = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "width": width, "height": height})
    alone.attrib.update(svg.attrib)
    alone.set("class", f"{svg.get('class')} file")
    sheets = (TEMPLATES / name for name in ("palette.css", "charts.css"))
    add(alone, "style", "".join(sheet.read_text(encoding="utf-8") for sheet in sheets))
    add(alone, "rect", width=width, height=height, class_="paper")
    alone.extend(svg)
    return to_text(alone) + "\n"
