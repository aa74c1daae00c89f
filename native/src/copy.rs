//! COPY BINARY to RECORD lines. The twin of `Decoder` in `source_postgres.decode`, which says what is meant.

use std::ffi::c_int;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString, PyTuple, PyType};

use crate::bytes::Growing;
use crate::fd::{writable, write};
use crate::libpq::{Libpq, Taken};
use crate::values::{quote, Broken, Layout};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEADER: usize = 19;
/// Messages from this size on are decoded while other Python threads run.
const LARGE: usize = 1 << 14;
/// Buffers that a large row has made larger than this are not kept.
const KEEP: usize = 1 << 18;

/// Why decoding stops: bytes that the server does not write, or an exception of Python's.
enum Stop {
    Copy(String),
    Python(PyErr),
}

impl From<&str> for Stop {
    fn from(text: &str) -> Self {
        Stop::Copy(text.to_owned())
    }
}

struct Column {
    name: String,
    /// With the colon, and with the comma before it.
    key: Vec<u8>,
    layout: Layout,
    change: Vec<u8>,
}

/// What stands around the fields of a row, their braces and the line break included.
#[derive(Default)]
struct Envelope {
    head: Vec<u8>,
    tail: Vec<u8>,
    meta_head: Vec<u8>,
    meta_tail: Vec<u8>,
}

/// The lines that wait to be taken.
struct Lines {
    columns: Vec<Column>,
    make_envelope: Py<PyAny>,
    envelope: Envelope,
    /// The hidden values of the last complete row, as UTF-8.
    hidden: Vec<Option<Vec<u8>>>,
    /// The line that is being made.
    line: Vec<u8>,
    /// None where nothing waits.
    bytes: Option<Growing>,
    count: usize,
    /// Bytes of lines that make a block.
    block: usize,
}

impl Lines {
    fn is_full(&self) -> bool {
        self.size() >= self.block
    }

    fn size(&self) -> usize {
        self.bytes.as_ref().map_or(0, Growing::len)
    }

    /// Append the line of one row. Of a row that fails nothing is left.
    fn add(&mut self, row: &Row<'_>) -> Result<(), Stop> {
        if self.bytes.is_none() {
            self.begin().map_err(Stop::Python)?;
        }
        self.line.clear();
        self.make(row)?;
        if let Some(bytes) = &mut self.bytes {
            bytes.add(&self.line).map_err(Stop::Python)?;
        }
        self.count += 1;
        Ok(())
    }

    fn begin(&mut self) -> PyResult<()> {
        Python::attach(|py| {
            self.envelope = envelope(self.make_envelope.bind(py))?;
            self.bytes = Some(Growing::new(py, self.block + self.block / 8)?);
            Ok(())
        })
    }

    fn make(&mut self, row: &Row<'_>) -> Result<(), Stop> {
        let (values, hidden) = row.fields.split_at(self.columns.len());
        let out = &mut self.line;
        out.extend_from_slice(&self.envelope.head);
        let mut lost: Vec<&[u8]> = Vec::new();
        for (column, value) in self.columns.iter().zip(values) {
            out.extend_from_slice(&column.key);
            match row.value(value) {
                None => out.extend_from_slice(b"null"),
                Some(raw) => match column.layout.decode(raw, out) {
                    Ok(false) => {}
                    Ok(true) => lost.push(&column.change),
                    Err(Broken(problem)) => return Err(Stop::Copy(format!("column {}: {problem}", column.name))),
                },
            }
        }
        if lost.is_empty() {
            out.extend_from_slice(&self.envelope.tail);
        } else {
            out.extend_from_slice(&self.envelope.meta_head);
            out.extend_from_slice(&lost.join(&b','));
            out.extend_from_slice(&self.envelope.meta_tail);
        }
        self.keep_hidden(row, hidden)
    }

