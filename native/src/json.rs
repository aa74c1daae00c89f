//! One pass over JSON text: says whether it is valid and where its parts stand. Nothing is built, nothing recurses.

use std::borrow::Cow;

use memchr::memchr2;

/// Levels of nesting in one line, its envelope included.
pub const MAX_DEPTH: usize = 512;

/// The text is not JSON, or is nested too deeply.
#[derive(Debug, PartialEq)]
pub struct Malformed;

pub type Step<T = ()> = Result<T, Malformed>;

/// A JSON string, as it stands between its quotes.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    pub raw: &'a [u8],
    pub escaped: bool,
}

impl<'a> Text<'a> {
    /// What the string says.
    pub fn decoded(&self) -> Cow<'a, [u8]> {
        if self.escaped {
            Cow::Owned(unescaped(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    pub fn says(&self, text: &[u8]) -> bool {
        if self.escaped {
            unescaped(self.raw) == text
        } else {
            self.raw == text
        }
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        if self.escaped || other.escaped {
            self.decoded() == other.decoded()
        } else {
            self.raw == other.raw
        }
    }
}

/// A place in a text. `here` is 0 at its end, which is no part of JSON.
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    /// A bit for each open level: set for an object, clear for an array.
    objects: [u64; MAX_DEPTH / 64],
    /// The text holds control characters, so strings have to be looked at for them.
    controls: bool,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Scanner { text, at: 0, depth: 0, objects: [0; MAX_DEPTH / 64], controls: has_control(text) }
    }

    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub fn here(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Goes on to the next token and tells its first byte.
    #[inline]
    pub fn token(&mut self) -> u8 {
        loop {
            match self.here() {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return byte,
            }
        }
    }

    /// Nothing but blanks follows.
    pub fn end(&mut self) -> Step {
        self.token();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// One value of any kind; returns its text.
    #[inline]
    pub fn value(&mut self) -> Step<&'a [u8]> {
        self.token();
        let start = self.at;
        self.skip()?;
        Ok(self.since(start))
    }

    /// One value within so many open levels.
    #[inline]
    pub fn value_in(&mut self, levels: usize) -> Step<&'a [u8]> {
        self.depth = levels;
        self.value()
    }

    /// Over a text that has to stand here as it is.
    #[inline]
    pub fn same(&mut self, text: &[u8]) -> Step {
        if !self.text[self.at..].starts_with(text) {
            return Err(Malformed);
        }
        self.at += text.len();
        Ok(())
    }

    /// The text from `start` to here.
    #[inline]
    pub fn since(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Into an object, at its brace. Then `key` until it says None.
    #[inline]
    pub fn enter(&mut self) -> Step {
        self.open(true)
    }

    /// The next key of an object that was entered, up to behind its colon; None behind the closing brace.
    #[inline]
    pub fn key(&mut self, first: bool) -> Step<Option<Text<'a>>> {
        match self.token() {
            b'}' => {
                self.close();
                return Ok(None);
            }
            b',' if !first => {
                self.at += 1;
                self.token();
            }
            _ if !first => return Err(Malformed),
            _ => {}
        }
        let key = self.string()?;
        self.colon()?;
        Ok(Some(key))
    }

    #[inline(always)]
    fn colon(&mut self) -> Step {
        if self.token() != b':' {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self, object: bool) -> Step {
        let level = self.objects.get_mut(self.depth / 64).ok_or(Malformed)?;
        let bit = 1 << (self.depth % 64);
        if object {
            *level |= bit;
        } else {
            *level &= !bit;
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn close(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    #[inline]
    fn in_object(&self) -> bool {
        let level = self.depth - 1;
        self.objects[level / 64] >> (level % 64) & 1 == 1
    }

    /// Over one value, however deep.
    fn skip(&mut self) -> Step {
        let floor = self.depth;
        loop {
            let opened = match self.token() {
                b'"' => {
                    self.over_string()?;
                    false
                }
                bracket @ (b'{' | b'[') => {
                    self.open(bracket == b'{')?;
                    true
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => {
                    self.number()?;
                    false
                }
            };
            if self.reached(floor, opened)? {
                return Ok(());
            }
        }
    }

    /// From behind a value (or behind an opening bracket) to the next one: true where there is none above `floor`.
    #[inline(always)]
    fn reached(&mut self, floor: usize, mut opened: bool) -> Step<bool> {
        while self.depth > floor {
            let object = self.in_object();
            let byte = self.token();
            if byte == (if object { b'}' } else { b']' }) {
                self.close();
                opened = false;
                continue;
            }
            if !opened {
                if byte != b',' {
                    return Err(Malformed);
                }
                self.at += 1;
            }
            if object {
                self.token();
                self.over_string()?;
                self.colon()?;
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn word(&mut self, word: &[u8]) -> Step<bool> {
        if !self.text[self.at..].starts_with(word) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(false)
    }

    fn digits(&mut self) -> Step {
        let rest = &self.text[self.at..];
        match rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len()) {
            0 => Err(Malformed),
            count => {
                self.at += count;
                Ok(())
            }
        }
    }

    /// A number; returns its text and whether it is written as an integer.
    pub fn number(&mut self) -> Step<(&'a [u8], bool)> {
        let start = self.at;
        let mut integer = true;
        if self.here() == b'-' {
            self.at += 1;
        }
        if self.here() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.here() == b'.' {
            integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.here(), b'e' | b'E') {
            integer = false;
            self.at += 1;
            if matches!(self.here(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok((self.since(start), integer))
    }

    /// A string, at its quote.
    #[inline]
    pub fn string(&mut self) -> Step<Text<'a>> {
        let start = self.at + 1;
        let escaped = self.over_string()?;
        Ok(Text { raw: &self.text[start..self.at - 1], escaped })
    }

    /// Over a string; true if it holds escapes. Half of a surrogate pair is no character, so no JSON.
    #[inline(always)]
    fn over_string(&mut self) -> Step<bool> {
        if self.here() != b'"' {
            return Err(Malformed);
        }
        let start = self.at + 1;
        // Most strings are short and plain.
        match special_in(self.text, start).or_else(|| special_in(self.text, start + 8)) {
            Some(end) if !self.controls && self.text[end] == b'"' => {
                self.at = end + 1;
                Ok(false)
            }
            _ => self.over_long_string(start),
        }
    }

    fn over_long_string(&mut self, start: usize) -> Step<bool> {
        let mut at = start;
        let mut escaped = false;
        loop {
            at = plain_end(self.text, at);
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => at = escape_end(self.text, at)?,
                _ => return Err(Malformed),
            }
            escaped = true;
        }
        if self.controls && has_control(&self.text[start..at]) {
            return Err(Malformed);
        }
        self.at = at + 1;
        Ok(escaped)
    }
}

/// Where the next quote or backslash stands, from `at` on; the length where there is none.
#[inline]
fn plain_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    memchr2(b'"', b'\\', rest).map_or(text.len(), |place| at + place)
}

/// Whether a control character is among these. No JSON string holds one.
#[inline]
pub fn has_control(text: &[u8]) -> bool {
    text.iter().fold(false, |found, byte| found | (*byte < b' '))
}

/// The first quote or backslash of the eight bytes at `at`.
#[inline(always)]
fn special_in(text: &[u8], at: usize) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let eight = text.get(at..).and_then(|rest| rest.first_chunk::<8>())?;
    // A byte of `x` that is 0 makes `(x - 1) & !x` set its high bit; a borrow disturbs only the bytes above it.
    let word = u64::from_le_bytes(*eight);
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let found = (quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash) & HIGH;
    (found != 0).then(|| at + found.trailing_zeros() as usize / 8)
}

/// Where the escape that begins at `at` ends.
fn escape_end(text: &[u8], at: usize) -> Step<usize> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => match unit(text, at)? {
            0xD800..=0xDBFF => match unit(text, at + 6)? {
                0xDC00..=0xDFFF => Ok(at + 12),
                _ => Err(Malformed),
            },
            0xDC00..=0xDFFF => Err(Malformed),
            _ => Ok(at + 6),
        },
        _ => Err(Malformed),
    }
}

/// The number in `\uXXXX` at `at`.
fn unit(text: &[u8], at: usize) -> Step<u32> {
    match text.get(at..at + 6) {
        Some([b'\\', b'u', digits @ ..]) => digits.iter().try_fold(0, |number, digit| {
            let digit = (*digit as char).to_digit(16).ok_or(Malformed)?;
            Ok(number << 4 | digit)
        }),
        _ => Err(Malformed),
    }
}

/// What a string says whose escapes were found valid.
fn unescaped(raw: &[u8]) -> Vec<u8> {
    let mut said = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        if byte != b'\\' {
            said.push(byte);
            at += 1;
            continue;
        }
        let end = escape_end(raw, at).unwrap_or(raw.len());
        let character = character(&raw[at..end]);
        said.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        at = end;
    }
    said
}

fn character(escape: &[u8]) -> char {
    match escape.get(1) {
        Some(b'b') => '\x08',
        Some(b'f') => '\x0c',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let first = unit(escape, 0).unwrap_or_default();
            let number = match unit(escape, 6) {
                Ok(second) => 0x10000 + ((first & 0x3FF) << 10 | second & 0x3FF),
                Err(_) => first,
            };
            char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        other => other.copied().unwrap_or_default() as char,
    }
}

/// Whether the twin calls a line too deep that was refused. It need not be JSON: what is not balanced has any depth.
pub fn too_deep(line: &[u8]) -> bool {
    let brackets = line.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    brackets > MAX_DEPTH && depth(line).is_none_or(|depth| depth > MAX_DEPTH)
}

/// Levels of brackets outside of strings; None where they are not balanced.
fn depth(line: &[u8]) -> Option<usize> {
    let (mut depth, mut deepest, mut in_string) = (0_usize, 0, false);
    let mut bytes = line.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next_if(|next| matches!(next, b'\\' | b'"'))),
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.checked_sub(1)?,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    (depth == 0 && !in_string).then_some(deepest)
}
