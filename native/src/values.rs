//! The bytes of one PostgreSQL value, as COPY BINARY gives them, to JSON.
//! The twin of `source_postgres.values`, which says what is meant; the names of the layouts are those of its table.

use memchr::{memchr, memchr2};

/// Levels of arrays and objects in one json value.
const MAX_DEPTH: i64 = 500;

/// The bytes are not what PostgreSQL writes for this type.
pub struct Broken(pub &'static str);

/// Whether something was lost: null stands where a value could not be carried.
pub type Lost = bool;
pub type Decoded<T = Lost> = Result<T, Broken>;

const LENGTH: Broken = Broken("a value of another length than its type has");
const KEPT: Decoded = Ok(false);

/// How the bytes of a column are read, chosen once.
pub enum Layout {
    Plain(fn(&[u8], &mut Vec<u8>) -> Decoded),
    Array(Box<Layout>),
    /// The attributes, each key with its colon.
    Composite(Vec<(Vec<u8>, Layout)>),
}

impl Layout {
    /// A layout that is not made of others; None for a name that is not known here.
    pub fn plain(name: &str) -> Option<Layout> {
        Some(Layout::Plain(match name {
            "bool" => boolean,
            "int2" => |raw, out| integer(i16::from_be_bytes(exactly(raw)?), out),
            "int4" => |raw, out| integer(i32::from_be_bytes(exactly(raw)?), out),
            "int8" => |raw, out| integer(i64::from_be_bytes(exactly(raw)?), out),
            "uint4" => |raw, out| integer(u32::from_be_bytes(exactly(raw)?), out),
            "uint8" => |raw, out| integer(u64::from_be_bytes(exactly(raw)?), out),
            "float4" => float4,
            "float8" => float8,
            "numeric" => numeric,
            "vector" => |raw, out| floats(raw, 4, float4, out),
            "halfvec" => |raw, out| floats(raw, 2, float2, out),
            "text" => text,
            "json" => json,
            "jsonb" => |raw, out| json(version_1(raw)?, out),
            "jsonb_text" => |raw, out| text(version_1(raw)?, out),
            "hstore" => hstore,
            "bytea" => bytea,
            "uuid" => uuid,
            "date" => date,
            "time" => time,
            "timetz" => timetz,
            "timestamp" => |raw, out| timestamp(raw, b"", out),
            "timestamptz" => |raw, out| timestamp(raw, b"Z", out),
            "interval" => interval,
            "inet" => inet,
            "macaddr" => macaddr,
            "bit" => bit,
            "lsn" => lsn,
            _ => return None,
        }))
    }

    /// Append the value as JSON. After an error what was appended means nothing.
    pub fn decode(&self, raw: &[u8], out: &mut Vec<u8>) -> Decoded {
        match self {
            Layout::Plain(decode) => decode(raw, out),
            Layout::Array(element) => array(element, raw, out),
            Layout::Composite(fields) => composite(fields, raw, out),
        }
    }
}

fn lost(out: &mut Vec<u8>) -> Decoded {
    out.extend_from_slice(b"null");
    Ok(true)
}

fn exactly<const SIZE: usize>(raw: &[u8]) -> Decoded<[u8; SIZE]> {
    raw.try_into().map_err(|_| LENGTH)
}

// Text, and JSON

/// Text that is UTF-8, as a JSON string.
pub fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(place) = special(rest) {
        out.extend_from_slice(&rest[..place]);
        escape(rest[place], out);
        rest = &rest[place + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first character stands that needs an escape: a quote, a backslash, a control character.
fn special(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    const BLOCK: usize = 64;
    let mut at = 0;
    // In blocks first, without looking where: the compiler turns this into SIMD.
    while let Some(block) = text.get(at..at + BLOCK) {
        if block.iter().fold(false, |found, byte| found | (*byte < b' ') | (*byte == b'"') | (*byte == b'\\')) {
            break;
        }
        at += BLOCK;
    }
    while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        // A byte of `x` below n makes `(x - n) & !x` set its high bit; a borrow disturbs only the bytes above it.
        let word = u64::from_le_bytes(*eight);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let found = (quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash
            | word.wrapping_sub(ONES * b' ' as u64) & !word)
            & HIGH;
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).map(|place| at + place)
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            out.extend_from_slice(b"\\u00");
            return hex(&[byte], out);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

fn text(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    if simdutf8::basic::from_utf8(raw).is_err() {
        return lost(out);
    }
    quote(raw, out);
    KEPT
}

fn json(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    if simdutf8::basic::from_utf8(raw).is_err() || too_deep(raw) || holds_half_a_pair(raw) {
        return lost(out);
    }
    let mut rest = raw;
    while let Some(place) = memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..place]);
        out.push(b' ');
        rest = &rest[place + 1..];
    }
    out.extend_from_slice(rest);
    KEPT
}