    fn keep_hidden(&mut self, row: &Row<'_>, fields: &[Field]) -> Result<(), Stop> {
        if fields.iter().filter_map(|field| row.value(field)).any(|raw| simdutf8::basic::from_utf8(raw).is_err()) {
            return Err("a hidden value is not UTF-8".into());
        }
        for (kept, field) in self.hidden.iter_mut().zip(fields) {
            match (row.value(field), kept) {
                (Some(raw), Some(kept)) => raw.clone_into(kept),
                (raw, kept) => *kept = raw.map(<[u8]>::to_vec),
            }
        }
        Ok(())
    }
}

/// Where full blocks go without Python.
struct Sink {
    fd: c_int,
    /// Until then, and until so many bytes are written, nobody else needs to be asked.
    deadline: Instant,
    most: usize,
    written: usize,
}

impl Sink {
    /// Write the block; false where its writer wants to return: it was not taken as a whole, or enough was written.
    /// The rest of the block stays in it, and who writes that meets the error that there was.
    fn take(&mut self, block: &mut Growing) -> bool {
        // Only where something is taken may we block: a signal ends a write early, but none that begins after it.
        if writable(self.fd, self.deadline.saturating_duration_since(Instant::now())) {
            let sent = write(self.fd, block.as_slice()).unwrap_or(0);
            block.drop_first(sent);
            self.written += sent;
        }
        block.len() == 0 && self.written < self.most && Instant::now() < self.deadline
    }
}

fn envelope(make: &Bound<'_, PyAny>) -> PyResult<Envelope> {
    let (head, tail, meta_head, meta_tail): (PyBackedBytes, PyBackedBytes, PyBackedBytes, PyBackedBytes) =
        make.call0()?.extract()?;
    Ok(Envelope {
        head: [&head, b"{".as_slice()].concat(),
        tail: [b"}", &*tail, b"\n"].concat(),
        meta_head: [b"}", &*meta_head, b"["].concat(),
        meta_tail: [b"]", &*meta_tail, b"\n"].concat(),
    })
}

/// Where a value stands in the data; None for NULL.
type Field = Option<(usize, usize)>;

struct Row<'a> {
    data: &'a [u8],
    fields: &'a [Field],
}

impl<'a> Row<'a> {
    #[inline]
    fn value(&self, field: &Field) -> Option<&'a [u8]> {
        field.map(|(start, end)| &self.data[start..end])
    }
}

#[derive(PartialEq)]
enum State {
    Header,
    Rows,
    Ended,
    Broken,
}

/// The frame of COPY BINARY: a header, rows, an end mark.
struct Frame {
    state: State,
    width: usize,
    /// The values of the row that is being read.
    fields: Vec<Field>,
    /// The beginning of what a later message completes, and the size that it must have for a next look.
    rest: Vec<u8>,
    wanted: usize,
}

/// What stands at the beginning of some data.
enum Step {
    /// The header, a row or the end mark, up to here.
    Done(usize),
    /// Nothing that is complete; another look is worth it when there are so many bytes.
    Wait(usize),
}

impl Frame {
    fn feed(&mut self, message: &[u8], lines: &mut Lines) -> Result<(), Stop> {
        if self.state == State::Broken {
            return Err("the stream was found broken before".into());
        }
        if self.rest.is_empty() {
            let taken = self.take_all(message, lines)?;
            self.rest.extend_from_slice(&message[taken..]);
            return Ok(());
        }
        self.rest.extend_from_slice(message);
        if self.rest.len() < self.wanted {
            return Ok(());
        }
        let mut data = std::mem::take(&mut self.rest);
        let taken = self.take_all(&data, lines)?;
        data.drain(..taken);
        data.shrink_to(KEEP);
        self.rest = data;
        Ok(())
    }

    /// Take what is complete; returns how much that was.
    fn take_all(&mut self, data: &[u8], lines: &mut Lines) -> Result<usize, Stop> {
        let mut at = 0;
        loop {
            match self.step(data, at, lines) {
                Ok(Step::Done(end)) => at = end,
                Ok(Step::Wait(size)) => {
                    self.wanted = size - at;
                    return Ok(at);
                }
                Err(stop) => {
                    self.state = State::Broken;
                    return Err(stop);
                }
            }
        }
    }

