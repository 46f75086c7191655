# Decorated functions are called by other rules than they are written by: all is Any for pyright.
from typing import Any

def __getattr__(name: str) -> Any: ...
