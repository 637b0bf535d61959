//! The slow reader: the grammar of the wire again, written as plainly as possible.
//!
//! It shares no code and no technique with the real reader (one octet at a time, everything copied, dates
//! computed by hand), so that a mistake must be made twice, in two ways, to go unnoticed.

/// A parsed batch: its frames with their places, and where and why it ended early, if it did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub frames: Vec<(usize, Vec<u8>)>,
    pub end: Option<(usize, &'static str)>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub priority: u32,
    pub fields: [Vec<u8>; 5],
    pub msg: Vec<u8>,
}

/// A request in a router line.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub dyno: String,
    pub status: Option<u16>,
    pub service_ms: Option<u32>,
    pub code: Option<String>,
    pub method: Option<Vec<u8>>,
    pub path: Option<Vec<u8>>,
}

/// An error in a line: the code and the dyno.
pub type Error = (String, Option<String>);

pub fn batch(body: &[u8]) -> Batch {
    let mut batch = Batch::default();
    let mut at = 0;
    loop {
        if body.get(at) == Some(&b'\n') {
            at += 1;
        }
        if at == body.len() {
            return batch;
        }
        let mut digits = String::new();
        let mut next = at;
        while let Some(octet @ b'0'..=b'9') = body.get(next) {
            digits.push(*octet as char);
            next += 1;
        }
        let plain = !digits.is_empty() && !digits.starts_with('0') && digits.len() <= 9;
        if !plain || body.get(next) != Some(&b' ') {
            batch.end = Some((at, "count"));
            return batch;
        }
        let counted: u64 = digits.parse().expect("at most nine digits");
        let mut octets = Vec::new();
        next += 1;
        for _ in 0..counted {
            let Some(octet) = body.get(next) else {
                batch.end = Some((at, "cut"));
                return batch;
            };
            octets.push(*octet);
            next += 1;
        }
        batch.frames.push((at, octets));
        at = next;
    }
}

pub fn line(octets: &[u8]) -> Option<Line> {
    let mut text = octets.to_vec();
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    let mut words: Vec<Vec<u8>> = vec![Vec::new()];
    for octet in text {
        if octet == b' ' && words.len() <= 6 {
            words.push(Vec::new());
        } else {
            words.last_mut().expect("it begins with one").push(octet);
        }
    }
    // The space after MSGID may be missing, and then MSG is empty.
    if words.len() == 6 {
        words.push(Vec::new());
    }
    let [first, time, host, app, procid, msgid, msg]: [Vec<u8>; 7] = words.try_into().ok()?;
    let first = String::from_utf8(first).ok()?;
    let priority = first.strip_prefix('<')?.strip_suffix(">1")?;
    if priority.is_empty()
        || priority.len() > 3
        || !priority.chars().all(|digit| digit.is_ascii_digit())
        || (priority.starts_with('0') && priority != "0")
    {
        return None;
    }
    let priority: u32 = priority.parse().ok()?;
    let fields = [time, host, app, procid, msgid];
    if priority > 191 || fields.iter().any(Vec::is_empty) {
        return None;
    }
    let msg = if msg.starts_with(b"- ") { msg[2..].to_vec() } else { msg };
    Some(Line { priority, fields, msg })
}

/// Nanoseconds since 1970, for the years that all libraries represent.
pub fn nanos(time: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(time).ok()?;
    let (date, rest) = text.split_once('T')?;
    let date = numbers(date, '-', &[4, 2, 2])?;
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone_at);
    let (clock, fraction) = match clock.split_once('.') {
        Some((_, fraction)) if fraction.is_empty() || fraction.len() > 9 => return None,
        Some((clock, fraction)) => (clock, format!("{fraction:0<9}")),
        None => (clock, "0".repeat(9)),
    };
    let clock = numbers(clock, ':', &[2, 2, 2])?;
    let fraction = numbers(&fraction, ':', &[9])?[0];
    let (sign, zone) = match zone.split_at(1) {
        ("Z", "") => (1, vec![0, 0]),
        ("+", zone) => (1, numbers(zone, ':', &[2, 2])?),
        ("-", zone) => (-1, numbers(zone, ':', &[2, 2])?),
        _ => return None,
    };
    let (year, month, day) = (date[0], date[1], date[2]);
    let leap = |year: i128| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let exists = (1..=12).contains(&month)
        && (1..=month_days[month as usize - 1]).contains(&day)
        && clock[0] < 24
        && clock[1] < 60
        && clock[2] <= 60
        && zone[0] < 24
        && zone[1] < 60;
    if !exists {
        return None;
    }
    let year_days: i128 = if year >= 1970 {
        (1970..year).map(|year| 365 + i128::from(leap(year))).sum()
    } else {
        -(year..1970).map(|year| 365 + i128::from(leap(year))).sum::<i128>()
    };
    let days = year_days + month_days[..month as usize - 1].iter().sum::<i128>() + day - 1;
    let (second, fraction) = if clock[2] == 60 { (59, 999_999_999) } else { (clock[2], fraction) };
    let seconds = ((days * 24 + clock[0]) * 60 + clock[1]) * 60 + second;
    Some((seconds - sign * (zone[0] * 60 + zone[1]) * 60) * 1_000_000_000 + fraction)
}

