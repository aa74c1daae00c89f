//! COPY data straight from the libpq that psycopg has loaded: what Python would do once per row costs more than to
//! decode the row. What is unsafe about libpq is in this file.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::fd::readable;

type Connection = *mut c_void;
type GetCopyData = unsafe extern "C" fn(Connection, *mut *mut c_char, c_int) -> c_int;
type Free = unsafe extern "C" fn(*mut c_void);
type OfConnection = unsafe extern "C" fn(Connection) -> c_int;

/// How long a server that has just said something is let go on before we listen again. It writes 8 KB at a time: to be
/// woken for each of them costs both sides a tenth of all that a row costs.
const NAP: Duration = Duration::from_micros(200);

/// `Libpq(path)`: the library that is already loaded from that file. OSError where it is not, or is another one.
#[pyclass(frozen)]
pub struct Libpq {
    get_copy_data: GetCopyData,
    free: Free,
    consume_input: OfConnection,
    socket: OfConnection,
}

#[pymethods]
impl Libpq {
    #[new]
    #[allow(unsafe_code)]
    fn new(path: CString) -> PyResult<Self> {
        let missing = || PyOSError::new_err(format!("{} is no libpq that is loaded", path.to_string_lossy()));
        // SAFETY: the path ends with a zero. RTLD_NOLOAD runs no code of a library: it only finds one that is there.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
        if library.is_null() {
            return Err(missing());
        }
        let function = |name: &CStr| {
            // SAFETY: the handle is open, and never closed, so that what is found stays; the name ends with a zero.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            (!found.is_null()).then_some(found).ok_or_else(missing)
        };
        let (get_copy_data, free) = (function(c"PQgetCopyData")?, function(c"PQfreemem")?);
        let (consume_input, socket) = (function(c"PQconsumeInput")?, function(c"PQsocket")?);
        // SAFETY: the types are those of libpq-fe.h, which the library's soname (libpq.so.5) promises to keep.
        unsafe {
            Ok(Libpq {
                get_copy_data: std::mem::transmute::<*mut c_void, GetCopyData>(get_copy_data),
                free: std::mem::transmute::<*mut c_void, Free>(free),
                consume_input: std::mem::transmute::<*mut c_void, OfConnection>(consume_input),
                socket: std::mem::transmute::<*mut c_void, OfConnection>(socket),
            })
        }
    }
}

/// What there was to take.
pub enum Taken<T> {
    /// What the visitor of messages stopped with.
    Stopped(T),
    /// No more for now: the time is up, or a signal wants to be looked at.
    Quiet,
    /// The COPY is over, well or not: the next result tells.
    Over,
}

impl Libpq {
    /// Hand each message of the COPY to `visit` until it returns something, or until the time is up.
    ///
    /// # Safety
    ///
    /// `connection` is a PGconn of this libpq that is open, and nobody else uses or closes it meanwhile.
    #[allow(unsafe_code)]
    pub unsafe fn take<T>(
        &self,
        connection: usize,
        time: Duration,
        mut visit: impl FnMut(&[u8]) -> Option<T>,
    ) -> Taken<T> {
        let connection = connection as Connection;
        let deadline = Instant::now() + time;
        // What was done since the last message.
        let (mut consumed, mut napped) = (false, false);
        loop {
            let mut message = Message { bytes: std::ptr::null_mut(), free: self.free };
            // SAFETY: the caller promises the connection. 1 asks not to wait.
            let size = unsafe { (self.get_copy_data)(connection, &mut message.bytes, 1) };
            match usize::try_from(size) {
                Err(_) => return Taken::Over,
                Ok(0) if !consumed => {
                    // SAFETY: as above.
                    if unsafe { (self.consume_input)(connection) } == 0 {
                        return Taken::Over; // The connection is lost, and nothing else would ever say so.
                    }
                    consumed = true;
                }
                Ok(0) if !napped => {
                    std::thread::sleep(NAP);
                    (consumed, napped) = (false, true);
                }
                Ok(0) => {
                    // SAFETY: as above.
                    let socket = unsafe { (self.socket)(connection) };
                    if !readable(socket, deadline.saturating_duration_since(Instant::now())) {
                        return Taken::Quiet;
                    }
                    consumed = false;
                }
                Ok(size) => {
                    (consumed, napped) = (false, false);
                    // SAFETY: libpq has allocated a message of this size, and `message` frees it only later.
                    let bytes = unsafe { std::slice::from_raw_parts(message.bytes.cast::<u8>(), size) };
                    if let Some(stopped) = visit(bytes) {
                        return Taken::Stopped(stopped);
                    }
                }
            }
        }
    }
}

/// A message that libpq has allocated, or null. It is freed whatever happens, a panic of the visitor included.
struct Message {
    bytes: *mut c_char,
    free: Free,
}

impl Drop for Message {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        if !self.bytes.is_null() {
            // SAFETY: libpq's own free for what libpq has allocated, once.
            unsafe { (self.free)(self.bytes.cast()) }
        }
    }
}
