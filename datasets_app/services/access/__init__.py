"""Who may do what, and the log of what was done."""

from datasets_app.services.access.auditing import record
from datasets_app.services.access.permissions import (
    MembershipBackend,
    allowed_datasets,
    may,
    may_somewhere,
    require,
    role_in,
)

__all__ = ["MembershipBackend", "allowed_datasets", "may", "may_somewhere", "record", "require", "role_in"]
