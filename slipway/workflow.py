"""One workflow: what it takes, and launching it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from slipway import notebook
from slipway.errors import Misused
from slipway.execution import Execution, head_of_launch, made
from slipway.models import Input, Output, Step, WorkflowDescription, WorkflowInfo
from slipway.transport import segment

if TYPE_CHECKING:
    from slipway.client import Client


class Workflow:
    """One workflow.

    Args:
        client: Asks the service.
        reference: Its id or name.
        info: What a list said of it.
        orchestrator: Where it is looked for; everywhere unless given.
    """

    def __init__(
        self,
        client: Client,
        reference: str,
        info: WorkflowInfo | None = None,
        orchestrator: str | None = None,
    ) -> None:
        self._client = client
        self._reference = reference
        self._path = f"/workflows/{segment(reference)}"
        self._params = {"orchestrator": orchestrator} if orchestrator else {}
        self._info = info
        self._description: WorkflowDescription | None = None

    def __repr__(self) -> str:
        return f"<Workflow {self._reference!r}>"

    def _repr_html_(self) -> str:
        return notebook.workflow(self._reference, self._description)

    @property
    def info(self) -> WorkflowInfo:
        """What the service said of it last."""
        return self._description or self._info or self.describe()

    @property
    def id(self) -> str:
        """Its id."""
        return self.info.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.info.name

    @property
    def description(self) -> str:
        """What it does."""
        return self.info.description

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it takes."""
        return self._described().inputs

    @property
    def outputs(self) -> tuple[Output, ...]:
        """What it gives."""
        return self._described().outputs

    @property
    def steps(self) -> tuple[Step, ...]:
        """What it does, step by step."""
        return self._described().steps

    def describe(self) -> WorkflowDescription:
        """Return the inputs, the outputs and the steps, as the service is asked for them.

        Raises:
            NotFound: There is none of this id or name.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        self._description = WorkflowDescription.read(self._client.mapping(self._path, self._params))
        return self._description

    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        /,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        **more: Any,
    ) -> Execution:
        """Launch it, once, however often it must be asked for.

        Args:
            inputs: Value of each input.
            name: What the execution is called; an input of that name is given in ``inputs``.
            labels: What is written on it.
            idempotency_key: The same key and request launch once; a new one unless given.
            more: Inputs, by their names; they win over ``inputs``.

        Raises:
            Misused: A value cannot be written as JSON.
            InvalidInput: The service says what is wrong with which input.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        body: dict[str, Any] = {"inputs": {**(inputs or {}), **more}}
        if name is not None:
            body["name"] = name
        if labels is not None:
            body["labels"] = dict(labels)
        answer = self._client.request(
            "POST", self._path, params=self._params, json=body, told=True,
            headers=head_of_launch(idempotency_key),
        )  # fmt: skip
        return made(self._client, answer.json())

    def _described(self) -> WorkflowDescription:
        return self._description or self.describe()


def write_json(value: Any) -> bytes:
    """Write a body; numbers and arrays of NumPy are written as those of Python.

    Raises:
        Misused: It cannot be written.
    """
    try:
        return json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise Misused(f"What is sent cannot be written as JSON: {exc}") from None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value is of type {type(value).__name__}")
