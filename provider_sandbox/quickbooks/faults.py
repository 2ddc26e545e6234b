"""How QuickBooks refuses: Fault bodies of the service, and those of the gateway before it."""

from provider_sandbox.ledger import Json, encode
from provider_sandbox.messages import Response

CONTENT_TYPE = "application/json;charset=UTF-8"


class Refused(Exception):
    """The request is answered with this status and fault. ``gateway`` faults, about tokens, have
    lower-case names."""

    def __init__(
        self, status: int, code: str, message: str, detail: str | None = None, *,
        type: str = "ValidationFault", gateway: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.type = type
        self.gateway = gateway

    def response(self, time: str, milliseconds: int) -> Response:
        """``time`` as the company writes it."""
        return Response(
            self.status,
            encode(self._at_gateway(milliseconds) if self.gateway else self._body(time)),
            {"Content-Type": CONTENT_TYPE},
        )

    def _body(self, time: str) -> Json:
        error = {"Message": self.message}
        if self.detail is not None:
            error["Detail"] = self.detail
        error["code"] = self.code
        return {"Fault": {"Error": [error], "type": self.type}, "time": time}

    def _at_gateway(self, milliseconds: int) -> Json:
        error = {
            "message": self.message, "detail": self.detail, "code": self.code, "element": None,
        }  # fmt: skip
        return {
            "warnings": None, "intuitObject": None, "fault": {"error": [error], "type": self.type},
            "report": None, "queryResponse": None, "batchItemResponse": [],
            "attachableResponse": [], "syncErrorResponse": None, "requestId": None,
            "time": milliseconds, "status": None, "cdcresponse": [],
        }  # fmt: skip


def unparsable(detail: str) -> Refused:
    return Refused(400, "4000", "Error parsing query", f"QueryParserError: {detail}")


def invalid_query(detail: str) -> Refused:
    return Refused(400, "4001", "Invalid query", f"QueryValidationError: {detail}")


def unsupported(operation: str) -> Refused:
    return Refused(400, "500", "Unsupported Operation", f"Operation {operation} is not supported.")


def missing(parameter: str) -> Refused:
    return Refused(
        400, "2020", "Required param missing, need to supply the required value for the API",
        f"Required parameter {parameter} is missing in the request",
    )  # fmt: skip


def invalid_parameter(parameter: str, value: str) -> Refused:
    return Refused(
        400, "2010", "Request has invalid or unsupported property",
        f"Property Name:{parameter} with value '{value}' specified is unsupported or invalid",
    )  # fmt: skip


def not_found() -> Refused:
    return Refused(
        400, "610", "Object Not Found",
        "Object Not Found : Something you're trying to use has been made inactive. Check the "
        "fields with accounts, customers, items, vendors or employees.",
    )  # fmt: skip


def unauthenticated(detail: str) -> Refused:
    return Refused(
        401, "3200", "message=AuthenticationFailed; errorCode=003200; statusCode=401", detail,
        type="AUTHENTICATION", gateway=True,
    )  # fmt: skip


def forbidden() -> Refused:
    return Refused(
        403, "3100", "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403",
        type="SERVICE", gateway=True,
    )  # fmt: skip


def throttled() -> Refused:
    return Refused(
        429, "3001", "message=ThrottleExceeded; errorCode=003001; statusCode=429",
        "The request limit was reached.  Try again later", type="SERVICE",
    )  # fmt: skip


def failed(status: int) -> Refused:
    return Refused(
        status, "10000", "An application error has occurred while processing your request",
        "System Failure Error: Internal Server Error", type="SystemFault",
    )  # fmt: skip
