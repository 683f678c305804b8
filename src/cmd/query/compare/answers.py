"""Reads an answer of `mlsm query` in each of its formats, and compares it with DuckDB's value by value.

CSV has text for all values, JSON for times and intervals: DuckDB casts its own values to text there. JSON has no number
that is not finite, and null stands for one. A text table shows the first 200 rows, the first 6 values of a list, and
nothing for NULL.
"""

import datetime
import decimal
import io
import json
import math
import re
import struct
import unicodedata
import uuid

FORMATS = ["json", "parquet", "csv", "table", "jsonl", "tsv", "arrow"]
SHOWN, VALUES = 200, 6
AS_TEXT = ("INTERVAL", "TIME", "DATE", "UUID", "BLOB", "BIT", "ENUM")
# Types that these files do not have, wherever in a column they are.
NOT_IN_FILES = ("INTERVAL", "UUID")


def expected(connection, sql, form):
    """Returns the columns, their types and the rows of DuckDB's answer, as values that the format can have."""
    columns = [(name, str(kind)) for name, kind, *_ in connection.execute(sql).description]
    rows = connection.fetchall()
    cast = [file_type(kind, form) or ("VARCHAR" if is_text(kind, form) else None) for _, kind in columns]
    unions = [form in ("json", "jsonl") and kind.startswith("UNION") for _, kind in columns]
    cast = ["JSON" if is_union else to for is_union, to in zip(unions, cast)]
    columns = [(name, "JSON" if is_union else kind) for is_union, (name, kind) in zip(unions, columns)]
    if any(cast):
        places = [f"c{i}" for i in range(len(columns))]
        values = [
            f"to_json({place})" if to == "JSON" else f"CAST({place} AS {to})" if to else place
            for place, to in zip(places, cast)
        ]
        whole = f"(\n{sql.strip().rstrip(';')}\n) AS answer({', '.join(places)})"
        rows = connection.execute(f"SELECT {', '.join(values)} FROM {whole}").fetchall()
    kinds = [kind for _, kind in columns]
    if form in ("json", "jsonl"):
        rows = [tuple(json.loads(v) if kind == "JSON" and v else v for v, kind in zip(row, kinds)) for row in rows]
    if form == "table":
        rows = [tuple(single(v) if kind.startswith("FLOAT") else v for v, kind in zip(row, kinds)) for row in rows]
    return columns, rows


class Single(float):
    """A 32-bit number: two texts are the same number when they round to the same 32 bits."""

    def __new__(cls, value):
        import numpy

        return super().__new__(cls, float(numpy.float32(value)))


def single(value):
    """Returns a value of type FLOAT, or of a list of them, as 32-bit numbers."""
    if isinstance(value, (list, tuple)):
        return [single(item) for item in value]
    return None if value is None else Single(value)


def file_type(kind, form):
    """The type of a column in a file, where it is not DuckDB's own."""
    if form not in ("parquet", "arrow") or not any(name in kind for name in (*NOT_IN_FILES, "UNION")):
        return None
    if kind.startswith("UNION"):
        return "VARCHAR"
    return re.sub("|".join(NOT_IN_FILES), "VARCHAR", kind)


def is_text(kind, form):
    """Says whether the format has text for values of the type; lists and structures keep their values."""
    is_nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    if form == "table":
        return kind.startswith((*AS_TEXT, "DECIMAL")) or kind.startswith(("STRUCT", "MAP", "UNION"))
    return form in ("csv", "tsv") or (form in ("json", "jsonl") and not is_nested and kind.startswith(AS_TEXT))


def read(answer, form):
    """Returns the columns and rows that the bytes of an answer hold; columns are None where a format does not say."""
    if form in ("json", "jsonl"):
        rows = from_json(answer.decode(), form)
        return list(rows[0]) if rows else None, [tuple(row.values()) for row in rows]
    if form in ("csv", "tsv"):
        return from_csv(answer, "," if form == "csv" else "\t")
    if form == "table":
        return from_table(answer.decode())
    import pyarrow.ipc
    import pyarrow.parquet

    source = io.BytesIO(answer)
    table = pyarrow.parquet.read_table(source) if form == "parquet" else pyarrow.ipc.open_file(source).read_all()
    values = [column.to_pylist() for column in table.columns]
    return table.column_names, list(zip(*values)) if values else []


