//! An answer in each of the formats.

use polars::prelude::*;

use crate::render::table::{Align, TextTable};

/// How many rows a text table shows.
pub const ROWS: usize = 200;
/// How many values of a list a cell of a text table shows.
const VALUES: usize = 6;
/// Characters that begin a formula in spreadsheets.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Lays the first rows out as text within the width of a terminal; also returns how many they are.
pub fn to_text(answer: &DataFrame, width: Option<usize>) -> (String, usize) {
    let columns: Vec<_> = answer.columns().iter().map(|c| (c.name().as_str(), align(c.dtype()))).collect();
    let mut table = TextTable::new(&columns).keep_empty_columns();
    let shown = answer.height().min(ROWS);
    for row in 0..shown {
        let cells = answer.columns().iter().map(|c| c.get(row).map_or(String::new(), |v| cell(&v, VALUES)));
        table.row(cells.collect());
    }
    (table.fit(width), shown)
}

/// What becomes of text that a spreadsheet would take for a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formulas {
    /// It gets a `'` in front.
    Escaped,
    /// It stays as it is.
    Kept,
}

/// Writes the answer as CSV; lists become text in brackets, because CSV has no lists. With `Formulas::Escaped`, text that a
/// spreadsheet would take for a formula gets a `'` in front.
///
/// # Errors
/// polars' own, for a type that has no text.
pub fn to_csv(answer: &mut DataFrame, separator: u8, formulas: Formulas) -> PolarsResult<Vec<u8>> {
    let nested: Vec<_> = answer.columns().iter().filter(|c| c.dtype().is_nested()).cloned().collect();
    for column in nested {
        let texts = (0..column.len()).map(|row| match column.get(row)? {
            AnyValue::Null => Ok(None),
            value => Ok(Some(cell(&value, usize::MAX))),
        });
        let texts = texts.collect::<PolarsResult<Vec<_>>>()?;
        answer.with_column(Column::new(column.name().clone(), texts))?;
    }
    if formulas == Formulas::Escaped {
        let texts: Vec<_> = answer.columns().iter().filter(|c| c.dtype().is_string()).cloned().collect();
        for column in texts {
            let escaped = column.str()?.iter().map(|text| text.map(escaped)).collect::<Vec<_>>();
            answer.with_column(Column::new(column.name().clone(), escaped))?;
        }
    }
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes).with_separator(separator).finish(answer)?;
    Ok(bytes)
}

/// Writes the answer as one JSON array of objects, with a line end.
///
/// # Errors
/// polars' own, for a type that has no JSON.
pub fn to_json(answer: &mut DataFrame) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    JsonWriter::new(&mut bytes).with_json_format(JsonFormat::Json).finish(answer)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes the answer as JSON lines, an object on each.
///
/// # Errors
/// polars' own, for a type that has no JSON.
pub fn to_json_lines(answer: &mut DataFrame) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    JsonWriter::new(&mut bytes).with_json_format(JsonFormat::JsonLines).finish(answer)?;
    Ok(bytes)
}

/// Writes the answer as Parquet.
///
/// # Errors
/// polars' own.
pub fn to_parquet(answer: &mut DataFrame) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(answer)?;
    Ok(bytes)
}

/// Puts a `'` before text that a spreadsheet would take for a formula.
pub fn escaped(text: &str) -> String {
    let mark = if text.starts_with(FORMULA) { "'" } else { "" };
    format!("{mark}{text}")
}

fn align(kind: &DataType) -> Align {
    if kind.is_primitive_numeric() { Align::Right } else { Align::Left }
}

fn cell(value: &AnyValue<'_>, values: usize) -> String {
    match value {
        AnyValue::Null => String::new(),
        AnyValue::String(text) => (*text).to_owned(),
        AnyValue::StringOwned(text) => text.to_string(),
        AnyValue::List(items) | AnyValue::Array(items, _) => {
            let item = |v: AnyValue| if v.is_null() { "NULL".to_owned() } else { cell(&v, values) };
            let shown = items.iter().take(values).map(item).collect::<Vec<_>>().join(", ");
            let more = if items.len() > values { format!(", … {} in all", items.len()) } else { String::new() };
            format!("[{shown}{more}]")
        }
        AnyValue::Float64(number) => real(*number, number),
        AnyValue::Float32(number) => real(f64::from(*number), number),
        other => other.to_string(),
    }
}

/// Writes a number with its own digits; a very large or small one with an exponent.
fn real(size: f64, number: &(impl std::fmt::Display + std::fmt::LowerExp)) -> String {
    let is_plain = size == 0.0 || !size.is_finite() || (1e-5..1e16).contains(&size.abs());
    if is_plain { number.to_string() } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn very_large_and_small_numbers_have_an_exponent() {
        let texts = [1e300, 2.5e-9, 0.0, -1234.5, f64::INFINITY].map(|number| real(number, &number));
        assert_eq!(texts, ["1e300", "2.5e-9", "0", "-1234.5", "inf"]);
    }

    fn answer() -> DataFrame {
        let lists = [Series::new("".into(), [1i64, 2]), Series::new("".into(), [3i64])];
        df!("name" => ["a", "b,c"], "n" => [Some(1i64), None], "ids" => lists).unwrap()
    }

    #[test]
    fn text_shows_nulls_as_nothing_and_lists_in_brackets() {
        let (text, shown) = to_text(&answer(), None);
        assert_eq!(text, "name  n  ids\n────  ─  ──────\na     1  [1, 2]\nb,c      [3]\n");
        assert_eq!(shown, 2);
    }

    #[test]
    fn a_long_answer_is_cut_and_counted() {
        let rows: Vec<i64> = (0..250).collect();
        let (text, shown) = to_text(&df!("n" => rows).unwrap(), None);
        assert_eq!((text.lines().count(), shown), (202, 200));
    }

    #[test]
    fn formulas_are_escaped_on_demand() {
        let mut answer = df!("file" => ["=1+1", "-a.jpg", "b.jpg"], "n" => [-1i64, 2, 3]).unwrap();
        let csv = String::from_utf8(to_csv(&mut answer, b'\t', Formulas::Escaped).unwrap()).unwrap();
        assert_eq!(csv, "file\tn\n'=1+1\t-1\n'-a.jpg\t2\nb.jpg\t3\n");
    }

    #[test]
    fn csv_and_json_and_parquet_take_lists() {
        let csv = String::from_utf8(to_csv(&mut answer(), b',', Formulas::Kept).unwrap()).unwrap();
        assert_eq!(csv, "name,n,ids\na,1,\"[1, 2]\"\n\"b,c\",,[3]\n");
        let json: serde_json::Value = serde_json::from_slice(&to_json(&mut answer()).unwrap()).unwrap();
        assert_eq!(json[0]["ids"], serde_json::json!([1, 2]));
        let lines = String::from_utf8(to_json_lines(&mut answer()).unwrap()).unwrap();
        assert_eq!(lines.lines().count(), 2);
        let parquet = to_parquet(&mut answer()).unwrap();
        assert_eq!(&parquet[..4], b"PAR1");
    }
}