fn too_deep(value: &[u8]) -> bool {
    let brackets = value.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets as i64 <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_string) = (0_i64, false);
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

fn holds_half_a_pair(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(place) = memchr(b'\\', rest) {
        let escape = &rest[place..];
        let (half, size) = match surrogate(escape) {
            Some(Half::First) if surrogate(escape.get(6..).unwrap_or_default()) == Some(Half::Second) => (false, 12),
            Some(_) => (true, 6),
            None => (false, 2),
        };
        if half {
            return true;
        }
        rest = escape.get(size..).unwrap_or_default();
    }
    false
}

#[derive(PartialEq)]
enum Half {
    First,
    Second,
}

/// Which half of a surrogate pair the text begins with, as an escape.
fn surrogate(text: &[u8]) -> Option<Half> {
    match text {
        [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => Some(Half::First),
        [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] => Some(Half::Second),
        _ => None,
    }
}

/// What follows the version of a jsonb value.
fn version_1(raw: &[u8]) -> Decoded<&[u8]> {
    raw.strip_prefix(b"\x01").ok_or(Broken("a jsonb value of an unknown version"))
}

// Numbers

fn integer(value: impl itoa::Integer, out: &mut Vec<u8>) -> Decoded {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    KEPT
}

fn float8(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let value = f64::from_be_bytes(exactly(raw)?);
    if !value.is_finite() {
        return lost(out);
    }
    shortest(ryu::Buffer::new().format_finite(value), out);
    KEPT
}

fn float4(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    single(f32::from_be_bytes(exactly(raw)?), out)
}

fn single(value: f32, out: &mut Vec<u8>) -> Decoded {
    if !value.is_finite() {
        return lost(out);
    }
    shortest(ryu::Buffer::new().format_finite(value), out);
    KEPT
}

fn float2(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let bits = u16::from_be_bytes(exactly(raw)?);
    let exponent = i32::from(bits >> 10 & 0x1F);
    let fraction = f32::from(bits & 0x3FF);
    let size = match exponent {
        0 => fraction * 2_f32.powi(-24),
        0x1F => f32::INFINITY,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    };
    single(if bits >> 15 == 1 { -size } else { size }, out)
}

/// The shortest digits of a number, as ryu gives them, laid out as Python's `repr` does.
fn shortest(number: &str, out: &mut Vec<u8>) {
    // What ryu writes plainly, Python does too, but for numbers below 1e-4.
    if !number.contains('e') && !number.trim_start_matches('-').starts_with("0.0000") {
        out.extend_from_slice(number.as_bytes());
        return;
    }
    let (mantissa, exponent) = number.split_once('e').unwrap_or((number, "0"));
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // All digits without the zeros around them; the point stands before the digit number `point`.
    let all = [whole.as_bytes(), fraction.as_bytes()].concat();
    let leading = all.iter().take_while(|digit| **digit == b'0').count();
    let digits = all[leading..].trim_ascii_end_zeros();
    let point = whole.len() as i32 - leading as i32 + exponent;
    if number.starts_with('-') {
        out.push(b'-');
    }
    match point {
        _ if digits.is_empty() => out.extend_from_slice(b"0.0"),
        -3..=0 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + point.unsigned_abs() as usize, b'0');
            out.extend_from_slice(digits);
        }
        1..=16 => {
            let point = point as usize;
            let (before, after) = digits.split_at(point.min(digits.len()));
            out.extend_from_slice(before);
            out.resize(out.len() + point - before.len(), b'0');
            out.push(b'.');
            out.extend_from_slice(if after.is_empty() { b"0" } else { after });
        }
        _ => {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if point > 0 { b"e+" } else { b"e-" });
            padded(u64::from((point - 1).unsigned_abs()), 2, out);
        }
    }
}

