"""Creative Voice File (VOC): its blocks are walked, for libsndfile takes the heads of all but the first for samples.

A file is a head that gives its own size, and blocks, each a type of one byte and a size of three. Sound is in blocks of type 1
and 9, which say how it is coded, and goes on in blocks of type 2; type 0 ends the file.
"""

from dha_utils.audio.source import Source, Stream

MARK = b"Creative Voice File\x1a"
END, SOUND, MORE, NEW_SOUND = 0, 1, 2, 9


def voc_streams(source: Source, start: int) -> list[Stream]:
    """Return the sounds of a VOC file that begins at an offset.

    Raises
    ------
    AudioError
        A block is not all there.
    """
    at = start + int.from_bytes(source.at(start + 20, 2), "little")
    head, sounds = range(start, at), []  # of each sound: what stands before it, its block's head and parts
    before = at
    while at < source.end and (kind := source.at(at, 1)[0]) != END:
        size, body = _size(source, at, kind), at + 4
        if body + size > source.end:
            raise source.fault(
                f"is truncated: it has {source.end} of the {body + size} bytes that its header promises; get the file again"
            )
        if kind in (SOUND, NEW_SOUND):
            sounds.append([range(before, at), range(at, body), range(body, body + size)])
        elif kind == MORE and sounds:
            sounds[-1].append(range(body, body + size))
        at = body + size
        before = at if kind in (SOUND, MORE, NEW_SOUND) else before
    return [_stream(source, head, *sound) for sound in sounds]


def _size(source: Source, at: int, kind: int) -> int:
    """Return the size of a block; SoX forgets eight bytes of the head of its samples."""
    size = int.from_bytes(source.at(at + 1, 3), "little")
    end = at + 4 + size + 8
    forgotten = kind == NEW_SOUND and end == source.end - 1 and source.at(end, 1)[0] == END
    return size + 8 * forgotten


def _stream(source: Source, head: range, before: range, block: range, *parts: range) -> Stream:
    size = sum(map(len, parts)).to_bytes(3, "little")
    return Stream((head, before, source.at(block.start, 1) + size, *parts, bytes(1)))
