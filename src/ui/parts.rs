//! The parts of a page, and which of them have changed: the updates of an open page.
//!
//! A part is one element with an id. A part whose set of rows has changed is sent whole. Otherwise only the
//! changed rows are sent, so one dyno's new reading costs one row.

use maud::{Markup, PreEscaped, Render};

/// One element that can be replaced without the rest of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub id: String,
    open: String,
    rows: Vec<Row>,
    close: String,
}

/// One row of a part, an element with an id of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: String,
    pub html: String,
}

/// The difference between two versions of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The page has other parts than before and must be fetched again.
    Rebuilt,
    /// These elements replace those of the same id.
    Elements(Vec<Row>),
}

impl Part {
    /// A part that is sent whole.
    pub fn whole(id: impl Into<String>, html: Markup) -> Self {
        Self { id: id.into(), open: html.into_string(), rows: Vec::new(), close: String::new() }
    }

    /// A part with rows. `frame` renders what surrounds them and inserts its argument, a placeholder, where
    /// the rows belong.
    pub fn of_rows(id: impl Into<String>, rows: Vec<Row>, frame: impl FnOnce(&Markup) -> Markup) -> Self {
        let framed = frame(&PreEscaped(PLACEHOLDER.to_owned())).into_string();
        let (open, close) = framed.split_once(PLACEHOLDER).unwrap_or((&framed, ""));
        Self { id: id.into(), open: open.to_owned(), rows, close: close.to_owned() }
    }

    fn html(&self) -> String {
        let rows = self.rows.iter().map(|row| row.html.as_str());
        [self.open.as_str()].into_iter().chain(rows).chain([self.close.as_str()]).collect()
    }

    fn has_rows_of(&self, other: &Self) -> bool {
        let ids = |part: &Self| part.rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>();
        self.open == other.open && self.close == other.close && ids(self) == ids(other)
    }
}

/// Maud escapes `<`, so no text can contain this.
const PLACEHOLDER: &str = "<!rows>";

impl Render for Part {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.open);
        for row in &self.rows {
            buffer.push_str(&row.html);
        }
        buffer.push_str(&self.close);
    }
}

/// Returns what must be replaced to turn `before` into `after`.
pub fn changes(before: &[Part], after: &[Part]) -> Change {
    let same_parts = before.len() == after.len() && before.iter().zip(after).all(|(b, a)| b.id == a.id);
    if !same_parts {
        return Change::Rebuilt;
    }
    let mut elements = Vec::new();
    for (before, after) in before.iter().zip(after) {
        if !after.has_rows_of(before) {
            elements.push(Row { id: after.id.clone(), html: after.html() });
            continue;
        }
        let rows = before.rows.iter().zip(&after.rows);
        elements.extend(rows.filter(|(b, a)| b.html != a.html).map(|(_, a)| a.clone()));
    }
    Change::Elements(elements)
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::{Change, Part, Row, changes};

    fn row(id: &str, text: &str) -> Row {
        Row { id: id.to_owned(), html: html! { li id=(id) { (text) } }.into_string() }
    }

    fn list(title: &str, rows: Vec<Row>) -> Part {
        Part::of_rows("list", rows, |rows| html! { ul id="list" title=(title) { (rows) } })
    }

    fn ids(change: Change) -> Vec<String> {
        match change {
            Change::Rebuilt => vec!["rebuilt".to_owned()],
            Change::Elements(elements) => elements.into_iter().map(|element| element.id).collect(),
        }
    }

    #[test]
    fn only_what_changed_is_sent() {
        let head = |text: &str| Part::whole("head", html! { p id="head" { (text) } });
        let before = [head("a"), list("t", vec![row("r1", "1"), row("r2", "2")])];
        for (after, expect) in [
            (vec![head("a"), list("t", vec![row("r1", "1"), row("r2", "2")])], &[][..]),
            (vec![head("b"), list("t", vec![row("r1", "1"), row("r2", "3")])], &["head", "r2"]),
            (vec![head("a"), list("u", vec![row("r1", "1"), row("r2", "2")])], &["list"]),
            (vec![head("a"), list("t", vec![row("r2", "2")])], &["list"]),
            (vec![head("a")], &["rebuilt"]),
        ] {
            assert_eq!(ids(changes(&before, &after)), expect);
        }
    }

    #[test]
    fn text_cannot_take_the_place_of_the_rows() {
        let part = list("<!rows>", vec![row("r1", "<!rows>")]);
        let html = part.html();
        assert_eq!(html, r#"<ul id="list" title="&lt;!rows&gt;"><li id="r1">&lt;!rows&gt;</li></ul>"#);
        assert_eq!(html! { (part) }.into_string(), html);
    }
}
