//! The shape of one segment of a path: a word that a route may have, or a kind of varying text.
//!
//! Only words can ever be shown. Whatever looks like an id, a date, a token, a file name with a fingerprint
//! or a title is known by its kind alone, so its text is never kept.

use crate::limits;

/// What a segment looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// Letters that may be part of a route, such as `orders`, `sign-in` or `v2`.
    Word,
    Date,
    /// A file whose name has a fingerprint.
    File,
    Hex,
    /// A number.
    Id,
    /// A person's or a thing's own name.
    Name,
    /// Everything below the deepest segment that is told apart.
    Rest,
    /// The words of a title.
    Slug,
    Token,
    Uuid,
}

impl Shape {
    /// Those that stand for varying text.
    pub const VARYING: [Self; 9] = [
        Self::Date,
        Self::File,
        Self::Hex,
        Self::Id,
        Self::Name,
        Self::Rest,
        Self::Slug,
        Self::Token,
        Self::Uuid,
    ];

    /// Its place in [`VARYING`](Self::VARYING); none for a word.
    pub fn varying(self) -> Option<usize> {
        // They are in the order of their numbers, behind the word.
        (self as usize).checked_sub(1)
    }

    /// The shape of a segment, which is not empty.
    pub fn of(segment: &[u8]) -> Self {
        let Some(&first) = segment.first() else { return Self::Name };
        if first == b'@' || first == b'~' {
            return Self::Name;
        }
        if segment.len() > limits::TEMPLATE_WORD_BYTES_MAX {
            return Self::Token;
        }
        if let Some(is_spoken) = small_letters(segment) {
            return if is_spoken { Self::Word } else { Self::Token };
        }
        // Without a branch, so that the compiler compares sixteen octets at a time.
        let has_digit = segment.iter().fold(false, |found, octet| found | octet.is_ascii_digit());
        if !has_digit {
            return if is_word(segment) { Self::Word } else { unworded(segment) };
        }
        let bare = stem(segment);
        if bare.iter().all(|octet| octet.is_ascii_digit() || matches!(octet, b',' | b'-' | b'_' | b'.')) {
            return if is_date(bare) { Self::Date } else { Self::Id };
        }
        if is_uuid(bare) {
            return Self::Uuid;
        }
        if is_date(bare) {
            return Self::Date;
        }
        if bare.len() >= HEX_BYTES_LEAST && bare.iter().all(u8::is_ascii_hexdigit) {
            return Self::Hex;
        }
        if is_word(segment) { Self::Word } else { unworded(segment) }
    }

    /// Its word in a template.
    pub fn word(self) -> &'static str {
        match self {
            // A word without a place of its own is one of many.
            Self::Word | Self::Name => ":name",
            Self::Date => ":date",
            Self::File => ":file",
            Self::Hex => ":hex",
            Self::Id => ":id",
            Self::Rest => ":rest",
            Self::Slug => ":slug",
            Self::Token => ":token",
            Self::Uuid => ":uuid",
        }
    }

    /// The varying shape with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::VARYING.into_iter().find(|shape| shape.word() == word)
    }
}

const HEX_BYTES_LEAST: usize = 8;

/// Letters of one part of a word; the longest that routes have are about this long.
const PART_LETTERS_MAX: usize = 15;

/// Parts of a word. A title has more.
const PARTS_MAX: usize = 4;

/// Consonants in a row, which random letters exceed.
const CONSONANTS_MAX: usize = 5;

/// Whether it may be a word of a route.
fn is_word(segment: &[u8]) -> bool {
    let is_separator = |octet: &u8| matches!(octet, b'-' | b'_' | b'.');
    let segment = segment.strip_prefix(b".").unwrap_or(segment);
    let mut parts = 0;
    segment.split(is_separator).all(|part| {
        parts += 1;
        parts <= PARTS_MAX && is_part(part)
    })
}

/// Letters in a usual case, and at most two digits behind them, such as `v2` or `oauth2`.
fn is_part(part: &[u8]) -> bool {
    if let (Some(is_spoken), false) = (small_letters(part), part.is_empty()) {
        return is_spoken;
    }
    let letters = part.iter().take_while(|octet| octet.is_ascii_alphabetic()).count();
    let digits = &part[letters..];
    let has_few_digits =
        digits.is_empty() || (digits.len() <= 2 && letters <= 6 && digits.iter().all(u8::is_ascii_digit));
    (1..=PART_LETTERS_MAX).contains(&letters) && has_few_digits && is_spoken(&part[..letters])
}

/// Whether small letters look like a word, as [`is_spoken`] says; none for any other text, and for a longer
/// one.
fn small_letters(text: &[u8]) -> Option<bool> {
    if text.len() > PART_LETTERS_MAX {
        return None;
    }
    let mut kinds = 0_u32;
    for octet in text {
        let kind = KINDS[usize::from(*octet)];
        if kind == 0 {
            return None;
        }
        kinds = kinds << 2 | u32::from(kind);
    }
    let consonants = kinds & CONSONANTS;
    let two = consonants & consonants << 2;
    let four = two & two << 4;
    let six = four & two << 8;
    Some(six == 0)
}

/// The high bits of kinds that are side by side.
const CONSONANTS: u32 = 0xaaaa_aaaa;

/// 1 for a small vowel, 2 for a small consonant, 0 for any other octet.
static KINDS: [u8; 256] = {
    let (mut kinds, mut letter) = ([0; 256], b'a');
    while letter <= b'z' {
        kinds[letter as usize] =
            if matches!(letter, b'a' | b'e' | b'i' | b'o' | b'u' | b'y') { 1 } else { 2 };
        letter += 1;
    }
    kinds
};