trait Digits {
    fn trim_ascii_end_zeros(&self) -> &[u8];
}

impl Digits for [u8] {
    fn trim_ascii_end_zeros(&self) -> &[u8] {
        let kept = self.iter().rposition(|digit| *digit != b'0').map_or(0, |place| place + 1);
        &self[..kept]
    }
}

/// A number with at least `width` digits.
fn padded(number: u64, width: usize, out: &mut Vec<u8>) {
    if number < 10_000 && width == 4 {
        two((number / 100) as i64, out);
        return two((number % 100) as i64, out);
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number);
    out.resize(out.len() + width.saturating_sub(digits.len()), b'0');
    out.extend_from_slice(digits.as_bytes());
}

/// `count` groups of four digits, the first worth 10000 ** `weight`; `scale` digits are shown after the point.
fn numeric(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let (head, groups) = raw.split_first_chunk::<8>().ok_or(LENGTH)?;
    let [c0, c1, w0, w1, s0, s1, d0, d1] = *head;
    let count = usize::from(u16::from_be_bytes([c0, c1]));
    let weight = i32::from(i16::from_be_bytes([w0, w1]));
    let scale = usize::from(u16::from_be_bytes([d0, d1]));
    if groups.len() != 2 * count {
        return Err(LENGTH);
    }
    let minus = match u16::from_be_bytes([s0, s1]) {
        0xC000 | 0xD000 | 0xF000 => return lost(out),
        0x4000 => true,
        0 => false,
        _ => return Err(Broken("not a numeric value")),
    };
    if groups.chunks_exact(2).any(|group| u16::from_be_bytes([group[0], group[1]]) > 9999) {
        return Err(Broken("not a numeric value"));
    }
    let group = |at: i32| {
        let at = usize::try_from(at).ok().map(|at| 2 * at);
        let found = at.and_then(|at| groups.get(at..at + 2));
        found.map_or(0, |group| u64::from(u16::from_be_bytes([group[0], group[1]])))
    };
    if minus {
        out.push(b'-');
    }
    match (0..=weight).find(|at| group(*at) != 0) {
        None => out.push(b'0'),
        Some(first) => {
            padded(group(first), 1, out);
            for at in first + 1..=weight {
                padded(group(at), 4, out);
            }
        }
    }
    if scale > 0 {
        out.push(b'.');
        let end = out.len() + scale;
        let mut at = weight + 1;
        while out.len() < end {
            padded(group(at), 4, out);
            at += 1;
        }
        out.truncate(end);
    }
    KEPT
}

/// The layout of pgvector: the number of dimensions, two bytes of nothing, the numbers.
fn floats(raw: &[u8], size: usize, decode: fn(&[u8], &mut Vec<u8>) -> Decoded, out: &mut Vec<u8>) -> Decoded {
    let [high, low, _, _, numbers @ ..] = raw else {
        return Err(LENGTH);
    };
    if numbers.len() != usize::from(u16::from_be_bytes([*high, *low])) * size {
        return Err(Broken("a vector of another length than it says"));
    }
    let mut lost = false;
    let mut separator = b'[';
    for number in numbers.chunks_exact(size) {
        out.push(separator);
        separator = b',';
        lost |= decode(number, out)?;
    }
    if numbers.is_empty() {
        out.push(b'[');
    }
    out.push(b']');
    Ok(lost)
}

// Times, in microseconds

const DAY: i64 = 86_400_000_000;
const UNKNOWN: Broken = Broken("a date or time that PostgreSQL does not know");

fn between<T: PartialOrd>(low: T, value: T, high: T) -> Decoded<T> {
    if low <= value && value <= high {
        Ok(value)
    } else {
        Err(UNKNOWN)
    }
}

