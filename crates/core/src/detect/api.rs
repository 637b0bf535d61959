//! Lines of `app[api]`: releases and scaling.

use nom::Parser as _;
use nom::bytes::complete::tag;
use nom::character::complete::u64;
use nom::sequence::terminated;

use crate::event::Fact;
use crate::ident::{DynoRef, ProcessType};
use crate::limits;

/// `Release v12 created by user …`, `Deploy 1a2b3c4 by user …`, `Rollback to v10 by user …` and `Scaled to
/// web@4:Standard-1X by user …`. Its other lines accompany one of these or change nothing here.
pub(super) fn event<'b>(msg: &[u8]) -> Option<Fact<DynoRef<'b>>> {
    if let Some(text) = msg.strip_prefix(b"Release v") {
        let (_, version) = terminated(u64::<_, ()>, tag(" created by ")).parse(text).ok()?;
        return Some(Fact::Release { version: Some(version) });
    }
    let starts = |words: &[&[u8]]| words.iter().any(|word| msg.starts_with(word));
    if starts(&[b"Deploy ", b"Deployed ", b"Rollback to "]) {
        return Some(Fact::Release { version: None });
    }
    starts(&[b"Scaled to ", b"Scale to "]).then(|| Fact::Scale { types: scaled_types(msg) })
}

/// The process types of `Scaled to web@4:Standard-1X worker@2:Standard-1X by user …`, and of the older
/// `Scale to web=2 by …`. None if one of them cannot be read, so that all types count as scaled.
fn scaled_types(msg: &[u8]) -> Vec<ProcessType> {
    let words = msg.split(|octet| matches!(octet, b' ' | b',')).skip(2).filter(|word| !word.is_empty());
    let scaled = words.take_while(|word| *word != b"by");
    let type_of = |word: &[u8]| -> Option<ProcessType> {
        let end = word.iter().position(|octet| matches!(octet, b'@' | b'='))?;
        std::str::from_utf8(&word[..end]).ok()?.parse().ok()
    };
    scaled.take(limits::SCALED_TYPES_MAX).map(type_of).collect::<Option<Vec<_>>>().unwrap_or_default()
}
