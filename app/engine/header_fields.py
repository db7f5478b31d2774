"""Header fields of a response, as expressions see them."""

from __future__ import annotations

from app.domain import JSON


class HeaderFields(dict[str, JSON]):
    """Fields by their names in lower case, found whatever the case of the name asked for.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-5.1
    """

    def __missing__(self, name: object) -> JSON:
        lower = name.lower() if isinstance(name, str) else name
        if lower == name or lower not in self:
            raise KeyError(name)
        return self[str(lower)]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name.lower() if isinstance(name, str) else name)
