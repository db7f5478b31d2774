"""What other users of the machine, and the commands of steps, can read of the service."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.definitions import script, workflow
from kit.guarded import root_looks_into_them
from kit.patience import PATIENCE_SECONDS
from kit.service import Service, clean_environment, run_slipway, slipway


@pytest.fixture(params=[0o000, 0o022])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    return [
        f"{stat.S_IMODE(path.lstat().st_mode):o} {path}"
        for path in (folder, *folder.rglob("*"))
        if path.lstat().st_mode & 0o077 and not path.is_symlink()
    ]


@pytest.mark.cold
def test_nothing_is_open_to_others_whatever_the_umask(
    new_service: Callable[..., Service], tmp_path: Path, umask: int
) -> None:
    folder = tmp_path / "tour"
    assert run_slipway("init", folder).returncode == 0
    assert open_to_others(folder) == []
    (folder / "data").chmod(0o777)
    service = new_service(arguments=["--config", folder / "slipway.yaml"]).start()
    client = service.client()
    assert client.send("POST", "/ssh_keys").status_code == 201
    definition = workflow("w", script("a", "umask; echo x=1 >> $SLIPWAY_OUTPUT; : > file"))
    definition["files"] = {"folder/given": "text"}
    execution = client.run(definition)
    assert client.wait(execution)["status"] == "SUCCESS"
    assert client.lines(execution, "a") == [f"{umask:04o}"], "commands have the operator's umask"
    theirs = [str(path) for path in folder.rglob("file")] + [
        str(path) for path in folder.rglob("outputs")
    ]
    assert [line for line in open_to_others(folder) if line.split()[1] not in theirs] == []


def test_what_an_older_version_left_open_is_closed(service: Service) -> None:
    service.stop()
    before = len(service.log)
    for path in (service.data_dir, *service.data_dir.glob("slipway.db*")):
        path.chmod(path.stat().st_mode | 0o055)
    service.start()
    own = {service.data_dir, *service.data_dir.iterdir()} - {service.workflows_dir}
    assert [path for path in own if path.stat().st_mode & 0o077] == []
    assert "was open to other users" in service.log[before:]


def test_a_folder_that_is_shared_with_others_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    refused = run_slipway("serve", "--data-dir", shared, "--port", "0")
    assert refused.returncode == 2
    assert "data_dir" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert list(shared.iterdir()) == []


@pytest.mark.cold
def test_the_master_key_and_passwords_are_where_they_are_needed_only(
    new_service: Callable[..., Service], tmp_path: Path
) -> None:
    root_looks_into_them()
    key = base64.b64encode(b"k" * 32).decode()
    config = tmp_path / "slipway.yaml"
    config.write_text(
        f"data_dir: {tmp_path / 'data'}\n"
        "api: {auth: {type: basic, users: [{username: ada, password: '${ADA_SECRET}', "
        "roles: [user, developer]}]}}\n"
        "engine: {pass_env: [PATH, SLIPWAY_MASTER_KEY, ADA_SECRET, SHARED_SECRET]}\n"
        "database: {url: '${SHARED_SECRET:-}'}\n"
    )
    env = {"SLIPWAY_MASTER_KEY": key, "ADA_SECRET": "hunter2", "SHARED_SECRET": ""}
    service = new_service(arguments=["--config", config], env=env).start()
    client = service.client("ada", "hunter2")
    assert client.send("POST", "/ssh_keys").status_code == 201
    for pid in (service.pid, *service.children()):
        assert key not in Path(f"/proc/{pid}/environ").read_text()
    for pid in service.children():
        assert "hunter2" not in Path(f"/proc/{pid}/environ").read_text()
    execution = client.run(workflow("w", script("a", "env")))
    assert client.wait(execution)["status"] == "SUCCESS"
    seen = "\n".join(entry["content"] for entry in client.page(execution, size=100)["logs"])
    assert "SHARED_SECRET=" in seen, "the conductor has what it needs, and passes it on"
    assert "ADA_SECRET" not in seen, "but not what the web processes alone need"
    assert not (tmp_path / "data" / "master.key").exists()
    old = service.kill("web")
    service.replaced("web", old)
    assert client.send("POST", "/ssh_keys").status_code == 201, "the next one has the key, too"


def test_another_process_of_the_same_user_cannot_look_into_the_service(service: Service) -> None:
    for pid in (service.pid, *service.children()):
        assert Path(f"/proc/{pid}/environ").stat().st_uid == 0
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB that can grow."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(options, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_first_start_on_a_full_disk_hinders_no_later_one(
    small_disk: Path, tmp_path: Path, new_service: Callable[..., Service]
) -> None:
    data = small_disk / "data"
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 100_000)
    for _ in range(2):
        started = subprocess.run(
            slipway("serve", "--data-dir", data, "--port", "0"), env=clean_environment(),
            capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
        assert started.returncode in (1, 2)
        assert "Traceback" not in started.stderr
        assert "No space left" in started.stderr or "full" in started.stderr
        key = data / "master.key"
        assert not key.exists() or len(key.read_bytes()) == 45
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    filler.unlink()
    service = new_service(arguments=["--data-dir", data]).start()
    assert service.client().send("POST", "/ssh_keys").status_code == 201
    service.end()


def test_init_on_a_full_disk_can_be_repeated(small_disk: Path) -> None:
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 100_000)
    refused = run_slipway("init", small_disk / "tour")
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert run_slipway("init", small_disk / "tour").returncode == 0
    assert all(p.stat().st_size for p in (small_disk / "tour").rglob("*.yaml"))
