//! Rows of one stream have the same texts between their values: the envelope, the names of the fields. Where a line has
//! those of a line before it, which was found to be a RECORD, only its values have to be looked at.

use crate::json::{Malformed, Scanner, Step, Text};
use crate::pipe::Record;

/// Digits of a time that surely fit into 64 bits.
const FEW_DIGITS: usize = 18;
/// Fields of a row that is learnt: to keep more would take more memory than it saves time.
const MOST_FIELDS: usize = 4096;
/// Levels that are open around the values of an envelope, and of its data.
const IN_LINE: usize = 1;
const IN_RECORD: usize = 2;
const IN_DATA: usize = 3;

/// What the last RECORDs looked like.
#[derive(Default)]
pub struct Shapes {
    last: Option<Shape>,
    misses: u32,
}

impl Shapes {
    /// The record of this line, if it looks like those before it. The line is valid UTF-8.
    #[inline]
    pub fn read<'a>(&mut self, line: &'a [u8]) -> Option<Record<'a>> {
        let record = self.last.as_ref()?.read(line).ok()?;
        self.misses = 0;
        Some(record)
    }

    /// This line holds a record that looks otherwise. Where each looks otherwise they are learnt ever less often.
    pub fn missed(&mut self, line: &[u8]) {
        self.misses = self.misses.saturating_add(1);
        if self.misses.is_power_of_two() && (self.misses > 1 || self.last.is_none()) {
            self.last = Shape::of(line).ok();
        }
    }
}

struct Shape {
    /// The texts of the envelope, each up to a value.
    envelope: Vec<(Box<[u8]>, Slot)>,
    /// What follows its last value.
    end: Box<[u8]>,
    /// The texts of the data, each up to a value.
    fields: Vec<Box<[u8]>>,
    close: Box<[u8]>,
    stream: Place,
    namespace: Option<Place>,
}

/// What a value in the envelope is.
#[derive(Clone, Copy)]
enum Slot {
    Data,
    Time,
    Meta,
    /// Of no meaning, with so many levels open.
    Other(usize),
}

/// A string in a text of the envelope.
struct Place {
    text: usize,
    from: usize,
    to: usize,
    escaped: bool,
}

impl Place {
    /// The string, where text number `text` begins at `start` of the line.
    #[inline]
    fn within<'a>(&self, text: usize, line: &'a [u8], start: usize) -> Option<Text<'a>> {
        let raw = line.get(start + self.from..start + self.to)?;
        (self.text == text).then_some(Text { raw, escaped: self.escaped })
    }
}

impl Shape {
    fn read<'a>(&self, line: &'a [u8]) -> Step<Record<'a>> {
        let mut scanner = Scanner::new(line);
        let (mut stream, mut namespace, mut data, mut meta) = (None, None, None, None);
        let mut emitted_at = 0;
        for (number, (text, slot)) in self.envelope.iter().enumerate() {
            let start = scanner.at();
            scanner.same(text)?;
            stream = stream.or_else(|| self.stream.within(number, line, start));
            namespace = namespace.or_else(|| self.namespace.as_ref()?.within(number, line, start));
            match slot {
                Slot::Data => data = Some(self.data(&mut scanner)?),
                Slot::Time => emitted_at = time(&mut scanner)?,
                Slot::Meta => meta = Some(scanner.value_in(IN_RECORD)?).filter(|meta| *meta != b"null"),
                Slot::Other(levels) => drop(scanner.value_in(*levels)?),
            }
        }
        let start = scanner.at();
        scanner.same(&self.end)?;
        let number = self.envelope.len();
        let stream = stream.or_else(|| self.stream.within(number, line, start)).ok_or(Malformed)?;
        let namespace = namespace.or_else(|| self.namespace.as_ref()?.within(number, line, start));
        if scanner.at() < line.len() {
            return Err(Malformed);
        }
        Ok(Record { stream, namespace, data: data.ok_or(Malformed)?, emitted_at, meta })
    }

    #[inline]
    fn data<'a>(&self, scanner: &mut Scanner<'a>) -> Step<&'a [u8]> {
        let start = scanner.at();
        for text in &self.fields {
            scanner.same(text)?;
            scanner.value_in(IN_DATA)?;
        }
        scanner.same(&self.close)?;
        Ok(scanner.since(start))
    }

    /// The shape of a line that holds a record. An error where none is kept: its data is repeated, or has too many fields.
    fn of(line: &[u8]) -> Step<Shape> {
        let mut learner = Learner { line, scanner: Scanner::new(line), start: 0, shape: Shape::none() };
        learner.line()?;
        learner.scanner.end()?;
        let mut shape = learner.shape;
        shape.end = line[learner.start..].into();
        Ok(shape)
    }

    fn none() -> Shape {
        Shape {
            envelope: Vec::new(),
            end: Box::default(),
            fields: Vec::new(),
            close: Box::default(),
            stream: Place { text: usize::MAX, from: 0, to: 0, escaped: false },
            namespace: None,
        }
    }
}

