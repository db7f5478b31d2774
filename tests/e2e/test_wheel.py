"""What ``pip install slipway-hpc`` brings: the wheel, in an environment that holds no more.

The libraries are those of the development environment, copied: nothing is downloaded, and pip
itself says whether any is missing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from kit.people import bare
from kit.service import Service
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
MOST_PACKAGES = 15
INSTALL = "pip install 'slipway-hpc[server]'"


def pip(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", ".", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    [made] = folder.glob("*.whl")
    return made


def needed(requirements: list[str]) -> Iterator[Distribution]:
    """Yield what some requirements need, and what that needs, extras left out."""
    seen: set[str] = set()
    waiting = [*requirements]
    while waiting:
        requirement = Requirement(waiting.pop())
        marker = requirement.marker
        if requirement.name in seen or (marker and not marker.evaluate({"extra": ""})):
            continue
        seen.add(requirement.name)
        found = distribution(requirement.name)
        yield found
        waiting += found.requires or []


def copy(found: Distribution, site: Path) -> None:
    for file in found.files or ():
        if ".." not in file.parts and file.suffix != ".pyc":
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(found.locate_file(file)), target)


def required(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(name).decode().splitlines()
    return [
        line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")
    ]


@pytest.fixture(scope="session")
def bare_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("login-node") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [site] = folder.glob("lib/python3*/site-packages")
    for found in needed(required(wheel)):
        copy(found, site)
    python = folder / "bin" / "python"
    pip("--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel)
    assert "No broken requirements" in pip("--python", python, "check")
    return folder


def run(
    folder: Path, home: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    program, *rest = arguments
    return subprocess.run(
        [folder / "bin" / program, *rest], capture_output=True, text=True, check=False,
        env=bare(home, env), cwd=home,
    )  # fmt: skip


def test_it_is_small(bare_environment: Path) -> None:
    listed = json.loads(pip("--python", bare_environment / "bin" / "python", "list", "--format",
                            "json"))  # fmt: skip
    names = {each["name"] for each in listed}
    assert "slipway-hpc" in names
    assert len(names) <= MOST_PACKAGES, names


def test_its_help_shows_what_people_need_and_how_to_get_the_service(
    bare_environment: Path, tmp_path: Path
) -> None:
    done = run(bare_environment, tmp_path, "slipway", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n  run  " in done.stdout
    assert "\n  serve " not in done.stdout
    assert f"To run a service here, too: {INSTALL}" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("slipway", "serve"), ("slipway", "serve", "--port", "0"), ("slipway", "demo"),
        ("slipway", "server", "--help"), ("awf", "serve"), ("workflow-engine", "validate", "x"),
        ("slipway", "try", "flow.yaml"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_needs_the_service_says_how_to_get_it(
    bare_environment: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "flow.yaml").write_text("id: flow\nsteps: []\n")
    done = run(bare_environment, tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert INSTALL in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_it_reaches_a_service(
    bare_environment: Path, tmp_path: Path, shared_service: Service
) -> None:
    launched = run(
        bare_environment, tmp_path, "slipway", "run", "diamond", "-i", "n=100", "--wait",
        env={"SLIPWAY_URL": shared_service.url},
    )  # fmt: skip
    assert launched.returncode == 0, launched.stderr
    found = shared_service.client().get(f"/executions/{launched.stdout.split()[0]}")
    assert found["status"] == "SUCCESS"
    assert found["inputs"] == {"n": 100}


def test_the_library_is_typed_and_loads_nothing_of_the_service(
    bare_environment: Path, tmp_path: Path
) -> None:
    program = (
        "import slipway, sys; from pathlib import Path; slipway.Client; "
        "print(Path(slipway.__file__).with_name('py.typed').exists(), 'app' in sys.modules)"
    )
    done = run(bare_environment, tmp_path, "python", "-c", program)
    assert done.stdout.split() == ["True", "False"], done.stderr
