//! The one question that airpipe asks of every record. The twin of `alike` in `airpipe.alike`, which says what is meant.

use memchr::memchr_iter;
use pyo3::prelude::*;

/// `alike(head, chunk, beginning)`: how many whole lines are in `chunk`, and where the last of them ends. The first one
/// began with `head`. The number is -1 where one of them does not begin with `beginning`.
#[pyfunction]
pub fn alike(head: &[u8], chunk: &[u8], beginning: &[u8]) -> (i64, usize) {
    let (mut lines, mut start, mut same) = (0, 0, true);
    for place in memchr_iter(b'\n', chunk) {
        let line = &chunk[start..=place];
        same &= if start == 0 { begins(head, line, beginning) } else { line.starts_with(beginning) };
        start = place + 1;
        lines += 1;
    }
    (if same { lines } else { -1 }, start)
}

/// Whether the two parts of a line, one after the other, begin so.
fn begins(head: &[u8], line: &[u8], beginning: &[u8]) -> bool {
    let (first, second) = beginning.split_at(head.len().min(beginning.len()));
    head.starts_with(first) && line.starts_with(second)
}
