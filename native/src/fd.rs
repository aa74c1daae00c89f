//! Descriptors that somebody else has opened.

use std::ffi::c_int;
use std::io;
use std::time::Duration;

/// Wait until there is something to read, or the descriptor is broken or at its end (which reading tells). False when
/// the time is up, and when a signal came.
pub fn readable(fd: c_int, time: Duration) -> bool {
    ready(fd, libc::POLLIN, time)
}

/// Wait until something can be written, or the descriptor is broken (which writing tells). False as above.
pub fn writable(fd: c_int, time: Duration) -> bool {
    ready(fd, libc::POLLOUT, time)
}

#[allow(unsafe_code)]
fn ready(fd: c_int, events: libc::c_short, time: Duration) -> bool {
    let mut wanted = libc::pollfd { fd, events, revents: 0 };
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

/// Write some of it.
#[allow(unsafe_code)]
pub fn write(fd: c_int, from: &[u8]) -> io::Result<usize> {
    // SAFETY: the slice lives until the call returns, and no more than its length is read.
    let count = unsafe { libc::write(fd, from.as_ptr().cast(), from.len()) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}
