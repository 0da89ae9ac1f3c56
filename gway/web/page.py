"""Pages: HTML that still knows its data.

`PAGES = PageMaker(__file__)` at the top of a module, then `return PAGES("name", ...)` in a
view. The page is a `str` (the markup of the content, without the layout around it) and
carries what it shows, so its JSON, CSV and text forms need no second function.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gway.output import spreadsheet_safe
from gway.resolver import current
from gway.web import formats

if TYPE_CHECKING:
    from gway.web.tables import Table
    from gway.web.templates import Shelf

Row = Mapping[str, Any]


class Page(str):
    """Markup of a page's content, together with the data that it shows.

    :param html: the markup; made by a template, so values in it are escaped already
    :param title: heading of the window and of the page's link
    :param name: the view's name, for file names of downloads
    :param data: what the page shows, as names and values (becomes the JSON form)
    :param rows: the page's table, one mapping per row (becomes the CSV form)
    :param columns: the table's columns in their order; default: the keys of the rows
    :param scripts: URLs of scripts that the layout loads, deferred
    :param styles: URLs of style sheets that the layout loads
    :param status: HTTP status
    """

    title: str  # type: ignore[assignment]  # what a page is called, not the method of str
    name: str
    data: Mapping[str, Any]
    rows: Sequence[Row] | None
    columns: Sequence[str]
    scripts: Sequence[str]
    styles: Sequence[str]
    status: int

    def __new__(
        cls,
        html: str = "",
        *,
        title: str = "",
        name: str = "",
        data: Mapping[str, Any] | None = None,
        rows: Iterable[Row] | None = None,
        columns: Sequence[str] | None = None,
        scripts: Sequence[str] = (),
        styles: Sequence[str] = (),
        status: int = 200,
    ) -> Page:
        page = super().__new__(cls, html)
        page.title = title
        page.name = name
        page.data = data if data is not None else {}
        page.rows = None if rows is None else list(rows)
        page.columns = list(columns) if columns is not None else _columns(page.rows or ())
        page.scripts = tuple(scripts)
        page.styles = tuple(styles)
        page.status = status
        return page

    def content(self) -> Any:
        """Return what the page shows: its data, its rows, or both in one mapping."""
        if self.rows is None:
            return dict(self.data)
        if not self.data:
            return self.rows
        return {**self.data, "rows": self.rows}

    def to_json(self) -> str:
        """Return the page's data as JSON."""
        return formats.to_json(self.content())

    def to_csv(self) -> str:
        """Return the page's table as CSV; without one, its data as name and value.

        Text that a spreadsheet would run as a formula gets an apostrophe in front.
        """
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\r\n")
        if self.rows is None:
            writer.writerow(("name", "value"))
            writer.writerows((key, _cell(value)) for key, value in self.data.items())
        else:
            writer.writerow(self.columns)
            for row in self.rows:
                writer.writerow([_cell(row.get(column)) for column in self.columns])
        return sink.getvalue()

    def to_text(self) -> str:
        """Return the page's data as aligned plain text."""
        parts = []
        if self.data:
            pairs = [{"": key, "value": value} for key, value in self.data.items()]
            parts.append(formats.to_text_table(pairs, ("", "value"), header=False))
        if self.rows is not None:
            parts.append(formats.to_text_table(self.rows, self.columns))
        return "\n\n".join(parts) if parts else self.title


class PageMaker:
    """Makes pages from the templates in `views/` beside a module.

    :param file: the module's `__file__`
    """

    def __init__(self, file: str) -> None:
        self.folder = Path(file).resolve().parent
        self.project = project_of(Path(file))

    def __call__(
        self,
        template: str,
        *,
        title: str = "",
        data: Mapping[str, Any] | None = None,
        rows: Iterable[Row] | None = None,
        columns: Sequence[str] | None = None,
        scripts: Sequence[str] = (),
        styles: Sequence[str] = (),
        status: int = 200,
        table: Table | None = None,
        **extra: Any,
    ) -> Page:
        """Render `views/<template>.html` and return it as a page.

        The template sees every name of `data` and `extra`, and `title`, `rows`, `columns`,
        `table`.

        :param template: file name without `.html`
        :param title: the page's title; default: the template's name in words
        :param data: what the page shows, as names and values
        :param rows: the page's table
        :param columns: the table's columns; default: the keys of the rows
        :param scripts: files of the project's `static/` that the layout loads as scripts
        :param styles: files of the project's `static/` that the layout loads as styles
        :param status: HTTP status
        :param table: the page's table, which has its rows and columns (`gway.web.tables`)
        :param extra: further values for the template that are no data of the page
        """
        if table is not None:
            rows = table.rows if rows is None else rows
            columns = table.names if columns is None else columns
            extra["table"] = table
        page = Page(
            title=title or formats.label(template),
            name=template,
            data=data,
            rows=rows,
            columns=columns,
            status=status,
        )
        if not current().renders or _only_data_is_wanted():
            return page
        own = {"title": page.title, "rows": page.rows, "columns": page.columns, "page": page}
        html = self._shelf.render(template, {**page.data, **extra, **own})
        return Page(
            html,
            title=page.title,
            name=page.name,
            data=page.data,
            rows=page.rows,
            columns=page.columns,
            scripts=[self._helpers.static(path) for path in scripts],
            styles=[self._helpers.static(path) for path in styles],
            status=status,
        )

    def fragment(self, template: str, **values: Any) -> Page:
        """Render a template for a part of a page; shorter than a call with `data`."""
        return Page(self._shelf.render(template, values), name=template)

    def url(self, view: str = "", **values: Any) -> str:
        """Return the address of a view of this project, as `url` in a template does."""
        address: str = self._helpers.url(view, **values)
        return address

    @cached_property
    def _helpers(self) -> Any:
        from gway.web.helpers import Helpers

        return Helpers(self.project, self.folder / "static")

    @cached_property
    def _shelf(self) -> Shelf:
        from gway.web.templates import Shelf

        return Shelf(self.folder / "views", self._helpers.for_templates())


def project_of(file: Path) -> str:
    """Return the dotted name of the project that a module file belongs to.

    :param file: a module below a folder named `projects`
    """
    folders = file.resolve().parent.parts
    start = len(folders) - 1 - folders[::-1].index("projects") if "projects" in folders else None
    names = [] if start is None else list(folders[start + 1 :])
    if not (names and (file.parent / f"{names[-1]}.py").exists()):
        names.append(file.stem)
    return ".".join(names)


def _only_data_is_wanted() -> bool:
    """Tell whether a page's CSV or JSON was asked for: nobody would see its markup."""
    from gway.web.request import CURRENT

    request = CURRENT.get()
    return request is not None and request.wants_twin


def _columns(rows: Iterable[Row]) -> list[str]:
    seen: dict[str, None] = {}
    for row in rows:
        seen.update(dict.fromkeys(row))
    return list(seen)


def _cell(value: Any) -> str:
    text = formats.plain(value)
    return spreadsheet_safe(text) if isinstance(value, str) else text
