"""Commands that run as another user must be able to, and must not read what the service keeps."""

from __future__ import annotations

from pathlib import Path

from app.engine.launchers.run_as import check_account, find_account
from app.settings import Settings
from app.store.sqlite_files import database_files


def check_run_as(settings: Settings, config: Path | None) -> None:
    """Try the helper of ``engine.run_as``, where that is set.

    Args:
        settings: The settings.
        config: File of the settings, if there is one.

    Raises:
        ConfigError: Commands cannot run as that user, or could read what they must not.
    """
    account = find_account(settings.engine.run_as, settings.engine.run_as_dir)
    if account is None:
        return
    secret = [settings.data_dir, settings.master_key_file, *database_files(settings.database_url)]
    if config is not None and settings.secrets_in_file:
        secret.append(config)
    check_account(account, [path.absolute() for path in secret])
