"""Text tables as people's programs write them, read raw: which encoding, what separates the cells, rows that do not fit.

Nothing is guessed that could change a cell. What has one reading is read; what has several is refused, with its line.
"""

import codecs
import csv
import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from dha_utils.core.errors import DataError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""What separates the cells, by the suffix of the file, where its first line does not tell otherwise."""

OTHERS = ",;\t|"
"""What may separate them whatever the suffix."""


@dataclass(frozen=True)
class Rows:
    """The cells of a table, as they are written but for the spaces around them.

    Attributes
    ----------
    header : list of str
        Names of the columns.
    cells : list of list of str
        Row by row, each as long as `header`; rows without anything in them are left out.
    lines : list of int
        The line of the file, from 1 on, in which each row begins.
    """

    header: list[str]
    cells: list[list[str]]
    lines: list[int]


def read_rows(file: Path, known: Collection[str]) -> Rows:
    """Return the cells of a table.

    Lines that begin with ``#`` before the first row are comments; the last of them may be the header. A first line ``sep=;``, as
    Excel has it, says what separates the cells. Otherwise it is that of `OTHERS` with which the header names most of the columns
    that are known, and that of the file's suffix where none names more than another.

    Parameters
    ----------
    file : Path
        UTF-8, or UTF-16 with its byte order mark.
    known : collection of str
        Names of columns that are looked for, in small letters.

    Raises
    ------
    DataError
        It cannot be read, is in another encoding, lacks a quotation mark, or has a row that is longer or shorter than the header;
        names the line.
    """
    lines = _decode(file).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = 0
    comments = []
    while first < len(lines) and (not lines[first].strip() or lines[first].startswith("#")):
        comments += [lines[first].lstrip("# ")] if lines[first].strip() else []
        first += 1
    if first == len(lines):
        raise DataError(f"{file}: is empty; its first line must name the columns, path and label among them")
    says = re.fullmatch(r'"?sep=(.)"?', lines[first])
    first += says is not None
    separators = says[1] if says else SEPARATORS[file.suffix.lower()] + OTHERS

    def names(line: str, separator: str) -> int:
        return len({name.lower() for name in _split(line, separator)} & {*known})

    top = lines[first] if first < len(lines) else ""
    separator = max(separators, key=lambda one: names(top, one))
    if comments and not names(top, separator):
        separator = max(separators, key=lambda one: names(comments[-1], one))
        if names(comments[-1], separator):
            return _parse(file, [comments[-1], *lines[first:]], separator, first - 1)
    return _parse(file, lines[first:], separator, first)


def _decode(file: Path) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding, name = ("utf-16", "UTF-16") if wide else ("utf-8-sig", "UTF-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        number = len(re.split("\r\n|\r|\n", content[: error.start].decode(encoding, errors="replace")))
        begins = max(content.rfind(end, 0, error.start) for end in (b"\n", b"\r")) + 1
        line = re.split(rb"[\r\n]", content[begins:])[0].decode("cp1252", "replace")
        hint = "" if wide else f"; as Windows-1252 it reads {line[:100]!r}"
        raise DataError(
            f"{file}, line {number}: is not {name}{hint}; save the table as UTF-8 (Excel: CSV UTF-8)"
        ) from error
    if text.partition("\n")[0].count("\0") > 1:
        raise DataError(f"{file}: is no text, or UTF-16 without its mark; save the table as UTF-8")
    return text


def _split(line: str, separator: str) -> list[str]:
    """Return the cells of one line; an unclosed quotation mark is left to `_parse`."""
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])]


def _parse(file: Path, lines: list[str], separator: str, before: int) -> Rows:
    """Return the rows of lines, the first of which is the header; `before` lines of the file come before them."""
    reader = csv.reader(
        io.StringIO("\n".join(lines)), delimiter=separator, skipinitialspace=True, strict=True
    )
    rows, starts = [], []
    while True:
        line = before + reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{file}, line {line}: is a quotation mark missing, or one too many? It cannot be split into cells ({error})"
            ) from error
        if row is None:
            break
        row = [cell.strip() for cell in row]
        while row and not row[-1] and (not rows or len(row) > len(rows[0])):
            row.pop()
        if not any(row):
            continue
        if rows and len(row) != len(rows[0]):
            there = f"{len(row)} cell{'s' * (len(row) != 1)}"
            raise DataError(
                f"{file}, line {line}: has {there} where the first line names {len(rows[0])} columns; a cell with "
                f"{separator!r} in it needs quotation marks around it, an empty one its {separator!r}"
            )
        rows.append(row)
        starts.append(line)
    return Rows(rows[0] if rows else [], rows[1:], starts[1:])
