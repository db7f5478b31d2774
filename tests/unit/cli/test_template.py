"""Templates, and what is forked from them: small programs of the test's own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.guarded import root_looks_into_them
from kit.patience import PATIENCE_SECONDS

from app.cli import _supervisor
from app.cli._supervise import Begun
from app.cli._supervisor import Child, Supervisor
from app.cli._templates import begun_template, template_plans

SAYS = """
import json, os, random, secrets, signal, sys, threading, time, uuid

def command():
    {first}
    found = {{
        "pid": os.getpid(), "session": os.getsid(0),
        "arguments": sys.argv[1:], "environment": dict(os.environ),
        "files": {{fd: os.readlink(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd")
                  if os.path.exists(f"/proc/self/fd/{{fd}}")}},
        "chance": [random.random(), secrets.token_hex(8), str(uuid.uuid4())],
        "umask": os.umask(0), "threads": threading.active_count(),
        "signals": [str(int(signal.getsignal(n))) for n in (signal.SIGTERM, signal.SIGCHLD)],
        "modules": list(sys.modules),
    }}
    with open(os.environ["SAY"], "w") as file:
        json.dump(found, file)
    os.rename(os.environ["SAY"], os.environ["SAY"] + ".said")
    {last}
"""
SECRET = "only-for-the-fork"


class Family:
    """A supervisor with both templates, and children that are forks of one."""

    def __init__(self, folder: Path, begun: Begun | None = None) -> None:
        self.folder = folder
        self.children: list[Child] = []
        by_name: dict[str, Child] = {}
        for plan in template_plans(begun):
            by_name[plan.name] = plan.child(by_name)
        self.templates = by_name
        for template in by_name.values():
            template.env = {**template.env, "PYTHONPATH": f"{folder}:{Path(__file__).parents[3]}"}
        self.supervisor = Supervisor(self.children, ("127.0.0.1", 1), 5.0)
        self.children += by_name.values()

    def add(self, name: str, template: str, first: str = "pass", last: str = "pass") -> Child:
        (self.folder / f"{name}.py").write_text(SAYS.format(first=first, last=last))
        env = {"SAY": str(self.folder / name), "SECRET": SECRET}
        self.children.append(Child(name, name, 60.0, env, template=self.templates[template]))
        return self.children[-1]

    def tend_until(self, condition: Callable[[], object]) -> None:
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < give_up_at
            for child in self.children:
                assert not self.supervisor._tend(child, 0.01)
            time.sleep(0.01)

    def said(self, name: str) -> dict:
        path = self.folder / f"{name}.said"
        self.tend_until(path.exists)
        found = json.loads(path.read_text())
        path.unlink()
        return found


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path)
    yield made
    for child in made.children:
        if child.process is not None:
            child.process.kill()
            child.process.wait()
            child.bury()


@pytest.mark.parametrize("template", ["template", "web-template"])
def test_a_fork_is_a_process_of_the_supervisor_with_its_own_things_only(family, template):
    one = family.add("one", template, last="time.sleep(600)")
    other = family.add("other", template, last="time.sleep(600)")
    said, said_by_other = family.said("one"), family.said("other")
    stat = Path(f"/proc/{said['pid']}/stat").read_text().rpartition(")")[2].split()
    assert int(stat[1]) == os.getpid(), "who is between has ended"
    assert said["pid"] == said["session"] == one.process.pid
    assert said["arguments"][:1] == ["--lifeline-fd"]
    assert said["environment"] == one.env
    (lifeline,) = (fd for fd in said["files"] if fd == said["arguments"][1])
    assert set(said["files"]) == {"0", "1", "2", lifeline}
    assert said["threads"] == 1
    assert said["signals"] == ["0", "0"]
    assert "structlog" in said["modules"]
    assert "rich" not in said["modules"]
    assert all(a != b for a, b in zip(said["chance"], said_by_other["chance"], strict=True))
    shown = Path(f"/proc/{said['pid']}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    begin = [sys.executable, "-P", "-m", "one"]
    assert shown == [os.fsencode(word) for word in [*begin, *said["arguments"]]]
    assert other.process.poll() is None


def test_a_template_has_no_secret_in_its_environment_and_nothing_open(family, monkeypatch):
    root_looks_into_them()
    monkeypatch.setenv("SLIPWAY_DATABASE__URL", f"postgresql://u:{SECRET}@h/d")
    monkeypatch.setenv("VAULT_TOKEN", SECRET)
    fresh = Family(family.folder)
    family.children[:] = fresh.children
    family.templates.update(fresh.templates)
    family.add("one", "web-template", last="time.sleep(600)")
    family.said("one")
    for template in family.templates.values():
        pid = template.process.pid
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert SECRET.encode() not in environment
        targets = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert sum(target.startswith("socket:") for target in targets) == 2
        assert not any("memfd" in target for target in targets)
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    environment = Path(f"/proc/{family.children[-1].process.pid}/environ").read_bytes()
    assert SECRET.encode() not in environment, "it is in memory that others cannot read"


def test_exit_statuses_and_signals_of_forks_reach_the_supervisor(family):
    one = family.add("one", "template", last="sys.exit(7)")
    family.said("one")
    assert one.process.wait(PATIENCE_SECONDS) == 7
    other = family.add("other", "template", last="time.sleep(600)")
    family.said("other")
    with pytest.raises(subprocess.TimeoutExpired):
        other.process.wait(0.01)
    other.process.terminate()
    assert other.process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    other.process.kill()  # of one that has ended
    assert other.process.poll() == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_template_that_is_gone_or_silent_is_replaced_when_it_is_needed(
    family, number, monkeypatch
):
    monkeypatch.setattr("app.cli._start._ANSWER_SECONDS", 0.5)
    one = family.add("one", "web-template", last="time.sleep(600)")
    first = family.said("one")["pid"]
    old = [template.process.pid for template in family.templates.values()]
    for pid in old:
        os.kill(pid, number)
    assert one.process.poll() is None, "what was forked goes on"
    one.process.kill()
    assert family.said("one")["pid"] != first
    assert not {template.process.pid for template in family.templates.values()} & set(old)


def test_a_template_that_nobody_needs_ends_and_comes_again(family, monkeypatch):
    one = family.add("one", "web-template", last="time.sleep(600)")
    family.said("one")
    monkeypatch.setattr(_supervisor, "_LINGER_SECONDS", 0.0)
    family.tend_until(lambda: not any(t.process for t in family.templates.values()))
    assert one.process.poll() is None
    assert not any(template.failures for template in family.templates.values())
    one.process.kill()
    family.said("one")


def test_templates_end_with_their_supervisor(family):
    family.add("one", "web-template", last="time.sleep(600)")
    family.said("one")
    processes = [template.process for template in family.templates.values()]
    for template in family.templates.values():
        template.requests.close()
        template.lifeline.close()
    assert [process.wait(PATIENCE_SECONDS) for process in processes] == [0, 0]


def test_a_template_is_begun_before_its_supervisor_who_takes_it_over(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3]}")
    with begun_template() as begun:
        assert begun is not None
        held = [os.dup(begun.lifeline), os.dup(begun.requests)]
        family = Family(tmp_path, Begun(begun.pid, *held))
        family.add("one", "template", last="time.sleep(600)")
        family.add("two", "web-template", last="time.sleep(600)")
        for name in ("one", "two"):
            assert family.said(name)["environment"]["SECRET"] == SECRET
        assert family.templates["template"].process.pid == begun.pid
        assert not any(child.failures for child in family.children)
        os.kill(begun.pid, signal.SIGKILL)
        family.tend_until(lambda: family.templates["template"].process is None)
        family.add("three", "template", last="time.sleep(600)")
        family.said("three")
    for child in family.children:
        if child.process is not None:
            child.process.kill()
            child.process.wait()


def test_a_template_that_gets_no_supervisor_is_ended():
    with begun_template() as begun:
        end = os.pidfd_open(begun.pid)
    ends = select.poll()
    ends.register(end, select.POLLIN)
    assert ends.poll(PATIENCE_SECONDS * 1000)
    os.close(end)


SCAN = """
import gc, sys, types
from importlib import import_module
from app.cli._template import _MODULES
{first}
for name in _MODULES["common"]:
    import_module(name)
for name in _MODULES["web"]:
    import_module(name)
from gevent import hub, monkey
assert hub._get_hub() is None, "an event loop has begun"
originals = {{
    id(held)
    for module, names in monkey.saved.items() if not module.startswith("_gevent")
    for name, held in names.items()
    if held is not getattr(sys.modules.get(module), name, None)
    and not isinstance(held, (bool, int, type(None)))
}}
def is_one(held):
    return id(held) in originals or type(held).__module__ == "_thread"
def parts(thing):
    if isinstance(thing, types.ModuleType):
        yield from ((thing.__name__, name, held) for name, held in list(vars(thing).items()))
    elif isinstance(thing, type):
        for held in thing.__mro__[1:]:
            yield thing.__module__, thing.__qualname__, held
        for name, held in list(vars(thing).items()):
            yield thing.__module__, f"{{thing.__qualname__}}.{{name}}", held
    elif isinstance(thing, types.FunctionType):
        held = [*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {{}}).values()]
        held += [cell.cell_contents for cell in thing.__closure__ or () if cell != types.CellType()]
        yield from ((thing.__module__, thing.__qualname__, each) for each in held)