/// Numbers of these widths with `between` between them.
fn numbers(text: &str, between: char, widths: &[usize]) -> Option<Vec<i128>> {
    let parts: Vec<&str> = text.split(between).collect();
    let fits = parts.len() == widths.len()
        && parts
            .iter()
            .zip(widths)
            .all(|(part, width)| part.len() == *width && part.chars().all(|digit| digit.is_ascii_digit()));
    fits.then(|| parts.iter().map(|part| part.parse().expect("digits")).collect())
}

/// The R code in the dyno manager's line, in the strict form of heroku.md §2.3.
pub fn manager_error(line: &Line) -> Option<Error> {
    let [_, _, app, procid, _] = &line.fields;
    let dyno = (app == b"heroku").then(|| dyno(procid)).flatten()?;
    let text = String::from_utf8_lossy(line.msg.trim_ascii()).into_owned();
    let text = text.strip_prefix("Error ")?;
    let (code, rest) = text.split_once(" (")?;
    let known = ["R10", "R11", "R12", "R13", "R14", "R15", "R16", "R17", "R99"]
        .contains(&code)
        .then(|| code.to_owned())?;
    let (name, tail) = rest.split_once(')')?;
    (!name.is_empty() && (tail.is_empty() || tail.starts_with(" -> "))).then_some((known, Some(dyno)))
}

/// The memory in a dyno's line: the dyno, hundredths of megabytes, and tenths of a per cent of the quota
/// (next to an R14) or hundredths of megabytes of it (in a sample).
pub fn memory(line: &Line) -> Option<(String, u64, u64)> {
    let [_, _, app, procid, _] = &line.fields;
    let dyno = (app == b"heroku").then(|| dyno(procid)).flatten()?;
    let text = line.msg.trim_ascii();
    if let Some(text) =
        std::str::from_utf8(text).ok().and_then(|text| text.strip_prefix("Process running mem="))
    {
        let (used, share) = text.split_once('(')?;
        let used = used.strip_suffix("MB").or_else(|| used.strip_suffix('M'))?;
        let share = number(share.strip_suffix("%)")?, 1)?;
        return Some((dyno, number(used, 2)?, u64::from(u32::try_from(share).ok()?)));
    }
    if text.first().is_some_and(u8::is_ascii_uppercase) {
        return None;
    }
    let pairs = pairs(text);
    let only = |key: &str| -> Option<&[u8]> {
        let mut values = pairs.iter().filter(|pair| pair.0 == key.as_bytes());
        let value = values.next()?;
        values.next().is_none().then_some(&value.1)
    };
    let (source, instance) = (only("source")?, String::from_utf8_lossy(only("dyno")?).into_owned());
    let parts: Vec<&str> = instance.split('.').collect();
    let is_instance = parts.len() == 3
        && parts[0] == "heroku"
        && !parts[1].is_empty()
        && (1..=63).contains(&parts[2].len())
        && parts[2].chars().all(|c| c.is_ascii_graphic());
    let size = |key| number(std::str::from_utf8(only(key)?).ok()?.strip_suffix("MB")?, 2);
    let (total, quota) = (size("sample#memory_total")?, size("sample#memory_quota")?);
    // Swap may be missing; twice it makes the line doubtful.
    let is_clear = pairs.iter().filter(|pair| pair.0 == b"sample#memory_swap").count() <= 1;
    (source == procid && is_instance && quota > 0 && is_clear).then_some((dyno, total, quota))
}

/// `221.479` in hundredths is 22147: one to nine digits on either side of the point.
fn number(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits =
        |digits: &str| (1..=9).contains(&digits.len()) && digits.chars().all(|digit| digit.is_ascii_digit());
    let cut: String = format!("{fraction}00").chars().take(places).collect();
    (are_digits(whole) && are_digits(fraction)).then(|| format!("{whole}{cut}").parse().expect("11 digits"))
}

