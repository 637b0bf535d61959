//! `Range` and `Next-Range`: how lists of the Platform API are paged
//! (<https://devcenter.heroku.com/articles/platform-api-reference#ranges>).

use std::cmp::Ordering;

use serde_json::Value;

/// Items of a page if the client sets no `max`; at most `PAGE_MAX`.
pub const PAGE_DEFAULT: usize = 200;
const PAGE_MAX: usize = 1000;

#[derive(Debug, PartialEq)]
pub struct Page {
    pub items: Vec<Value>,
    /// `Next-Range`, unless this is the last page.
    pub next: Option<String>,
}

/// The page of `items` for `range`, sorted by id unless it names another key; none for an invalid range.
///
/// ```text
/// range = [ key SP ] [ [ "]" ] value ] ".." [ ";" option *( "," option ) ]      ; ] means: after that value
/// key = "id" / "name" / "version"      option = "max=" number / "order=asc" / "order=desc"
/// ```
pub fn page(mut items: Vec<Value>, range: Option<&str>, page_default: usize) -> Option<Page> {
    let range = range.unwrap_or("id ..");
    let Range { behind, descending, from, key, max } = Range::parse(range, page_default)?;
    items.sort_by_key(|item| rank(key, &item[key]));
    if descending {
        items.reverse();
    }
    let bound = rank(key, &Value::from(from));
    let start = items.partition_point(|item| match rank(key, &item[key]).cmp(&bound) {
        _ if from.is_empty() => false,
        Ordering::Equal => behind,
        Ordering::Less => !descending,
        Ordering::Greater => descending,
    });
    let rest = items.split_off(start);
    let more = rest.len() > max;
    let items: Vec<Value> = rest.into_iter().take(max).collect();
    let order = if descending { "order=desc," } else { "" };
    let next = items.last().filter(|_| more).map(|last| {
        let value = &last[key];
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{key} ]{value}..; {order}max={max}")
    });
    Some(Page { items, next })
}

struct Range<'r> {
    behind: bool,
    descending: bool,
    from: &'r str,
    key: &'r str,
    max: usize,
}

impl<'r> Range<'r> {
    fn parse(text: &'r str, page_default: usize) -> Option<Self> {
        let (bounds, options) = text.split_once(';').unwrap_or((text, ""));
        let (key, bounds) = bounds.trim().split_once(' ').unwrap_or(("id", bounds.trim()));
        let from = bounds.strip_suffix("..").filter(|_| KEYS.contains(&key))?;
        let (from, behind) = from.strip_prefix(']').map_or((from, false), |from| (from, true));
        let mut range = Self { behind, descending: false, from, key, max: page_default };
        for option in options.split([';', ',']).map(str::trim).filter(|option| !option.is_empty()) {
            match option.split_once('=')? {
                ("max", number) => {
                    range.max = number.parse().ok().filter(|max| (1..=PAGE_MAX).contains(max))?;
                }
                ("order", "asc") => range.descending = false,
                ("order", "desc") => range.descending = true,
                _ => return None,
            }
        }
        Some(range)
    }
}

/// A value's sort key: a version's number, anything else's text.
fn rank(key: &str, value: &Value) -> (u64, String) {
    let text = value.as_str().unwrap_or_default();
    match (key, value.as_u64()) {
        ("version", number) => (number.or_else(|| text.parse().ok()).unwrap_or_default(), String::new()),
        _ => (0, text.to_owned()),
    }
}

static KEYS: [&str; 3] = ["id", "name", "version"];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::page;

    fn items() -> Vec<Value> {
        ["c", "a", "e", "b", "d"].iter().map(|id| json!({ "id": id })).collect()
    }

    fn check(range: Option<&str>, page_default: usize, expect: Option<(&str, Option<&str>)>) {
        let got = page(items(), range, page_default).map(|page| {
            let ids: String = page.items.iter().filter_map(|item| item["id"].as_str()).collect();
            (ids, page.next)
        });
        let expect = expect.map(|(ids, next)| (ids.to_owned(), next.map(str::to_owned)));
        assert_eq!(got, expect, "{range:?}");
    }

    #[test]
    fn each_page_names_the_next_range() {
        check(None, 200, Some(("abcde", None)));
        check(None, 2, Some(("ab", Some("id ]b..; max=2"))));
        check(Some("id ]b..; max=2"), 200, Some(("cd", Some("id ]d..; max=2"))));
        check(Some("id ]d..; max=2"), 200, Some(("e", None)));
        check(Some("id d.."), 200, Some(("de", None)));
        check(Some("..; max=1,order=asc"), 200, Some(("a", Some("id ]a..; max=1"))));
        for range in
            ["id", "id ..; max=0", "id ..; max=1001", "id ..; max=x", "id ..; order=up", "id a..c", "age .."]
        {
            check(Some(range), 200, None);
        }
    }

    #[test]
    fn releases_come_newest_first_when_asked() {
        let releases: Vec<Value> = (1..=12).map(|version| json!({ "version": version })).collect();
        let versions = |range: &str| {
            let page = page(releases.clone(), Some(range), 200).expect("a good range");
            (
                page.items.iter().map(|item| item["version"].as_u64().unwrap_or(0)).collect::<Vec<_>>(),
                page.next,
            )
        };
        let (first, next) = versions("version ..; max=10, order=desc");
        assert_eq!(first, (3..=12).rev().collect::<Vec<_>>());
        assert_eq!(next.as_deref(), Some("version ]3..; order=desc,max=10"));
        assert_eq!(versions(&next.unwrap_or_default()), (vec![2, 1], None));
    }
}
