//! The pipe into a destination: chunks of bytes to blocks of rows and whole lines.
//! The twin of `LineReader` in `connector_sdk.lines`, which says what is meant.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use memchr::{memchr_iter, memrchr};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::bytes::Growing;
use crate::fd::{read, readable};
use crate::json::{too_deep, Malformed, Scanner, Step, Text};
use crate::shape::Shapes;

/// Bytes that are read at once: what is read is still in the cache when it is looked at and copied.
const AT_ONCE: usize = 1 << 17;
/// Bytes of rows that are handed over at once. What Python does with a block finds nothing of its own in the cache any
/// more, so it costs as much as a hundred rows.
const GATHERED: usize = 1 << 20;
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

/// How much a block may hold: so many rows, and bytes of their lines. One row may be larger.
#[derive(Clone, Copy)]
struct Limits {
    rows: usize,
    size: usize,
}

impl Limits {
    /// Whether a row of this size goes into a block of so many rows that has this size.
    fn allow(&self, rows: usize, size: usize, more: usize) -> bool {
        rows < self.rows && size.saturating_add(more) <= self.size
    }
}

/// Consecutive records of one stream.
struct Rows<'a> {
    stream: Text<'a>,
    namespace: Option<Text<'a>>,
    rows: Vec<&'a [u8]>,
    /// Bytes of their lines.
    size: usize,
    emitted_at: Vec<u8>,
    metas: Vec<(usize, &'a [u8])>,
}

impl<'a> Rows<'a> {
    fn new(stream: Text<'a>, namespace: Option<Text<'a>>) -> Self {
        let (rows, emitted_at) = (Vec::with_capacity(64), Vec::with_capacity(512));
        Rows { stream, namespace, rows, size: 0, emitted_at, metas: Vec::new() }
    }

    fn takes(&self, record: &Record<'a>, limits: Limits) -> bool {
        self.stream == record.stream
            && self.namespace == record.namespace
            && limits.allow(self.rows.len(), self.size, record.data.len() + 1)
    }

    fn add(&mut self, record: Record<'a>) {
        if let Some(meta) = record.meta {
            self.metas.push((self.rows.len(), meta));
        }
        self.rows.push(record.data);
        self.size += record.data.len() + 1;
        self.emitted_at.extend_from_slice(&record.emitted_at.to_ne_bytes());
    }

    /// The rows, each ended by a line break: the one time that they are copied.
    fn copy_to(&self, lines: &mut Growing) -> PyResult<()> {
        for row in &self.rows {
            lines.add(row)?;
            lines.add(b"\n")?;
        }
        Ok(())
    }
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
    fn add(&mut self, record: Record<'a>, limits: Limits) {
        match self.items.last_mut() {
            Some(Item::Rows(rows)) if rows.takes(&record, limits) => rows.add(record),
            _ => {
                let mut rows = Rows::new(record.stream, record.namespace);
                rows.add(record);
                self.items.push(Item::Rows(rows));
            }
        }
    }

