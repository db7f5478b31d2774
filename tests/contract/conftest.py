import pytest
from job_bench import JobBench

from app.engine.launchers.registry import create_launcher


@pytest.fixture(params=["local"])
def launcher_name(request):
    return request.param


@pytest.fixture
def bench(launcher_name, tmp_path):
    with JobBench(create_launcher(launcher_name, tmp_path), tmp_path) as bench:
        yield bench
