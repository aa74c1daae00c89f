//! The pipe into a destination: chunks of bytes to blocks of rows and whole lines.
//! The twin of `LineReader` in `connector_sdk.lines`, which says what is meant.

use memchr::{memchr, memchr_iter, memrchr};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::json::{too_deep, Malformed, Scanner, Step, Text};

/// A longer rest of a line is not kept for the next one.
const KEEP: usize = 1 << 20;
/// Digits of an integer beyond which it is refused, as Python does.
const MOST_DIGITS: usize = 4300;

/// Why a line is refused.
#[derive(Clone, Copy)]
enum Problem {
    NotJson,
    NotUtf8,
    TooDeep,
    NoRecord,
}

impl Problem {
    /// The name by which the Python side knows it.
    fn name(self) -> &'static str {
        match self {
            Problem::NotJson => "json",
            Problem::NotUtf8 => "utf-8",
            Problem::TooDeep => "depth",
            Problem::NoRecord => "record",
        }
    }
}

struct Record<'a> {
    stream: Text<'a>,
    namespace: Option<Text<'a>>,
    data: &'a [u8],
    emitted_at: i64,
    meta: Option<&'a [u8]>,
}

/// Consecutive records of one stream.
struct Rows<'a> {
    stream: Text<'a>,
    namespace: Option<Text<'a>>,
    rows: Vec<&'a [u8]>,
    emitted_at: Vec<u8>,
    metas: Vec<(usize, &'a [u8])>,
}

enum Item<'a> {
    Rows(Rows<'a>),
    Line(&'a [u8]),
}

/// What was found in some lines, up to the first that is refused.
#[derive(Default)]
struct Found<'a> {
    items: Vec<Item<'a>>,
    problem: Option<Problem>,
}

impl<'a> Found<'a> {
    fn add(&mut self, record: Record<'a>) {
        let rows = match self.items.last_mut() {
            Some(Item::Rows(rows)) if rows.stream == record.stream && rows.namespace == record.namespace => rows,
            _ => {
                self.items.push(Item::Rows(Rows {
                    stream: record.stream,
                    namespace: record.namespace,
                    rows: Vec::with_capacity(64),
                    emitted_at: Vec::with_capacity(512),
                    metas: Vec::new(),
                }));
                match self.items.last_mut() {
                    Some(Item::Rows(rows)) => rows,
                    _ => return,
                }
            }
        };
        if let Some(meta) = record.meta {
            rows.metas.push((rows.rows.len(), meta));
        }
        rows.rows.push(record.data);
        rows.emitted_at.extend_from_slice(&record.emitted_at.to_ne_bytes());
    }

    /// Take a text of whole lines, counting them in `number`.
    fn scan(&mut self, text: &'a [u8], number: &mut u64) {
        let utf8 = simdutf8::basic::from_utf8(text).is_ok();
        let mut start = 0;
        for end in memchr_iter(b'\n', text).chain([text.len()]) {
            *number += 1;
            let line = &text[start..end];
            start = end + 1;
            if is_blank(line) {
                continue;
            }
            match read(line, utf8) {
                Ok(Some(record)) => self.add(record),
                Ok(None) => self.items.push(Item::Line(line)),
                Err(problem) => {
                    self.problem = Some(problem);
                    return;
                }
            }
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c))
}

/// The record of this line, None where it is another message. `utf8`: it is known to be valid.
fn read(line: &[u8], utf8: bool) -> Result<Option<Record<'_>>, Problem> {
    let problem = if utf8 || simdutf8::basic::from_utf8(line).is_ok() {
        match Envelope::read(line) {
            Ok(envelope) => return envelope.record(),
            Err(Malformed) => Problem::NotJson,
        }
    } else {
        Problem::NotUtf8
    };
    Err(if too_deep(line) { Problem::TooDeep } else { problem })
}

