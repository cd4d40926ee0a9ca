"""How are long messages made short (``-18!``)? Bytes that repeat are sent as where they were before, and how many.

The header's third byte is 1 and the original length follows it; then groups of eight items, each behind a byte whose bits
say which of them are copies: two bytes, the hash of the first two bytes of the copy, and how many follow these.
"""

from __future__ import annotations

import struct

from trimtab.qcode.q.errors import QError

_LONGEST = 255


def compressed(message: bytes) -> bytes:
    """A message in its compressed form; as it is where that would not halve it."""
    y, end = message, len(message)
    room = end // 2
    out = bytearray(message[:2] + b"\1" + message[3:4] + b"\0\0\0\0" + struct.pack("<i", end))
    seen = [0] * 256
    flags, bit, group, at = 0, 256, 0, 8
    earlier, earlier_hash, h = 0, 0, 0
    while at < end:
        if bit == 256:
            if len(out) > room - 17:
                return message
            if group:
                out[group] = flags
            flags, bit, group = 0, 1, len(out)
            out.append(0)
        if at <= end - 3:
            h = y[at] ^ y[at + 1]
        p = seen[h]
        single = at > end - 3 or not p or y[at] != y[p]
        if earlier:
            seen[earlier_hash], earlier = earlier, 0
        if single:
            earlier, earlier_hash = at, h
            out.append(y[at])
            at += 1
        else:
            seen[h] = at
            flags |= bit
            at, p = at + 2, p + 2
            start, stop = at, min(at + _LONGEST, end)
            while at < stop and y[p] == y[at]:
                at, p = at + 1, p + 1
            out += bytes((h, at - start))
        bit *= 2
    out[group] = flags
    out[4:8] = struct.pack("<i", len(out))
    return bytes(out)


def expanded(message: bytes) -> bytes:
    """A compressed message in full; 'badmsg where it is damaged."""
    if len(message) < 12:
        raise QError("badmsg")
    size = struct.unpack_from("<i", message, 8)[0]
    if not 8 <= size <= 256 * len(message):
        raise QError("badmsg")
    out = bytearray(message[:2] + b"\0" + message[3:4] + struct.pack("<i", size))
    seen = [0] * 256
    flags, bit, at, hashed = 0, 256, 12, 8
    try:
        while len(out) < size:
            if bit == 256:
                flags, bit, at = message[at], 1, at + 1
            if flags & bit:
                p, n = seen[message[at]], message[at + 1]
                at += 2
                for k in range(n + 2):
                    out.append(out[p + k])
            else:
                n = -1
                out.append(message[at])
                at += 1
            while hashed < len(out) - 1 - max(n, 0):
                seen[out[hashed] ^ out[hashed + 1]] = hashed
                hashed += 1
            if n >= 0:
                hashed = len(out)
            bit *= 2
    except IndexError:
        raise QError("badmsg") from None
    return bytes(out[:size])
