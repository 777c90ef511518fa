"""What a service remembers beyond its process, in tables of its own database that the SDK owns.

Imported only where a service has a database: nothing else of the SDK needs SQLAlchemy.
"""

from .dead_letters import DeadLetters
from .keys import Keys
from .outbox import Outbox
from .schema import migrate
from .work import Work

__all__ = ["DeadLetters", "Keys", "Outbox", "Work", "migrate"]
