//! Python's bytes, written where they stay: what `PyBytes::new_with` makes is filled with zeros first.

use std::ptr::NonNull;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Bytes that grow. Nobody else knows of them until they are `finish`ed.
pub struct Growing {
    made: Py<PyBytes>,
    room: NonNull<u8>,
    capacity: usize,
    filled: usize,
}

// SAFETY: `room` points into `made`, which may be sent and shared, which nobody else knows of, and which is only written
// through a mutable borrow.
#[allow(unsafe_code)]
unsafe impl Send for Growing {}
#[allow(unsafe_code)]
unsafe impl Sync for Growing {}

impl Growing {
    /// Nothing yet, and room for so many bytes.
    #[allow(unsafe_code)]
    pub fn new(py: Python<'_>, capacity: usize) -> PyResult<Self> {
        let size = ffi::Py_ssize_t::try_from(capacity)?;
        // SAFETY: null asks for bytes without content; what is made is ours, or an error is set.
        let made = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), size))? };
        // SAFETY: these are bytes, and theirs are at a place.
        let room = unsafe { NonNull::new_unchecked(ffi::PyBytes_AsString(made.as_ptr()).cast()) };
        Ok(Growing { made: made.cast_into::<PyBytes>()?.unbind(), room, capacity, filled: 0 })
    }

    pub fn len(&self) -> usize {
        self.filled
    }

    /// Python is only asked where there is no more room.
    #[inline]
    #[allow(unsafe_code)]
    pub fn add(&mut self, bytes: &[u8]) -> PyResult<()> {
        self.reserve(bytes.len())?;
        // SAFETY: there is room for them after what is filled, and what nobody knows of overlaps with nothing.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.room.add(self.filled).as_ptr(), bytes.len()) }
        self.filled += bytes.len();
        Ok(())
    }

    /// Make room for so many bytes more, so that they are added without a move in between.
    #[inline]
    pub fn reserve(&mut self, more: usize) -> PyResult<()> {
        if more > self.capacity - self.filled {
            self.grow(more)?;
        }
        Ok(())
    }

    #[cold]
    fn grow(&mut self, more: usize) -> PyResult<()> {
        let mut larger = Python::attach(|py| Growing::new(py, (self.filled + more).max(2 * self.capacity)))?;
        larger.add(self.as_slice())?;
        *self = larger;
        Ok(())
    }

    /// Forget so many of the first bytes.
    pub fn drop_first(&mut self, count: usize) {
        let left = self.filled - count;
        self.as_mut_slice().copy_within(count.., 0);
        self.filled = left;
    }

    #[allow(unsafe_code)]
    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: so many were written, from the first on, and nobody else knows of them.
        unsafe { std::slice::from_raw_parts_mut(self.room.as_ptr(), self.filled) }
    }

    #[allow(unsafe_code)]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: so many were written, from the first on.
        unsafe { std::slice::from_raw_parts(self.room.as_ptr(), self.filled) }
    }

    /// The bytes. Where more than an eighth of the room is empty they move to a place of their size.
    #[allow(unsafe_code)]
    pub fn finish(self, py: Python<'_>) -> Bound<'_, PyBytes> {
        if self.filled < self.capacity - self.capacity / 8 {
            return PyBytes::new(py, self.as_slice());
        }
        let made = self.made.into_bound(py);
        // SAFETY: the size of an object of variable size is a field that the stable ABI names. Nobody has looked at
        // these bytes, so nobody has kept the old one, and Python's allocator does not ask for it. They end with a
        // zero, as all bytes do: there is one byte more than `capacity`.
        unsafe {
            (*made.as_ptr().cast::<ffi::PyVarObject>()).ob_size = self.filled as ffi::Py_ssize_t; // No more than `capacity`, which was one.
            self.room.add(self.filled).write(0);
        }
        made
    }
}
