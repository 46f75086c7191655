# MuJoCo's classes live in compiled modules that carry no types: all of it is Any for pyright.
from typing import Any

def __getattr__(name: str) -> Any: ...
