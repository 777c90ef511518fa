"""What a handler's parameters say: that the first takes the context it will get, and what type the data becomes.

Each annotation is read by itself: one that only a type checker can see, of the result for example, is no obstacle.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from .text import DEFAULT_POLICY, TextPolicy
from .validation import Function, RegistrationError, Schema, where

_Parameters = list[inspect.Parameter]


def is_async(function: Any) -> bool:
    """Whether a call gives a coroutine: an ``async def`` function, or an object whose call is one."""
    call = getattr(function, "__call__", None)  # noqa: B004
    return bool(inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call))


def check_name_given(name: Any, decorator: str, example: str) -> None:
    """Refuse a decorator that was written without its parentheses, and so got the function in place of the name.

    Args:
        name: What stands where the name belongs.
        decorator: How the decorator is called, such as ``service.ws.on``.
        example: A name that fits.

    Raises:
        RegistrationError: If it is no text. The function would be swallowed without a word.
    """
    if isinstance(name, str):
        return
    if callable(name) and not isinstance(name, type):
        raise RegistrationError(
            f"{where(name)}: the decorator needs a name in parentheses, write @{decorator}({example!r}) "
            f"instead of @{decorator}"
        )
    raise RegistrationError(f"{decorator}({name!r}): the first argument is a text such as {example!r}")


def schema_of(
    function: Function, context: type, *, validate: Any = None, text: TextPolicy = DEFAULT_POLICY
) -> Schema | None:
    """How the data of a handler's second parameter is read; ``None``: the handler takes no data.

    Args:
        function: ``async def handler(ctx)`` or ``async def handler(ctx, data)``.
        context: The class of the context that it gets.
        validate: The type of the data, where the annotation does not say it.
        text: What the strings of the data have to be.

    Raises:
        RegistrationError: If the function is no handler of such a context, or no data becomes the type.
    """
    parameters = parameters_of(function, context)
    if len(parameters) == 1:
        if validate is not None:
            raise RegistrationError(f"{where(function)}: validate= needs a second parameter that takes the data")
        return None
    data = parameters[1]
    wanted = validate if validate is not None else _data_type(function, data)
    try:
        return Schema(wanted, text)
    except RegistrationError as cause:
        source = "validate=" if validate is not None else f"the annotation of its parameter {data.name!r}"
        raise RegistrationError(f"{where(function)}: {source}: {cause}") from cause


def batch_schema_of(function: Function, item: type, *, validate: Any, text: TextPolicy) -> Schema:
    """How each message of a batch is read.

    Args:
        function: ``async def handler(batch: list[Batched[T]])``.
        item: The class of what is in a batch.
        validate: The type of the data, where the annotation does not say it.
        text: What the strings of the data have to be.

    Raises:
        RegistrationError: If the function is no such handler, or no data becomes the type.
    """
    form = f"a handler of batches is 'async def name(batch: list[{item.__name__}[T]])'"
    parameters = positional_of(function) if is_async(function) else []
    if len(parameters) != 1:
        raise RegistrationError(f"{where(function)}: {form}")
    wanted = validate
    if wanted is None:
        annotation = _data_type(function, parameters[0])
        inner = next(iter(typing.get_args(annotation)), Any)
        if annotation is not Any and (typing.get_origin(inner) or inner) is not item:
            raise RegistrationError(f"{where(function)}: {form}, not {_said(parameters[0])}")
        wanted = next(iter(typing.get_args(inner)), Any)
    try:
        return Schema(wanted, text)
    except RegistrationError as cause:
        raise RegistrationError(f"{where(function)}: the data of its messages: {cause}") from cause


def parameters_of(function: Function, context: type) -> _Parameters:
    """The one or two parameters of a handler.

    Raises:
        RegistrationError: If it is no coroutine function, takes others, or its first is annotated as something that
            the context is not.
    """
    if not is_async(function):
        raise RegistrationError(f"{where(function)}: a handler is an 'async def' function")
    positional = positional_of(function)
    if not 1 <= len(positional) <= 2:
        raise RegistrationError(f"{where(function)}: a handler takes (ctx) or (ctx, data)")
    check_context(function, positional[0], context)
    return positional


def positional_of(function: Callable[..., Any]) -> _Parameters:
    """The parameters that are given by their place.

    Raises:
        RegistrationError: If the function cannot be called without others.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError, NameError) as cause:
        raise RegistrationError(f"{where(function)}: its parameters cannot be read ({cause})") from cause
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise RegistrationError(f"{where(function)}: nobody gives it the keyword {parameter.name!r}; add a default")
    return [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]


def check_context(function: Callable[..., Any], parameter: inspect.Parameter, context: type) -> None:
    """Refuse a first parameter that is annotated as something else than what it will get.

    Raises:
        RegistrationError: If no part of the annotation fits. One that cannot be read is nobody's trouble here.
    """
    try:
        annotation = _annotation(function, parameter)
    except Exception:  # whatever evaluating a text raises
        return
    if not _may_be(annotation, context):
        said = parameter.annotation if isinstance(parameter.annotation, str) else _name(annotation)
        raise RegistrationError(
            f"{where(function)}: its first parameter {parameter.name!r} is annotated {said}, and what it gets is a "
            f"{context.__name__}: write '{parameter.name}: {context.__name__}'"
        )


def _may_be(annotation: Any, context: type) -> bool:
    if annotation is Any:  # a class, from Python 3.11 on
        return True
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _may_be(typing.get_args(annotation)[0], context)
    if origin in (typing.Union, types.UnionType):
        return any(_may_be(part, context) for part in typing.get_args(annotation))
    kind = origin or annotation
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False):
        return True  # a TypeVar, a NewType, Any, or a protocol: nothing that can be decided here
    if typing.is_typeddict(kind):
        return False
    return issubclass(context, kind) or issubclass(kind, context)


def _data_type(function: Function, parameter: inspect.Parameter) -> Any:
    try:
        return _annotation(function, parameter)
    except Exception as cause:  # whatever evaluating a text raises
        raise RegistrationError(
            f"{where(function)}: the annotation {_said(parameter)} of its parameter {parameter.name!r} cannot be read "
            f"({type(cause).__name__}: {cause}); define the type at the top of the module, or give it as validate="
        ) from cause


def _said(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    return repr(annotation) if isinstance(annotation, str) else _name(annotation)


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def result_of(function: Function) -> Any:
    """The annotation of a handler's result; Any: there is none, or only a type checker can read it."""
    written = inspect.unwrap(_written(function))
    annotation = getattr(written, "__annotations__", {}).get("return", Any)
    try:
        return _evaluated(function, "return", annotation)
    except Exception:  # whatever evaluating a text raises: the handler itself never needs this type
        return Any


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """What the parameter is annotated with; Any: nothing."""
    if parameter.annotation is parameter.empty:
        return Any
    return _evaluated(function, parameter.name, parameter.annotation)


def _evaluated(function: Callable[..., Any], name: str, annotation: Any) -> Any:
    """The annotation as a type, where it was written as a text."""
    written = inspect.unwrap(_written(function))
    holder = types.SimpleNamespace(
        __annotations__={name: annotation},
        __type_params__=getattr(written, "__type_params__", ()),
    )
    return typing.get_type_hints(holder, globalns=getattr(written, "__globals__", {}), include_extras=True)[name]


def _written(function: Any) -> Any:
    """The function behind a partial one or a callable object: where the annotations stand."""
    while isinstance(function, functools.partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__