print(*sorted({{f"{{module}}:{{name}}" for thing in gc.get_objects()
               for module, name, held in parts(thing) if is_one(held)}}), sep="\\n")
"""

PATCHED = "from gevent import monkey; monkey.patch_all(subprocess=False)"
WARM = "from kit import warm; warm.load()"
"""What the services of the tests do."""

HARMLESS = {
    "asyncio", "attr", "click", "rich", "structlog",  # not used, or not while anybody waits
    "gevent", "reprlib",
    "jinja2",  # locks of a cache, held over no call
    "sqlalchemy",  # locks while a statement is made, and a driver that nobody uses
    "ssl",  # gevent has a module of its own in its place
    "subprocess",  # begins processes in real threads only; see app/isolation.py
}  # fmt: skip


def test_nothing_that_a_template_loads_before_gevent_patches_it_keeps_what_is_patched():
    """A web process is patched when much is loaded already; that must make no difference.

    Whoever says ``from threading import Lock`` before would keep a lock that stops all greenlets.
    """
    early, late, in_tests = map(held_after, (PATCHED, "", WARM))
    assert len(early) > 10, "it looks everywhere"
    kept = {
        found
        for found in (late | in_tests) - early
        if found.partition(":")[0].split(".")[0] not in HARMLESS | {"_pytest", "kit"}
    }
    assert kept == set()


def held_after(first: str) -> set[str]:
    """What holds something that gevent would replace, when this came first."""
    command = [sys.executable, "-W", "ignore", "-c", SCAN.format(first=first)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return {*told.stdout.split()}
