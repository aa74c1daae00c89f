//! Raw rows on their way into a store. The twins of `wrapped` in `destination_s3.formats.jsonl` and of `one_line` in
//! `connector_sdk.lines`, which say what is meant.

use std::collections::HashMap;

use memchr::{memchr, memchr2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::bytes::Growing;
use crate::json::{Malformed, Scanner, Step};

/// Bytes of a piece: still in the cache when it is compressed.
const PIECE: usize = 1 << 17;

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
    /// What stands before the data.
    fn front(&self, row: usize, number: u64, time: i64, out: &mut Growing) -> PyResult<()> {
        out.add(&self.id)?;
        twelve_digits(number, out)?;
        out.add(&self.time)?;
        out.add(itoa::Buffer::new().format(time).as_bytes())?;
        out.add(self.changed.get(&row).unwrap_or(&self.rest))
    }

    /// What joins the front to the data, the part of the line that is the data, and what ends it.
    fn data<'a>(&'a self, line: &'a [u8]) -> (&'a [u8], &'a [u8], &'static [u8]) {
        if let Some(data) = &self.data {
            return (data, line, b"}\n");
        }
        let fields = line.get(1..).unwrap_or_default();
        if fields.trim_ascii_start().first() == Some(&b'}') {
            (b"", b"}", b"\n")
        } else {
            (b",", fields, b"\n")
        }
    }
}

/// At least twelve digits, as `%012x` has them.
fn twelve_digits(number: u64, out: &mut Growing) -> PyResult<()> {
    let mut digits = [0; 16];
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
    }
    out.add(&digits[(number.leading_zeros() as usize / 4).min(4)..])
}

/// `Wrapped(lines, emitted_at, first, id, time, rest, data, changed)`: iterates over the lines with other columns around
/// their rows, in pieces. `emitted_at` are native 64-bit integers, one a line; `first` is the number of the first line.
#[pyclass]
pub struct Wrapped {
    frame: Frame,
    lines: PyBackedBytes,
    times: PyBackedBytes,
    first: u64,
    /// The rows that are done, and where the next one begins.
    row: usize,
    at: usize,
    /// What is left of a row that is larger than a piece, and what follows it.
    left: Option<(std::ops::Range<usize>, &'static [u8])>,
}

#[pymethods]
impl Wrapped {
    #[new]
    #[allow(clippy::too_many_arguments)] // Python calls it with their names.
    fn new(
        lines: PyBackedBytes,
        emitted_at: PyBackedBytes,
        first: u64,
        id: PyBackedBytes,
        time: PyBackedBytes,
        rest: PyBackedBytes,
        data: Option<PyBackedBytes>,
        changed: HashMap<usize, PyBackedBytes>,
    ) -> Self {
        let frame = Frame { id, time, rest, data, changed };
        Wrapped { frame, lines, times: emitted_at, first, row: 0, at: 0, left: None }
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut out = Growing::new(py, PIECE + PIECE / 8)?;
        py.detach(|| self.fill(&mut out))?;
        Ok((out.len() > 0).then(|| out.finish(py)))
    }
}

impl Wrapped {
    fn fill(&mut self, out: &mut Growing) -> PyResult<()> {
        while out.len() < PIECE {
            if let Some((left, end)) = self.left.take() {
                let some = left.start..left.end.min(left.start + PIECE - out.len());
                out.add(&self.lines[some.clone()])?;
                if some.end < left.end {
                    self.left = Some((some.end..left.end, end));
                } else {
                    out.add(end)?;
                }
            } else if !self.line(out)? {
                break;
            }
        }
        Ok(())
    }

    /// Add the next line, as much of it as a piece may hold; false where there is none.
    fn line(&mut self, out: &mut Growing) -> PyResult<bool> {
        let Some(time) = self.times.get(8 * self.row..8 * self.row + 8) else {
            return Ok(false);
        };
        let time = i64::from_ne_bytes(time.try_into().unwrap_or_default());
        let start = self.at;
        let line = &self.lines[start..];
        let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
        self.at = (start + line.len() + 1).min(self.lines.len());
        let (row, number) = (self.row, self.first + self.row as u64);
        self.row += 1;
        self.frame.front(row, number, time, out)?;
        let (joint, data, end) = self.frame.data(line);
        out.add(joint)?;
        if data.len() <= PIECE {
            out.add(data)?;
            out.add(end)?;
        } else {
            let data_end = start + line.len();
            self.left = Some((data_end - data.len()..data_end, end));
        }
        Ok(true)
    }
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
