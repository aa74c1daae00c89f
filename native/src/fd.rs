//! Descriptors that somebody else has opened.

use std::ffi::c_int;
use std::io;
use std::time::Duration;

/// Wait until there is something to read, or the descriptor is broken or at its end (which reading tells). False when
/// the time is up, and when a signal came.
#[allow(unsafe_code)]
pub fn readable(fd: c_int, time: Duration) -> bool {
    let mut wanted = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let milliseconds = c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: one entry, which lives until the call returns. A descriptor of -1 is ignored by poll.
    unsafe { libc::poll(&mut wanted, 1, milliseconds) == 1 }
}

/// Read what is there; 0 bytes at the end.
#[allow(unsafe_code)]
pub fn read(fd: c_int, into: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the slice is ours alone until the call returns, and no more than its length is asked for.
    let count = unsafe { libc::read(fd, into.as_mut_ptr().cast(), into.len()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}
