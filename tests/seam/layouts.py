"""The ways in which the same values can lie in memory."""

import tempfile

import numpy as np


def packed(array):
    """A column of records without padding: its stride is no multiple of the item."""
    records = np.zeros(array.shape, dtype=[("before", "u1"), ("value", array.dtype), ("after", "u2")])
    records["value"], records["before"], records["after"] = array, 0xA5, 0xA5A5
    return records["value"]


def wide_packed(array):
    """As `DataFrame.to_records` lays out two columns of 4 and 8 bytes."""
    records = np.zeros(array.shape, dtype=[("other", "<u4"), ("value", array.dtype)])
    records["value"], records["other"] = array, 0xDEADBEEF
    return records["value"]


def misaligned(array):
    memory = bytearray(b"\xa5" + array.tobytes())
    return np.frombuffer(memory, array.dtype, offset=1).reshape(array.shape)


def reversed_(array):
    everything = (slice(None, None, -1),) * array.ndim
    return array[everything].copy()[everything]


def sliced(array):
    larger = np.zeros([3 * length for length in array.shape], array.dtype)
    larger[...] = 1
    part = (slice(1, None, 3),) * array.ndim
    larger[part] = array
    return larger[part]


def fortran(array):
    return np.asfortranarray(array)


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def mapped(array):
    with tempfile.TemporaryFile() as file:
        found = np.memmap(file, array.dtype, "w+", shape=(array.size + 1,))[1:].reshape(array.shape)
    found[...] = array
    return found


def swapped_axes(array):
    return array.T.copy().T


class Sub(np.ndarray):
    """A subclass that would mislead whoever calls its methods."""

    def copy(self, order="C"):
        return np.zeros(1)

    def astype(self, *args, **kwargs):
        return np.zeros(1)


def of_a_subclass(array):
    return array.copy().view(Sub)


def odd_bytes(array):
    """Bools whose bytes are other than 0 and 1, which numpy takes for True."""
    return (array.astype(np.uint8) * 0x42).view(np.bool_) if array.dtype == bool else array


ALL = (
    *(packed, wide_packed, misaligned, reversed_, sliced, fortran, read_only, mapped, swapped_axes),
    *(of_a_subclass, odd_bytes),
)


def big_endian(array):
    """The same values in the other byte order; of bytes there is no order."""
    return array.astype(array.dtype.newbyteorder(">"))


def stretched(array):
    """All of it is its first item, and takes the memory of one: stride 0."""
    first = array[(slice(0, 1),) * array.ndim].copy()
    return np.broadcast_to(first, array.shape)
