//! The numbers of dynos in `Scaled to web@4:Standard-1X worker@2:Standard-1X by user a@example.com`.

use crate::wire::line::Line;

/// The process types that a line says were scaled, with their new numbers of dynos.
pub fn scaled<'b>(line: &Line<'b>) -> impl Iterator<Item = (&'b str, u64)> + use<'b> {
    let msg = match (line.app, line.procid) {
        (b"app" | b"heroku", b"api") => line.msg.trim_ascii(),
        _ => b"",
    };
    // `Scale to web=4 by …` until 2015.
    let text = msg.strip_prefix(b"Scaled to ").or_else(|| msg.strip_prefix(b"Scale to ")).unwrap_or_default();
    let text = str::from_utf8(text).unwrap_or_default();
    let types = text.split_once(" by ").map_or(text, |(types, _)| types);
    types.split([' ', ',']).filter_map(|word| {
        let (process_type, rest) = word.split_once(['@', '='])?;
        let number = rest.split(':').next()?;
        Some((process_type, number.parse().ok()?)).filter(|_| !process_type.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::scaled;
    use crate::wire::line::Line;

    #[track_caller]
    fn check(app: &str, procid: &str, msg: &str, expect: &[(&str, u64)]) {
        let line = Line::shown(b"", app.as_bytes(), procid.as_bytes(), msg.as_bytes());
        assert_eq!(scaled(&line).collect::<Vec<_>>(), expect, "{msg}");
    }

    #[test]
    fn only_the_api_scales() {
        let text = "Scaled to web@4:Standard-1X worker@2:Standard-2X by user autoscale@7.example.com";
        check("app", "api", text, &[("web", 4), ("worker", 2)]);
        check("heroku", "api", "Scale to web=1 by a@example.com", &[("web", 1)]);
        check("app", "api", "Scaled to web@x:Standard-1X by user a@example.com", &[]);
        check("app", "api", "Release v4 created by user web@4.example.com", &[]);
        check("app", "web.1", text, &[]);
    }
}
