"""Stand-ins of the providers' APIs, with a ledger of what is true in them.

`python -m provider_sandbox` serves them; `running_sandbox()` serves them inside a test. It
imports nothing of the pipelines, so that one author's mistake cannot stand on both sides.
"""

from provider_sandbox.faults import FAULTS, Fault
from provider_sandbox.limits import Limit
from provider_sandbox.sandbox import Sandbox, running_sandbox

__all__ = ["FAULTS", "Fault", "Limit", "Sandbox", "running_sandbox"]