    /// The rows, where nothing but rows of one block was found.
    fn only_rows(&self) -> Option<&Rows<'a>> {
        match self.items.as_slice() {
            [Item::Rows(rows)] if self.problem.is_none() => Some(rows),
            _ => None,
        }
    }

    /// Take a text of whole lines, counting them in `number`.
    fn scan(&mut self, text: &'a [u8], limits: Limits, shapes: &mut Shapes, number: &mut u64) {
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
                self.add(record, limits);
                continue;
            }
            match message(line, utf8) {
                Ok(Some(record)) => {
                    shapes.missed(line);
                    self.add(record, limits);
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

/// Rows that came and are not handed over yet: more of the same block may follow.
struct Gathering {
    stream: Vec<u8>,
    namespace: Option<Vec<u8>>,
    lines: Growing,
    emitted_at: Vec<u8>,
    metas: Vec<(usize, Vec<u8>)>,
}

impl Gathering {
    /// Nothing yet, of the stream of these rows.
    fn new(rows: &Rows<'_>, limits: Limits) -> PyResult<Self> {
        Ok(Gathering {
            stream: rows.stream.decoded().into_owned(),
            namespace: rows.namespace.as_ref().map(|namespace| namespace.decoded().into_owned()),
            lines: Python::attach(|py| Growing::new(py, limits.size))?,
            emitted_at: Vec::with_capacity(1 << 13),
            metas: Vec::new(),
        })
    }

    fn is_of(&self, rows: &Rows<'_>) -> bool {
        let namespace = match (&rows.namespace, &self.namespace) {
            (Some(theirs), Some(ours)) => theirs.says(ours),
            (None, None) => true,
            _ => false,
        };
        namespace && rows.stream.says(&self.stream)
    }

    /// Take the rows from `first` on that there is room for; returns the number of the next.
    fn add(&mut self, rows: &Rows<'_>, first: usize, limits: Limits) -> PyResult<usize> {
        let before = self.emitted_at.len() / 8;
        let mut row = first;
        while let Some(data) = rows.rows.get(row) {
            let count = before + row - first;
            if count > 0 && !limits.allow(count, self.lines.len(), data.len() + 1) {
                break;
            }
            self.lines.reserve(data.len() + 1)?;
            self.lines.add(data)?;
            self.lines.add(b"\n")?;
            row += 1;
        }
        self.emitted_at.extend_from_slice(&rows.emitted_at[8 * first..8 * row]);
        let metas = rows.metas.iter().filter(|(at, _)| (first..row).contains(at));
        self.metas.extend(metas.map(|(at, meta)| (before + at - first, meta.to_vec())));
        Ok(row)
    }

    fn block(self, py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        let metas = self.metas.iter().map(|(row, meta)| (*row, meta.as_slice()));
        block(py, self.namespace.as_deref(), &self.stream, self.lines.finish(py), &self.emitted_at, metas)
    }
}

/// `LineReader(rows, size)`: so many rows, and bytes of their lines, a block may have; one row may be larger.
///
/// `read(fd, milliseconds)` (or `feed(chunk)`) until the input ends, then `close()`. They return what was found, in
/// order, and the name of the problem of line `number` if it was refused, else None. What was found: the bytes of a
/// line, or `(namespace, stream, lines, emitted_at, metas)` of consecutive rows, `emitted_at` being native 64-bit
/// integers.
#[pyclass]
pub struct LineReader {
    limits: Limits,
    /// The first `filled` bytes are what has come of lines that are not looked at yet.
    input: Vec<u8>,
    filled: usize,
    /// So many of them hold no line break.
    searched: usize,
    shapes: Shapes,
    gathering: Option<Gathering>,
    /// The lines that were looked at.
    #[pyo3(get)]
    number: u64,
}

type Answer = (Py<PyList>, Option<&'static str>);

/// What came of waiting for input.
enum Came {
    Bytes,
    /// Nothing within the time, or a signal.
    Nothing,
    End,
}

#[pymethods]
impl LineReader {
    #[new]
    #[pyo3(signature = (rows = usize::MAX, size = usize::MAX))]
    fn new(rows: usize, size: usize) -> Self {
        LineReader {
            limits: Limits { rows, size: size.min(GATHERED) },
            input: Vec::new(),
            filled: 0,
            searched: 0,
            shapes: Shapes::default(),
            gathering: None,
            number: 0,
        }
    }

    /// What comes within so long: rows are gathered until they fill a block, and anything else ends the wait. None at
    /// the end of the input.
    fn read(&mut self, py: Python<'_>, fd: i32, milliseconds: u64) -> PyResult<Option<Answer>> {
        let deadline = Instant::now() + Duration::from_millis(milliseconds);
        py.detach(|| self.gather(fd, deadline))
    }

    fn feed(&mut self, py: Python<'_>, chunk: &[u8]) -> PyResult<Answer> {
        let filled = self.filled + chunk.len();
        self.input.resize(filled.max(self.input.len()), 0);
        self.input[self.filled..filled].copy_from_slice(chunk);
        self.filled = filled;
        let answer = py.detach(|| self.take(false))?;
        answer.map_or_else(|| Ok((PyList::empty(py).unbind(), None)), Ok)
    }

    /// What stands after the last line break. A problem says that the input was cut off.
    fn close(&mut self, py: Python<'_>) -> PyResult<Answer> {
        let rest = std::mem::take(&mut self.input);
        let mut found = Found::default();
        let rest = &rest[..std::mem::take(&mut self.filled)];
        self.searched = 0;
        found.scan(rest, self.limits, &mut self.shapes, &mut self.number);
        answer(py, self.gathering.take(), &found)
    }
}

impl LineReader {
    fn gather(&mut self, fd: i32, deadline: Instant) -> PyResult<Option<Answer>> {
        loop {
            let came = self.fill(fd, deadline.saturating_duration_since(Instant::now()))?;
            if let Came::Bytes = came {
                if let Some(answer) = self.take(true)? {
                    return Ok(Some(answer));
                }
                if Instant::now() < deadline {
                    continue;
                }
            }
            let gathered = self.gathering.take();
            return match came {
                Came::End if gathered.is_none() => Ok(None),
                _ => Python::attach(|py| answer(py, gathered, &Found::default())).map(Some),
            };
        }
    }

    /// Take what is there, once something is.
    fn fill(&mut self, fd: i32, wait: Duration) -> io::Result<Came> {
        let size = if self.filled < self.input.len() { self.input.len() } else { AT_ONCE.max(2 * self.filled) };
        self.input.resize(size, 0);
        let before = self.filled;
        while self.filled < size {
            let wait = if self.filled == before { wait } else { Duration::ZERO };
            if !readable(fd, wait) {
                break;
            }
            match read(fd, &mut self.input[self.filled..]) {
                Ok(0) if self.filled == before => return Ok(Came::End),
                Ok(0) => break,
                Ok(count) => self.filled += count,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(if self.filled == before { Came::Nothing } else { Came::Bytes })
    }

    /// What is to be handed over, now that the lines that are whole were looked at. Rows may wait for more if `gather`.
    fn take(&mut self, gather: bool) -> PyResult<Option<Answer>> {
        let Some(last) = memrchr(b'\n', &self.input[self.searched..self.filled]) else {
            self.searched = self.filled;
            return Ok(None);
        };
        let last = self.searched + last;
        let mut found = Found::default();
        found.scan(&self.input[..last], self.limits, &mut self.shapes, &mut self.number);
        let answer = match found.only_rows().filter(|_| gather) {
            Some(rows) => gathered(&mut self.gathering, rows, self.limits)?,
            None => {
                let before = self.gathering.take();
                Some(Python::attach(|py| answer(py, before, &found))?)
            }
        };
        drop(found);
        self.input.copy_within(last + 1..self.filled, 0);
        self.filled -= last + 1;
        self.searched = self.filled;
        if self.input.len() > KEEP {
            self.input.truncate(self.filled.max(AT_ONCE));
            self.input.shrink_to_fit();
        }
        Ok(answer)
    }
}

/// Add the rows to those that wait. Where they do not go into one block, what waited is handed over.
fn gathered(gathering: &mut Option<Gathering>, rows: &Rows<'_>, limits: Limits) -> PyResult<Option<Answer>> {
    let first = match gathering {
        Some(waiting) if waiting.is_of(rows) => waiting.add(rows, 0, limits)?,
        _ => 0,
    };
    if first == rows.rows.len() {
        return Ok(None);
    }
    let mut next = Gathering::new(rows, limits)?;
    next.add(rows, first, limits)?;
    let full = gathering.replace(next);
    full.map(|full| Python::attach(|py| answer(py, Some(full), &Found::default()))).transpose()
}

fn answer(py: Python<'_>, before: Option<Gathering>, found: &Found<'_>) -> PyResult<Answer> {
    let list = PyList::empty(py);
    if let Some(before) = before {
        list.append(before.block(py)?)?;
    }
    for item in &found.items {
        match item {
            Item::Line(line) => list.append(PyBytes::new(py, line))?,
            Item::Rows(rows) => {
                let mut lines = Growing::new(py, rows.size)?;
                rows.copy_to(&mut lines)?;
                let namespace = rows.namespace.as_ref().map(Text::decoded);
                let metas = rows.metas.iter().copied();
                let stream = rows.stream.decoded();
                list.append(block(py, namespace.as_deref(), &stream, lines.finish(py), &rows.emitted_at, metas)?)?;
            }
        }
    }
    Ok((list.unbind(), found.problem.map(Problem::name)))
}

fn block<'py, 'a>(
    py: Python<'py>,
    namespace: Option<&[u8]>,
    stream: &[u8],
    lines: Bound<'py, PyBytes>,
    emitted_at: &[u8],
    metas: impl Iterator<Item = (usize, &'a [u8])>,
) -> PyResult<Bound<'py, PyTuple>> {
    let changed = PyDict::new(py);
    for (row, meta) in metas {
        changed.set_item(row, PyBytes::new(py, meta))?;
    }
    let namespace = namespace.map(|namespace| string(py, namespace));
    (namespace, string(py, stream), lines, PyBytes::new(py, emitted_at), changed).into_pyobject(py)
}

fn string<'py>(py: Python<'py>, text: &[u8]) -> Bound<'py, PyString> {
    // Never lossy: the line was found to be UTF-8.
    PyString::new(py, &String::from_utf8_lossy(text))
}