#[inline]
fn time(scanner: &mut Scanner<'_>) -> Step<i64> {
    let (text, integer) = scanner.number()?;
    if !integer || text.len() > FEW_DIGITS {
        return Err(Malformed);
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let time = digits.iter().fold(0, |time, digit| 10 * time + i64::from(digit - b'0'));
    Ok(if digits.len() < text.len() { -time } else { time })
}

/// Of a key that is repeated the last counts here as well.
struct Learner<'a> {
    line: &'a [u8],
    scanner: Scanner<'a>,
    /// Where the text that is under way begins.
    start: usize,
    shape: Shape,
}

impl<'a> Learner<'a> {
    fn line(&mut self) -> Step {
        self.scanner.token();
        self.scanner.enter()?;
        let mut first = true;
        while let Some(key) = self.scanner.key(first)? {
            first = false;
            self.scanner.token();
            if key.says(b"type") {
                self.scanner.value()?;
            } else if key.says(b"record") {
                self.record()?;
            } else {
                self.slot(Slot::Other(IN_LINE))?;
            }
        }
        Ok(())
    }

    fn record(&mut self) -> Step {
        self.scanner.enter()?;
        let mut first = true;
        while let Some(key) = self.scanner.key(first)? {
            first = false;
            self.scanner.token();
            if key.says(b"data") {
                self.data()?;
            } else if key.says(b"emitted_at") {
                self.slot(Slot::Time)?;
            } else if key.says(b"stream") {
                self.shape.stream = self.string()?;
            } else if key.says(b"namespace") {
                self.shape.namespace = if self.scanner.here() == b'"' {
                    Some(self.string()?)
                } else {
                    self.scanner.value()?;
                    None
                };
            } else if key.says(b"meta") {
                self.slot(Slot::Meta)?;
            } else {
                self.slot(Slot::Other(IN_RECORD))?;
            }
        }
        Ok(())
    }

    /// End the text before this value, and go over it.
    fn slot(&mut self, slot: Slot) -> Step {
        let text = self.line[self.start..self.scanner.at()].into();
        self.shape.envelope.push((text, slot));
        self.scanner.value()?;
        self.start = self.scanner.at();
        Ok(())
    }

    /// A string that stays a part of the text.
    fn string(&mut self) -> Step<Place> {
        let from = self.scanner.at() + 1 - self.start;
        let text = self.scanner.string()?;
        Ok(Place { text: self.shape.envelope.len(), from, to: from + text.raw.len(), escaped: text.escaped })
    }

    fn data(&mut self) -> Step {
        if !self.shape.close.is_empty() {
            return Err(Malformed); // Of data that is repeated only one would be seen.
        }
        let text = self.line[self.start..self.scanner.at()].into();
        self.shape.envelope.push((text, Slot::Data));
        let mut start = self.scanner.at();
        self.scanner.enter()?;
        let mut first = true;
        while self.scanner.key(first)?.is_some() {
            first = false;
            if self.shape.fields.len() == MOST_FIELDS {
                return Err(Malformed);
            }
            self.scanner.token();
            self.shape.fields.push(self.line[start..self.scanner.at()].into());
            self.scanner.value()?;
            start = self.scanner.at();
        }
        self.start = self.scanner.at();
        self.shape.close = self.line[start..self.start].into();
        Ok(())
    }
}