/// A date by its distance from 2000-01-01; returns what follows it. The calendar repeats itself every 400 years.
fn calendar(days: i64, out: &mut Vec<u8>) -> &'static [u8] {
    // Years that begin in March, so that a leap day is the last of its year; day 0 is 0000-03-01.
    let days = days + 730_425;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + 400 * cycle + next;
    let (shown, era): (i64, &[u8]) = if year > 0 { (year, b"") } else { (1 - year, b" BC") };
    padded(shown.unsigned_abs(), 4, out);
    out.push(b'-');
    two(month, out);
    out.push(b'-');
    two(day, out);
    era
}

/// A number below 100, in two digits.
fn two(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
}

fn clock(micros: u64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    match seconds / 3600 {
        hours @ 0..100 => two(hours as i64, out),
        hours => padded(hours, 2, out),
    }
    out.push(b':');
    two((seconds / 60 % 60) as i64, out);
    out.push(b':');
    two((seconds % 60) as i64, out);
    if fraction > 0 {
        out.push(b'.');
        padded(fraction, 6, out);
        let zeros = out.iter().rev().take_while(|digit| **digit == b'0').count();
        out.truncate(out.len() - zeros);
    }
}

fn date(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let days = i32::from_be_bytes(exactly(raw)?);
    if days == i32::MIN || days == i32::MAX {
        return lost(out);
    }
    let days = between(-2_451_545, days, 2_145_031_948)?;
    out.push(b'"');
    let era = calendar(i64::from(days), out);
    out.extend_from_slice(era);
    out.push(b'"');
    KEPT
}

fn timestamp(raw: &[u8], zone: &[u8], out: &mut Vec<u8>) -> Decoded {
    let micros = i64::from_be_bytes(exactly(raw)?);
    if micros == i64::MIN || micros == i64::MAX {
        return lost(out);
    }
    let micros = between(-211_813_488_000_000_000, micros, 9_223_371_331_199_999_999)?;
    out.push(b'"');
    let era = calendar(micros.div_euclid(DAY), out);
    out.push(b'T');
    clock(micros.rem_euclid(DAY) as u64, out);
    out.extend_from_slice(zone);
    out.extend_from_slice(era);
    out.push(b'"');
    KEPT
}

fn time(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let micros = between(0, i64::from_be_bytes(exactly(raw)?), DAY)?;
    out.push(b'"');
    clock(micros as u64, out);
    out.push(b'"');
    KEPT
}

/// The zone is in seconds west of Greenwich.
fn timetz(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let (micros, west) = raw.split_at_checked(8).ok_or(LENGTH)?;
    let micros = i64::from_be_bytes(exactly(micros)?);
    let west = between(-57_599, i32::from_be_bytes(exactly(west)?), 57_599)?;
    out.push(b'"');
    clock(between(0, micros, DAY)? as u64, out);
    out.push(if west > 0 { b'-' } else { b'+' });
    let offset = i64::from(west.abs());
    two(offset / 3600, out);
    out.push(b':');
    two(offset / 60 % 60, out);
    if offset % 60 > 0 {
        out.push(b':');
        two(offset % 60, out);
    }
    out.push(b'"');
    KEPT
}

/// A positive part after a negative one has a plus, or it would read as negative too.
fn interval(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let (micros, rest) = raw.split_at_checked(8).ok_or(LENGTH)?;
    let (days, months) = rest.split_at_checked(4).ok_or(LENGTH)?;
    let micros = i64::from_be_bytes(exactly(micros)?);
    let days = i32::from_be_bytes(exactly(days)?);
    let months = i32::from_be_bytes(exactly(months)?);
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) => out.extend_from_slice(b"\"infinity\""),
        (i64::MIN, i32::MIN, i32::MIN) => out.extend_from_slice(b"\"-infinity\""),
        _ => words(micros, days, months, out),
    }
    KEPT
}

fn words(micros: i64, days: i32, months: i32, out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    let mut after_minus = false;
    for (number, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if number == 0 {
            continue;
        }
        if out.len() > start {
            out.push(b' ');
        }
        if after_minus && number > 0 {
            out.push(b'+');
        }
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if number != 1 {
            out.push(b's');
        }
        after_minus = number < 0;
    }
    if micros != 0 || out.len() == start {
        if out.len() > start {
            out.push(b' ');
        }
        if micros < 0 {
            out.push(b'-');
        } else if after_minus {
            out.push(b'+');
        }
        clock(micros.unsigned_abs(), out);
    }
    out.push(b'"');
}