/// Whether letters look like a word: no long row of consonants, and upper case only where words begin.
fn is_spoken(letters: &[u8]) -> bool {
    let (mut consonants, mut small, mut capitals, mut is_odd) = (0, 0_usize, 0_usize, false);
    let (mut hump, mut is_hump) = (0, false);
    for letter in letters {
        let is_vowel = matches!(letter.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u' | b'y');
        consonants = if is_vowel { 0 } else { consonants + 1 };
        is_odd |= consonants > CONSONANTS_MAX;
        if letter.is_ascii_uppercase() {
            // The word before was cut short: `aXbQ`.
            is_odd |= is_hump && hump < 2;
            (hump, is_hump, capitals) = (0, true, capitals + 1);
        } else {
            (hump, small) = (hump + 1, small + 1);
        }
    }
    let is_abbreviation = small == 0 && capitals <= 5;
    let is_camel = !is_odd && (!is_hump || hump >= 2);
    capitals * 3 <= letters.len() + 2 && is_camel || is_abbreviation
}

/// The shape of what is no word and nothing more regular.
fn unworded(segment: &[u8]) -> Shape {
    let bare = stem(segment);
    if bare.len() < segment.len() {
        return Shape::File;
    }
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    if !bare.iter().all(is_plain) {
        return Shape::Name;
    }
    let mut parts = bare.split(|octet| matches!(octet, b'-' | b'_' | b'.')).peekable();
    let is_title = |part: &[u8]| is_part(part) || part.iter().all(u8::is_ascii_digit);
    let mut count = 0;
    let are_words = parts.all(|part| {
        count += 1;
        is_title(part)
    });
    if are_words && count > 1 { Shape::Slug } else { Shape::Token }
}

/// The segment without the ending of a file's name.
fn stem(segment: &[u8]) -> &[u8] {
    let Some(dot) = memchr::memrchr(b'.', segment) else { return segment };
    let ending = &segment[dot + 1..];
    let is_ending = (1..=5).contains(&ending.len())
        && ending.iter().all(u8::is_ascii_alphanumeric)
        && ending[0].is_ascii_alphabetic();
    if is_ending && dot > 0 { &segment[..dot] } else { segment }
}

/// `2026-01-02`, `2026-01`, or a time that begins like this.
fn is_date(text: &[u8]) -> bool {
    let pattern = b"dddd-dd";
    text.len() >= pattern.len()
        && text.iter().zip(pattern).all(|(octet, kind)| match kind {
            b'd' => octet.is_ascii_digit(),
            other => octet == other,
        })
        && (text.len() == pattern.len() || matches!(text[pattern.len()], b'-' | b'T'))
        && (b"19".as_slice()..=b"21").contains(&&text[..2])
}

fn is_uuid(text: &[u8]) -> bool {
    const FORM: &[u8; 36] = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    let Ok(text) = <&[u8; FORM.len()]>::try_from(text) else { return false };
    // Without a branch, so that the compiler compares sixteen octets at a time.
    text.iter().zip(FORM).fold(true, |fits, (octet, form)| {
        fits & ((*form == b'-') & (*octet == b'-') | (*form == b'x') & octet.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[track_caller]
    fn check(shape: Shape, segments: &[&str]) {
        for segment in segments {
            assert_eq!(Shape::of(segment.as_bytes()), shape, "{segment}");
        }
    }

    #[test]
    fn routes_are_words() {
        check(
            Shape::Word,
            &[
                "orders",
                "api",
                "v1",
                "v2",
                "sign-in",
                "password_resets",
                "oauth2",
                "API",
                "UserProfile",
                "getUser",
                "favicon.ico",
                "robots.txt",
                ".well-known",
                "wp-login.php",
                "mp3",
                "Account",
                "health",
                "import",
                "2fa".trim_start_matches('2'),
                "sidekiq",
                "rss.xml",
            ],
        );
    }

    #[test]
    fn varying_text_is_none() {
        check(Shape::Id, &["1", "12345", "2024", "12.json", "1,2,3", "555-12-33"]);
        check(Shape::Date, &["2026-01-02", "2026-01", "2026-01-02T03:04:05Z", "2026-01-02.csv"]);
        check(Shape::Uuid, &["0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5B-D9CB-469F-A165-70867728950E"]);
        check(Shape::Hex, &["deadbeef01", "59da6323aa", "507f1f77bcf86cd799439011"]);
        check(Shape::Name, &["@alice", "~bob", "caf%C3%A9", "名前", "a b", "x=1", "a:b"]);
        check(
            Shape::Slug,
            &["my-post-123", "how-to-find-a-leak", "2-fast-2-furious", "ten-words-in-a-title"],
        );
        check(Shape::File, &["application-3f2a9b1c.js", "main.8d1f2a.css", "IMG4711x.jpeg"]);
        check(
            Shape::Token,
            &[
                "s3cr3tT0k3n",
                "xkcdqzrtvbw",
                "aXbQzRtY",
                "AKIAIOSFODNNSAMPLE",
                "abg123def",
                "correcthorsebatterystaple",
                "a234567890123456789012345678901234567890x",
            ],
        );
    }

    #[test]
    fn words_of_shapes_are_told_apart() {
        for (place, shape) in Shape::VARYING.into_iter().enumerate() {
            assert_eq!((Shape::of_word(shape.word()), shape.varying()), (Some(shape), Some(place)));
        }
        assert_eq!(Shape::Word.varying(), None);
        assert_eq!((Shape::of_word("orders"), Shape::of_word(":other")), (None, None));
    }
}
