//! Python's bytes, written where they stay: what `PyBytes::new_with` makes is filled with zeros first.

use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Room that is filled from its beginning.
pub struct Room<'a> {
    room: &'a mut [MaybeUninit<u8>],
    filled: usize,
}

impl Room<'_> {
    /// Panics where there is no more room.
    #[inline]
    #[allow(unsafe_code)]
    pub fn add(&mut self, bytes: &[u8]) {
        let room = &mut self.room[self.filled..][..bytes.len()];
        // SAFETY: both are of this length, and what is borrowed mutably overlaps with nothing.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), room.as_mut_ptr().cast(), bytes.len()) }
        self.filled += bytes.len();
    }
}

/// `size` bytes, which are what `fill` adds: no more and no less, or it panics. `fill` runs without the GIL.
#[allow(unsafe_code)]
pub fn bytes(py: Python<'_>, size: usize, fill: impl FnOnce(&mut Room<'_>) + Send) -> PyResult<Bound<'_, PyBytes>> {
    let length = ffi::Py_ssize_t::try_from(size)?;
    // SAFETY: null asks for bytes without content; what is made is ours, or an error is set.
    let made = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(std::ptr::null(), length))? };
    // SAFETY: these are `size` bytes that nobody else knows of yet, and `made` outlives the borrow.
    let room = unsafe { std::slice::from_raw_parts_mut(ffi::PyBytes_AsString(made.as_ptr()).cast(), size) };
    let filled = py.detach(|| {
        let mut room = Room { room, filled: 0 };
        fill(&mut room);
        room.filled
    });
    assert_eq!(filled, size, "bytes that were never written");
    Ok(made.cast_into()?)
}
