//! Raw rows on their way into a store. The twins of `wrapped` in `destination_s3.formats.jsonl` and of `one_line` in
//! `connector_sdk.lines`, which say what is meant.

use std::collections::HashMap;

use memchr::{memchr, memchr2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::json::{Malformed, Scanner, Step};

/// The texts around a row: `id`, its number as twelve hexadecimal digits, `time`, its time, `rest` (or what `changed`
/// has for it), `data`, the row, a brace. Without `data` the fields of the row follow side by side with the others.
struct Frame {
    id: PyBackedBytes,
    time: PyBackedBytes,
    rest: PyBackedBytes,
    data: Option<PyBackedBytes>,
    changed: HashMap<usize, PyBackedBytes>,
}

impl Frame {
    fn around(&self, lines: &[u8], times: &[u8], first: u64) -> Vec<u8> {
        let fixed = self.id.len() + self.time.len() + self.rest.len() + self.data.as_ref().map_or(0, |data| data.len());
        let mut out = Vec::with_capacity(lines.len() + times.len() / 8 * (fixed + 36));
        let mut lines = lines;
        for (row, time) in times.chunks_exact(8).enumerate() {
            let end = memchr(b'\n', lines).unwrap_or(lines.len());
            let line = &lines[..end];
            lines = lines.get(end + 1..).unwrap_or_default();
            out.extend_from_slice(&self.id);
            twelve_digits(first + row as u64, &mut out);
            out.extend_from_slice(&self.time);
            let time = i64::from_ne_bytes(time.try_into().unwrap_or_default());
            out.extend_from_slice(itoa::Buffer::new().format(time).as_bytes());
            out.extend_from_slice(self.changed.get(&row).unwrap_or(&self.rest));
            self.data(line, &mut out);
            out.push(b'\n');
        }
        out
    }

    fn data(&self, line: &[u8], out: &mut Vec<u8>) {
        if let Some(data) = &self.data {
            out.extend_from_slice(data);
            out.extend_from_slice(line);
            out.push(b'}');
            return;
        }
        let fields = line.get(1..).unwrap_or_default();
        if fields.trim_ascii_start().first() == Some(&b'}') {
            out.push(b'}');
        } else {
            out.push(b',');
            out.extend_from_slice(fields);
        }
    }
}

/// At least twelve digits, as `%012x` has them.
fn twelve_digits(number: u64, out: &mut Vec<u8>) {
    let digits = (16 - number.leading_zeros() as usize / 4).max(12);
    out.extend((0..digits).rev().map(|place| b"0123456789abcdef"[(number >> (4 * place)) as usize & 15]));
}

/// `wrapped(lines, emitted_at, first, id, time, rest, data, changed)`: the lines with other columns around their rows.
/// `emitted_at` are native 64-bit integers, one a line; `first` is the number of the first line.
#[pyfunction]
#[allow(clippy::too_many_arguments)] // Python calls it with their names.
pub fn wrapped<'py>(
    py: Python<'py>,
    lines: &[u8],
    emitted_at: &[u8],
    first: u64,
    id: PyBackedBytes,
    time: PyBackedBytes,
    rest: PyBackedBytes,
    data: Option<PyBackedBytes>,
    changed: HashMap<usize, PyBackedBytes>,
) -> Bound<'py, PyBytes> {
    let frame = Frame { id, time, rest, data, changed };
    PyBytes::new(py, &py.detach(|| frame.around(lines, emitted_at, first)))
}

/// One JSON value on one line: without what surrounds it, and without the line breaks between its tokens.
/// Raises ValueError for what is not one value of JSON in UTF-8, at most 512 levels deep.
#[pyfunction]
pub fn one_line<'py>(py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let Ok(value) = single(value) else {
        return Err(PyValueError::new_err("not one JSON value"));
    };
    if memchr2(b'\n', b'\r', value).is_none() {
        return Ok(PyBytes::new(py, value));
    }
    let kept: Vec<u8> = value.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    Ok(PyBytes::new(py, &kept))
}

fn single(text: &[u8]) -> Step<&[u8]> {
    simdutf8::basic::from_utf8(text).map_err(|_| Malformed)?;
    let mut scanner = Scanner::new(text);
    let value = scanner.value()?;
    scanner.end()?;
    Ok(value)
}
