"""The form that launches a workflow: as nobody has touched it, and as it comes back."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from flask import request

from app.domain import JSON, Execution, Permission, WorkflowDescription
from app.errors import FieldError, InvalidRequest, SlipwayError
from app.labels import checked
from app.resources._auth import caller
from app.resources._context import services
from app.resources._session_pages import here
from app.services.hiding import Hiding
from app.ui._commands import Call, Commands, commands
from app.ui._forms import posted
from app.ui._hidden import note_hidden
from app.ui._inputs import InputField, Posted, fields_of, first, is_secret, read
from app.ui._labels import label_lines, read_labels
from app.ui._render import may

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_MOST_SHOWN: Final = 40


@dataclass(slots=True)
class LaunchForm:
    """The form.

    Attributes:
        reference: How the workflow is called in the address.
        orchestrator: Where it is looked for only.
        key: Of this form: what is sent twice is launched once.
        earlier: The run that it is filled from.
        name: What the execution is to be called.
        labels: Lines of labels.
        others: What is wrong with name and labels, by the field.
        warnings: What is to be known of how it was filled.
    """

    reference: str
    orchestrator: str | None
    described: WorkflowDescription
    key: str
    earlier: Execution | None = None
    inputs: Posted = field(default_factory=Posted)
    name: str = ""
    labels: str = ""
    others: dict[str, list[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def is_faulty(self) -> bool:
        """Whether anything is wrong with a field."""
        return bool(self.inputs.faults or self.others)

    @property
    def has_key(self) -> bool:
        """Whether its key is one of ours."""
        return _KEY.fullmatch(self.key) is not None

    @property
    def fields(self) -> list[InputField]:
        """The fields of the inputs."""
        return fields_of(self.described.inputs, self.inputs, self.copied)

    @property
    def copied(self) -> Mapping[str, JSON] | None:
        """Inputs of the run that it is filled from."""
        return None if self.earlier is None else self.earlier.inputs

    @property
    def read_labels(self) -> dict[str, str] | None:
        """The labels that its lines hold."""
        return read_labels(self.labels)[0]

    def idempotency_key(self) -> str:
        """Return under which key this is launched.

        What was changed since it was sent before is another launch; the same is the same.
        """
        asked = [
            self.reference, self.orchestrator, self.inputs.values, self.name, self.read_labels,
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        return f"page-{self.key}-{digest[:32]}"

    def renew_key(self) -> None:
        """Give it a key of ours."""
        self.key = _new_key()

    def take(self, faults: Iterable[FieldError]) -> None:
        """Take what was found to be wrong, each to its field."""
        for fault in self.inputs.add(self.described.inputs, faults):
            where, _, key = fault.path.partition(".")
            text = f"{key}: {fault.message}" if key else fault.message
            found = self.others.setdefault("name" if where == "name" else "labels", [])
            found.append(text[:1].upper() + text[1:])

    def check(self) -> None:
        """Find what is wrong, so that all is told at once.

        The inputs are judged by the launch itself, which has the last word; here only where
        something else hinders it.
        """
        labels, faults = read_labels(self.labels)
        self.take(faults)
        try:
            checked(self.name or None, labels)
        except InvalidRequest as exc:
            self.take(exc.fields)
        if self.is_faulty:
            self.judge()

    def judge(self) -> None:
        """Find what is wrong with the inputs."""
        try:
            services().launching.check_inputs(self.described, self.inputs.values, caller())
        except InvalidRequest as exc:
            self.take(exc.fields)


def untouched(
    reference: str, orchestrator: str | None, described: WorkflowDescription, like: str
) -> LaunchForm:
    """Return the form as somebody sees it first.

    Args:
        reference: How the workflow is called.
        orchestrator: Where it is looked for only.
        described: The workflow.
        like: The run that it is filled from; empty for the defaults.
    """
    form = LaunchForm(reference, orchestrator, described, _new_key())
    _copy(form, like)
    form.inputs = first(described.inputs, form.copied)
    if form.earlier is not None:
        form.name = form.earlier.name or ""
        form.labels = label_lines(form.earlier.labels)
        form.warnings += _left_out(described, form.earlier)
    return form


def sent(reference: str, orchestrator: str | None, described: WorkflowDescription) -> LaunchForm:
    """Return the form that the current request holds."""
    form = LaunchForm(reference, orchestrator, described, posted("key"))
    _copy(form, posted("like"))
    form.inputs = read(described.inputs, request.form, form.copied)
    form.name, form.labels = posted("name"), posted("labels")
    return form


def commands_of(form: LaunchForm) -> Commands:
    """Return the commands that launch what the form holds; what is wrong is left out."""
    hiding, inputs, hidden = Hiding(), {}, False
    values = form.inputs.values
    for each in form.described.inputs:
        given = each.name in values and each.name not in form.inputs.faults
        if not given or is_secret(each) or values[each.name] == each.default:
            continue
        inputs[each.name] = hiding.value(values[each.name])
        hidden = hidden or inputs[each.name] != values[each.name]
    needed = tuple(
        each.name
        for each in form.described.inputs
        if is_secret(each) and (each.name in values or (each.required and each.default is None))
    )
    odd = form.orchestrator is not None or form.reference.startswith("-")
    return commands(
        Call(
            url=here(), workflow=form.described.workflow.id if odd else form.reference,
            orchestrator=form.orchestrator, user=_user(), inputs=inputs, secrets=needed,
            name=form.name or None, labels=form.read_labels or {}, hidden=hidden,
        )
    )  # fmt: skip


def _user() -> str | None:
    """Return as whom a command signs in: empty for a token, None where nobody has to."""
    identity = caller()
    if identity.shared:
        return None
    return identity.username if services().authenticators.takes_passwords else ""


def _copy(form: LaunchForm, like: str) -> None:
    """Have the form filled from a run, if it is one of the same workflow."""
    if not like or not may(Permission.EXECUTIONS_READ):
        return
    workflow = form.described.workflow
    try:
        found = services().executions.get(like, caller())
    except SlipwayError as exc:
        note_hidden(exc, Permission.EXECUTIONS_READ, like)
        text = f"The inputs of {like[:_MOST_SHOWN]} cannot be copied: {exc.message}"
        form.warnings.append(text)
        return
    if (found.workflow_id, found.orchestrator) == (workflow.id, workflow.orchestrator):
        form.earlier = found
    else:
        text = f"{like[:_MOST_SHOWN]} ran another workflow, so its inputs are not copied."
        form.warnings.append(text)


def _left_out(described: WorkflowDescription, earlier: Execution) -> list[str]:
    """Return sentences on what of an earlier run is not copied."""
    known = {each.name for each in described.inputs}
    gone = [name for name in earlier.inputs if name not in known]
    hidden = [
        each.name for each in described.inputs if is_secret(each) and each.name in earlier.inputs
    ]
    warnings = []
    if gone:
        names = ", ".join(gone)
        warnings.append(f"Left out, since the workflow does not take them any more: {names}.")
    if hidden:
        names = ", ".join(hidden)
        warnings.append(f"Not copied, since they are secret: {names}. Type them again.")
    return warnings


def _new_key() -> str:
    return secrets.token_urlsafe(24)
