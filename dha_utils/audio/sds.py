"""MIDI sample dump (SDS): a head of 21 bytes and packets of 127, each with 120 bytes of samples, seven bits a byte.

What begins a packet is looked at here, since libsndfile writes to the screen of every packet that does not begin as one.
"""

import numpy as np

from dha_utils.audio.source import Source

HEAD, PACKET, HELD = 21, 127, 120
"""Bytes of the head, of a packet, and of the samples in it."""


def is_sds(head: bytes) -> bool:
    """Return whether a file that begins like this is a sample dump."""
    return len(head) >= HEAD and head[:2] == b"\xf0\x7e" and head[3] == 1


def sds_end(source: Source, start: int) -> int:
    """Return where a sample dump that begins at an offset ends by its head.

    Raises
    ------
    AudioError
        A packet does not begin as one.
    """
    head = source.at(start, HEAD)
    frames = head[10] | head[11] << 7 | head[12] << 14
    n_packets = -(-frames // (HELD // max(1, -(-head[6] // 7))))
    content = source.at(start + HEAD, PACKET * n_packets)
    packets = np.frombuffer(content, np.uint8, len(content) // PACKET * PACKET).reshape(-1, PACKET)
    if (damaged := (packets[:, :2] != (0xF0, 0x7E)).any(axis=1)).any():
        raise source.fault(
            f"is damaged: packet {damaged.argmax() + 1} of {n_packets} does not begin as one; get the file again"
        )
    return start + HEAD + PACKET * n_packets