def from_json(text, form):
    def refuse(name):
        raise ValueError(f"{name} is not JSON")

    def without_doubles(pairs):
        keys = [key for key, _ in pairs]
        return dict(pairs) if len(set(keys)) == len(keys) else refuse(f"an object with keys {keys}")

    def load(text):
        options = {"parse_float": decimal.Decimal, "parse_constant": refuse, "object_pairs_hook": without_doubles}
        return json.loads(text, **options)

    return load(text) if form == "json" else [load(line) for line in text.split("\n")[:-1]]


def from_csv(answer, separator):
    """Splits CSV by hand: the module `csv` does not say whether a field was quoted, which tells '' from NULL."""
    field = re.compile(r'(?:"((?:[^"]|"")*)"|([^%s\r\n]*))(%s|\r?\n)' % (separator, separator))
    text, at, rows, row = answer.decode(), 0, [], []
    while at < len(text):
        found = field.match(text, at)
        if not found:
            raise ValueError(f"not CSV: {text[at:at + 40]!r}")
        quoted, plain, end = found.groups()
        row.append(quoted.replace('""', '"') if quoted is not None else plain or None)
        at = found.end()
        if end != separator:
            rows.append(tuple(row))
            row = []
    return list(rows[0]), rows[1:]


def from_table(text):
    lines = text.split("\n")
    places = [found.span() for found in re.finditer("─+", lines[1])]

    def cells(line):
        signs = by_column(line)
        ends = [end for _, end in places[:-1]] + [None]
        return tuple("".join(signs[start:end]).strip() for (start, _), end in zip(places, ends))

    return list(cells(lines[0])), [cells(line) for line in lines[2:-1]]


def by_column(line):
    """The signs of a line by the column of a terminal: a wide one takes two, a combining one stands with the one before."""
    columns = []
    for sign in line:
        if unicodedata.combining(sign) and columns:
            columns[-1] += sign
        else:
            columns += [sign, ""] if unicodedata.east_asian_width(sign) in "WF" else [sign]
    return columns


def names(columns):
    """Returns the names of columns as `mlsm query` gives them: the second `n` is `n_1`."""
    taken = []
    for name, _ in columns:
        unique, number = name, 0
        while unique.lower() in (other.lower() for other in taken):
            number += 1
            unique = f"{name}_{number}"
        taken.append(unique)
    return taken


def difference(columns, wanted, answer, stderr, form, ordered, tolerance):
    """Says how the answer differs from what is wanted, or returns None."""
    try:
        found_names, found = read(answer, form)
    except Exception as error:  # whatever a reader does not take is no answer
        return f"cannot be read: {type(error).__name__}: {error}"
    if found_names is not None and [n.strip() for n in found_names] != [n.strip() for n in names(columns)]:
        return f"columns {found_names}, expected {names(columns)}"
    number = len(found)
    more = re.search(r"(\d+) more rows", stderr) if form == "table" else None
    if more:
        number += int(more.group(1))
    if number != len(wanted) or (more and len(found) != SHOWN):
        return f"{number} rows, expected {len(wanted)}"

    def same(row, other):
        return len(row) == len(other) and all(equal(a, b, form, tolerance) for a, b in zip(row, other))

    left = list(wanted)
    for i, row in enumerate(found):
        place = next((j for j, other in enumerate(left[:1] if ordered else left) if same(other, row)), None)
        if place is None:
            return f"row {i} is {row}, expected {left[0]}" + ("" if ordered else " or another row")
        left.pop(place)
    return None