/// The H code in the router's line.
pub fn router_error(line: &Line) -> Option<Error> {
    let [_, _, app, procid, _] = &line.fields;
    if app != b"heroku" || procid != b"router" {
        return None;
    }
    let mut pairs = pairs(&line.msg);
    if pairs.first().is_some_and(|(key, _)| key == b"sock") {
        pairs.remove(0);
    }
    let (key, level) = pairs.first()?;
    let has_code_next = pairs.get(1).is_some_and(|(next, _)| next == b"code");
    if key != b"at" || !(level == b"error" || level == b"warning" || level == b"info" && has_code_next) {
        return None;
    }
    let all = |key: &[u8]| -> Vec<Vec<u8>> {
        pairs.iter().filter(|pair| pair.0 == key).map(|pair| pair.1.clone()).collect()
    };
    let (ats, codes, dynos) = (all(b"at"), all(b"code"), all(b"dyno"));
    if ats.len() != 1 || codes.len() != 1 || dynos.len() > 1 {
        return None;
    }
    let code = String::from_utf8(codes[0].clone()).ok()?;
    let number: u32 = code.strip_prefix('H').filter(|digits| digits.len() == 2)?.parse().ok()?;
    let known = matches!(number, 10..=28 | 31 | 32 | 80..=83 | 99) && !code.contains('+');
    known.then(|| (code, dynos.first().and_then(|dyno| self::dyno(dyno))))
}

/// The request in the router's line.
pub fn request(line: &Line) -> Option<Request> {
    let [_, _, app, procid, _] = &line.fields;
    if app != b"heroku" || procid != b"router" {
        return None;
    }
    let pairs = pairs(&line.msg);
    let all = |key: &str| -> Vec<&Vec<u8>> {
        pairs.iter().filter(|pair| pair.0 == key.as_bytes()).map(|pair| &pair.1).collect()
    };
    if ["code", "dyno", "service", "status"].iter().any(|key| all(key).len() > 1) {
        return None;
    }
    let text = |key: &str| all(key).first().and_then(|value| String::from_utf8((*value).clone()).ok());
    let number = |text: &str| -> Option<u32> {
        let fits = (1..=9).contains(&text.len()) && text.chars().all(|digit| digit.is_ascii_digit());
        fits.then(|| text.parse().expect("at most nine digits"))
    };
    let once = |key: &str| match all(key)[..] {
        [value] => Some(value.clone()),
        _ => None,
    };
    let code = text("code").filter(|code| {
        let number = code.strip_prefix('H').and_then(number);
        matches!(number, Some(10..=28 | 31 | 32 | 80..=83 | 99))
    });
    Some(Request {
        dyno: dyno(all("dyno").first()?)?,
        status: text("status").and_then(|text| number(&text)).and_then(|status| status.try_into().ok()),
        service_ms: text("service").and_then(|text| number(text.strip_suffix("ms")?)),
        code: code.map(|code| format!("H{}", code[1..].trim_start_matches('0'))),
        method: once("method"),
        path: once("path"),
    })
}

/// The pairs of key-value text, one octet at a time.
fn pairs(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    enum At {
        Between,
        Key,
        Value,
        Bare,
        Quoted,
        Escaped,
        Glued,
    }
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut at = At::Between;
    for octet in text.trim_ascii().iter().copied() {
        if let At::Between = at {
            if octet == b' ' {
                continue;
            }
            pairs.push((Vec::new(), Vec::new()));
            at = At::Key;
        }
        let (key, value) = pairs.last_mut().expect("a key has begun");
        at = match (at, octet) {
            (At::Key, b'=') => At::Value,
            (At::Value, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::Glued,
            (At::Quoted, b'\\') => {
                value.push(octet);
                At::Escaped
            }
            (At::Quoted | At::Escaped, _) => {
                value.push(octet);
                At::Quoted
            }
            (_, b' ') => At::Between,
            (At::Glued, _) => At::Glued,
            (At::Key, _) => {
                key.push(octet);
                At::Key
            }
            (_, _) => {
                value.push(octet);
                At::Bare
            }
        };
    }
    pairs
}

fn dyno(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let (process_type, index) = text.rsplit_once('.')?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let number: u64 = index.parse().ok()?;
    let fits = (1..=128).contains(&process_type.len())
        && process_type.chars().all(word)
        && number.to_string() == index
        && (1..=u64::from(u32::MAX)).contains(&number);
    fits.then(|| text.to_owned())
}