/// What a line says of itself; of a key that is repeated the last one counts.
#[derive(Default)]
struct Envelope<'a> {
    is_record: bool,
    /// A type that is no text makes it another message, whatever follows.
    has_odd_type: bool,
    record: Option<Record<'a>>,
    /// A key that a message has is of another type than a message's.
    misfit: bool,
}

impl<'a> Envelope<'a> {
    fn read(line: &'a [u8]) -> Step<Self> {
        let mut envelope = Envelope::default();
        let mut scanner = Scanner::new(line);
        if scanner.token() == b'{' {
            envelope.object(&mut scanner)?;
        } else {
            scanner.value()?;
            envelope.misfit = true;
        }
        scanner.end()?;
        Ok(envelope)
    }

    fn record(self) -> Result<Option<Record<'a>>, Problem> {
        match self.record {
            _ if !self.is_record || self.has_odd_type => Ok(None),
            Some(record) if !self.misfit && record.data.first() == Some(&b'{') => Ok(Some(record)),
            _ => Err(Problem::NoRecord),
        }
    }

    fn object(&mut self, scanner: &mut Scanner<'a>) -> Step {
        scanner.enter()?;
        let mut first = true;
        while let Some(key) = scanner.key(first)? {
            first = false;
            if key.says(b"type") {
                self.has_odd_type |= !matches!(scanner.token(), b'"' | b'n');
                let kind = self.text(scanner)?;
                self.is_record = kind.is_some_and(|kind| kind.says(b"RECORD"));
            } else if key.says(b"record") {
                self.record = match scanner.token() {
                    b'{' => self.inner(scanner)?,
                    _ => {
                        self.null(scanner)?;
                        None
                    }
                };
            } else {
                scanner.value()?;
            }
        }
        Ok(())
    }

    fn inner(&mut self, scanner: &mut Scanner<'a>) -> Step<Option<Record<'a>>> {
        let (mut stream, mut namespace, mut data, mut meta) = (None, None, None, None);
        let mut emitted_at = 0;
        scanner.enter()?;
        let mut first = true;
        while let Some(key) = scanner.key(first)? {
            first = false;
            if key.says(b"data") {
                data = Some(scanner.value()?);
            } else if key.says(b"emitted_at") {
                emitted_at = self.time(scanner)?;
            } else if key.says(b"stream") {
                stream = self.text(scanner)?;
                self.misfit |= stream.is_none();
            } else if key.says(b"namespace") {
                namespace = self.text(scanner)?;
            } else if key.says(b"meta") {
                meta = Some(scanner.value()?).filter(|meta| *meta != b"null");
            } else {
                scanner.value()?;
            }
        }
        let (Some(stream), Some(data)) = (stream, data) else {
            self.misfit = true;
            return Ok(None);
        };
        Ok(Some(Record { stream, namespace, data, emitted_at, meta }))
    }

    /// A string, or null; anything else is a misfit.
    fn text(&mut self, scanner: &mut Scanner<'a>) -> Step<Option<Text<'a>>> {
        if scanner.token() == b'"' {
            return scanner.string().map(Some);
        }
        self.null(scanner)?;
        Ok(None)
    }

    fn null(&mut self, scanner: &mut Scanner<'a>) -> Step {
        let value = scanner.value()?;
        self.misfit |= value != b"null";
        Ok(())
    }

    /// Whole milliseconds; 0 where there are none that 64 bits can hold.
    fn time(&mut self, scanner: &mut Scanner<'a>) -> Step<i64> {
        if !matches!(scanner.token(), b'-' | b'0'..=b'9') {
            self.null(scanner)?;
            return Ok(0);
        }
        let (text, integer) = scanner.number()?;
        let text = std::str::from_utf8(text).unwrap_or_default();
        if integer {
            self.misfit |= text.trim_start_matches('-').len() > MOST_DIGITS;
            return Ok(text.parse().unwrap_or_default());
        }
        let time = text.parse::<f64>().unwrap_or(f64::INFINITY);
        self.misfit |= !time.is_finite();
        const LIMIT: f64 = (1_u64 << 63) as f64;
        Ok(if (-LIMIT..LIMIT).contains(&time) { time as i64 } else { 0 })
    }
}

/// `feed(chunk)` for each chunk of the input, `close()` at its end. Both return what was found, in order, and the
/// name of the problem of line `number` if it was refused, else None. What was found: the bytes of a line, or
/// `(namespace, stream, lines, emitted_at, metas)` of consecutive rows, `emitted_at` being native 64-bit integers.
#[pyclass]
#[derive(Default)]
pub struct LineReader {
    rest: Vec<u8>,
    /// The lines that were looked at.
    #[pyo3(get)]
    number: u64,
}

type Answer<'py> = PyResult<(Bound<'py, PyList>, Option<&'static str>)>;

#[pymethods]
impl LineReader {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn feed<'py>(&mut self, py: Python<'py>, chunk: &[u8]) -> Answer<'py> {
        let Some(last) = memrchr(b'\n', chunk) else {
            self.rest.extend_from_slice(chunk);
            return Ok((PyList::empty(py), None));
        };
        let (mut whole, tail) = (&chunk[..last], &chunk[last + 1..]);
        let mut kept = std::mem::take(&mut self.rest);
        let number = &mut self.number;
        let found = py.detach(|| {
            let mut found = Found::default();
            if !kept.is_empty() {
                let end = memchr(b'\n', whole).unwrap_or(whole.len());
                kept.extend_from_slice(&whole[..end]);
                found.scan(&kept, number);
                whole = match whole.get(end + 1..) {
                    Some(more) if found.problem.is_none() => more,
                    _ => return found,
                };
            }
            found.scan(whole, number);
            found
        });
        let answer = answer(py, &found);
        drop(found);
        kept.clear();
        kept.shrink_to(KEEP);
        kept.extend_from_slice(tail);
        self.rest = kept;
        answer
    }

    /// What stands after the last line break. A problem says that the input was cut off.
    fn close<'py>(&mut self, py: Python<'py>) -> Answer<'py> {
        let rest = std::mem::take(&mut self.rest);
        let mut found = Found::default();
        found.scan(&rest, &mut self.number);
        answer(py, &found)
    }
}

