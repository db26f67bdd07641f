# SPDX-License-Identifier: MIT
from types import TracebackType
from typing import Any, Callable, Dict, Optional, Type, TypeVar, Union

_App = TypeVar("_App", bound=Callable[..., Any])

__version__: str

def supervise(
    service: Optional[str] = ...,
    budget: Union[int, str, None] = ...,
    heap: Optional[str] = ...,
    collector: Optional[str] = ...,
    fork_limit: Optional[float] = ...,
) -> None: ...
def checkpoint() -> bool: ...
def slack(until: float) -> bool: ...
def status() -> Dict[str, Any]: ...
def wsgi(app: _App) -> _App: ...
def asgi(app: _App) -> _App: ...

class critical:
    def __enter__(self) -> critical: ...
    def __exit__(
        self,
        type: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None: ...