    fn step(&mut self, data: &[u8], at: usize, lines: &mut Lines) -> Result<Step, Stop> {
        match self.state {
            State::Header => self.header(data, at),
            State::Rows => self.row(data, at, lines),
            State::Ended if at == data.len() => Ok(Step::Wait(at + 1)),
            State::Ended => Err("bytes after the end mark".into()),
            State::Broken => Err("the stream was found broken before".into()),
        }
    }

    fn header(&mut self, data: &[u8], at: usize) -> Result<Step, Stop> {
        let Some(header) = data.get(at..at + HEADER) else {
            return Ok(Step::Wait(at + HEADER));
        };
        let critical = header[11] != 0 || header[12] != 0;
        let more = int4(header, 15).and_then(|more| usize::try_from(more).ok());
        let Some(more) = more.filter(|_| header.starts_with(SIGNATURE) && !critical) else {
            return Err("not the header of a binary COPY".into());
        };
        let end = at + HEADER + more;
        if end > data.len() {
            return Ok(Step::Wait(end));
        }
        self.state = State::Rows;
        Ok(Step::Done(end))
    }

    fn row(&mut self, data: &[u8], at: usize, lines: &mut Lines) -> Result<Step, Stop> {
        let Some(&[high, low]) = data.get(at..at + 2) else {
            return Ok(Step::Wait(at + 2));
        };
        let width = i16::from_be_bytes([high, low]);
        let mut at = at + 2;
        if width == -1 {
            self.state = State::Ended;
            return Ok(Step::Done(at));
        }
        if usize::try_from(width) != Ok(self.width) {
            return Err(Stop::Copy(format!("a row has {width} values instead of {}", self.width)));
        }
        self.fields.clear();
        for _ in 0..self.width {
            let Some(size) = int4(data, at) else {
                return Ok(Step::Wait(at + 4));
            };
            at += 4;
            if size == -1 {
                self.fields.push(None);
                continue;
            }
            let Ok(size) = usize::try_from(size) else {
                return Err("a value of negative length".into());
            };
            if data.len() - at < size {
                return Ok(Step::Wait(at + size));
            }
            self.fields.push(Some((at, at + size)));
            at += size;
        }
        lines.add(&Row { data, fields: &self.fields })?;
        Ok(Step::Done(at))
    }
}

fn int4(data: &[u8], at: usize) -> Option<i32> {
    data.get(at..)?.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
}

/// `CopyDecoder(columns, envelope, hidden, block, error)`: `columns` as in `source_postgres.types`, `block` bytes of
/// lines make a block, `error` is raised for bytes that the server does not write. A column with a decoder that is not
/// known here is a KeyError.
#[pyclass]
pub struct CopyDecoder {
    frame: Frame,
    lines: Lines,
    error: Py<PyType>,
    /// What `flow` could not tell, since it had written before.
    stop: Option<Stop>,
}

#[pymethods]
impl CopyDecoder {
    #[new]
    fn new(
        columns: Vec<Bound<'_, PyAny>>,
        envelope: Py<PyAny>,
        hidden: usize,
        block: usize,
        error: Py<PyType>,
    ) -> PyResult<Self> {
        let columns = columns.iter().enumerate().map(|(at, found)| column(found, at == 0));
        let columns = columns.collect::<PyResult<Vec<_>>>()?;
        let frame = Frame {
            state: State::Header,
            width: columns.len() + hidden,
            fields: Vec::new(),
            rest: Vec::new(),
            wanted: 0,
        };
        let lines = Lines {
            columns,
            make_envelope: envelope,
            envelope: Envelope::default(),
            hidden: vec![None; hidden],
            line: Vec::new(),
            bytes: None,
            count: 0,
            block,
        };
        Ok(CopyDecoder { frame, lines, error, stop: None })
    }