// The rest

fn boolean(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let [value] = exactly(raw)?;
    out.extend_from_slice(if value == 0 { b"false" } else { b"true" });
    KEPT
}

fn hex(raw: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(raw.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

fn bytea(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    out.reserve(2 * raw.len() + 5);
    out.extend_from_slice(b"\"\\\\x");
    hex(raw, out);
    out.push(b'"');
    KEPT
}

fn uuid(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let bytes: [u8; 16] = exactly(raw)?;
    let mut separator = b'"';
    for part in [0..4, 4..6, 6..8, 8..10, 10..16] {
        out.push(separator);
        separator = b'-';
        hex(&bytes[part], out);
    }
    out.push(b'"');
    KEPT
}

fn macaddr(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    if raw.len() != 6 && raw.len() != 8 {
        return Err(Broken("not a MAC address"));
    }
    let mut separator = b'"';
    for byte in raw {
        out.push(separator);
        separator = b':';
        hex(&[*byte], out);
    }
    out.push(b'"');
    KEPT
}

fn bit(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let (size, content) = raw.split_first_chunk::<4>().ok_or(LENGTH)?;
    let size = usize::try_from(i32::from_be_bytes(*size)).ok();
    let Some(size) = size.filter(|size| content.len() == size.div_ceil(8)) else {
        return Err(Broken("a bit string of another length than it says"));
    };
    out.push(b'"');
    let end = out.len() + size;
    out.extend(content.iter().flat_map(|byte| (0..8).rev().map(move |bit| b'0' + (byte >> bit & 1))));
    out.truncate(end);
    out.push(b'"');
    KEPT
}

fn lsn(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let value = u64::from_be_bytes(exactly(raw)?);
    out.extend_from_slice(format!("\"{:X}/{:X}\"", value >> 32, value & 0xFFFF_FFFF).as_bytes());
    KEPT
}

/// The mask is shown for a cidr, and where it is not that of a single host.
fn inet(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let [family, bits, is_cidr, size, address @ ..] = raw else {
        return Err(LENGTH);
    };
    out.push(b'"');
    match (family, size, address.len()) {
        (2, 4, 4) if *bits <= 32 => ip4(address, out),
        (3, 16, 16) if *bits <= 128 => ip6(address, out),
        _ => return Err(Broken("not a network address")),
    }
    if *is_cidr != 0 || usize::from(*bits) != 8 * address.len() {
        out.push(b'/');
        padded(u64::from(*bits), 1, out);
    }
    out.push(b'"');
    KEPT
}

fn ip4(address: &[u8], out: &mut Vec<u8>) {
    for (at, byte) in address.iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        padded(u64::from(*byte), 1, out);
    }
}

/// As PostgreSQL writes it: an address of the fourth version inside one of the sixth is shown as such.
fn ip6(address: &[u8], out: &mut Vec<u8>) {
    let (head, tail) = address.split_at(12);
    let zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    if zeros(&head[..10]) && head[10..] == [0xFF, 0xFF] {
        out.extend_from_slice(b"::ffff:");
        return ip4(tail, out);
    }
    if zeros(head) && !zeros(&tail[..2]) {
        out.extend_from_slice(b"::");
        return ip4(tail, out);
    }
    let words: Vec<u16> = address.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let (left_out, count) = longest_zeros(&words);
    for (at, word) in words.iter().enumerate() {
        if count > 1 && (left_out..left_out + count).contains(&at) {
            if at == left_out {
                out.extend_from_slice(b"::");
            }
            continue;
        }
        if at > 0 && !(count > 1 && at == left_out + count) {
            out.push(b':');
        }
        out.extend_from_slice(format!("{word:x}").as_bytes());
    }
}

/// The first of the longest runs of zeros: where it begins, and its length.
fn longest_zeros(words: &[u16]) -> (usize, usize) {
    let mut best = (0, 0);
    for start in 0..words.len() {
        let count = words[start..].iter().take_while(|word| **word == 0).count();
        if count > best.1 {
            best = (start, count);
        }
    }
    best
}

// What is made of other values

/// Takes parts off the front of a composed value, and never more than there is.
struct Front<'a>(&'a [u8]);

