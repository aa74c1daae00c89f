//! The pipe into a destination: chunks of bytes to blocks of rows and whole lines.
//! The twin of `LineReader` in `connector_sdk.lines`, which says what is meant.

use std::io::{self, ErrorKind};
use std::time::Duration;

use memchr::{memchr_iter, memrchr};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::bytes::bytes;
use crate::fd::{read, readable};
use crate::json::{too_deep, Malformed, Scanner, Step, Text};
use crate::shape::Shapes;

/// Bytes that are read at once: enough that what is done once a block costs nothing, and still in the cache.
const AT_ONCE: usize = 1 << 17;
/// What a long line took beyond this is given back.
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

pub struct Record<'a> {
    pub stream: Text<'a>,
    pub namespace: Option<Text<'a>>,
    pub data: &'a [u8],
    pub emitted_at: i64,
    pub meta: Option<&'a [u8]>,
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
    fn scan(&mut self, text: &'a [u8], shapes: &mut Shapes, number: &mut u64) {
        let utf8 = simdutf8::basic::from_utf8(text).is_ok();
        let mut start = 0;
        for end in memchr_iter(b'\n', text).chain([text.len()]) {
            *number += 1;
            let line = &text[start..end];
            start = end + 1;
            if is_blank(line) {
                continue;
            }
            if let Some(record) = if utf8 { shapes.read(line) } else { None } {
                self.add(record);
                continue;
            }
            match message(line, utf8) {
                Ok(Some(record)) => {
                    shapes.missed(line);
                    self.add(record);
                }
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
fn message(line: &[u8], utf8: bool) -> Result<Option<Record<'_>>, Problem> {
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

/// `read(fd, milliseconds)` (or `feed(chunk)`) until the input ends, then `close()`. They return what was found, in
/// order, and the name of the problem of line `number` if it was refused, else None. What was found: the bytes of a
/// line, or `(namespace, stream, lines, emitted_at, metas)` of consecutive rows, `emitted_at` being native 64-bit
/// integers.
#[pyclass]
#[derive(Default)]
pub struct LineReader {
    /// The first `filled` bytes are what has come of lines that are not looked at yet.
    input: Vec<u8>,
    filled: usize,
    /// So many of them hold no line break.
    searched: usize,
    shapes: Shapes,
    /// The lines that were looked at.
    #[pyo3(get)]
    number: u64,
}

type Answer<'py> = (Bound<'py, PyList>, Option<&'static str>);

#[pymethods]
impl LineReader {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// What has come, within so long: nothing where nothing came, or a signal did. None at the end of the input.
    fn read<'py>(&mut self, py: Python<'py>, fd: i32, milliseconds: u64) -> PyResult<Option<Answer<'py>>> {
        if py.detach(|| self.fill(fd, Duration::from_millis(milliseconds)))? {
            return Ok(None);
        }
        self.take(py).map(Some)
    }

    fn feed<'py>(&mut self, py: Python<'py>, chunk: &[u8]) -> PyResult<Answer<'py>> {
        let filled = self.filled + chunk.len();
        self.input.resize(filled.max(self.input.len()), 0);
        self.input[self.filled..filled].copy_from_slice(chunk);
        self.filled = filled;
        self.take(py)
    }

    /// What stands after the last line break. A problem says that the input was cut off.
    fn close<'py>(&mut self, py: Python<'py>) -> PyResult<Answer<'py>> {
        let rest = std::mem::take(&mut self.input);
        let mut found = Found::default();
        found.scan(&rest[..std::mem::take(&mut self.filled)], &mut self.shapes, &mut self.number);
        answer(py, &found)
    }
}

impl LineReader {
    /// Take what is there, once something is; true where the input has ended.
    fn fill(&mut self, fd: i32, wait: Duration) -> io::Result<bool> {
        let size = if self.filled < self.input.len() { self.input.len() } else { AT_ONCE.max(2 * self.filled) };
        self.input.resize(size, 0);
        let before = self.filled;
        while self.filled < size {
            let wait = if self.filled == before { wait } else { Duration::ZERO };
            if !readable(fd, wait) {
                break;
            }
            match read(fd, &mut self.input[self.filled..]) {
                Ok(0) => return Ok(self.filled == before),
                Ok(count) => self.filled += count,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// What was found in the lines that are whole.
    fn take<'py>(&mut self, py: Python<'py>) -> PyResult<Answer<'py>> {
        let Some(last) = memrchr(b'\n', &self.input[self.searched..self.filled]) else {
            self.searched = self.filled;
            return Ok((PyList::empty(py), None));
        };
        let last = self.searched + last;
        let mut found = Found::default();
        py.detach(|| found.scan(&self.input[..last], &mut self.shapes, &mut self.number));
        let answer = answer(py, &found);
        drop(found);
        self.input.copy_within(last + 1..self.filled, 0);
        self.filled -= last + 1;
        self.searched = self.filled;
        if self.input.len() > KEEP {
            self.input.truncate(self.filled.max(AT_ONCE));
            self.input.shrink_to_fit();
        }
        answer
    }
}

fn answer<'py>(py: Python<'py>, found: &Found<'_>) -> PyResult<Answer<'py>> {
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
    bytes(py, size, |lines| {
        for row in rows {
            lines.add(row);
            lines.add(b"\n");
        }
    })
}