    /// The hidden values of the last complete row.
    #[getter]
    fn hidden<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        // Never lossy: they were found to be UTF-8.
        let texts = self.lines.hidden.iter().map(|value| value.as_ref().map(|raw| String::from_utf8_lossy(raw)));
        PyTuple::new(py, texts.collect::<Vec<_>>())
    }

    /// Decode the rows that the message completes; True when a block is full and wants to be taken.
    fn feed(&mut self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        let copied;
        let message = match message.cast::<PyBytes>() {
            Ok(bytes) => bytes,
            Err(_) => {
                copied = copy_of(message)?;
                &copied
            }
        };
        let message = message.as_bytes();
        let (frame, lines) = (&mut self.frame, &mut self.lines);
        let fed =
            if message.len() < LARGE { frame.feed(message, lines) } else { py.detach(|| frame.feed(message, lines)) };
        match fed {
            Ok(()) => Ok(self.lines.is_full()),
            Err(stop) => Err(self.stopped(py, stop)),
        }
    }

    /// Feed messages of the COPY that `connection`, a PGconn of psycopg, is in. True when a block is full and wants to
    /// be taken, False when that has not happened for so long (or a signal came), None when the COPY is over.
    fn pull(
        &mut self,
        py: Python<'_>,
        libpq: &Bound<'_, Libpq>,
        connection: &Bound<'_, PyAny>,
        milliseconds: u64,
    ) -> PyResult<Option<bool>> {
        let pointer: usize = connection.getattr("pgconn_ptr")?.extract()?;
        let (libpq, time) = (libpq.get(), Duration::from_millis(milliseconds));
        let (frame, lines) = (&mut self.frame, &mut self.lines);
        let taken = py.detach(|| {
            let visit = |message: &[u8]| match frame.feed(message, lines) {
                Ok(()) if !lines.is_full() => None,
                fed => Some(fed),
            };
            pull(libpq, pointer, time, visit)
        });
        match taken {
            Taken::Stopped(Ok(())) => Ok(Some(true)),
            Taken::Stopped(Err(stop)) => Err(self.stopped(py, stop)),
            Taken::Quiet => Ok(Some(false)),
            Taken::Over => Ok(None),
        }
    }

    /// As `pull`, with full blocks written to `fd`, until `size` bytes are written or the time is up (or a signal
    /// came, or `fd` takes no more). Returns if the COPY is over, the rows and bytes of this call, and the lines of
    /// them that are not written. What went wrong is raised by the next call, so that what was written is known.
    fn flow<'py>(
        &mut self,
        py: Python<'py>,
        libpq: &Bound<'_, Libpq>,
        connection: &Bound<'_, PyAny>,
        fd: c_int,
        milliseconds: u64,
        size: usize,
    ) -> PyResult<(bool, usize, usize, Bound<'py, PyBytes>)> {
        if let Some(stop) = self.stop.take() {
            return Err(self.stopped(py, stop));
        }
        let pointer: usize = connection.getattr("pgconn_ptr")?.extract()?;
        let (libpq, time) = (libpq.get(), Duration::from_millis(milliseconds));
        let mut sink = Sink { fd, deadline: Instant::now() + time, most: size, written: 0 };
        let (frame, lines, stop) = (&mut self.frame, &mut self.lines, &mut self.stop);
        let taken = py.detach(|| {
            let visit = |message: &[u8]| match frame.feed(message, lines) {
                Err(problem) => {
                    *stop = Some(problem);
                    Some(())
                }
                Ok(()) if !lines.is_full() => None,
                Ok(()) => lines.bytes.as_mut().is_some_and(|block| !sink.take(block)).then_some(()),
            };
            pull(libpq, pointer, time, visit)
        });
        let (rest, count) = self.take(py);
        Ok((matches!(taken, Taken::Over), count, sink.written + rest.as_bytes().len(), rest))
    }

    /// The lines complete and not yet taken, and how many they are.
    fn take<'py>(&mut self, py: Python<'py>) -> (Bound<'py, PyBytes>, usize) {
        self.lines.line.clear();
        self.lines.line.shrink_to(KEEP);
        let lines = self.lines.bytes.take().map_or_else(|| PyBytes::new(py, b""), |bytes| bytes.finish(py));
        (lines, std::mem::take(&mut self.lines.count))
    }

    /// Returns if the COPY came to its proper end.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        match self.frame.state {
            State::Ended => Ok(()),
            _ => Err(self.problem(py, "the stream stops before its end mark")),
        }
    }
}

