"""The form of errors: an envelope with a code, and a message in Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import marshmallow as ma
from flask import Response
from marshmallow import fields

from app import errors
from app.resources._api import Timestamp, write_json
from app.resources._dialect import ErrorRenderer
from app.resources._errors import Failure
from app.resources._problem import sentence, summary
from app.resources.wattle.envelope import JSON_TYPE, MOMENT, timestamp

_GENERAL: Final[Mapping[int, tuple[str, str]]] = {
    400: ("BAD_REQUEST", "请求参数错误"),
    401: ("UNAUTHORIZED", "未通过身份认证"),
    403: ("FORBIDDEN", "没有权限"),
    404: ("NOT_FOUND", "资源不存在"),
    405: ("METHOD_NOT_ALLOWED", "不支持该请求方法"),
    408: ("REQUEST_TIMEOUT", "请求超时"),
    409: ("CONFLICT", "资源冲突"),
    410: ("GONE", "资源已被永久删除"),
    412: ("PRECONDITION_FAILED", "前提条件不满足"),
    413: ("PAYLOAD_TOO_LARGE", "请求体过大"),
    415: ("UNSUPPORTED_MEDIA_TYPE", "不支持的内容类型"),
    421: ("MISDIRECTED_REQUEST", "请求发往了错误的主机"),
    422: ("VALIDATION_FAILED", "请求格式正确但语义错误"),
    429: ("TOO_MANY_REQUESTS", "请求过于频繁"),
    500: ("INTERNAL_ERROR", "服务器内部错误"),
    501: ("NOT_IMPLEMENTED", "功能未实现"),
    503: ("SERVICE_UNAVAILABLE", "服务不可用"),
}
"""Code and text of each status, where nothing says more exactly what is wrong."""

_STATUSES: Final = {502: 503, 504: 503}
"""What stands behind the service is one thing to callers of this API: there, or not."""


def _of_runnable(error: errors.NotRunnable) -> str:
    reason = "正在运行，无法启动" if error.runs else "没有工作者，无法启动"
    return f"工作流 '{error.name}' {reason}"


_SPECIAL: Final[Mapping[type[Exception], tuple[str, Callable[[Any], str]]]] = {
    errors.NoSuchWorkflow: ("WORKFLOW_NOT_FOUND", lambda e: f"工作流 '{e.name}' 不存在"),
    errors.NameTaken: ("WORKFLOW_ALREADY_EXISTS", lambda e: f"工作流 '{e.name}' 已存在"),
    errors.NotRunnable: ("WORKFLOW_NOT_RUNNABLE", _of_runnable),
    errors.NoSuchTask: ("WORKER_NOT_FOUND", lambda e: f"工作者 '{e.workflow}/{e.task}' 不存在"),
    errors.TaskOpen: ("WORKER_RUNNING", lambda e: f"工作者 '{e.workflow}/{e.task}' 正在运行"),
    errors.MissingDependency: (
        "DEPENDENCY_VALIDATION_FAILED",
        lambda e: f"依赖验证失败: worker '{e.task}' 依赖 '{e.reference}' 但该输出不存在",
    ),
    errors.CircularDependency: (
        "CIRCULAR_DEPENDENCY",
        lambda _: "检测到循环依赖，无法执行工作流",
    ),
}
"""Code and message of errors that this API has words of its own for."""


class ErrorSchema(ma.Schema):
    """What went wrong."""

    code = fields.String(required=True, metadata={"description": "Stable, for programs"})
    message = fields.String(required=True, metadata={"description": "For people"})


class FailureSchema(ma.Schema):
    """The answer to a request that fails."""

    success = fields.Boolean(required=True, metadata={"enum": [False]})
    error = fields.Nested(ErrorSchema, required=True)
    timestamp = Timestamp(required=True, metadata=MOMENT)


class WattleErrors(ErrorRenderer):
    """Renders errors in the envelope."""

    content_type = JSON_TYPE
    schema = FailureSchema

    def render(self, failure: Failure) -> Response:
        """Return the answer to a request that fails."""
        status = _STATUSES.get(failure.status, int(failure.status))
        code, message = _told(failure, status)
        body = {
            "success": False,
            "error": {"code": code, "message": message},
            "timestamp": timestamp(),
        }
        return Response(write_json(body), status, content_type=JSON_TYPE)


def _told(failure: Failure, status: int) -> tuple[str, str]:
    for kind, (code, message) in _SPECIAL.items():
        if isinstance(failure.cause, kind):
            return code, message(failure.cause)
    phrase = HTTPStatus(status).phrase
    code, text = _GENERAL.get(status, (re.sub(r"\W+", "_", phrase).upper(), phrase))
    faults = [sentence(errors.FieldError(_path(f.path), f.message)) for f in failure.fields]
    return code, f"{text}: {summary(failure.detail, faults)}"


def _path(path: str) -> str:
    """Name a place in a definition as it is called here."""
    path = re.sub(r"^(tasks|steps)(?=\[|$)", "workers", path)
    return re.sub(r"^(workers\[\d+\]\.)env(?=\.|$)", r"\1env_vars", path)
