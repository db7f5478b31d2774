"""What is sent to clusters is understood by the Python that they have: 3.6 and later."""

import ast
import json
import os
import subprocess
from pathlib import Path

import pytest
from kit.patience import PATIENCE_SECONDS
from kit.pythons import OLD, old_python

from app.engine.launchers.frames import read_lines
from app.engine.launchers.job_records import read_claim, read_result
from app.engine.launchers.shim import records
from app.engine.launchers.slurm.package import MODULES

LAUNCHERS = Path(records.__file__).parent.parent
SHIM = "import sys; sys.path.append(sys.argv[1]); from shim.supervisor import main; main()"

NEWER = {
    *("CLOCK_BOOTTIME", "capture_output", "cached_property", "cache", "dataclasses"),
    *("hardlink_to", "importlib.resources", "isascii", "is_relative_to", "missing_ok"),
    *("monotonic_ns", "nullcontext", "orig_argv", "pidfd_open", "pidfd_send_signal", "prod"),
    *("recv_fds", "removeprefix", "removesuffix", "send_fds", "time_ns"),
    *("valid_signals", "waitstatus_to_exitcode", "with_stem", "process_group"),
    *("cancel_futures", "to_thread", "shlex.join", "batched", "pairwise", "MFD_CLOEXEC"),
    *("memfd_create", "warn_on_full_buffer", "copy_file_range", "posix_spawn"),
}
"""Names that 3.6 lacks, of the modules that are used there."""
GUARDED = {
    ("processes.py", "memfd_create"),
    ("processes.py", "MFD_CLOEXEC"),
    ("processes.py", "warn_on_full_buffer"),
}
"""Those that are used only where they are there."""


@pytest.fixture(params=MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def module(request):
    return request.param


def test_its_grammar_is_that_of_3_6(module):
    tree = ast.parse(module.read_text(), feature_version=(3, 6))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.NamedExpr | ast.Match), ast.dump(node)
        if isinstance(node, ast.ImportFrom):
            assert node.module != "__future__", "3.6 has no annotations of that kind"


def test_it_uses_no_name_that_3_6_lacks(module):
    used = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.keyword):
            used.add(node.arg)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            used |= {node.module} if isinstance(node, ast.ImportFrom) else set()
            used |= {alias.name for alias in node.names}
    guarded = {name for file, name in GUARDED if file == module.name}
    assert not (used & NEWER) - guarded


def _evaluated(tree):
    """Yield the annotations that are evaluated when the module is loaded."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            each = [*arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            yield from (argument.annotation for argument in each if argument is not None)
            yield node.returns
        elif isinstance(node, ast.ClassDef | ast.Module):
            yield from (each.annotation for each in node.body if isinstance(each, ast.AnnAssign))


def test_no_annotation_is_evaluated_that_3_6_does_not_know(module):
    for annotation in _evaluated(ast.parse(module.read_text())):
        assert annotation is None or isinstance(annotation, ast.Constant | ast.Name), ast.unparse(
            annotation
        )


@pytest.mark.parametrize("version", OLD)
def test_it_is_compiled_by_an_old_python(version):
    compile_all = "import sys\nfor p in sys.argv[1:]: compile(open(p).read(), p, 'exec')"
    python = old_python(version)
    subprocess.run([python, "-c", compile_all, *map(str, MODULES)], check=True)


@pytest.mark.parametrize("version", OLD)
def test_a_job_runs_under_an_old_python(version, tmp_path):
    folder, work = tmp_path / "job", tmp_path / "work"
    folder.mkdir()
    folder.joinpath("script").write_text("secret")
    script = "read line; echo got $line; echo bad >&2; echo a=1 > $SLIPWAY_OUTPUT; exit 3"
    specification = {
        "argv": ["sh", "-c", script],
        "env": {"PATH": os.environ["PATH"], "SLIPWAY_OUTPUT": str(folder / records.OUTPUTS)},
        "stdin": "words\n",
        "files": ["script"],
        "working_dir": str(work),
        "timeout_seconds": PATIENCE_SECONDS,
        "kill_grace_seconds": 1,
        "execution_id": "x",
        "doorbell": None,
        "umask": 0o022,
        "most_output_bytes": None,
        "stdout": {"folder": str(tmp_path), "path": "below/out"},
        "stderr": None,
        "capture": None,
    }
    subprocess.run(
        [old_python(version), "-I", "-S", "-c", SHIM, str(LAUNCHERS), str(folder)],
        cwd=folder,
        input=json.dumps(specification).encode(),
        start_new_session=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    lines, _ = read_lines(folder / records.FRAMES, 0, 1 << 20)
    assert sorted((line.stream, line.text) for line in lines) == [
        ("stderr", "bad"), ("stdout", "got words"),
    ]  # fmt: skip
    result = read_result(folder)
    assert (result["exit_code"], result["reason"], result["fault"]) == (3, None, None)
    assert read_claim(folder).started_at == result["started_at"]
    assert tmp_path.joinpath("below/out").read_text() == "got words\n"
    assert not folder.joinpath("script").exists()
