# SPDX-License-Identifier: MIT
from types import TracebackType
from typing import (
    Any,
    Callable,
    ContextManager,
    Dict,
    Generic,
    List,
    NamedTuple,
    Optional,
    Type,
    TypeVar,
    Union,
)

_T = TypeVar("_T")
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
def share(*sockets: Any) -> None: ...
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

class Pool(Generic[_T]):
    name: str
    max: int
    def __init__(
        self,
        factory: Callable[[], _T],
        reset: Optional[Callable[[_T], Any]] = ...,
        max: int = ...,
        name: str = ...,
    ) -> None: ...
    def acquire(self) -> _T: ...
    def release(self, object: _T) -> None: ...
    def get(self) -> ContextManager[_T]: ...
    def clear(self) -> None: ...
    def stats(self) -> Dict[str, Any]: ...

class TypeSummary(NamedTuple):
    name: str
    count: int
    bytes: int
    share: float

class HeapSummary(NamedTuple):
    objects: int
    bytes: int
    pause_us: int
    types: List[TypeSummary]

def heap_summary(limit: Optional[int] = ..., untracked: bool = ...) -> HeapSummary: ...

class AllocationSite(NamedTuple):
    filename: str
    lineno: int
    function: str
    share: float
    types: Dict[str, float]

def allocation_sites(
    seconds: float = ..., during: Optional[Callable[[], Any]] = ...
) -> List[AllocationSite]: ...
def advise(seconds: float = ..., during: Optional[Callable[[], Any]] = ...) -> List[str]: ...
def freeze_after(warmup: Union[float, Callable[[], bool]]) -> None: ...
