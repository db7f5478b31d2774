"""What the Workflow Engine's API writes: the very answers that its document prints."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

import pytest

from app import errors
from app.domain import (
    ErrorKind,
    ExecutionMetrics,
    ExecutionStatus,
    ExecutionSummary,
    Node,
    NodeShare,
    StepMetrics,
    ThresholdState,
    Timing,
)
from app.errors import FieldError
from app.resources._errors import Failure, of_refusal, of_slipway_error
from app.resources.engine_v1.entities import execution_json, execution_row, slave_json
from app.resources.engine_v1.errors import EngineErrors, failing_as
from app.resources.engine_v1.figures import go_duration, message_json, metrics_json
from app.resources.engine_v1.statuses import STATUSES

BEGUN = datetime(2026, 1, 5, 10, 0, 0, 999_000, tzinfo=UTC)
EXECUTION = ExecutionSummary(
    number=1, id="5f0c0e5e-3c1e-4b60-9f3d-000000000001", awf_name="test-20260105-100000",
    orchestrator="load", workflow_id="test", workflow_name="Test", owner="ada",
    status=ExecutionStatus.RUNNING, created_at=BEGUN, as_of=BEGUN, started_at=BEGUN,
    progress=0.5, upstream_id="exec-abc123",
)  # fmt: skip
MILLISECOND = 1000
DURATIONS = Timing(
    count=100, min_us=45 * MILLISECOND, max_us=892 * MILLISECOND, avg_us=125.0 * MILLISECOND,
    quantiles_us={50: 112_000, 90: 245_000, 95: 356_000, 99: 678_000},
)  # fmt: skip
METRICS = ExecutionMetrics(
    vus=10, iterations=100, running_us=300_000_000,
    steps=(StepMetrics("step1", 98, 2, DURATIONS),),
    thresholds=(ThresholdState("http_req_duration", "p(95) < 500", True, 356.2),),
)  # fmt: skip


def test_the_metrics_are_those_of_the_document() -> None:
    assert metrics_json("exec-abc123", METRICS) == {
        "execution_id": "exec-abc123",
        "total_vus": 10,
        "total_iterations": 100,
        "duration": "5m0s",
        "step_metrics": {
            "step1": {
                "step_id": "step1", "count": 100, "success_count": 98, "failure_count": 2,
                "duration": {
                    "min": "45ms", "max": "892ms", "avg": "125ms", "p50": "112ms",
                    "p90": "245ms", "p95": "356ms", "p99": "678ms",
                },
            }
        },
        "thresholds": [
            {"metric": "http_req_duration", "condition": "p(95) < 500", "passed": True,
             "value": 356.2}
        ],
    }  # fmt: skip


def test_before_anything_is_measured_all_is_nothing_and_json() -> None:
    metrics = metrics_json("exec-0", ExecutionMetrics())
    assert metrics == {
        "execution_id": "exec-0", "total_vus": 0, "total_iterations": 0, "duration": "0s",
        "step_metrics": {}, "thresholds": [],
    }  # fmt: skip
    data = message_json(ExecutionMetrics(), BEGUN)["data"]
    assert data == {
        "vus": 0, "iteration": 0, "http_reqs": {"count": 0, "rate": 0},
        "http_req_duration": {"avg": 0, "p95": 0},
    }  # fmt: skip
    json.dumps([metrics, data], allow_nan=False)


def test_what_the_document_has_no_word_for_is_added_where_there_is_any() -> None:
    written = metrics_json("exec-0", replace(METRICS, dropped=3, interrupted=2))
    assert (written["dropped_iterations"], written["interrupted_iterations"]) == (3, 2)


def test_a_message_is_that_of_the_document() -> None:
    timing = Timing(1500, 1, 2, 125_500.0, {50: 1, 90: 2, 95: 356_200, 99: 4})
    metrics = ExecutionMetrics(vus=10, iterations=150, running_us=90_000_000, requests=timing)
    at = datetime(2026, 1, 5, 10, 1, 30, 500_000, tzinfo=UTC)
    assert message_json(metrics, at) == {
        "type": "metrics",
        "timestamp": "2026-01-05T10:01:30Z",
        "data": {
            "vus": 10,
            "iteration": 150,
            "http_reqs": {"count": 1500, "rate": 16.67},
            "http_req_duration": {"avg": 125.5, "p95": 356.2},
        },
    }


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0s"), (849, "849µs"), (1_000, "1ms"), (51_231, "51.23ms"), (1_006_000, "1.006s"),
        (10_003_000, "10s"), (65_000_000, "1m5s"), (125_499.7, "125.5ms"),
    ],
)  # fmt: skip
def test_durations_are_gos_in_four_digits(microseconds: float, text: str) -> None:
    assert go_duration(microseconds) == text


def test_an_execution_is_that_of_the_document() -> None:
    share = NodeShare("slave-1", ExecutionStatus.RUNNING, 5, 50, (0.0, 0.5))
    row = {
        "id": "exec-abc123", "workflow_id": "test", "status": "running", "progress": 0.5,
        "start_time": "2026-01-05T10:00:00Z",
    }  # fmt: skip
    assert execution_row(EXECUTION) == row
    assert execution_json(EXECUTION, replace(METRICS, nodes=(share,))) == {
        **row,
        "end_time": "",
        "slave_states": {
            "slave-1": {
                "slave_id": "slave-1", "status": "running", "completed_vus": 5,
                "completed_iters": 50, "segment_start": 0, "segment_end": 0.5,
            }
        },
        "errors": [],
    }  # fmt: skip


def test_what_has_not_begun_has_no_times_and_what_ended_has_both() -> None:
    pending = replace(EXECUTION, status=ExecutionStatus.PENDING, started_at=None, progress=0.0)
    written = execution_json(pending, ExecutionMetrics())
    assert (written["start_time"], written["end_time"], written["status"]) == ("", "", "pending")
    fault = ErrorKind("TIMEOUT_ERROR", "No answer within 60s.", "s1", BEGUN, 7)
    ended = replace(EXECUTION, status=ExecutionStatus.FAILED, finished_at=BEGUN)
    written = execution_json(ended, ExecutionMetrics(errors=(fault,)))
    assert written["end_time"] == "2026-01-05T10:00:00Z"
    assert written["errors"] == [
        {"code": "TIMEOUT_ERROR", "message": "No answer within 60s.", "step_id": "s1",
         "timestamp": "2026-01-05T10:00:00Z", "count": 7}
    ]  # fmt: skip


def test_each_state_has_one_of_the_six_words() -> None:
    assert {status: STATUSES[status] for status in ExecutionStatus} == STATUSES
    assert {*STATUSES.values()} == {
        "pending", "running", "paused", "completed", "failed", "aborted",
    }  # fmt: skip


def test_a_slave_is_that_of_the_document() -> None:
    seen = datetime(2026, 1, 5, 10, 0, 55, tzinfo=UTC)
    node = Node(
        "slave-1", "worker", "192.168.1.10:9091", ("http_executor", "script_executor"),
        {"region": "us-east"}, "online", 0.4519, 5, seen,
    )  # fmt: skip
    assert slave_json(node) == {
        "id": "slave-1",
        "type": "worker",
        "address": "192.168.1.10:9091",
        "capabilities": ["http_executor", "script_executor"],
        "labels": {"region": "us-east"},
        "status": {
            "state": "online", "load": 0.45, "active_tasks": 5,
            "last_seen": "2026-01-05T10:00:55Z",
        },
    }  # fmt: skip


# Errors

FAULTS = (FieldError("steps[0].type", "must be one of http"), FieldError("id", "is missing"))


def rendered(failure: Failure) -> tuple[int, str, str]:
    response = EngineErrors().render(failure)
    assert response.content_type == "application/json"
    body = json.loads(response.data)
    assert body.keys() == {"error", "message"}
    assert all(isinstance(text, str) and text for text in body.values())
    return response.status_code, body["error"], body["message"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidRequest("No."), 400, "invalid_request"),
        (errors.InvalidDefinition("No."), 400, "invalid_workflow"),
        (errors.SeveralCredentials("No."), 400, "invalid_request"),
        (errors.NotAllowed("No."), 403, "forbidden"),
        (errors.ForeignOrigin("No."), 403, "forbidden"),
        (errors.NotFound("No."), 404, "not_found"),
        (errors.Hidden("No."), 404, "not_found"),
        (errors.Conflict("No."), 409, "conflict"),
        (errors.LimitExceeded("No."), 429, "rate_limited"),
        (errors.CapabilityMissing("No."), 501, "not_implemented"),
        (errors.StoreUnavailable("No."), 503, "unavailable"),
        (errors.UpstreamTimeout("No."), 503, "unavailable"),
        (errors.UpstreamGarbled("No."), 503, "unavailable"),
        (errors.SlipwayError("No."), 500, "internal_error"),
    ],
)  # fmt: skip
def test_each_error_has_its_status_and_code(
    error: errors.SlipwayError, status: int, code: str
) -> None:
    assert rendered(of_slipway_error(error, "/api/v1")) == (status, code, "No.")


@pytest.mark.parametrize(
    ("status", "answered", "code"),
    [
        (HTTPStatus.BAD_REQUEST, 400, "invalid_request"),
        (HTTPStatus.UNAUTHORIZED, 401, "unauthorized"),
        (HTTPStatus.NOT_FOUND, 404, "not_found"),
        (HTTPStatus.METHOD_NOT_ALLOWED, 405, "method_not_allowed"),
        (HTTPStatus.REQUEST_TIMEOUT, 408, "invalid_request"),
        (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, 413, "invalid_request"),
        (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, 415, "invalid_request"),
        (HTTPStatus.MISDIRECTED_REQUEST, 421, "invalid_request"),
        (HTTPStatus.UNPROCESSABLE_ENTITY, 400, "invalid_request"),
        (HTTPStatus.TOO_MANY_REQUESTS, 429, "rate_limited"),
        (HTTPStatus.INTERNAL_SERVER_ERROR, 500, "internal_error"),
        (HTTPStatus.NOT_IMPLEMENTED, 501, "not_implemented"),
        (HTTPStatus.BAD_GATEWAY, 503, "unavailable"),
        (HTTPStatus.SERVICE_UNAVAILABLE, 503, "unavailable"),
        (HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, 505, "internal_error"),
    ],
)  # fmt: skip
def test_what_the_server_refuses_has_them_too(status: HTTPStatus, answered: int, code: str) -> None:
    assert rendered(of_refusal(status, "No.")) == (answered, code, "No.")


def test_every_fault_is_in_the_message_with_its_place() -> None:
    failure = of_slipway_error(errors.InvalidDefinition("It has faults.", fields=FAULTS), "/")
    assert rendered(failure) == (
        400, "invalid_workflow", "It has faults. steps[0].type must be one of http. id is missing.",
    )  # fmt: skip


def test_of_very_many_faults_the_first_are_told_and_the_others_counted() -> None:
    faults = tuple(FieldError(f"steps[{n}].type", "must be one of http") for n in range(25))
    failure = of_slipway_error(errors.InvalidDefinition("It has faults.", fields=faults), "/")
    _, _, message = rendered(failure)
    assert message.count("must be one of http.") == 20
    assert message.endswith(" (and 5 more)")


def test_what_a_state_does_not_allow_has_a_code_of_the_endpoint() -> None:
    with pytest.raises(errors.Conflict) as caught, failing_as("pause_failed"):
        raise errors.Conflict("It has ended.")
    failure = of_slipway_error(caught.value, "/")
    assert rendered(failure) == (400, "pause_failed", "It has ended.")