impl<'a> Front<'a> {
    fn take(&mut self, size: i32) -> Decoded<&'a [u8]> {
        let parts = usize::try_from(size).ok().and_then(|size| self.0.split_at_checked(size));
        let (part, rest) = parts.ok_or(Broken("a part that is longer than the whole"))?;
        self.0 = rest;
        Ok(part)
    }

    fn int4(&mut self) -> Decoded<i32> {
        Ok(i32::from_be_bytes(exactly(self.take(4)?)?))
    }

    /// A value with its length before it; -1 is a null.
    fn value(&mut self, decode: impl Fn(&[u8], &mut Vec<u8>) -> Decoded, out: &mut Vec<u8>) -> Decoded {
        let size = self.int4()?;
        if size == -1 {
            out.extend_from_slice(b"null");
            return KEPT;
        }
        decode(self.take(size)?, out)
    }

    fn end(&self) -> Decoded<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Broken("bytes after the last part of a value"))
        }
    }
}

fn within(value: i32, most: usize) -> Decoded<usize> {
    let value = usize::try_from(value).ok().filter(|value| *value <= most);
    value.ok_or(Broken("an array larger than its bytes"))
}

/// Dimensions, whether there are nulls, the element's type; each dimension's length and first index; elements.
fn array(element: &Layout, raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let most = raw.len() / 4;
    let mut front = Front(raw);
    let (dimensions, _, _) = (front.int4()?, front.int4()?, front.int4()?);
    let dimensions = within(dimensions, 6)?;
    // How many elements each dimension's lists hold, the innermost's last.
    let mut sizes = [1_usize; 6];
    for at in 0..dimensions {
        let length = within(front.int4()?, most)?;
        front.int4()?;
        for size in &mut sizes[..=at] {
            *size = size.saturating_mul(length);
        }
    }
    let count = if dimensions == 0 { 0 } else { sizes[0] };
    if count > most {
        return Err(Broken("an array larger than its bytes"));
    }
    let inner = if count == 0 { &[] } else { &sizes[1..dimensions] };
    let mut lost = false;
    out.push(b'[');
    for at in 0..count {
        let begin = inner.iter().filter(|size| at % **size == 0).count();
        if at > 0 {
            out.resize(out.len() + begin, b']');
            out.push(b',');
        }
        out.resize(out.len() + begin, b'[');
        lost |= front.value(|raw, out| element.decode(raw, out), out)?;
    }
    out.resize(out.len() + inner.len() + 1, b']');
    front.end()?;
    Ok(lost)
}

/// The number of attributes, then for each one its type and its value.
fn composite(fields: &[(Vec<u8>, Layout)], raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let mut front = Front(raw);
    if usize::try_from(front.int4()?) != Ok(fields.len()) {
        return Err(Broken("a composite value with other attributes than its type had"));
    }
    let mut lost = false;
    out.push(b'{');
    for (at, (key, layout)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        front.int4()?;
        lost |= front.value(|raw, out| layout.decode(raw, out), out)?;
    }
    out.push(b'}');
    front.end()?;
    Ok(lost)
}

/// The number of pairs, then keys and values, in hstore's own order. A key that is lost takes all with it.
fn hstore(raw: &[u8], out: &mut Vec<u8>) -> Decoded {
    let start = out.len();
    let mut front = Front(raw);
    let (mut lost_value, mut lost_key) = (false, false);
    out.push(b'{');
    for at in 0..within(front.int4()?, raw.len() / 8)? {
        if at > 0 {
            out.push(b',');
        }
        let size = front.int4()?;
        lost_key |= text(front.take(size)?, out)?;
        out.push(b':');
        lost_value |= front.value(text, out)?;
    }
    out.push(b'}');
    front.end()?;
    if lost_key {
        out.truncate(start);
        return lost(out);
    }
    Ok(lost_value)
}