fn answer<'py>(py: Python<'py>, found: &Found<'_>) -> Answer<'py> {
    let list = PyList::empty(py);
    for item in &found.items {
        match item {
            Item::Line(line) => list.append(PyBytes::new(py, line))?,
            Item::Rows(rows) => list.append(block(py, rows)?)?,
        }
    }
    Ok((list, found.problem.map(Problem::name)))
}

fn block<'py>(py: Python<'py>, found: &Rows<'_>) -> PyResult<Bound<'py, PyTuple>> {
    let metas = PyDict::new(py);
    for (row, meta) in &found.metas {
        metas.set_item(row, PyBytes::new(py, meta))?;
    }
    let namespace = found.namespace.as_ref().map(|namespace| string(py, namespace));
    let times = PyBytes::new(py, &found.emitted_at);
    (namespace, string(py, &found.stream), lines(py, &found.rows)?, times, metas).into_pyobject(py)
}

fn string<'py>(py: Python<'py>, text: &Text<'_>) -> Bound<'py, PyString> {
    // Never lossy: the line was found to be UTF-8.
    PyString::new(py, &String::from_utf8_lossy(&text.decoded()))
}

/// The rows, each ended by a line break: the one time that they are copied.
fn lines<'py>(py: Python<'py>, rows: &[&[u8]]) -> PyResult<Bound<'py, PyBytes>> {
    let size = rows.iter().map(|row| row.len() + 1).sum();
    PyBytes::new_with(py, size, |mut lines| {
        for row in rows {
            let (line, more) = lines.split_at_mut(row.len() + 1);
            line[..row.len()].copy_from_slice(row);
            line[row.len()] = b'\n';
            lines = more;
        }
        Ok(())
    })
}