impl CopyDecoder {
    fn stopped(&self, py: Python<'_>, stop: Stop) -> PyErr {
        match stop {
            Stop::Python(error) => error,
            Stop::Copy(problem) => self.problem(py, &problem),
        }
    }

    fn problem(&self, py: Python<'_>, text: &str) -> PyErr {
        PyErr::from_type(self.error.bind(py).clone(), PyString::new(py, text).unbind())
    }
}

#[allow(unsafe_code)]
fn pull<T>(libpq: &Libpq, connection: usize, time: Duration, visit: impl FnMut(&[u8]) -> Option<T>) -> Taken<T> {
    // SAFETY: the pointer is psycopg's own, which is None for a connection that is closed; `pull` holds the PGconn, so
    // it lives. A connection is used by the thread that reads it and by no other, as with psycopg's own functions,
    // which let other threads run meanwhile as well.
    unsafe { libpq.take(connection, time, visit) }
}

/// The bytes of a buffer of any kind, such as the memoryviews that psycopg gives.
#[allow(unsafe_code)]
fn copy_of<'py>(message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    // SAFETY: PyBytes_FromObject takes any live object, which `message` is, and returns a new reference or null with an
    // exception set: what from_owned_ptr_or_err expects. There is no safe way to it, as the buffer protocol is not in
    // the stable ABI of Python 3.10, and the way over a call of `bytes` takes 0.2 µs more for each row.
    let copy = unsafe { Bound::from_owned_ptr_or_err(message.py(), pyo3::ffi::PyBytes_FromObject(message.as_ptr()))? };
    Ok(copy.cast_into()?)
}

fn column(found: &Bound<'_, PyAny>, first: bool) -> PyResult<Column> {
    let name: String = found.getattr("name")?.extract()?;
    let mut field = Vec::new();
    quote(name.as_bytes(), &mut field);
    let separator: &[u8] = if first { b"" } else { b"," };
    let reason: &[u8] = br#","change":"NULLED","reason":"SOURCE_SERIALIZATION_ERROR"}"#;
    Ok(Column {
        key: [separator, &field, b":"].concat(),
        change: [br#"{"field":"#, field.as_slice(), reason].concat(),
        layout: layout(&found.getattr("layout")?)?,
        name,
    })
}

fn layout(found: &Bound<'_, PyAny>) -> PyResult<Layout> {
    let name: String = found.getattr("decoder")?.extract()?;
    let parts: Vec<(String, Bound<'_, PyAny>)> = found.getattr("parts")?.extract()?;
    match (name.as_str(), parts.as_slice()) {
        ("array", [(_, element)]) => Ok(Layout::Array(Box::new(layout(element)?))),
        ("composite", parts) => parts.iter().map(attribute).collect::<PyResult<_>>().map(Layout::Composite),
        _ => Layout::plain(&name).ok_or_else(|| pyo3::exceptions::PyKeyError::new_err(name)),
    }
}

fn attribute((name, part): &(String, Bound<'_, PyAny>)) -> PyResult<(Vec<u8>, Layout)> {
    let mut key = Vec::new();
    quote(name.as_bytes(), &mut key);
    key.push(b':');
    Ok((key, layout(part)?))
}
