"""Following the links of an OpenAPI document from a known beginning to whatever they lead to.

Schemathesis' own walks go where chance takes them, and few of them come far. Here each operation is
reached on the shortest way from a beginning, by the same links, so it is the same at each run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.fuzzing import Operation, feedback_of
from schemathesis import Case
from schemathesis.core.result import Ok
from schemathesis.core.transforms import UNRESOLVABLE
from schemathesis.generation.stateful.state_machine import StepOutput
from schemathesis.specs.openapi.stateful.links import OpenApiLink

Values = Mapping[str, Any]
"""What stands where in a request, by the name of the parameter."""


@dataclass(frozen=True)
class Start:
    """A beginning of walks.

    Attributes:
        label: The operation, such as ``POST /workflows/{reference}``.
        values: Sees to it that something is there, and returns what stands in parameters or in the
            body then; it is called before each walk.
    """

    label: str
    values: Callable[[], Values] = dict


class Links:
    """The links of a document.

    Args:
        document: It.
        schema: The same, as Schemathesis has read it.
    """

    def __init__(self, document: Mapping[str, Any], schema: Any) -> None:
        self.operations = {each.ok().label: each.ok() for each in schema.get_all_operations()}
        self._feedback = feedback_of(schema)
        self._document = document
        self._links: dict[str, list[OpenApiLink]] = {}
        for label, operation in self.operations.items():
            found = (
                OpenApiLink(name, status, link, operation)
                for status, response in operation.responses.items()
                for name, link in response.iter_links()
            )
            self._links[label] = [link for link in found if link.target.label in self.operations]

    def operation(self, label: str) -> Operation:
        """Return an operation at which requests can be thrown."""
        return Operation(self.operations[label], self._feedback)

    def ways(self, start: str) -> dict[str, list[OpenApiLink]]:
        """Return the shortest way to each operation that some links lead to."""
        found: dict[str, list[OpenApiLink]] = {start: []}
        queue = deque([start])
        while queue:
            label = queue.popleft()
            for link in self._links[label]:
                if link.target.label not in found:
                    found[link.target.label] = [*found[label], link]
                    queue.append(link.target.label)
        return found

    def example(self, label: str, values: Values) -> Case:
        """Make the request that the document gives as an example, without what may be left out.

        Args:
            label: The operation.
            values: What stands there instead, in parameters or in the body, as far as it has those.
        """
        operation = self.operations[label]
        case = operation.Case()
        for parameter in operation.iter_parameters():
            name, said = parameter.name, parameter.definition
            if not parameter.is_required and name not in values:
                continue
            value = values[name] if name in values else said["schema"]["example"]
            getattr(case, parameter.location.container_name)[name] = value
        body = operation.definition.raw.get("requestBody", {})
        if body.get("required"):
            case.media_type = "application/json"
            case.body = self._body(body["content"]["application/json"], values)
        return case

    def _body(self, content: Mapping[str, Any], values: Values) -> Any:
        if "example" in content:
            whole = content["example"]
        else:
            name = content["schema"]["$ref"].rpartition("/")[2]
            properties = self._document["components"]["schemas"][name]["properties"]
            whole = {key: said["example"] for key, said in properties.items() if "example" in said}
        return {key: values.get(key, value) for key, value in whole.items()}

    def walks(self, start: Start, send: Callable[[Case], Any]) -> Iterator[Walk]:
        """Go to each operation that links lead to, anew from the beginning each time.

        Args:
            start: Where to begin.
            send: Sends a request, and returns the answer.
        """
        for way in self.ways(start.label).values():
            yield self._go(start, way, send)

    def _go(self, start: Start, way: list[OpenApiLink], send: Callable[[Case], Any]) -> Walk:
        walk = Walk(start.label, start.values())
        for link in [*way, None]:
            case = self.example(walk.label, walk.values)
            response = send(case)
            walk.statuses.append((walk.label, response.status_code))
            walk.arrived = link is None
            if link is None or str(response.status_code) != link.status_code:
                break
            values = _extracted(link, StepOutput(response, case))
            if values is None:
                break
            walk.label, walk.values = link.target.label, values
        return walk


@dataclass
class Walk:
    """A way along links.

    Attributes:
        label: The operation that it has come to.
        values: What the request to that is about.
        statuses: What each operation on the way answered.
        arrived: Whether it came to where it was to lead.
    """

    label: str
    values: Values
    statuses: list[tuple[str, int]] = field(default_factory=list)
    arrived: bool = False


def _extracted(link: OpenApiLink, output: StepOutput) -> Values | None:
    """Return what a link says of the next request; None where it finds nothing to go on with."""
    found = {}
    for container in link.extract_parameters(output).values():
        for name, extracted in container.items():
            assert isinstance(extracted.value, Ok), f"{link.full_name}: {extracted}"
            value = extracted.value.ok()
            if value in (None, UNRESOLVABLE):
                return None
            found[name] = value
    return found
