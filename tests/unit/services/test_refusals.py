"""What is said of a definition that nobody takes."""

from typing import Any

import pytest

from app.clients.orchestrator import Capability
from app.domain import DefinitionSource, Identity, Role
from app.errors import CapabilityMissing, FieldError, InvalidDefinition, UnfitDefinition
from app.services.workflows import WorkflowService

ADA = Identity("ada", frozenset({Role.DEVELOPER}))
GRAMMAR = InvalidDefinition("One fault.", fields=[FieldError("kind", "must be there")])


class Taker:
    """Refuses all definitions, or takes all."""

    def __init__(self, name: str, refusal: InvalidDefinition | None) -> None:
        self.name = name
        self.capabilities = {Capability.UPLOAD}
        self._refusal = refusal

    def require(self, capability: Capability) -> None:
        assert capability in self.capabilities

    def check(self, _document: DefinitionSource, _identity: Identity) -> Any:
        if self._refusal is not None:
            raise self._refusal
        return self.name


def unfit(**faults: str) -> UnfitDefinition:
    return UnfitDefinition("Unfit.", fields=[FieldError(*fault) for fault in faults.items()])


def checked(**refusals: InvalidDefinition | None) -> Any:
    takers: Any = {name: Taker(name, each) for name, each in refusals.items()}
    return WorkflowService(takers).check(DefinitionSource("{}"), ADA)


def refusal(**refusals: InvalidDefinition | None) -> InvalidDefinition:
    with pytest.raises(InvalidDefinition) as caught:
        checked(**refusals)
    return caught.value


def test_one_who_takes_it_is_enough() -> None:
    assert checked(here=unfit(a="must be less"), there=None) == "there"


def test_each_says_what_it_lacks() -> None:
    said = refusal(
        here=unfit(gpus="must be 0", nodes="must be at most 4"),
        there=unfit(partition="must be one of a, b", nodes="must be at most 4"),
    )
    assert [(fault.path, fault.message) for fault in said.fields] == [
        ("gpus", "must be 0 (on 'here')"),
        ("nodes", "must be at most 4"),
        ("partition", "must be one of a, b (on 'there')"),
    ]
    assert said.message == "No orchestrator has all that the workflow asks for."


def test_one_alone_says_it_in_its_own_words() -> None:
    said = unfit(gpus="must be 0")
    assert refusal(here=said) is said


def test_who_reads_other_definitions_is_not_asked_what_is_wrong_with_this_one() -> None:
    said = unfit(gpus="must be 0")
    assert refusal(users=GRAMMAR, here=said) is said
    assert refusal(here=GRAMMAR, users=InvalidDefinition("Another.")) is GRAMMAR


def test_nobody_takes_definitions() -> None:
    with pytest.raises(CapabilityMissing):
        checked()
