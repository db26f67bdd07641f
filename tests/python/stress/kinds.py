# SPDX-License-Identifier: MIT
"""Containers of many types, each holding a token and a list of others."""

import collections
import contextvars
import functools
import itertools
import types
import weakref

closed = []  # ids of the generators and coroutines that were closed


class Instance:
    def __init__(self, token, edges):
        self.token, self.edges = token, edges

    def method(self):
        return self.token


class Slots:
    __slots__ = ("token", "edges", "__weakref__")

    def __init__(self, token, edges):
        self.token, self.edges = token, edges


class SubDict(dict):
    __slots__ = ("token", "edges")


def ordered(token, edges):
    return collections.OrderedDict(token=token, edges=edges)


def sub_dict(token, edges):
    made = SubDict()
    made.token, made.edges = token, edges
    return made


def default_dict(token, edges):
    return collections.defaultdict(functools.partial(list, edges), token=token)


def ring(token, edges):
    made = collections.deque([token, edges], maxlen=7)
    made.rotate(1)
    return made


def cached(token, edges):
    @functools.lru_cache(maxsize=3)
    def call(key):
        return token, key

    call(0)
    call.__dict__["edges"] = edges
    return call


def cached_property(token, edges):
    class Lazy:
        @functools.cached_property
        def value(self):
            return token, edges, self

    made = Lazy()
    made.value
    return made


def closure(token, edges):
    return lambda: (token, edges)


def cell(token, edges):
    return closure(token, edges).__closure__


def method(token, edges):
    return Instance(token, edges).method


def generator(token, edges):
    number = token.number

    def run(token, edges):
        try:
            yield token
            yield edges
        finally:
            closed.append(number)

    made = run(token, edges)
    next(made)
    return made


def expression(token, edges):
    made = (item for item in (token, edges, None))
    next(made)
    return made


@types.coroutine
def suspend():
    yield


def coroutine(token, edges):
    number = token.number

    async def run():
        try:
            await suspend()
            return token, edges
        finally:
            closed.append(number)

    made = run()
    made.send(None)
    return made


def tee(token, edges):
    first, second = itertools.tee([token, edges, None])
    next(first)
    return [first, second]


def cycle(token, edges):
    made = itertools.cycle([token, edges])
    next(made)
    return made


def groups(token, edges):
    made = itertools.groupby([token, edges], key=id)
    next(made)
    return made


def view(name):
    return lambda token, edges: getattr({"token": token, "edges": edges}, name)()


def view_iterator(token, edges):
    made = iter({"token": token, "edges": edges}.items())
    next(made)
    return made


def exception(token, edges):
    def fail():
        held = token, edges
        raise ValueError(held[0].number)

    try:
        fail()
    except ValueError as error:
        made = error
    return made


def context(token, edges):
    made = contextvars.Context()
    made.run(variable.set, (token, edges))
    return made


variable = contextvars.ContextVar("variable")


def weak_values(token, edges):
    made = weakref.WeakValueDictionary()
    made.token, made.edges = token, edges
    made["token"] = token
    return made


def weak_keys(token, edges):
    made = weakref.WeakKeyDictionary()
    made[token] = token, edges  # holds its own key
    return made


def proxy(token, edges):
    return types.MappingProxyType({"token": token, "edges": edges})


def a_class(token, edges):
    return type("Made", (Slots,), {"held": (token, edges)})


KINDS = [
    Instance, Instance, Slots, Slots,
    lambda token, edges: {"token": token, "edges": edges},
    lambda token, edges: [token, edges],
    lambda token, edges: (token, edges),
    lambda token, edges: types.SimpleNamespace(token=token, edges=edges),
    lambda token, edges: functools.partial(Instance, token, edges=edges),
    lambda token, edges: itertools.chain([token], edges),
    lambda token, edges: map(id, [token, edges]),
    lambda token, edges: zip([token], [edges]),
    lambda token, edges: enumerate([token, edges]),
    lambda token, edges: property(closure(token, edges)),
    lambda token, edges: iter([token, edges]),
    lambda token, edges: slice(token, edges),
    sub_dict, ordered, default_dict, ring, cached, cached_property, closure, cell, method,
    generator, expression, coroutine, tee, cycle, groups, view("values"),
    view("items"), view_iterator, exception, context, weak_values, weak_keys, proxy,
]  # fmt: skip
# Dear ones, taken now and then.
RARE = [a_class]