def equal(wanted, found, form, tolerance):
    """Compares one value; `found` is in the types of the format."""
    if form in ("csv", "tsv"):
        return wanted == found or (tolerance > 0 and close_text(wanted, found, tolerance))
    if form == "table":
        return equal_cell(wanted, found, tolerance)
    if wanted is None or found is None:
        not_finite = isinstance(wanted, float) and not math.isfinite(wanted)
        return wanted is found or (form in ("json", "jsonl") and found is None and not_finite)
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, float):
        return isinstance(found, (float, int, decimal.Decimal)) and equal_float(wanted, float(found), tolerance)
    if isinstance(wanted, (int, decimal.Decimal)):
        return isinstance(found, (int, decimal.Decimal)) and wanted == found
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(found, (list, tuple))
            and len(wanted) == len(found)
            and all(equal(a, b, form, tolerance) for a, b in zip(wanted, found))
        )
    if isinstance(wanted, dict):
        found = dict(found)
        wanted = {str(key): value for key, value in wanted.items()}
        found = {str(key): value for key, value in found.items()}
        return list(wanted) == list(found) and all(equal(v, found[k], form, tolerance) for k, v in wanted.items())
    if isinstance(wanted, datetime.timedelta) and isinstance(found, bytes):
        months, days, milliseconds = struct.unpack("<III", found)
        return wanted == datetime.timedelta(days=30 * months + days, milliseconds=milliseconds)
    if isinstance(wanted, uuid.UUID) or (
        form in ("json", "jsonl") and isinstance(wanted, (datetime.date, datetime.time))
    ):
        return plain(wanted) == plain(found)
    return type(wanted) is type(found) and wanted == found


def equal_float(wanted, found, tolerance):
    if math.isnan(wanted) or math.isnan(found):
        return math.isnan(wanted) and math.isnan(found)
    if wanted == found:
        return math.copysign(1, wanted) == math.copysign(1, found)
    return math.isclose(wanted, found, rel_tol=tolerance, abs_tol=tolerance * 1e-3)


def close_text(wanted, found, tolerance):
    try:
        return equal_float(float(wanted), float(found), tolerance)
    except (TypeError, ValueError):
        return False


def plain(value):
    """Returns the text of a time as DuckDB writes it: a space before the hour, no zeros at the end."""
    value = str(value)
    return value.rstrip("0") if re.search(r":\d\d\.\d+$", value) else value


def equal_cell(wanted, cell, tolerance):
    if wanted is None:
        return cell == ""
    if isinstance(wanted, bool):
        return cell == str(wanted).lower()
    if isinstance(wanted, Single):
        return wanted == Single(cell) if re.match(r"[-\d]", cell) else equal_float(float(wanted), float(cell), 0)
    if isinstance(wanted, (float, int, decimal.Decimal)):
        try:
            is_whole = isinstance(wanted, int) and re.fullmatch(r"-?\d+", cell)
            return int(cell) == wanted if is_whole else equal_number(wanted, cell, tolerance)
        except ValueError:
            return False
    if isinstance(wanted, (list, tuple)) and all(not isinstance(v, (str, dict, list, tuple)) for v in wanted):
        values = re.sub(r", … \d+ in all\]$", "]", cell)[1:-1].split(", ") if len(wanted) else []
        more = f", … {len(wanted)} in all]" if len(wanted) > VALUES else "]"
        return (
            cell.endswith(more) and len(values) == min(len(wanted), VALUES) and all(map(equal_in_list, wanted, values))
        )
    if isinstance(wanted, (list, tuple, dict)):
        return cell[:1] in "[{("  # texts in a list may hold commas: its cell is for people
    return cell == escaped(str(wanted)).strip()


def escaped(text):
    """Returns the text without signs that move the cursor, as a text table writes it."""
    signs = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return "".join(signs.get(letter, letter) for letter in text)


def equal_in_list(wanted, cell):
    return equal_cell(wanted, "" if cell == "NULL" else cell, 0)


def equal_number(wanted, cell, tolerance):
    if isinstance(wanted, decimal.Decimal):
        return decimal.Decimal(cell) == wanted
    return equal_float(float(wanted), float(cell), tolerance)
