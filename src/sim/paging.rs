//! `Range` and `Next-Range`: how lists of the Platform API are paged
//! (<https://devcenter.heroku.com/articles/platform-api-reference#ranges>).

use serde_json::Value;

/// Items of a page when nobody asks for another number, and at most.
pub const PAGE_DEFAULT: usize = 200;
const PAGE_MAX: usize = 1000;

/// One page of a list.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// Its items.
    pub items: Vec<Value>,
    /// `Next-Range`, unless this is the last page.
    pub next: Option<String>,
}

/// The page of `items` that `range` asks for, ordered by id; none when the range cannot be read.
///
/// ```text
/// range = "id " [ "]" ] [ id ] ".." [ id ] [ ";" "max=" number ] [ ";" ]      ; ] means: behind that id
/// ```
pub fn page(mut items: Vec<Value>, range: Option<&str>, page_default: usize) -> Option<Page> {
    items.sort_by(|a, b| id(a).cmp(id(b)));
    let (mut from, mut max) = ("", page_default);
    let mut behind = false;
    if let Some(range) = range {
        let (bounds, options) = range.split_once(';').unwrap_or((range, ""));
        let bounds = bounds.trim().strip_prefix("id").unwrap_or(bounds).trim();
        let (first, last) = bounds.split_once("..")?;
        if !last.trim().is_empty() {
            return None;
        }
        (from, behind) = first.strip_prefix(']').map_or((first, false), |first| (first, true));
        for option in options.split([';', ',']).map(str::trim).filter(|option| !option.is_empty()) {
            match option.split_once('=')? {
                ("max", number) => max = number.parse().ok().filter(|max| (1..=PAGE_MAX).contains(max))?,
                ("order", "asc") => {}
                _ => return None,
            }
        }
    }
    let start = items.partition_point(|item| if behind { id(item) <= from } else { id(item) < from });
    let rest = items.split_off(start);
    let more = rest.len() > max;
    let items: Vec<Value> = rest.into_iter().take(max).collect();
    let next = items.last().filter(|_| more).map(|last| format!("id ]{}..; max={max}", id(last)));
    Some(Page { items, next })
}

fn id(item: &Value) -> &str {
    item["id"].as_str().unwrap_or_default()
}

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
    fn each_page_says_where_the_next_begins() {
        check(None, 200, Some(("abcde", None)));
        check(None, 2, Some(("ab", Some("id ]b..; max=2"))));
        check(Some("id ]b..; max=2"), 200, Some(("cd", Some("id ]d..; max=2"))));
        check(Some("id ]d..; max=2"), 200, Some(("e", None)));
        check(Some("id d.."), 200, Some(("de", None)));
        check(Some("..; max=1,order=asc"), 200, Some(("a", Some("id ]a..; max=1"))));
        for range in ["id", "id ..; max=0", "id ..; max=1001", "id ..; max=x", "id ..; order=desc", "id a..c"]
        {
            check(Some(range), 200, None);
        }
    }
}
