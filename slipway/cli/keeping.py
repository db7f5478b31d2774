"""Changing what the command line keeps of logins: private files, one program at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace

from slipway.cli.codes import Failure
from slipway.cli.profiles import (
    FIRST_PROFILE,
    NAME,
    Profile,
    Profiles,
    config_folder,
    no_such_profile,
    profile_document,
    profiles_file,
    read_profiles,
    tokens_file,
)
from slipway.private_files import locked, write_private


def checked_name(name: str) -> str:
    """Return the name of a profile, of which a file may be called.

    Raises:
        Failure: It is none.
    """
    if not NAME.fullmatch(name):
        raise Failure(
            f"'{name}' is no name of a profile.",
            hint="It has 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-'; not '.', '_', '-' first.",
        )
    return name


def keep(profile: Profile) -> Profiles:
    """Keep a profile in the place of the one of its name; return all that are kept then.

    The first one is the one that counts from now on.
    """

    def change(before: Profiles) -> Profiles:
        current = before.current if before.current in before.kept else profile.name
        return Profiles(current, {**before.kept, profile.name: profile})

    return _changed(change)


def choose(name: str) -> Profiles:
    """Let a profile be the one that counts; return all that are kept.

    Raises:
        Failure: There is none of this name.
    """
    return _changed(lambda before: replace(before, current=_known(before, name)))


def remove(names: Iterable[str]) -> None:
    """Forget profiles, and what they sign in with.

    Raises:
        Failure: There is none of one of these names; then all are kept.
    """
    gone = tuple(names)

    def change(before: Profiles) -> Profiles:
        for name in gone:
            _known(before, name)
        kept = {name: each for name, each in before.kept.items() if name not in gone}
        current = before.current if before.current in kept else next(iter(kept), FIRST_PROFILE)
        return Profiles(current, kept)

    _changed(change)
    for name in gone:
        tokens_file(name).unlink(missing_ok=True)


def _known(profiles: Profiles, name: str) -> str:
    if name not in profiles.kept:
        raise no_such_profile(name, profiles.kept)
    return name


def _changed(change: Callable[[Profiles], Profiles]) -> Profiles:
    """Change what is kept while no other program does."""
    folder = config_folder()
    file = profiles_file(folder)
    with locked(file):
        after = change(read_profiles(folder))
        kept = {name: profile_document(each) for name, each in after.kept.items()}
        document = {"current": after.current, "profiles": kept}
        write_private(file, json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    return after
