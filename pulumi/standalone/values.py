"""Property values between gRPC structs and plain JSON values, with Pulumi's markers for unknowns and secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf import struct_pb2  # type: ignore[import-untyped]

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
Properties = dict[str, Value]

# Markers of Pulumi's wire format (pulumi.runtime.rpc).
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a type signature, not a secret


def from_struct(struct: struct_pb2.Struct) -> Properties:
    """A gRPC struct as plain values; whole numbers become int, markers stay as they are."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: struct_pb2.Value) -> Value:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return from_struct(value.struct_value)
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "number_value":
        number = float(value.number_value)
        return int(number) if number.is_integer() else number
    if kind == "string_value":
        return str(value.string_value)
    if kind == "bool_value":
        return bool(value.bool_value)
    return None


def to_struct(properties: Mapping[str, Value]) -> struct_pb2.Struct:
    """Plain values as a gRPC struct."""
    return struct_pb2.Struct(fields={key: _to_value(value) for key, value in properties.items()})


def _to_value(value: Value) -> struct_pb2.Value:
    if value is None:
        return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=float(value))
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, list):
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_to_value(item) for item in value]))
    return struct_pb2.Value(struct_value=to_struct(value))


def is_secret(value: Value) -> bool:
    """Whether the value itself is marked as a secret."""
    return isinstance(value, dict) and value.get(SIGNATURE) == SECRET


def contains_secret(value: Value) -> bool:
    """Whether there is a secret anywhere in it."""
    if isinstance(value, dict):
        return is_secret(value) or any(contains_secret(item) for item in value.values())
    return isinstance(value, list) and any(contains_secret(item) for item in value)


def contains_unknown(value: Value) -> bool:
    """Whether something in it is known only after the update."""
    if isinstance(value, dict):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknown(item) for item in value)
    return value == UNKNOWN


def mark_secrets(outputs: Properties, inputs: Properties, names: Iterable[str]) -> Properties:
    """Outputs in which everything is secret that was secret as an input, or that the program named as secret."""
    secret_names = {name for name, value in inputs.items() if contains_secret(value)} | set(names)
    return {
        name: {SIGNATURE: SECRET, "value": value} if name in secret_names and not contains_secret(value) else value
        for name, value in outputs.items()
    }


def hidden(value: Value) -> Value:
    """The value for people's eyes: secrets and unknowns replaced by words."""
    if is_secret(value):
        return "[secret]"
    if isinstance(value, dict):
        return {key: hidden(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hidden(item) for item in value]
    return "[unknown]" if value == UNKNOWN else value


def revealed(value: Value) -> Value:
    """The value without its markers of secrecy; only for the operator's explicit `outputs --show-secrets`."""
    if is_secret(value) and isinstance(value, dict):
        return revealed(value.get("value"))
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [revealed(item) for item in value]
    return value
